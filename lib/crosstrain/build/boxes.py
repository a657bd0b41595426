"""Periodic boxes of molecules: packing, volume changes, checks of a frame.

A frame is an ASE `Atoms` with ``arrays["molecule"]`` (molecule index per atom), ``info["bonds"]``
(the covalent graph known from the building) and ``info["composition"]``, as in `molecules`.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from crosstrain.build.molecules import (
    BOND_CUTOFFS_A,
    _check,
    conformers,
    intact,
    label,
    rdkit_molecule,
)

__all__ = [
    "clashes",
    "composition_counts",
    "density_g_cm3",
    "edge_A",
    "intact",
    "mixture",
    "ordered",
    "pack",
    "scaled",
    "threaded",
    "whole",
]

_AMU_PER_A3 = units._amu * 1e27  # in g/cm³
MOST_OF_A_KIND = 100_000  # molecules that one may ask for
_NO_PACKING = 173  # exit code of Packmol when it does not reach its tolerance


# --- composition and density --------------------------------------------------------------------


def mixture(
    counts: Mapping[str, int],
    *,
    seed: int,
    ensembles: Mapping[str, Sequence[Atoms]] | None = None,
) -> list[Atoms]:
    """Molecules of a composition, each in a conformer drawn at random.

    Parameters
    ----------
    counts : mapping of str to int
        Number of molecules of each name or SMILES, for example ``{"EC": 2, "EMC": 4}``.
    seed : int
        Seed of the draw, and of the embedding where no ensemble is given.
    ensembles : mapping of str to sequence of Atoms, optional
        Geometries to draw from, for each name or SMILES; default: up to 50 `conformers`.

    Returns
    -------
    list of Atoms
        Kind by kind, as `ordered`; ready for `pack`.

    Raises
    ------
    ValueError
        If a number is negative, there is no molecule, or a name is unknown.
    """
    if any(number < 0 for number in counts.values()) or not sum(counts.values()):
        raise ValueError(
            f"counts={dict(counts)!r}: allowed are numbers >= 0 with a sum of 1 or more"
        )
    rng = np.random.default_rng(seed)
    molecules = []
    for name, number in ordered(counts):
        given = ensembles.get(name) if ensembles else None
        pool = given or conformers(name, n=50, seed=seed)
        molecules += [pool[k].copy() for k in rng.integers(len(pool), size=number)]
    return molecules


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Molecules and their numbers in the order of ``info["composition"]``, however they are named.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    return sorted(counts.items(), key=lambda item: (label(item[0]), item[0]))


def composition_counts(composition: str) -> dict[str, int]:
    """Numbers behind a composition: ``"EC:2 EMC:4"`` gives ``{"EC": 2, "EMC": 4}``.

    Raises
    ------
    ValueError
        If the string is not of this form.
    """
    try:
        pairs = [part.rsplit(":", 1) for part in composition.split()]
        counts = {name: int(number) for name, number in pairs}
    except ValueError:
        counts = {}
    is_whole = counts and len(counts) == len(pairs) and "" not in counts
    if not is_whole or not all(1 <= count <= MOST_OF_A_KIND for count in counts.values()):
        raise ValueError(
            f"composition={composition!r}: allowed is the form 'EC:2 EMC:4', each molecule once, "
            f"whole numbers from 1 to {MOST_OF_A_KIND}"
        )
    return counts


def density_g_cm3(atoms: Atoms) -> float:
    """Mass density of a periodic frame, g/cm³."""
    return float(atoms.get_masses().sum() / atoms.get_volume() * _AMU_PER_A3)


def edge_A(counts: Mapping[str, int], density_g_cm3: float) -> float:
    """Return the edge of the cube that some molecules, by name or SMILES, fill at a density."""
    from rdkit.Chem.Descriptors import MolWt

    mass_amu = sum(MolWt(rdkit_molecule(name)) * count for name, count in counts.items())
    return float(np.cbrt(mass_amu * _AMU_PER_A3 / density_g_cm3))


def _volume(atoms: Atoms, density: float) -> float:
    """Volume that gives the atoms a density in g/cm³, Å³."""
    return float(atoms.get_masses().sum() * _AMU_PER_A3 / density)


def _joined(molecules: Sequence[Atoms]) -> Atoms:
    """One frame of the molecules as they stand, without a cell."""
    sizes = [len(part) for part in molecules]
    starts = np.cumsum([0, *sizes[:-1]])
    frame = Atoms(
        np.concatenate([part.numbers for part in molecules]),
        np.concatenate([part.positions for part in molecules]),
    )
    frame.arrays["molecule"] = np.repeat(np.arange(len(molecules)), sizes)
    bonds = [part.info["bonds"] + start for part, start in zip(molecules, starts, strict=True)]
    frame.info["bonds"] = np.concatenate(bonds)
    counts: Counter[str] = Counter()
    for part in molecules:
        counts.update(composition_counts(part.info["composition"]))
    frame.info["composition"] = " ".join(f"{name}:{counts[name]}" for name in sorted(counts))
    return frame


# --- packing ------------------------------------------------------------------------------------


def pack(
    molecules: Sequence[Atoms],
    *,
    density_g_cm3: float,
    seed: int,
    tolerance_A: float = 2.0,
    min_tolerance_A: float = 1.85,
    sweeps: int = 50,
) -> Atoms:
    """Cubic periodic box of rigid molecules at random, no two closer than a tolerance.

    Packmol [1]_ finds the packing, distances across the boundary included. It also keeps every
    molecule inside the box, as if the faces were walls; Monte Carlo sweeps of rigid translations
    and rotations, accepted as long as the tolerance holds, then let the molecules forget them.
    Where no packing is found, the tolerance is lowered by 0.05 Å at a time.

    Parameters
    ----------
    molecules : sequence of Atoms
        Molecules as `molecules.molecule` or `mixture` make them.
    density_g_cm3 : float
        Mass density of the box, g/cm³.
    seed : int
        The same seed gives the same box.
    tolerance_A : float
        Smallest distance between atoms of different molecules, and between images, Å.
    min_tolerance_A : float
        Lowest tolerance to fall back to, Å; above every limit in `BOND_CUTOFFS_A`, so that no
        contact between molecules can pass for a bond.
    sweeps : int
        Monte Carlo moves per molecule.

    Returns
    -------
    Atoms
        Molecules whole and in the given order; without clashes and without bonds through rings.
        ``info["tolerance_A"]`` is the tolerance reached.

    Raises
    ------
    ValueError
        If an argument is out of range.
    RuntimeError
        If there is no packing even with `min_tolerance_A`.

    References
    ----------
    .. [1] L. Martínez, R. Andrade, E. G. Birgin, J. M. Martínez, J. Comput. Chem. 30, 2157 (2009).
    """
    _check("molecules", len(molecules), len(molecules) > 0, "one molecule or more")
    _check("density_g_cm3", density_g_cm3, density_g_cm3 > 0, "more than 0")
    _check("seed", seed, seed >= 0, "0 or more")
    _check("sweeps", sweeps, sweeps >= 0, "0 or more")
    longest = max(BOND_CUTOFFS_A.values())
    _check("min_tolerance_A", min_tolerance_A, min_tolerance_A > longest, f"more than {longest}")
    in_order = min_tolerance_A <= tolerance_A
    _check("tolerance_A", tolerance_A, in_order, f"min_tolerance_A={min_tolerance_A} or more")
    frame = _joined(molecules)
    frame.pbc = True
    edge = np.cbrt(_volume(frame, density_g_cm3))
    frame.cell = [edge] * 3
    rng = np.random.default_rng(seed)
    for tolerance in np.arange(tolerance_A, min_tolerance_A - 1e-9, -0.05):
        for _ in range(5):
            positions = _run_packmol(molecules, edge, tolerance, int(rng.integers(1, 10**6)))
            if positions is None:
                continue
            frame.positions = positions
            if len(clashes(frame, min_distance_A=tolerance)):
                continue
            _shake(frame, tolerance, sweeps, rng)
            if not len(threaded(frame)):
                frame.info["tolerance_A"] = round(float(tolerance), 6)
                return frame
    raise RuntimeError(
        f"density_g_cm3={density_g_cm3}: {len(molecules)} molecules do not fit a box of "
        f"{edge:.2f} Å with min_tolerance_A={min_tolerance_A}; allowed are lower densities"
    )


def _run_packmol(
    molecules: Sequence[Atoms], edge: float, tolerance: float, seed: int
) -> NDArray[np.float64] | None:
    """Packed positions, shape (n_atoms, 3), or None if Packmol gives up."""
    from ase.io import read, write
    from packmol.cli import get_binary_path

    # Packmol stops within a small margin of its tolerance, on either side
    lines = [f"tolerance {tolerance + 0.01:.4f}", f"pbc {edge:.8f} {edge:.8f} {edge:.8f}"]
    lines += [f"seed {seed}", "nloop 60", "filetype xyz", "output out.xyz"]
    with tempfile.TemporaryDirectory() as folder:
        for k, part in enumerate(molecules):
            write(Path(folder) / f"{k}.xyz", part, format="xyz")
            lines += [f"structure {k}.xyz", "  number 1", "end structure"]
        script = Path(folder) / "pack.inp"
        script.write_text("\n".join(lines) + "\n")
        try:
            with script.open() as stdin:  # a file, as Packmol rewinds its input
                done = subprocess.run(
                    [str(get_binary_path())],
                    stdin=stdin,
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
        except subprocess.TimeoutExpired:
            return None
        if done.returncode == _NO_PACKING:
            return None
        if done.returncode:
            raise RuntimeError(f"Packmol stopped with code {done.returncode}: {done.stdout[-300:]}")
        return read(Path(folder) / "out.xyz").positions


def _shake(frame: Atoms, tolerance: float, sweeps: int, rng: np.random.Generator) -> None:
    """Hard-core Monte Carlo with rigid molecules in a cubic box, in place."""
    from scipy.spatial.transform import Rotation

    edge = frame.cell[0, 0]
    species = frame.arrays["molecule"]
    positions = frame.positions
    members = [np.flatnonzero(species == k) for k in range(species.max() + 1)]
    others = [np.flatnonzero(species != k) for k in range(species.max() + 1)]
    images = edge * (np.array(list(np.ndindex(3, 3, 3)), dtype=float) - 1)
    images = images[images.any(axis=1)]
    for k in rng.integers(len(members), size=sweeps * len(members)):
        size = 10 ** rng.uniform(-2, 0)  # small moves pass in a dense box, large ones in a thin one
        part = positions[members[k]]
        centre = part.mean(axis=0)
        turn = Rotation.from_rotvec(0.5 * size * rng.normal(size=3))
        moved = turn.apply(part - centre) + centre + 0.5 * size * rng.normal(size=3)
        to_others = moved[:, None] - positions[others[k]]
        to_others -= edge * np.round(to_others / edge)
        to_itself = moved[:, None] - moved + images[:, None, None]
        nearest = min(np.min(np.sum(gap**2, -1), initial=np.inf) for gap in (to_others, to_itself))
        if nearest >= tolerance**2:
            positions[members[k]] = moved


# --- whole molecules and other densities --------------------------------------------------------


def whole(atoms: Atoms) -> Atoms:
    """The same frame with no molecule cut by the boundary.

    Parameters
    ----------
    atoms : Atoms
        Frame with ``info["bonds"]``, atoms wrapped or not; bonds shorter than half the cell.

    Returns
    -------
    Atoms
        Copy in which bonded atoms are neighbours in space, each molecule with its first atom where
        it was.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order

    joined = atoms.copy()
    first, second = np.asarray(atoms.info["bonds"], dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(atoms),) * 2).tocsr()
    done = np.zeros(len(atoms), dtype=bool)
    for start in range(len(atoms)):
        if done[start]:
            continue
        order, parent = breadth_first_order(graph, start, directed=False)
        done[order] = True
        for k in order[1:]:
            step = atoms.positions[k] - atoms.positions[parent[k]]
            joined.positions[k] = joined.positions[parent[k]] + _nearest_image(step, atoms)
    return joined


