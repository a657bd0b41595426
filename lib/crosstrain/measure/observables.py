"""Density, radial distribution and self-diffusion of a molecular liquid."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import Boltzmann, atomic_mass

from crosstrain.measure.molecules import (
    Floats,
    as_masses,
    as_molecule_index,
    as_vectors,
    smallest_width,
)
from crosstrain.measure.statistics import Estimate

G_CM3_PER_AMU_A3 = atomic_mass * 1e3 / 1e-24
CM2_S_PER_A2_FS = 1e-16 / 1e-15
# Yeh and Hummer's ξ of a cubic box (their equation 12).
CUBIC_XI = 2.837297


class RadialDistribution(NamedTuple):
    """Bin centres r (n_bins,), Å, and g(r) of each frame, (n_frames, n_bins)."""

    r: Floats
    g: Floats


def density_g_cm3(masses: ArrayLike, volume: ArrayLike) -> Floats:
    """Mass density.

    Parameters
    ----------
    masses
        Masses of all atoms, amu.
    volume
        Volume, Å³, of any shape (one per frame).

    Returns
    -------
    ndarray
        Shape of `volume`, g/cm³.

    Raises
    ------
    ValueError
        If a mass or a volume is not positive.
    """
    m = as_masses(masses, np.size(masses))
    v = np.asarray(volume, dtype=float)
    if not (v > 0).all():
        raise ValueError(f"volume has the minimum {v.min()}, allowed are values above 0")
    return m.sum() / v * G_CM3_PER_AMU_A3


def radial_distribution(
    points: ArrayLike,
    cells: ArrayLike,
    molecule: ArrayLike,
    *,
    group_a: ArrayLike,
    group_b: ArrayLike,
    n_bins: int = 100,
    r_max: float | None = None,
) -> RadialDistribution:
    r"""Intermolecular radial distribution function of each frame.

    .. math:: g(r) = \frac{V\, n(r)}{N_{pairs}\, v(r)}

    n(r) counts the pairs of a bin, v(r) is the volume of its shell and N_pairs the number of
    pairs of different molecules between the two groups. Molecules placed independently and
    uniformly therefore give exactly 1 at every r, in a box of any size.

    Parameters
    ----------
    points
        Positions of atoms or molecular centres, shape (n_frames, n_points, 3), Å; wrapping does
        not matter.
    cells
        Fully periodic cells, shape (3, 3) or (n_frames, 3, 3), Å.
    molecule
        Molecule index of each point, shape (n_points,); pairs of one molecule are left out.
    group_a, group_b
        Masks of the points of the two groups, bool, shape (n_points,); they may be the same.
    n_bins
        Number of bins from 0 to `r_max`.
    r_max
        Upper limit, Å, at most half the smallest width of every cell, which is the default. Give
        it to have the same bins for several trajectories.

    Returns
    -------
    RadialDistribution

    Raises
    ------
    ValueError
        If a shape does not fit, `r_max` is too large for a frame, or there are no pairs.
    """
    x = as_vectors("points", points)
    if x.ndim != 3:
        raise ValueError(f"points has shape {x.shape}, allowed is (n_frames, n_points, 3)")
    vectors = _frame_cells(cells, len(x))
    r_max = _check_r_max(r_max, vectors)
    if n_bins < 1:
        raise ValueError(f"n_bins is {n_bins}, allowed are values from 1")
    first, second = _intermolecular_pairs(
        as_molecule_index(molecule, x.shape[1]), group_a=group_a, group_b=group_b
    )

    edges = np.linspace(0.0, r_max, n_bins + 1)
    counts = np.empty((len(x), n_bins))
    fractional = np.swapaxes(x @ np.linalg.inv(vectors), 1, 2)
    for i, cell in enumerate(vectors):
        distance = _minimum_image_distances(fractional[i], cell, first, second)
        bins = (distance * (n_bins / r_max)).astype(np.intp)
        counts[i] = np.bincount(bins[bins < n_bins], minlength=n_bins)
    shell = 4.0 / 3.0 * np.pi * np.diff(edges**3)
    volume = np.abs(np.linalg.det(vectors))
    g = counts * volume[:, None] / (first.size * shell)
    return RadialDistribution(0.5 * (edges[1:] + edges[:-1]), g)


def element_rdf(
    positions: ArrayLike,
    cells: ArrayLike,
    molecule: ArrayLike,
    symbols: Sequence[str],
    *,
    pair: tuple[str, str],
    n_bins: int = 100,
    r_max: float | None = None,
) -> RadialDistribution:
    """Intermolecular radial distribution of two elements, such as ("O", "H").

    Parameters
    ----------
    positions, cells, molecule, n_bins, r_max
        As `points` and the others of `radial_distribution`, for atoms.
    symbols
        Chemical symbol of each atom, shape (n_atoms,).
    pair
        The two elements.

    Returns
    -------
    RadialDistribution

    Raises
    ------
    ValueError
        As `radial_distribution`, and if an element of `pair` does not occur.
    """
    names = np.asarray(symbols)
    absent = sorted(set(pair) - set(names.tolist()))
    if absent:
        raise ValueError(f"pair names {absent}, allowed are {sorted(set(names.tolist()))}")
    return radial_distribution(
        positions,
        cells,
        molecule,
        group_a=names == pair[0],
        group_b=names == pair[1],
        n_bins=n_bins,
        r_max=r_max,
    )


def mean_squared_displacement(centres: ArrayLike, masses: ArrayLike) -> Floats:
    """Mean-squared displacement of each molecule at every lag, in the frame of the whole liquid.

    The drift of the total centre of mass is removed. N independent walkers of equal mass thereby
    lose 1/N of their displacement: this is the frame in which a liquid without total momentum
    moves, and nothing is put back for it.

    Parameters
    ----------
    centres
        Centres of mass of the molecules along an NVT run, shape (n_frames, n_mol, 3), Å,
        unwrapped in time: no jumps by a lattice vector.
    masses
        Mass of each molecule, shape (n_mol,), amu.

    Returns
    -------
    ndarray
        Shape (n_frames, n_mol), Å²; the row is the lag in frames, from 0.

    Raises
    ------
    ValueError
        If a shape does not fit or a value is not finite.

    References
    ----------
    P. de Buyl, tidynamics, J. Open Source Softw. 2018, 3, 877 (fast correlation algorithm).
    """
    import tidynamics

    x = as_vectors("centres", centres)
    if x.ndim != 3 or len(x) < 2:
        raise ValueError(f"centres has shape {x.shape}, allowed is (n_frames ≥ 2, n_mol, 3)")
    m = as_masses(masses, x.shape[1])
    relative = x - np.average(x, axis=1, weights=m)[:, None, :]
    relative -= relative.mean(axis=0)  # keeps the differences of large squares accurate
    return np.stack([tidynamics.msd(path) for path in np.moveaxis(relative, 1, 0)], axis=1)


def self_diffusion(
    msd: ArrayLike | Sequence[ArrayLike],
    *,
    frame_interval_fs: float,
    fit_window_fs: tuple[float, float],
) -> Estimate:
    """Self-diffusion coefficient, cm²/s, from the slope of the mean-squared displacement.

    A line is fitted to each molecule over the window, and D = slope / 6 (Einstein). The standard
    error comes from the scatter of the molecules, never from the residuals of the line, whose
    points are strongly correlated.

    Parameters
    ----------
    msd
        Shape (n_lags, n_mol), Å², of `mean_squared_displacement`; or a sequence of such arrays,
        one per replica. Pass the columns of one species to have its coefficient.
    frame_interval_fs
        Time between frames, fs.
    fit_window_fs
        First and last lag of the fit, fs; past the ballistic part, and well inside the run.

    Returns
    -------
    Estimate
        D, its standard error (both cm²/s) and the number of molecules of all replicas. What
        molecules of one box have in common is in no error.

    Raises
    ------
    ValueError
        If a shape does not fit, the window holds fewer than 3 lags or ends after the data, or
        there are fewer than 2 molecules.
    """
    replicas = [np.asarray(one, dtype=float) for one in ([msd] if np.ndim(msd) == 2 else msd)]
    if not frame_interval_fs > 0:
        raise ValueError(f"frame_interval_fs is {frame_interval_fs}, allowed are values above 0")
    slopes = np.concatenate([_slopes(one, frame_interval_fs, fit_window_fs) for one in replicas])
    if slopes.size < 2:
        raise ValueError(f"msd is of {slopes.size} molecules, allowed are at least 2")
    d = slopes / 6.0 * CM2_S_PER_A2_FS
    return Estimate(float(d.mean()), float(d.std(ddof=1) / np.sqrt(d.size)), float(d.size))


def yeh_hummer_correction(
    *, temperature_K: float, viscosity_mPa_s: float, box_length: float
) -> float:
    """Finite-size correction to be added to a self-diffusion coefficient of a cubic box.

    ΔD = ξ k_B T / (6 π η L) with ξ = 2.837297.

    Parameters
    ----------
    temperature_K
        Temperature, K.
    viscosity_mPa_s
        Shear viscosity η of the liquid, mPa s (= cP).
    box_length
        Edge L of the cubic box, Å.

    Returns
    -------
    float
        ΔD, cm²/s.

    Raises
    ------
    ValueError
        If an argument is not positive.

    References
    ----------
    I.-C. Yeh, G. Hummer, J. Phys. Chem. B 2004, 108, 15873.
    """
    arguments = {
        "temperature_K": temperature_K,
        "viscosity_mPa_s": viscosity_mPa_s,
        "box_length": box_length,
    }
    for name, value in arguments.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}, allowed are values above 0")
    friction_si = 6 * np.pi * viscosity_mPa_s * 1e-3 * box_length * 1e-10
    return float(CUBIC_XI * Boltzmann * temperature_K / friction_si * 1e4)


def _frame_cells(cells: ArrayLike, n_frames: int) -> Floats:
    vectors = np.asarray(cells, dtype=float)
    if vectors.shape not in {(3, 3), (n_frames, 3, 3)}:
        raise ValueError(
            f"cells has shape {vectors.shape}, allowed is (3, 3) or ({n_frames}, 3, 3)"
        )
    if not (np.abs(np.linalg.det(vectors)) > 0).all():
        raise ValueError("cells has a cell without volume")
    return np.broadcast_to(vectors, (n_frames, 3, 3))


def _check_r_max(r_max: float | None, cells: Floats) -> float:
    half = 0.5 * smallest_width(cells)
    if r_max is None:
        return float(half.min())
    if not 0 < r_max <= half.min():
        raise ValueError(
            f"r_max is {r_max} Å, allowed is up to half the smallest width of the cells, "
            f"{half.min():.3f} Å (frame {int(half.argmin())})"
        )
    return float(r_max)


def _intermolecular_pairs(
    molecule: NDArray[np.intp], *, group_a: ArrayLike, group_b: ArrayLike
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each unordered pair of points of different molecules, one of group a, the other of b."""
    masks = []
    for name, group in (("group_a", group_a), ("group_b", group_b)):
        mask = np.asarray(group)
        if mask.dtype != bool or mask.shape != molecule.shape:
            raise ValueError(
                f"{name} has type {mask.dtype} and shape {mask.shape}, allowed is a bool mask of "
                f"shape {molecule.shape}"
            )
        masks.append(mask)
    a, b = masks
    allowed = np.outer(a, b) | np.outer(b, a)
    first, second = np.nonzero(np.triu(allowed & (molecule[:, None] != molecule), k=1))
    if not first.size:
        raise ValueError("group_a and group_b have no pair of different molecules")
    return first, second


