"""Classical molecular dynamics of organic liquids: MMFF94 in OpenMM, parameters from RDKit.

All terms of MMFF94 [1]_ are there; of an isolated molecule the energy is RDKit's. In a periodic box

- the buffered 14-7 van der Waals term is switched off smoothly at a cutoff, with the usual
  correction for what lies beyond, and
- the buffered Coulomb term ``q q' / (r + 0.05 Å)`` is split into ``q q' / r``, summed over the
  lattice by particle-mesh Ewald, and the rest, ``-0.05 Å q q' / (r (r + 0.05 Å))``. The rest falls
  off with one more power of r, and is switched off at the same cutoff.

No package on PyPI offers MMFF94 for periodic systems, hence this module.

References
----------
.. [1] T. A. Halgren, J. Comput. Chem. 17, 490-519, 520-552, 553-586, 616-641 (1996).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from crosstrain.build.boxes import composition_counts, scaled, threaded, whole
from crosstrain.build.molecules import intact, rdkit_molecule

if TYPE_CHECKING:
    from openmm import Context, CustomNonbondedForce, System
    from rdkit.Chem import Mol
    from rdkit.ForceField.rdForceField import MMFFMolProperties

    Terms = dict[str, list[tuple[tuple[int, ...], tuple[float, ...]]]]

_KCAL = 4.184  # kJ/mol, the unit of OpenMM
_KJ = units.kJ / units.mol  # eV
_STIFF = 143.9325  # kcal/(mol Å²) in 1 mdyn/Å
_COULOMB = 332.0716  # kcal Å/(mol e²), the value of MMFF94
_COULOMB_OPENMM = 138.93545764438198 * 10 / _KCAL
_BUFFER_A = 0.05
_LINEAR_TYPES = {4}  # MMFF94 types of H, C and O with a straight angle: sp carbon

# Energies in kcal/mol with Å and degrees, as MMFF94 prints them. A term is a sum over groups of
# atoms p1, p2, ...; the names after the expression are the parameters of each group.
_BONDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "bond": (
        f"{_STIFF}/2*k*d^2*(1 - 2*d + 7/3*d^2); d = 10*distance(p1, p2) - r0",
        ("k", "r0"),
    ),
    "angle": (
        f"{_STIFF}/2*k*(a*rad)^2*(1 - 0.006981317*a); a = angle(p1, p2, p3)/rad - a0;"
        "rad = 0.017453292519943295",
        ("k", "a0"),
    ),
    "linear angle": (
        f"{_STIFF}*k*(1 + cosine); cosine = (r1^2 + r2^2 - distance(p1, p3)^2)/(2*r1*r2);"
        "r1 = distance(p1, p2); r2 = distance(p2, p3)",
        ("k",),
    ),
    "stretch-bend": (
        f"{_STIFF}*rad*(k1*(10*distance(p1, p2) - r1) + k2*(10*distance(p2, p3) - r2))"
        "*(angle(p1, p2, p3)/rad - a0); rad = 0.017453292519943295",
        ("k1", "k2", "r1", "r2", "a0"),
    ),
    # Wilson angle between the bond p2-p4 and the plane of p1, p2 and p3
    "out-of-plane": (
        f"{_STIFF}/2*k*asin(sine)^2;"
        "sine = (nx*cx + ny*cy + nz*cz)/sqrt((nx^2 + ny^2 + nz^2)*(cx^2 + cy^2 + cz^2));"
        "nx = ay*bz - az*by; ny = az*bx - ax*bz; nz = ax*by - ay*bx;"
        "ax = x1 - x2; ay = y1 - y2; az = z1 - z2; bx = x3 - x2; by = y3 - y2; bz = z3 - z2;"
        "cx = x4 - x2; cy = y4 - y2; cz = z4 - z2",
        ("k",),
    ),
    "torsion": (
        "(v1*(1 + cos(f)) + v2*(1 - cos(2*f)) + v3*(1 + cos(3*f)))/2;"
        "f = dihedral(p1, p2, p3, p4)",
        ("v1", "v2", "v3"),
    ),
}
_VDW = "e*(1.07/(x + 0.07))^7*(1.12/(x^7 + 0.12) - 2)"  # x = r/R*
_FULL_COULOMB = f"{_COULOMB}*qq/(r + {_BUFFER_A})"
_BUFFERING = f"-{_COULOMB}*{_BUFFER_A}*qq/(r*(r + {_BUFFER_A}))"
_SCALE_14 = 0.75  # of the Coulomb energy across three bonds


# --- energy -------------------------------------------------------------------------------------


def mmff_energies(atoms: Atoms, *, cutoff_A: float | None = None) -> dict[str, float]:
    """MMFF94 energy of a frame, term by term.

    Parameters
    ----------
    atoms : Atoms
        See `mmff_system`.
    cutoff_A : float, optional
        See `mmff_system`.

    Returns
    -------
    dict of str to float
        eV for each of bond, angle, stretch-bend, out-of-plane, torsion, van der Waals and
        electrostatic; the energy is their sum.

    Raises
    ------
    ValueError
        As `mmff_system`.
    """
    from openmm import VerletIntegrator

    system = mmff_system(atoms, cutoff_A=cutoff_A)
    for group, force in enumerate(system.getForces()):
        force.setForceGroup(group)
    context = _context(system, VerletIntegrator(0.001), atoms, "Reference")
    energies: dict[str, float] = {}
    for group, force in enumerate(system.getForces()):
        energy = context.getState(getEnergy=True, groups={group}).getPotentialEnergy()
        name = force.getName()
        energies[name] = energies.get(name, 0.0) + energy._value * _KJ
    return energies


def mmff_system(atoms: Atoms, *, cutoff_A: float | None = None) -> System:
    """OpenMM system of a frame with the MMFF94 force field.

    Parameters
    ----------
    atoms : Atoms
        Frame of molecules named in ``info["composition"]``, which are told apart by
        ``arrays["molecule"]`` and ``info["bonds"]``; the atoms may be in any order. The bonded
        terms know no boundary: OpenMM must be given whole molecules, see `boxes.whole`.
    cutoff_A : float, optional
        Cutoff of the periodic system, Å, at most half of the shortest edge. Without one, the
        system is isolated and everything interacts with everything.

    Returns
    -------
    openmm.System
        Each force bears the name of its term.

    Raises
    ------
    ValueError
        If the molecules are not those of the composition, RDKit has no parameters for them, the
        cell is not orthorhombic, or the cutoff does not fit into it.
    """
    import openmm

    if cutoff_A is not None:
        _check_cell(atoms, cutoff_A)
    found = list(_identified(atoms))
    species = {name: rdkit_molecule(name) for name in sorted({name for name, _ in found})}
    terms = {name: _terms(mol, _properties(mol, name)) for name, mol in species.items()}

    system = openmm.System()
    for mass in atoms.get_masses():
        system.addParticle(mass)
    if cutoff_A is not None:
        system.setDefaultPeriodicBoxVectors(*np.diag(atoms.cell.lengths() / 10))
    _add_bonded(system, [(terms[name], members) for name, members in found])
    _add_nonbonded(system, atoms, found, species, cutoff_A)
    return system


def _check_cell(atoms: Atoms, cutoff_A: float) -> None:
    if not atoms.pbc.all() or not np.allclose(atoms.cell.angles(), 90):
        raise ValueError(f"atoms: cell {atoms.cell.cellpar()}: allowed are periodic right angles")
    half = atoms.cell.lengths().min() / 2
    if not 0 < cutoff_A <= half:
        raise ValueError(f"cutoff_A={cutoff_A}: allowed is up to half of the cell, {half:.3f}")


def _identified(atoms: Atoms) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Name of each molecule, and its atoms in the order of `rdkit_molecule`."""
    names = composition_counts(atoms.info["composition"])
    known = {name: _graph_of(rdkit_molecule(name)) for name in names}
    symbols = atoms.get_chemical_symbols()
    bonds = np.asarray(atoms.info["bonds"], dtype=int).reshape(-1, 2)
    for k in np.unique(atoms.arrays["molecule"]):
        members = np.flatnonzero(atoms.arrays["molecule"] == k)
        inner = np.searchsorted(members, bonds[np.isin(bonds, members).all(axis=1)])
        graph = _graph([symbols[i] for i in members], inner)
        for name, pattern in known.items():
            same_size = pattern.GetNumAtoms() == len(members)
            if same_size and pattern.GetNumBonds() == len(inner):
                match = graph.GetSubstructMatch(pattern)
                if match:
                    yield name, members[list(match)]
                    break
        else:
            raise ValueError(f"atoms: molecule {k} is none of the composition {', '.join(names)}")