def _nearest_image(vectors: NDArray[np.float64], atoms: Atoms) -> NDArray[np.float64]:
    from ase.geometry import find_mic

    if not atoms.pbc.any():
        return vectors
    return find_mic(vectors, atoms.cell, atoms.pbc)[0]


def scaled(atoms: Atoms, density_g_cm3: float) -> Atoms:
    """The same rigid molecules at another density: centres of mass move with the cell.

    Parameters
    ----------
    atoms : Atoms
        Periodic frame; its molecules are made whole first.
    density_g_cm3 : float
        New mass density, g/cm³. The cell keeps its shape.

    Returns
    -------
    Atoms
        Nothing is checked: a compressed frame may have `clashes`.

    Raises
    ------
    ValueError
        If the density is not positive.
    """
    _check("density_g_cm3", density_g_cm3, density_g_cm3 > 0, "more than 0")
    moved = whole(atoms)
    factor = np.cbrt(_volume(atoms, density_g_cm3) / atoms.get_volume())
    moved.cell = atoms.cell * factor
    for k in np.unique(atoms.arrays["molecule"]):
        inside = moved.arrays["molecule"] == k
        moved.positions[inside] += (factor - 1) * moved[inside].get_center_of_mass()
    return moved


# --- checks -------------------------------------------------------------------------------------


