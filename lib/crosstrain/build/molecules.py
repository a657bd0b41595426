"""Single molecules of H, C and O: conformers, relaxation, normal modes, distortion.

A molecule is an ASE `Atoms` that carries its covalent graph with it: ``info["bonds"]`` (integers,
shape (n_bonds, 2), each row ascending), ``arrays["molecule"]`` (zero for every atom) and
``info["composition"]`` (for example ``"EC:1"``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms, units
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator
    from rdkit.Chem import Mol

NAMED: dict[str, str] = {
    "EC": "O=C1OCCO1",  # ethylene carbonate
    "EMC": "CCOC(=O)OC",  # ethyl methyl carbonate
    "DMC": "COC(=O)OC",  # dimethyl carbonate
    "DEC": "CCOC(=O)OCC",  # diethyl carbonate
    "PC": "CC1COC(=O)O1",  # propylene carbonate
    "VC": "O=C1OC=CO1",  # vinylene carbonate
    "GBL": "O=C1CCCO1",  # gamma-butyrolactone
    "DME": "COCCOC",  # 1,2-dimethoxyethane
    "acetone": "CC(C)=O",
    "ethanol": "CCO",
}

ELEMENTS = ("H", "C", "O")

# Two atoms closer than this are bonded. The limits lie in the empty gap between the longest bonds
# and the shortest non-bonded distances of hot liquids (see `intact`).
BOND_CUTOFFS_A: dict[tuple[str, str], float] = {
    ("H", "H"): 1.00,
    ("H", "C"): 1.45,
    ("H", "O"): 1.30,
    ("C", "C"): 1.82,
    ("C", "O"): 1.80,
    ("O", "O"): 1.70,
}

_CM1 = 2 * np.pi * units._c * 100 / units.second  # angular frequency of 1 cm^-1 in ASE units


# --- from a name to a graph ---------------------------------------------------------------------


def rdkit_molecule(name_or_smiles: str) -> Mol:
    """RDKit molecule with explicit hydrogens and no conformer.

    Parameters
    ----------
    name_or_smiles : str
        A key of `NAMED`, or the SMILES of one neutral closed-shell molecule of H, C and O.

    Returns
    -------
    rdkit.Chem.Mol
        Its atom order is the one of every `Atoms` that this module builds.

    Raises
    ------
    ValueError
        If the string is no SMILES, or a SMILES of something else.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # the error below says it better
        mol = Chem.MolFromSmiles(NAMED.get(name_or_smiles, name_or_smiles))
    problem = "neither a known name nor a valid SMILES" if mol is None else _unsupported(mol)
    if problem:
        raise ValueError(
            f"name_or_smiles={name_or_smiles!r}: {problem}; allowed are {', '.join(NAMED)} or the "
            "SMILES of one neutral closed-shell molecule of H, C and O"
        )
    return Chem.AddHs(mol)


def _unsupported(mol: Mol) -> str | None:
    """What keeps a parsed molecule out, or None."""
    from rdkit import Chem

    atoms = list(mol.GetAtoms())
    foreign = sorted({atom.GetSymbol() for atom in atoms} - set(ELEMENTS))
    if not atoms:
        return "an empty molecule"
    if foreign:
        return f"unsupported element {', '.join(foreign)}"
    if len(Chem.GetMolFrags(mol)) > 1:
        return f"{len(Chem.GetMolFrags(mol))} separate fragments"
    if any(atom.GetFormalCharge() for atom in atoms):
        return "a charged atom"
    if any(atom.GetNumRadicalElectrons() for atom in atoms):
        return "a radical"
    if any(atom.GetIsotope() for atom in atoms):
        return "an isotope label"
    return None


def label(name_or_smiles: str) -> str:
    """Name used in ``info["composition"]``: the key of `NAMED`, or else the canonical SMILES.

    Raises
    ------
    ValueError
        As `rdkit_molecule`.
    """
    from rdkit import Chem

    if name_or_smiles in NAMED:
        return name_or_smiles
    smiles = Chem.MolToSmiles(Chem.RemoveHs(rdkit_molecule(name_or_smiles)))
    known = {Chem.CanonSmiles(value): key for key, value in NAMED.items()}
    return known.get(smiles, smiles)


