"""Whole molecules, sums over them and their centres of mass.

Arrays of one topology may carry any number of leading axes (usually one, the frames); the last two
are always atoms and Cartesian components. Atoms of a molecule need not be contiguous.
"""

import numpy as np
from ase.geometry import complete_cell
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


def as_vectors(name: str, values: ArrayLike) -> Floats:
    """Check that an array holds finite vectors of shape (..., n_atoms, 3).

    Raises
    ------
    ValueError
        If the shape does not fit or a value is not finite.
    """
    vectors = np.asarray(values, dtype=float)
    if vectors.ndim < 2 or vectors.shape[-1] != 3:
        raise ValueError(f"{name} has shape {vectors.shape}, allowed is (..., n_atoms, 3)")
    if not np.isfinite(vectors).all():
        first = np.argwhere(~np.isfinite(vectors))[0].tolist()
        raise ValueError(f"{name}{first} is not finite")
    return vectors


def as_molecule_index(molecule: ArrayLike, n_atoms: int) -> Ints:
    """Check the molecule index of each atom: integers that use every value of 0..n_mol-1.

    Raises
    ------
    ValueError
        If the shape, the type or the set of values does not fit.
    """
    index = np.asarray(molecule)
    if index.shape != (n_atoms,) or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(
            f"molecule has shape {index.shape} and type {index.dtype}, allowed are integers of "
            f"shape ({n_atoms},)"
        )
    present = np.unique(index)
    if not np.array_equal(present, np.arange(present.size)):
        raise ValueError(f"molecule holds the values {present}, allowed are 0..n_mol-1 without gap")
    return index.astype(np.intp)


def as_masses(masses: ArrayLike, n_atoms: int) -> Floats:
    """Check the masses (amu), shape (n_atoms,), all positive.

    Raises
    ------
    ValueError
        If the shape does not fit or a mass is not positive and finite.
    """
    checked = np.asarray(masses, dtype=float)
    if checked.shape != (n_atoms,):
        raise ValueError(f"masses has shape {checked.shape}, allowed is ({n_atoms},)")
    if not (np.isfinite(checked).all() and (checked > 0).all()):
        raise ValueError(f"masses has the minimum {checked.min()}, allowed are values above 0")
    return checked


def sum_over_molecules(values: Floats, molecule: Ints) -> Floats:
    """Sum atomic quantities over each molecule.

    Parameters
    ----------
    values
        Shape (..., n_atoms, n_components).
    molecule
        Molecule index of each atom, 0..n_mol-1, shape (n_atoms,).

    Returns
    -------
    ndarray
        Shape (..., n_mol, n_components).
    """
    order = np.argsort(molecule, kind="stable")
    first = np.searchsorted(molecule[order], np.arange(molecule.max() + 1))
    return np.add.reduceat(values[..., order, :], first, axis=-2)


def centres_of_mass(positions: ArrayLike, masses: ArrayLike, molecule: ArrayLike) -> Floats:
    """Centres of mass of whole molecules.

    Parameters
    ----------
    positions
        Shape (..., n_atoms, 3), Å; molecules must be whole (`unwrap_molecules`).
    masses
        Shape (n_atoms,), amu.
    molecule
        Molecule index of each atom, 0..n_mol-1, shape (n_atoms,).

    Returns
    -------
    ndarray
        Shape (..., n_mol, 3), Å.

    Raises
    ------
    ValueError
        If an argument has a wrong shape or value.
    """
    x = as_vectors("positions", positions)
    index = as_molecule_index(molecule, x.shape[-2])
    m = as_masses(masses, x.shape[-2])[:, None]
    return sum_over_molecules(m * x, index) / sum_over_molecules(m, index)


def unwrap_molecules(
    positions: ArrayLike,
    cell: ArrayLike,
    molecule: ArrayLike,
    bonds: ArrayLike,
    *,
    pbc: bool | ArrayLike = True,
) -> Floats:
    """Make molecules whole by moving atoms by lattice vectors.

    The bonds of each molecule are walked from its first atom along a spanning tree, and each atom
    takes the periodic image nearest to its neighbour in the tree. Only bonds are ever folded, so
    a molecule may be longer than half the box, in any triclinic cell.

    Parameters
    ----------
    positions
        Shape (n_atoms, 3) or (n_frames, n_atoms, 3), Å.
    cell
        Cell vectors as rows, Å; shape (3, 3), or (n_frames, 3, 3) for a cell per frame.
    molecule
        Molecule index of each atom, 0..n_mol-1, shape (n_atoms,).
    bonds
        Pairs of bonded atoms, shape (n_bonds, 2); they must connect every molecule.
    pbc
        Periodicity, one value or one for each cell vector.

    Returns
    -------
    ndarray
        Shape of `positions`, Å; the first atom of each molecule stays where it was.

    Raises
    ------
    ValueError
        If a shape does not fit, if the bonds do not connect each molecule to itself only, or if a
        bond is longer than half the smallest width of its cell: then its image is ambiguous.

    Notes
    -----
    Rounding fractional coordinates finds the nearest image of any vector shorter than half the
    smallest perpendicular width, because a fractional component is at most length / width.
    """
    x = as_vectors("positions", positions)
    index = as_molecule_index(molecule, x.shape[-2])
    parent, levels = _spanning_tree(index, np.asarray(bonds))
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), 3)
    if not periodic.any() or not levels:
        return x.copy()
    vectors = _cells(cell, x.shape[:-2], periodic)

    inverse = np.linalg.inv(vectors)
    children = np.concatenate(levels)
    step = x[..., children, :] - x[..., parent[children], :]
    edge_shift = np.where(periodic, -np.round(step @ inverse), 0.0)
    _check_bond_lengths(step + edge_shift @ vectors, inverse, periodic, children, parent)

    shift = np.zeros_like(x)
    shift[..., children, :] = edge_shift
    for level in levels:  # parents first, so that each child adds to a finished shift
        shift[..., level, :] += shift[..., parent[level], :]
    return x + shift @ vectors


