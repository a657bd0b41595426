"""Classical molecular dynamics of organic liquids: MMFF94 in OpenMM, parameters from RDKit.

All terms of MMFF94 [1]_ are there; of an isolated molecule the energy is RDKit's. In a periodic box

- the buffered 14-7 van der Waals term is switched off smoothly at a cutoff, with the usual
  correction for what lies beyond, and
- the buffered Coulomb term ``q q' / (r + 0.05 Å)`` is split into ``q q' / r``, summed over the
  lattice by particle-mesh Ewald, and the rest, ``-0.05 Å q q' / (r (r + 0.05 Å))``. The rest falls
  off with one more power of r, and is switched off at the same cutoff.

Neither openmmforcefields nor the Open Force Field toolkit has MMFF94, hence this module.

References
----------
.. [1] T. A. Halgren, J. Comput. Chem. 17, 490-519, 520-552, 553-586, 616-641 (1996).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

from crosstrain.build.boxes import composition_counts, scaled, threaded, whole
from crosstrain.build.molecules import _check, intact, rdkit_molecule

if TYPE_CHECKING:
    from openmm import (
        Context,
        CustomBondForce,
        CustomNonbondedForce,
        Integrator,
        NonbondedForce,
        System,
    )
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
_BOND = f"{_STIFF}/2*k*d^2*(1 - 2*d + 7/3*d^2); d = 10*r - r0"
_BONDED: dict[str, tuple[str, tuple[str, ...]]] = {
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
        "(v1*(1 + cos(f)) + v2*(1 - cos(2*f)) + v3*(1 + cos(3*f)))/2;f = dihedral(p1, p2, p3, p4)",
        ("v1", "v2", "v3"),
    ),
}
# For a pair at distance r (nm here), with R* (radius, Å), well depth, and product of charges qq
_VDW = "depth*(1.07/(x + 0.07))^7*(1.12/(x^7 + 0.12) - 2); x = 10*r/radius"
_FULL_COULOMB = f"{_COULOMB}*qq/(10*r + {_BUFFER_A})"
_BUFFERING = f"-{_COULOMB}*{_BUFFER_A}*qq/(10*r*(10*r + {_BUFFER_A}))"
_COULOMB_14 = f"0.75*{_FULL_COULOMB}"


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
        eV for each that there is of bond, angle, stretch-bend, out-of-plane, torsion, van der
        Waals and electrostatic; the energy is their sum.

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


def mmff_energies_between(atoms: Atoms, *, cutoff_A: float | None = None) -> dict[str, float]:
    """MMFF94 energy between the molecules of a frame, term by term.

    It is the energy of the frame less that of each of its molecules alone, of the same shape.

    Parameters
    ----------
    atoms, cutoff_A
        As for `mmff_energies`; molecules whole or not.

    Returns
    -------
    dict of str to float
        eV for each term of `mmff_energies`; 0 but for rounding for those that act along bonds.
    """
    between, joined = mmff_energies(atoms, cutoff_A=cutoff_A), whole(atoms)
    for name, members in _identified(joined):
        for term, energy in mmff_energies(_alone(joined, name, members)).items():
            between[term] -= energy
    return between


def _alone(atoms: Atoms, name: str, members: NDArray[np.int64]) -> Atoms:
    """A molecule of a frame by itself, its atoms in the order of `rdkit_molecule`."""
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in rdkit_molecule(name).GetBonds()]
    molecule = atoms[members]
    molecule.pbc = False
    molecule.info |= {"composition": f"{name}:1", "bonds": np.array(bonds)}
    return molecule


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
    _add_nonbonded(system, found, species, cutoff_A)
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
    """Bonded interactions of one molecule: atoms and parameters of the bonds and of `_BONDED`."""
    terms: Terms = {name: [] for name in ("bond", *_BONDED)}
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

    def gathered(name: str) -> list[tuple[list[int], tuple[float, ...]]]:
        return [
            (members[list(group)].tolist(), values)
            for terms, members in found
            for group, values in terms[name]
        ]

    # A force of its own kind: from it, and not from compound forces, OpenMM learns what a molecule
    # is, and the barostat which atoms to move together
    pairs, values = zip(*gathered("bond"), strict=True)
    system.addForce(_pair_force("bond", _BOND, ("k", "r0"), pairs, values))
    for name, (energy, parameters) in _BONDED.items():
        groups = gathered(name)
        size = len(groups[0][0]) if groups else 2
        force = openmm.CustomCompoundBondForce(size, f"{_KCAL}*kcal; kcal = {energy}")
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
    found: list[tuple[str, NDArray[np.int64]]],
    species: dict[str, Mol],
    cutoff_A: float | None,
) -> None:
    types, charges, radii, depths = _nonbonded_parameters(system, found, species)
    near, across = _close_pairs(found, species)
    vdw = _van_der_waals(types, radii, depths)
    coulomb = _custom_coulomb(charges, _FULL_COULOMB if cutoff_A is None else _BUFFERING)
    for force in (vdw, coulomb):
        for i, j in near + across:
            force.addExclusion(i, j)
        if cutoff_A is not None:
            _set_cutoff(force, cutoff_A)
        system.addForce(force)
    if cutoff_A is not None:
        vdw.setUseLongRangeCorrection(True)
        system.addForce(_lattice_coulomb(charges, near + across, cutoff_A))
    wells = [(radii[types[i], types[j]], depths[types[i], types[j]]) for i, j in across]
    system.addForce(_pair_force("van der Waals", _VDW, ("radius", "depth"), across, wells))
    products = [(charges[i] * charges[j],) for i, j in across]
    system.addForce(_pair_force("electrostatic", _COULOMB_14, ("qq",), across, products))


def _nonbonded_parameters(
    system: System, found: list[tuple[str, NDArray[np.int64]]], species: dict[str, Mol]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Type and charge of each atom; R* (Å) and well depth (kcal/mol) of each pair of types.

    RDKit combines the parameters of unlike atoms, hydrogen bonds included, so all species are put
    into one molecule that has every pair.
    """
    from functools import reduce

    from rdkit import Chem

    together = reduce(Chem.CombineMols, species.values())
    Chem.SanitizeMol(together)
    mmff = _properties(together, ", ".join(species))
    mmff_types = np.array([mmff.GetMMFFAtomType(k) for k in range(together.GetNumAtoms())])
    _, examples, numbers = np.unique(mmff_types, return_index=True, return_inverse=True)
    wells = np.array(
        [[mmff.GetMMFFVdWParams(int(i), int(j))[2:] for j in examples] for i in examples]
    )
    starts = np.cumsum([0] + [mol.GetNumAtoms() for mol in species.values()])
    offset = dict(zip(species, starts.tolist(), strict=False))
    types = np.zeros(system.getNumParticles(), dtype=int)
    charges = np.zeros(system.getNumParticles())
    for name, members in found:
        source = offset[name] + np.arange(len(members))
        types[members] = numbers[source]
        charges[members] = [mmff.GetMMFFPartialCharge(int(k)) for k in source]
    return types, charges, wells[..., 0], wells[..., 1]