def clashes(atoms: Atoms, *, min_distance_A: float) -> NDArray[np.int64]:
    """Pairs of atoms of different molecules that are too close.

    Parameters
    ----------
    atoms : Atoms
        Frame with ``info["bonds"]`` and ``arrays["molecule"]``.
    min_distance_A : float
        Smallest allowed distance, Å.

    Returns
    -------
    ndarray of int, shape (n_clashes, 2)
        Each pair once. A molecule can also clash with its own periodic image.
    """
    frame = whole(atoms)  # then a pair within a molecule is one within the same image
    first, second, image = neighbor_list("ijS", frame, min_distance_A)
    species = atoms.arrays["molecule"]
    apart = (species[first] != species[second]) | image.any(axis=1)
    pairs = np.column_stack([first, second])[apart & (first <= second)]
    return np.unique(pairs, axis=0)


def threaded(atoms: Atoms) -> NDArray[np.int64]:
    """Bonds that pass through a ring: molecules interlocked in a way that no motion undoes.

    A ring is taken as the fan of triangles between its centre and its bonds, so it need not be
    flat.

    Parameters
    ----------
    atoms : Atoms
        Frame with ``info["bonds"]``; the cell should be wider than 6 Å.

    Returns
    -------
    ndarray of int, shape (n_threaded, 2)
        The bonds that pass through a ring, each once.
    """
    bonds = np.asarray(atoms.info["bonds"], dtype=int).reshape(-1, 2)
    frame = whole(atoms)
    starts, ends = frame.positions[bonds.T]
    through = np.zeros(len(bonds), dtype=bool)
    for ring in _rings(atoms):
        corners = frame.positions[ring]
        centre = corners.mean(axis=0)
        middle = _nearest_image((starts + ends) / 2 - centre, frame)
        half = (ends - starts) / 2
        hit = _crosses_fan(middle - half, middle + half, corners - centre)
        through |= hit & ~np.isin(bonds, ring).any(axis=1)
    return bonds[through]