# --- geometry -----------------------------------------------------------------------------------


def molecule(name_or_smiles: str, seed: int) -> Atoms:
    """One molecule in its most stable conformer of a small MMFF94 ensemble.

    Parameters
    ----------
    name_or_smiles : str
        See `rdkit_molecule`.
    seed : int
        Seed of the embedding, 0 or more.

    Returns
    -------
    Atoms
        Not periodic, centred on the origin.

    Raises
    ------
    ValueError
        As `conformers`.
    """
    return conformers(name_or_smiles, n=1, seed=seed)[0]


def conformers(
    name_or_smiles: str,
    *,
    n: int,
    seed: int,
    min_rmsd_A: float = 0.125,
    window_kcal_mol: float = 10.0,
) -> list[Atoms]:
    """Distinct conformers, the most stable (MMFF94) first.

    Half of the geometries are embedded with ETKDGv3 [1]_, half by plain distance geometry without
    its preference for Z esters: the cis-trans conformers of the carbonates, about 5 kcal/mol up,
    appear only there. All are relaxed with MMFF94. Two are the same conformer if their energies
    agree to 0.1 kcal/mol and they coincide within `min_rmsd_A` under the best superposition of all
    atoms, over all permutations of equivalent atoms. Mirror images are distinct, and stereocentres
    that the SMILES leaves open take both hands.

    Parameters
    ----------
    name_or_smiles : str
        See `rdkit_molecule`.
    n : int
        Largest number of conformers to return; fewer if the molecule has fewer.
    seed : int
        Seed of the embedding, 0 or more.
    min_rmsd_A : float
        Threshold of the duplicates, Å (default: the one of CREST [2]_).
    window_kcal_mol : float
        Largest energy above the most stable conformer, kcal/mol.

    Returns
    -------
    list of Atoms

    Raises
    ------
    ValueError
        If an argument is out of range, or no geometry can be embedded.

    References
    ----------
    .. [1] S. Wang, J. Witek, G. A. Landrum, S. Riniker, J. Chem. Inf. Model. 60, 2044 (2020).
    .. [2] P. Pracht, F. Bohle, S. Grimme, Phys. Chem. Chem. Phys. 22, 7169 (2020).
    """
    _check("n", n, n >= 1, "1 or more")
    _check("seed", seed, seed >= 0, "0 or more")
    _check("min_rmsd_A", min_rmsd_A, min_rmsd_A >= 0, "0 or more")
    _check("window_kcal_mol", window_kcal_mol, window_kcal_mol >= 0, "0 or more")
    name = label(name_or_smiles)
    mol = _embedded(rdkit_molecule(name_or_smiles), max(50, 10 * n), seed)
    if mol.GetNumConformers() == 0:
        raise ValueError(f"name_or_smiles={name_or_smiles!r}: RDKit finds no geometry for it")
    energies = _relaxed_energies(mol)
    inside = np.flatnonzero(energies <= energies.min() + window_kcal_mol)
    return [_to_atoms(mol, k, name) for k in _distinct(mol, energies, inside, min_rmsd_A)[:n]]