def _minimum_image_distances(
    fractional: Floats, cell: Floats, first: NDArray[np.intp], second: NDArray[np.intp]
) -> Floats:
    """Distances of pairs, exact up to half the smallest width of the cell (not beyond).

    ``fractional`` has the shape (3, n_points). For a fixed list of pairs this is several times as
    fast as a neighbour search, which would find intramolecular pairs only to drop them.
    """
    step = np.take(fractional, first, axis=1)
    step -= np.take(fractional, second, axis=1)
    step -= np.rint(step)
    vector = cell.T @ step
    return np.sqrt(np.einsum("ij,ij->j", vector, vector))


def _slopes(msd: Floats, frame_interval_fs: float, fit_window_fs: tuple[float, float]) -> Floats:
    """Slope of each molecule's line over the window, Å²/fs, shape (n_mol,)."""
    if msd.ndim != 2 or not np.isfinite(msd).all():
        raise ValueError(f"msd has shape {msd.shape}, allowed is a finite (n_lags, n_mol)")
    lags = np.arange(len(msd)) * frame_interval_fs
    low, high = fit_window_fs
    window = (lags >= low) & (lags <= high)
    if not 0 <= low < high <= lags[-1] or window.sum() < 3:
        raise ValueError(
            f"fit_window_fs is {fit_window_fs}, allowed are at least 3 lags within "
            f"(0, {lags[-1]}) in steps of {frame_interval_fs}"
        )
    return np.polyfit(lags[window], msd[window], 1)[0]