def _rings(atoms: Atoms) -> list[list[int]]:
    """Smallest rings of the covalent graph, atoms in the order around the ring."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for _ in range(len(atoms)):
        graph.AddAtom(Chem.Atom(0))
    for i, j in atoms.info["bonds"]:
        graph.AddBond(int(i), int(j), Chem.BondType.SINGLE)
    return [list(ring) for ring in Chem.GetSSSR(graph)]


def _crosses_fan(
    starts: NDArray[np.float64], ends: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether segments cross a ring about the origin (Möller and Trumbore, 1997).

    With the triangle (0, a, b), solve start + t (end - start) = u a + v b for 0 <= t, u, v and
    u + v, t <= 1.
    """
    crossed = np.zeros(len(starts), dtype=bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        columns = np.stack(
            [starts - ends, np.broadcast_to(a, starts.shape), np.broadcast_to(b, starts.shape)],
            axis=-1,
        )
        solvable = np.abs(np.linalg.det(columns)) > 1e-12  # else parallel to the triangle
        t, u, v = np.linalg.solve(columns[solvable], starts[solvable][..., None])[..., 0].T
        inside = (t >= 0) & (t <= 1) & (u >= 0) & (v >= 0) & (u + v <= 1)
        crossed[np.flatnonzero(solvable)[inside]] = True
    return crossed