def _embedded(mol: Mol, n_embed: int, seed: int) -> Mol:
    """A copy of `mol` with up to `n_embed` raw conformers, numbered from 0."""
    from rdkit.Chem import Mol as Copy
    from rdkit.Chem import rdDistGeom

    free = rdDistGeom.EmbedParameters()
    free.forceTransAmides = False  # in RDKit this holds for esters as well
    free.useRandomCoords = True
    rng = np.random.default_rng(seed)
    both = Copy(mol)
    both.RemoveAllConformers()
    for settings, share in ((rdDistGeom.ETKDGv3(), n_embed - n_embed // 2), (free, n_embed // 2)):
        # RDKit multiplies this by the number of the conformer, in 32 bits: not 0 and not large
        settings.randomSeed = int(rng.integers(1, 2**20))
        settings.numThreads = 1
        part = Copy(mol)
        rdDistGeom.EmbedMultipleConfs(part, share, settings)
        for conformer in part.GetConformers():
            both.AddConformer(conformer, assignId=True)
    return both


def _relaxed_energies(mol: Mol) -> NDArray[np.float64]:
    """Relax all conformers in place; energies in kcal/mol. UFF where MMFF94 has no parameters."""
    from rdkit.Chem import rdForceFieldHelpers as helpers

    has_mmff = helpers.MMFFHasAllMoleculeParams(mol)
    optimise = helpers.MMFFOptimizeMoleculeConfs if has_mmff else helpers.UFFOptimizeMoleculeConfs
    return np.array([energy for _, energy in optimise(mol, numThreads=1, maxIters=5000)])


def _distinct(
    mol: Mol, energies: NDArray[np.float64], inside: NDArray[np.int64], min_rmsd_A: float
) -> list[int]:
    """Conformers among `inside` without duplicates, by rising energy (kcal/mol)."""
    from rdkit.Chem import Mol as Copy
    from rdkit.Chem import rdMolAlign

    probe = Copy(mol)  # the superposition moves the probe
    kept: list[int] = []
    for k in inside[np.argsort(energies[inside], kind="stable")].tolist():
        rivals = [other for other in kept if abs(energies[k] - energies[other]) < 0.1]
        if all(rdMolAlign.GetBestRMS(probe, mol, k, other) > min_rmsd_A for other in rivals):
            kept.append(k)
    return kept


def _to_atoms(mol: Mol, conformer: int, name: str) -> Atoms:
    positions = mol.GetConformer(conformer).GetPositions()
    atoms = Atoms([atom.GetSymbol() for atom in mol.GetAtoms()], positions - positions.mean(axis=0))
    atoms.arrays["molecule"] = np.zeros(len(atoms), dtype=int)
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    atoms.info["bonds"] = _sorted_pairs(np.array(pairs, dtype=int))
    atoms.info["composition"] = f"{name}:1"
    return atoms


# --- the covalent graph -------------------------------------------------------------------------


def bonds_by_distance(atoms: Atoms) -> NDArray[np.int64]:
    """Pairs of atoms closer than `BOND_CUTOFFS_A` of their elements (periodic where `atoms` is).

    Parameters
    ----------
    atoms : Atoms

    Returns
    -------
    ndarray of int, shape (n_bonds, 2)
        Ascending within a row and from row to row.
    """
    first, second = neighbor_list("ij", atoms, BOND_CUTOFFS_A)
    once = first < second
    return _sorted_pairs(np.column_stack([first[once], second[once]]))


def intact(atoms: Atoms) -> bool:
    """Whether the graph found from distances is the one known from the building.

    Parameters
    ----------
    atoms : Atoms
        Molecule or periodic frame with ``info["bonds"]``.

    Returns
    -------
    bool
        False if a bond has formed or broken anywhere.

    Raises
    ------
    ValueError
        If `atoms` does not carry its graph.
    """
    return np.array_equal(bonds_by_distance(atoms), _known_bonds(atoms))


def _known_bonds(atoms: Atoms) -> NDArray[np.int64]:
    if "bonds" not in atoms.info:
        raise ValueError("atoms: info['bonds'] is missing; allowed are frames that carry the graph")
    return _sorted_pairs(np.asarray(atoms.info["bonds"], dtype=int))


def _sorted_pairs(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    pairs = np.sort(pairs.reshape(-1, 2), axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


# --- minima and their vibrations ----------------------------------------------------------------


def relax(
    atoms: Atoms, calculator: Calculator, *, fmax: float = 0.01, max_steps: int = 1000
) -> Atoms:
    """Nearest minimum of a potential, with the same covalent graph.

    Parameters
    ----------
    atoms : Atoms
        Left as it is.
    calculator : ase.calculators.calculator.Calculator
        Any ASE calculator.
    fmax : float
        Largest force on an atom at the end, eV/Å.
    max_steps : int
        Largest number of BFGS steps.

    Returns
    -------
    Atoms
        A copy without calculator.

    Raises
    ------
    ValueError
        If `fmax` is not positive.
    RuntimeError
        If the search does not converge, or ends in another molecule.
    """
    from ase.optimize import BFGS

    _check("fmax", fmax, fmax > 0, "more than 0 eV/Å")
    relaxed = atoms.copy()
    relaxed.calc = calculator
    if not BFGS(relaxed, logfile=None).run(fmax=fmax, steps=max_steps):
        raise RuntimeError(f"no minimum with fmax={fmax} eV/Å within max_steps={max_steps}")
    relaxed.calc = None
    if not intact(relaxed):
        raise RuntimeError("the relaxation has formed or broken a bond")
    return relaxed


def normal_modes(
    atoms: Atoms, calculator: Calculator, *, step_A: float = 0.005
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Harmonic vibrations of an isolated molecule at a minimum.

    The Hessian comes from central differences of the forces; translations and rotations are
    projected out of its mass-weighted form before the diagonalisation.

    Parameters
    ----------
    atoms : Atoms
        At a minimum of `calculator`, see `relax`; left as it is.
    calculator : ase.calculators.calculator.Calculator
    step_A : float
        Displacement of the differences, Å.

    Returns
    -------
    frequencies_cm1 : ndarray, shape (n_modes,)
        Ascending, cm⁻¹; an imaginary one is given as a negative number. ``n_modes`` is 3N - 6,
        or 3N - 5 for a linear molecule.
    modes : ndarray, shape (n_modes, N, 3)
        Cartesian displacement per unit of the mass-weighted coordinate, amu^(-1/2): orthonormal
        in the sense of ``einsum('i,aix,bix->ab', masses, modes, modes)``.

    Raises
    ------
    ValueError
        If `step_A` is not positive.
    """
    _check("step_A", step_A, step_A > 0, "more than 0 Å")
    root_mass = np.repeat(np.sqrt(atoms.get_masses()), 3)
    weighted = _hessian(atoms, calculator, step_A) / np.outer(root_mass, root_mass)
    basis = _internal_basis(atoms, root_mass)
    curvatures, vectors = np.linalg.eigh(basis.T @ weighted @ basis)
    frequencies_cm1 = np.sign(curvatures) * np.sqrt(np.abs(curvatures)) / _CM1
    modes = (basis @ vectors).T / root_mass
    return frequencies_cm1, modes.reshape(len(modes), len(atoms), 3)


def _hessian(atoms: Atoms, calculator: Calculator, step_A: float) -> NDArray[np.float64]:
    """Second derivatives of the energy, eV/Å², shape (3N, 3N), symmetrised."""
    trial = atoms.copy()
    trial.calc = calculator
    columns = []
    for k in range(3 * len(atoms)):
        forces = []
        for sign in (1, -1):
            trial.positions = atoms.positions
            trial.positions[divmod(k, 3)] += sign * step_A
            forces.append(trial.get_forces().ravel())
        columns.append((forces[1] - forces[0]) / (2 * step_A))
    hessian = np.array(columns)
    return (hessian + hessian.T) / 2


def _internal_basis(atoms: Atoms, root_mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal mass-weighted directions without translation and rotation, (3N, n_modes)."""
    centred = atoms.positions - atoms.get_center_of_mass()
    shifts = [np.tile(axis, (len(atoms), 1)) for axis in np.eye(3)]
    turns = [np.cross(axis, centred) for axis in np.eye(3)]
    rigid = np.array([move.ravel() * root_mass for move in shifts + turns])
    _, weights, directions = np.linalg.svd(rigid)
    n_rigid = np.count_nonzero(weights > 1e-3 * weights[0])  # 5 for a linear molecule
    return directions[n_rigid:].T


def thermal_displacement(
    frequencies_cm1: NDArray[np.float64],
    modes: NDArray[np.float64],
    *,
    temperature_K: float,
    rng: np.random.Generator,
    floor_cm1: float = 300.0,
) -> NDArray[np.float64]:
    """Random displacement drawn from the harmonic ensemble of a molecule.

    Each mass-weighted normal coordinate is Gaussian, with the classical variance ``kT/ω²``: the
    ensemble of the classical dynamics that a potential will be used in. Softer modes than
    `floor_cm1` are drawn as if they had that frequency: along a straight line a torsion would tear
    the bonds of what it turns. Torsions are the business of `conformers`.

    Parameters
    ----------
    frequencies_cm1 : ndarray, shape (n_modes,)
        From `normal_modes`.
    modes : ndarray, shape (n_modes, N, 3)
        From `normal_modes`; a molecule that has been turned needs its modes turned too.
    temperature_K : float
    rng : numpy.random.Generator
    floor_cm1 : float
        Lowest frequency that is taken at its word, cm⁻¹.

    Returns
    -------
    ndarray, shape (N, 3)
        Å, to be added to the positions of the minimum; no net translation or rotation.

    Raises
    ------
    ValueError
        If the temperature is negative, the floor not positive, or a mode more imaginary than the
        floor: then the geometry was no minimum.
    """
    _check("temperature_K", temperature_K, temperature_K >= 0, "0 or more")
    _check("floor_cm1", floor_cm1, floor_cm1 > 0, "more than 0")
    lowest = float(np.min(frequencies_cm1))
    _check("frequencies_cm1", lowest, lowest > -floor_cm1, f"no minimum, above -{floor_cm1} cm⁻¹")
    omega = np.maximum(frequencies_cm1, floor_cm1) * _CM1
    deviation = np.sqrt(units.kB * temperature_K / omega**2)  # amu^½ Å
    return np.einsum("m,mix->ix", rng.normal(size=len(omega)) * deviation, modes)


# --- far from the minimum -----------------------------------------------------------------------


def distorted(
    atoms: Atoms,
    *,
    rng: np.random.Generator,
    bond_factor: tuple[float, float] = (0.8, 1.4),
    max_bend_deg: float = 30.0,
    displacement_A: float = 0.05,
    attempts: int = 1000,
) -> Atoms:
    """The same molecule far from equilibrium.

    All torsions about acyclic bonds are turned at random; one to three bonds are set to a random
    length within `bond_factor`, and one to three angles bent by up to `max_bend_deg`, each moving
    one side of the molecule as a whole (in a ring: one ring atom and what hangs on it); every
    atom is then displaced at random. A draw counts only if the covalent graph is beyond doubt:

    - each bond is between ``bond_factor[0]`` and ``bond_factor[1]`` times its length in `atoms`,
    - no two other atoms are closer than their limit in `BOND_CUTOFFS_A`.

    Parameters
    ----------
    atoms : Atoms
        An isolated molecule close to equilibrium, with ``info["bonds"]``; left as it is.
    rng : numpy.random.Generator
    bond_factor : tuple of float
        Shortest and longest bond, relative to `atoms`.
    max_bend_deg : float
        Largest change of a bent angle, degrees.
    displacement_A : float
        Standard deviation of the random displacement along x, y and z, Å.
    attempts : int
        Largest number of draws.

    Returns
    -------
    Atoms

    Raises
    ------
    ValueError
        If an argument is out of range or `atoms` has no graph.
    RuntimeError
        If no draw keeps the graph.
    """
    low, high = bond_factor
    _check("bond_factor", bond_factor, 0 < low <= 1 <= high, "0 < shortest <= 1 <= longest")
    _check("max_bend_deg", max_bend_deg, 0 <= max_bend_deg <= 90, "0 to 90")
    _check("displacement_A", displacement_A, displacement_A >= 0, "0 or more")
    bonds = _known_bonds(atoms)
    for _ in range(attempts):
        trial = atoms.copy()
        _turn_torsions(trial, bonds, rng)
        _stretch_bonds(trial, bonds, rng, bond_factor)
        _bend_angles(trial, bonds, rng, max_bend_deg)
        trial.positions += rng.normal(scale=displacement_A, size=(len(atoms), 3))
        if _same_graph(trial, atoms, bonds, bond_factor):
            return trial
    raise RuntimeError(f"no distortion kept the covalent graph within attempts={attempts}")


def _turn_torsions(atoms: Atoms, bonds: NDArray[np.int64], rng: np.random.Generator) -> None:
    for i, j in bonds:
        side = _side(bonds, i, j)
        if i in side or len(side) == 1 or len(_side(bonds, j, i)) == 1:
            continue  # in a ring, or nothing to turn
        axis = atoms.positions[j] - atoms.positions[i]
        _rotate(atoms, side, axis, rng.uniform(0, 360), centre=j)


def _stretch_bonds(
    atoms: Atoms,
    bonds: NDArray[np.int64],
    rng: np.random.Generator,
    bond_factor: tuple[float, float],
) -> None:
    for i, j in _some(bonds, rng):
        shift = (rng.uniform(*bond_factor) - 1) * (atoms.positions[j] - atoms.positions[i])
        atoms.positions[_branch(bonds, i, j)] += shift


def _bend_angles(
    atoms: Atoms, bonds: NDArray[np.int64], rng: np.random.Generator, max_bend_deg: float
) -> None:
    for i, j, k in _some(np.array(list(_angles(bonds))), rng):
        arms = atoms.positions[[i, k]] - atoms.positions[j]
        # a random axis where the angle is straight and defines none
        axis = np.cross(*arms) + 1e-6 * rng.normal(size=3)
        bend = rng.uniform(-max_bend_deg, max_bend_deg)
        _rotate(atoms, _branch(bonds, j, k), axis, bend, centre=j)


def _same_graph(
    trial: Atoms,
    reference: Atoms,
    bonds: NDArray[np.int64],
    bond_factor: tuple[float, float],
) -> bool:
    first, second = bonds.T
    ratio = np.linalg.norm(
        trial.positions[first] - trial.positions[second], axis=1
    ) / np.linalg.norm(reference.positions[first] - reference.positions[second], axis=1)
    known = set(map(tuple, bonds))
    formed = set(map(tuple, bonds_by_distance(trial))) - known
    return bool(np.all((ratio >= bond_factor[0]) & (ratio <= bond_factor[1]))) and not formed


def _rotate(atoms: Atoms, group: list[int], axis: NDArray, angle_deg: float, centre: int) -> None:
    part = atoms[group]
    part.rotate(angle_deg, axis, center=atoms.positions[centre])
    atoms.positions[group] = part.positions


def _side(bonds: NDArray[np.int64], i: int, j: int) -> list[int]:
    """Atoms reached from `j` without the bond to `i`; holds `i` if the bond is in a ring."""
    others = bonds[~np.all(np.isin(bonds, (i, j)), axis=1)]
    reached, border = {int(j)}, {int(j)}
    while border:
        touching = others[np.isin(others, list(border)).any(axis=1)]
        border = set(touching.ravel().tolist()) - reached
        reached |= border
    return sorted(reached)


def _branch(bonds: NDArray[np.int64], i: int, j: int) -> list[int]:
    """What moves with `j` when the bond to `i` changes; in a ring `j` and its tails."""
    side = _side(bonds, i, j)
    if i not in side:
        return side
    neighbours = bonds[(bonds == j).any(axis=1)].sum(axis=1) - j
    tails = [_side(bonds, j, k) for k in neighbours]
    return sorted({int(j)}.union(*(tail for tail in tails if j not in tail)))


def _angles(bonds: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """All angles i-j-k, each once."""
    for j in np.unique(bonds):
        ends = np.sort(bonds[(bonds == j).any(axis=1)].sum(axis=1) - j)
        for a, i in enumerate(ends):
            yield from ((int(i), int(j), int(k)) for k in ends[a + 1 :])


def _some(rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One to three different rows, fewer if there are fewer."""
    return rng.permutation(rows)[: rng.integers(1, 4)]


def _check(name: str, value: object, ok: bool, allowed: str) -> None:
    if not ok:
        raise ValueError(f"{name}={value!r}: allowed is {allowed}")