def _graph_of(mol: Mol) -> Mol:
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    return _graph([atom.GetSymbol() for atom in mol.GetAtoms()], np.array(pairs))


def _graph(symbols: list[str], pairs: NDArray[np.int64]) -> Mol:
    """Elements and bonds without bond orders."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for symbol in symbols:
        graph.AddAtom(Chem.Atom(symbol))
    for i, j in pairs.tolist():
        graph.AddBond(i, j, Chem.BondType.SINGLE)
    return graph.GetMol()


def _properties(mol: Mol, name: str) -> MMFFMolProperties:
    from rdkit.Chem.rdForceFieldHelpers import MMFFGetMoleculeProperties

    properties = MMFFGetMoleculeProperties(mol, mmffVariant="MMFF94")
    if properties is None:
        raise ValueError(f"composition: {name!r} has no MMFF94 parameters in RDKit")
    return properties


# --- bonded terms -------------------------------------------------------------------------------


def _terms(mol: Mol, mmff: MMFFMolProperties) -> Terms:
    """Bonded interactions of one molecule: atoms and parameters, for each term of `_BONDED`."""
    terms: Terms = {name: [] for name in _BONDED}
    for bond in mol.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        terms["bond"].append(((i, j), mmff.GetMMFFBondStretchParams(mol, i, j)[1:]))
        if min(bond.GetBeginAtom().GetDegree(), bond.GetEndAtom().GetDegree()) > 1:
            terms["torsion"] += _torsions(mol, mmff, i, j)
    for atom in mol.GetAtoms():
        j = atom.GetIdx()
        neighbours = [other.GetIdx() for other in atom.GetNeighbors()]
        for i, k in combinations(neighbours, 2):
            _add_angle(terms, mol, mmff, (i, j, k))
        if len(neighbours) == 3:
            terms["out-of-plane"] += _planes(mol, mmff, j, neighbours)
    return terms


def _add_angle(terms: Terms, mol: Mol, mmff: MMFFMolProperties, ijk: tuple[int, int, int]) -> None:
    i, j, k = ijk
    _, stiffness, rest = mmff.GetMMFFAngleBendParams(mol, i, j, k)
    if mmff.GetMMFFAtomType(j) in _LINEAR_TYPES:
        terms["linear angle"].append((ijk, (stiffness,)))
        return
    terms["angle"].append((ijk, (stiffness, rest)))
    coupling = mmff.GetMMFFStretchBendParams(mol, i, j, k)
    if coupling:
        lengths = [mmff.GetMMFFBondStretchParams(mol, a, j)[2] for a in (i, k)]
        terms["stretch-bend"].append((ijk, (*coupling[1:], *lengths, rest)))


def _planes(
    mol: Mol, mmff: MMFFMolProperties, centre: int, around: list[int]
) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    for top in around:
        i, k = (other for other in around if other != top)
        stiffness = mmff.GetMMFFOopBendParams(mol, i, centre, k, top)
        if stiffness:
            yield (i, centre, k, top), (stiffness,)


def _torsions(
    mol: Mol, mmff: MMFFMolProperties, j: int, k: int
) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
    first, last = (
        [other.GetIdx() for other in mol.GetAtomWithIdx(a).GetNeighbors() if other.GetIdx() != b]
        for a, b in ((j, k), (k, j))
    )
    for i in first:
        for m in last:
            found = mmff.GetMMFFTorsionParams(mol, i, j, k, m) if i != m else None
            if found and any(found[1:]):
                yield (i, j, k, m), found[1:]


def _add_bonded(system: System, found: list[tuple[Terms, NDArray[np.int64]]]) -> None:
    import openmm

    for name, (energy, parameters) in _BONDED.items():
        groups = [
            (members[list(group)].tolist(), values)
            for terms, members in found
            for group, values in terms[name]
        ]
        size = len(groups[0][0]) if groups else 2
        force = openmm.CustomCompoundBondForce(size, f"{_KCAL}*({energy.replace(';', ');', 1)}")
        force.setName("angle" if name == "linear angle" else name)
        for parameter in parameters:
            force.addPerBondParameter(parameter)
        for group, values in groups:
            force.addBond(group, values)
        if groups:
            system.addForce(force)


# --- non-bonded terms ---------------------------------------------------------------------------


def _add_nonbonded(
    system: System,
    atoms: Atoms,
    found: list[tuple[str, NDArray[np.int64]]],
    species: dict[str, Mol],
    cutoff_A: float | None,
) -> None:
    types, charges, radii, depths = _nonbonded_parameters(len(atoms), found, species)
    bonds = np.asarray(atoms.info["bonds"], dtype=int).reshape(-1, 2).tolist()
    vdw = _van_der_waals(types, radii, depths)
    coulomb = _custom_coulomb(_FULL_COULOMB if cutoff_A is None else _BUFFERING, charges)
    for force in (vdw, coulomb):
        force.createExclusionsFromBonds(bonds, 3)
        if cutoff_A is not None:
            _set_cutoff(force, cutoff_A)
        system.addForce(force)
    near = [vdw.getExclusionParticles(k) for k in range(vdw.getNumExclusions())]
    if cutoff_A is not None:
        vdw.setUseLongRangeCorrection(True)
        system.addForce(_lattice_coulomb(charges, near, cutoff_A))
    across = [pair for pair in near if _bonds_between(pair, bonds, len(atoms)) == 3]
    _add_pairs_14(system, across, types, charges, radii, depths)