def _close_pairs(
    found: list[tuple[str, NDArray[np.int64]]], species: dict[str, Mol]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of atoms one or two bonds apart, and those three bonds apart."""
    from rdkit.Chem import GetDistanceMatrix

    paths = {name: np.triu(GetDistanceMatrix(mol)) for name, mol in species.items()}
    near, across = [], []
    for name, members in found:
        path = paths[name]
        near += members[np.argwhere((path == 1) | (path == 2))].tolist()
        across += members[np.argwhere(path == 3)].tolist()
    return near, across


def _van_der_waals(
    types: NDArray[np.int64], radii: NDArray[np.float64], depths: NDArray[np.float64]
) -> CustomNonbondedForce:
    """Van der Waals energy with a table of R* and one of depths for each pair of types.

    OpenMM does not vectorise over tables, so each enters as its eigendecomposition, a sum of
    products of one number per atom: eight times as fast, and exact.
    """
    import openmm

    radius, radius_factors = _as_products("radius", radii)
    depth, depth_factors = _as_products("depth", depths)
    force = openmm.CustomNonbondedForce(f"{_KCAL}*kcal; kcal = {_VDW}; {radius}; {depth}")
    force.setName("van der Waals")
    factors = np.column_stack([radius_factors, depth_factors])
    for name, count in (("radius", radius_factors.shape[1]), ("depth", depth_factors.shape[1])):
        for k in range(count):
            force.addPerParticleParameter(f"{name}{k}_")
    for kind in types.tolist():
        force.addParticle(factors[kind].tolist())
    return force


def _as_products(name: str, table: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    """Expression for a symmetric table, and its factors for each type, (n_types, n_factors)."""
    weights, vectors = np.linalg.eigh(table)
    used = np.abs(weights) > 1e-12 * np.abs(weights).max()
    signs = np.where(weights[used] > 0, "+", "-")
    products = [f"{sign} {name}{k}_1*{name}{k}_2" for k, sign in enumerate(signs)]
    return f"{name} = 0 {' '.join(products)}", vectors[:, used] * np.sqrt(np.abs(weights[used]))


def _custom_coulomb(charges: NDArray[np.float64], energy: str) -> CustomNonbondedForce:
    import openmm

    force = openmm.CustomNonbondedForce(f"{_KCAL}*kcal; kcal = {energy}; qq = q1*q2")
    force.setName("electrostatic")
    force.addPerParticleParameter("q")
    for charge in charges.tolist():
        force.addParticle([charge])
    return force


def _set_cutoff(force: CustomNonbondedForce, cutoff_A: float) -> None:
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(cutoff_A / 10)
    force.setUseSwitchingFunction(True)
    force.setSwitchingDistance(0.9 * cutoff_A / 10)


def _lattice_coulomb(
    charges: NDArray[np.float64], excluded: list[tuple[int, int]], cutoff_A: float
) -> NonbondedForce:
    """Point charges on the lattice, without the pairs up to three bonds apart."""
    import openmm

    force = openmm.NonbondedForce()
    force.setName("electrostatic")
    force.setNonbondedMethod(force.PME)
    force.setCutoffDistance(cutoff_A / 10)
    force.setEwaldErrorTolerance(1e-4)
    for charge in charges * np.sqrt(_COULOMB / _COULOMB_OPENMM):
        force.addParticle(charge, 1.0, 0.0)
    for i, j in excluded:
        force.addException(i, j, 0.0, 1.0, 0.0)
    return force


def _pair_force(
    name: str,
    energy: str,
    parameters: tuple[str, ...],
    pairs: Sequence[Sequence[int]],
    values: Sequence[tuple[float, ...]],
) -> CustomBondForce:
    import openmm

    force = openmm.CustomBondForce(f"{_KCAL}*kcal; kcal = {energy}")
    force.setName(name)
    for parameter in parameters:
        force.addPerBondParameter(parameter)
    for (i, j), value in zip(pairs, values, strict=True):
        force.addBond(i, j, value)
    return force


# --- dynamics -----------------------------------------------------------------------------------


def classical_md(
    atoms: Atoms,
    *,
    temperature_K: float,
    n_steps: int,
    save_every: int,
    seed: int,
    density_g_cm3: float | None = None,
    pressure_bar: float | None = None,
    timestep_fs: float = 0.5,
    equilibration_steps: int = 0,
    friction_per_ps: float = 1.0,
    cutoff_A: float = 9.0,
) -> list[Atoms]:
    """Snapshots of classical MD with MMFF94, at constant volume or constant pressure.

    The frame is relaxed for a few hundred steps, given Maxwell-Boltzmann velocities, and propagated
    with the Langevin middle integrator [1]_; the pressure is held by a Monte Carlo barostat that
    scales the box isotropically. One thread; the same seed gives the same snapshots, bit by bit.

    Parameters
    ----------
    atoms : Atoms
        Periodic frame, for instance from `boxes.pack`; see `mmff_system`.
    temperature_K : float
    n_steps : int
        Steps after the equilibration.
    save_every : int
        Steps between snapshots; there are ``n_steps // save_every``.
    seed : int
    density_g_cm3 : float, optional
        Constant volume at this density, g/cm³: the rigid molecules are moved there first. Without
        density and pressure the volume stays as it is.
    pressure_bar : float, optional
        Constant pressure instead.
    timestep_fs : float
        Up to 1 fs, as no bond is constrained.
    equilibration_steps : int
        Steps before the first that counts.
    friction_per_ps : float
        Langevin friction, 1/ps.
    cutoff_A : float
        Cutoff of the van der Waals and real-space Coulomb terms, Å. In a small box it is reduced to
        0.45 of the shortest edge (0.4 at constant pressure).

    Returns
    -------
    list of Atoms
        Copies of `atoms` with new positions and cell, molecules whole, and ``info["time_fs"]``.

    Raises
    ------
    ValueError
        If an argument is out of range, both density and pressure are given, or as `mmff_system`.
    RuntimeError
        If the relaxed frame is not intact or has a bond through a ring, or the run fails.

    Notes
    -----
    MMFF94 was made for molecules in vacuum and binds these liquids too weakly: at 1 bar EMC (298 K)
    comes out at 0.69 ± 0.01 and EC (313 K) at 1.02 ± 0.01 g/cm³, 31 and 23 % below experiment
    (``tests/test_build_classical.py``). Give the density where it matters.

    References
    ----------
    .. [1] Z. Zhang et al., J. Phys. Chem. A 123, 6056 (2019).
    """
    import openmm

    _check("temperature_K", temperature_K, temperature_K > 0, "more than 0")
    _check("timestep_fs", timestep_fs, 0 < timestep_fs <= 1, "more than 0, up to 1")
    _check("n_steps", n_steps, n_steps >= 0, "0 or more")
    _check("save_every", save_every, save_every >= 1, "1 or more")
    _check("seed", seed, seed >= 0, "0 or more")
    _check("equilibration_steps", equilibration_steps, equilibration_steps >= 0, "0 or more")
    both = density_g_cm3 is not None and pressure_bar is not None
    _check("pressure_bar", pressure_bar, not both, "None where density_g_cm3 is given")
    frame = whole(atoms) if density_g_cm3 is None else scaled(atoms, density_g_cm3)
    share = 0.45 if pressure_bar is None else 0.4
    cutoff_A = min(cutoff_A, share * frame.cell.lengths().min())
    system = mmff_system(frame, cutoff_A=cutoff_A)

    # OpenMM takes the seed 0 as "any"
    seeds = np.random.default_rng(seed).integers(1, 2**31 - 1, size=3).tolist()
    if pressure_bar is not None:
        barostat = openmm.MonteCarloBarostat(pressure_bar, temperature_K)
        barostat.setRandomNumberSeed(seeds[0])
        system.addForce(barostat)
    integrator = openmm.LangevinMiddleIntegrator(temperature_K, friction_per_ps, timestep_fs / 1000)
    integrator.setRandomNumberSeed(seeds[1])
    context = _context(system, integrator, frame, "CPU")
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 500)
    _check_start(_snapshot(context, frame))
    context.setVelocitiesToTemperature(temperature_K, seeds[2])

    snapshots = []
    try:
        integrator.step(equilibration_steps)
        for k in range(1, n_steps // save_every + 1):
            integrator.step(save_every)
            snapshots.append(_snapshot(context, frame))
            snapshots[-1].info["time_fs"] = k * save_every * timestep_fs
    except openmm.OpenMMException as error:
        done = context.getStepCount()
        raise RuntimeError(f"classical MD failed after {done} steps: {error}") from error
    return snapshots


def _context(system: System, integrator: Integrator, atoms: Atoms, platform: str) -> Context:
    import openmm

    options = {"Threads": "1", "DeterministicForces": "true"} if platform == "CPU" else {}
    context = openmm.Context(
        system, integrator, openmm.Platform.getPlatformByName(platform), options
    )
    context.setPositions(whole(atoms).positions / 10)
    return context


def _snapshot(context: Context, frame: Atoms) -> Atoms:
    state = context.getState(getPositions=True)
    snapshot = frame.copy()
    snapshot.positions = 10 * state.getPositions(asNumpy=True)._value
    snapshot.cell = 10 * state.getPeriodicBoxVectors(asNumpy=True)._value
    return snapshot


def _check_start(frame: Atoms) -> None:
    if not intact(frame):
        raise RuntimeError("classical MD: the relaxed frame has bonds formed or broken")
    if len(threaded(frame)):
        raise RuntimeError("classical MD: the relaxed frame has a bond through a ring")