def _spanning_tree(molecule: Ints, bonds: NDArray) -> tuple[Ints, list[Ints]]:
    """Parent of each atom, and the atoms of each depth below the molecules' first atoms."""
    n_atoms = molecule.size
    bonds = bonds.reshape(-1, 2) if bonds.size == 0 else bonds
    if bonds.ndim != 2 or bonds.shape[1] != 2:
        raise ValueError(f"bonds has shape {bonds.shape}, allowed is (n_bonds, 2)")
    bonds = bonds.astype(np.intp)
    if bonds.size and (bonds.min() < 0 or bonds.max() >= n_atoms):
        raise ValueError(f"bonds names atom {bonds.max()}, allowed are 0..{n_atoms - 1}")
    across = np.flatnonzero(molecule[bonds[:, 0]] != molecule[bonds[:, 1]])
    if across.size:
        raise ValueError(f"bonds joins two molecules: {bonds[across[0]].tolist()}")

    # A virtual atom, bonded to the first atom of each molecule, makes one tree of the forest.
    first_atoms = np.unique(molecule, return_index=True)[1]
    rows = np.concatenate([bonds[:, 0], np.full(first_atoms.size, n_atoms)])
    columns = np.concatenate([bonds[:, 1], first_atoms])
    graph = csr_array((np.ones(rows.size), (rows, columns)), shape=(n_atoms + 1, n_atoms + 1))
    reached, parent = breadth_first_order(graph, n_atoms, directed=False)
    lost = np.setdiff1d(np.arange(n_atoms), reached)
    if lost.size:
        raise ValueError(f"bonds does not connect molecule {molecule[lost[0]]} (atom {lost[0]})")

    levels = []
    level = np.flatnonzero(np.isin(parent[:n_atoms], first_atoms))
    while level.size:
        levels.append(level)
        level = np.flatnonzero(np.isin(parent[:n_atoms], level))
    return parent[:n_atoms].astype(np.intp), levels


def _cells(cell: ArrayLike, leading: tuple[int, ...], periodic: NDArray[np.bool_]) -> Floats:
    """Invertible cells of shape (..., 3, 3) that broadcast over the frames."""
    vectors = np.asarray(cell, dtype=float)
    if vectors.shape not in {(3, 3), (*leading, 3, 3)}:
        raise ValueError(f"cell has shape {vectors.shape}, allowed is (3, 3) or {(*leading, 3, 3)}")
    if not periodic.all():
        flat = [complete_cell(one) for one in vectors.reshape(-1, 3, 3)]
        vectors = np.reshape(flat, vectors.shape)
    if not (np.abs(np.linalg.det(vectors)) > 0).all():
        raise ValueError("cell has no volume, allowed are three independent vectors")
    return vectors


def smallest_width(cell: ArrayLike) -> Floats:
    """Smallest perpendicular distance between opposite faces of each cell.

    Parameters
    ----------
    cell
        Cell vectors as rows, shape (..., 3, 3), Å.

    Returns
    -------
    ndarray
        Shape (...), Å.
    """
    return _widths(np.linalg.inv(np.asarray(cell, dtype=float))).min(axis=-1)


def _widths(inverse: Floats) -> Floats:
    """Perpendicular widths, shape (..., 3), from inverse cells of shape (..., 3, 3)."""
    return 1.0 / np.linalg.norm(inverse, axis=-2)


def _check_bond_lengths(
    step: Floats, inverse: Floats, periodic: NDArray[np.bool_], children: Ints, parent: Ints
) -> None:
    limit = 0.5 * _widths(inverse)[..., periodic].min(axis=-1)
    length = np.linalg.norm(step, axis=-1)
    bad = np.argwhere(length >= limit[..., None])
    if bad.size:
        *frame, edge = bad[0].tolist()
        where = f" of frame {frame[0]}" if frame else ""
        pair = [int(parent[children[edge]]), int(children[edge])]
        raise ValueError(
            f"bonds {pair}{where} is {length[tuple(bad[0])]:.2f} Å long, allowed is less than half "
            f"the smallest width of the cell ({float(np.min(limit)):.2f} Å)"
        )
