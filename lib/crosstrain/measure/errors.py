"""Errors of predicted energies, forces and stresses on labelled frames."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.units import bar
from numpy.typing import ArrayLike

from crosstrain.measure.forces import ForceSplit, split_forces, split_stress
from crosstrain.measure.molecules import Floats, Ints

COMPONENTS = ("total", "translation", "rotation", "vibration", "intermolecular")


class Deviation(NamedTuple):
    """Root-mean-square error, and the same divided by the root-mean-square reference."""

    rmse: float
    relative: float


class EnergyErrors(NamedTuple):
    """Root-mean-square energy errors, eV per atom.

    Attributes
    ----------
    rmse
        As predicted.
    rmse_offset_removed
        After removing the best energy per element; NaN if there are no more frames than
        independent compositions.
    element_offsets
        The removed energy of each element, eV, shape (n_elements,).
    """

    rmse: float
    rmse_offset_removed: float
    element_offsets: Floats


class StressErrors(NamedTuple):
    """Errors of the six stress components (eV/Å³) and of the pressure (bar)."""

    rmse: float
    relative: float
    pressure_rmse_bar: float
    pressure_bias_bar: float


def split_frame_forces(frames: Sequence[Atoms], forces: Sequence[ArrayLike]) -> list[ForceSplit]:
    """Split the forces of frames of any mixture of topologies.

    Parameters
    ----------
    frames
        Frames with ``arrays["molecule"]`` and ``info["bonds"]``.
    forces
        One array (n_atoms, 3) per frame, eV/Å.

    Returns
    -------
    list of ForceSplit
        One per frame, in the order of the frames.

    Raises
    ------
    ValueError
        If the numbers of frames differ or an array does not fit its frame.
    """
    _check_forces("forces", frames, forces)
    splits: list[ForceSplit | None] = [None] * len(frames)
    for members, topology in _by_topology(frames):
        split = split_forces(
            [frames[i].positions for i in members], [forces[i] for i in members], **topology
        )
        for i, *parts in zip(members, *split, strict=True):
            splits[i] = ForceSplit(*parts)
    return splits


def force_errors(
    frames: Sequence[Atoms], reference: Sequence[ArrayLike], predicted: Sequence[ArrayLike]
) -> dict[str, Deviation]:
    """Force errors in total and by component, over all frames together.

    Parameters
    ----------
    frames
        Frames with ``arrays["molecule"]`` and ``info["bonds"]``.
    reference, predicted
        One array (n_atoms, 3) per frame, eV/Å.

    Returns
    -------
    dict of str to Deviation
        Keys total, translation, rotation, vibration and intermolecular (translation + rotation);
        each error is relative to the same component of the reference.

    Raises
    ------
    ValueError
        If there are no frames, or arrays do not fit them.
    """
    _check_forces("predicted", frames, predicted)
    truth = split_frame_forces(frames, reference)
    # The split is linear: the split of the errors is the error of the split.
    wrong = split_frame_forces(
        frames, [np.subtract(p, r) for p, r in zip(predicted, reference, strict=True)]
    )
    return {
        name: _deviation(
            np.concatenate([getattr(split, name) for split in wrong]),
            np.concatenate([getattr(split, name) for split in truth]),
        )
        for name in COMPONENTS
    }


def element_counts(frames: Sequence[Atoms]) -> Ints:
    """Count the atoms of each element that occurs in any of the frames.

    Returns
    -------
    ndarray of int
        Shape (n_frames, n_elements), elements in the order of their atomic numbers.
    """
    elements = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    return np.array([(atoms.numbers[:, None] == elements).sum(axis=0) for atoms in frames])


def energy_errors(reference: ArrayLike, predicted: ArrayLike, counts: ArrayLike) -> EnergyErrors:
    """Energy errors per atom, as they are and without a composition-dependent offset.

    The offset is the energy per element that leaves the smallest error per atom (least squares of
    smallest norm, so compositions that do not determine every element do no harm). Its degrees
    of freedom, the rank of the compositions, are taken off the number of frames.

    Parameters
    ----------
    reference, predicted
        Total energies, eV, shape (n_frames,).
    counts
        Atoms of each element in each frame, shape (n_frames, n_elements), of `element_counts`.

    Returns
    -------
    EnergyErrors

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.
    """
    truth, guess = _finite_pair(reference, predicted, ndim=1)
    counts = np.asarray(counts, dtype=float)
    if counts.ndim != 2 or len(counts) != len(truth):
        raise ValueError(f"counts has shape {counts.shape}, allowed is ({len(truth)}, n_elements)")
    n_atoms = counts.sum(axis=1)
    if not (n_atoms > 0).all():
        raise ValueError("counts has a frame without atoms")
    error = (guess - truth) / n_atoms
    fractions = counts / n_atoms[:, None]
    offsets, _, rank, _ = np.linalg.lstsq(fractions, error, rcond=None)
    freedom = len(error) - rank
    residual = np.sum((error - fractions @ offsets) ** 2)
    return EnergyErrors(
        rms(error), float(np.sqrt(residual / freedom)) if freedom > 0 else np.nan, offsets
    )


def stress_errors(reference: ArrayLike, predicted: ArrayLike) -> StressErrors:
    """Errors of the stress, and of the pressure that it makes.

    Parameters
    ----------
    reference, predicted
        Shape (n_frames, 6), Voigt, eV/Å³, ASE sign.

    Returns
    -------
    StressErrors
        The pressure error (predicted - reference) is -1/3 of the trace of the stress error; its
        bias is what shifts the density.

    Raises
    ------
    ValueError
        If shapes differ or a value is not finite.
    """
    truth, guess = _finite_pair(reference, predicted, ndim=2)
    if truth.shape[1] != 6:
        raise ValueError(f"reference has shape {truth.shape}, allowed is (n_frames, 6)")
    pressure_bar = -(guess - truth)[:, :3].mean(axis=1) / bar
    return StressErrors(
        *_deviation(guess - truth, truth), rms(pressure_bar), float(pressure_bar.mean())
    )


def stress_split_errors(
    frames: Sequence[Atoms],
    *,
    forces: tuple[Sequence[ArrayLike], Sequence[ArrayLike]],
    stress: tuple[ArrayLike, ArrayLike],
) -> dict[str, Deviation]:
    """Stress errors in total and by part, over all frames together.

    The molecular part is what sets the density, and is often the small difference of the two
    others (see `crosstrain.measure.forces.split_stress`).

    Parameters
    ----------
    frames
        Periodic frames with ``arrays["molecule"]`` and ``info["bonds"]``.
    forces
        Reference and prediction, each one array (n_atoms, 3) per frame, eV/Å.
    stress
        Reference and prediction, each (n_frames, 6), Voigt, eV/Å³, ASE sign.

    Returns
    -------
    dict of str to Deviation
        Keys total, molecular and internal, eV/Å³; each relative to the same part of the reference.

    Raises
    ------
    ValueError
        If there are no frames, one is not fully periodic, or arrays do not fit them.
    """
    for name, one in zip(("reference forces", "predicted forces"), forces, strict=True):
        _check_forces(name, frames, one)
    if not all(atoms.pbc.all() for atoms in frames):
        raise ValueError("frames has one that is not fully periodic, allowed are those with stress")
    truth, guess = _finite_pair(*stress, ndim=2)
    parts: dict[str, list[tuple[Floats, Floats]]] = {"molecular": [], "internal": []}
    for members, topology in _by_topology(frames):
        positions = [frames[i].positions for i in members]
        reference = np.array([forces[0][i] for i in members], dtype=float)
        error = np.array([forces[1][i] for i in members], dtype=float) - reference
        # The split is linear, as that of the forces.
        of_error = split_stress((guess - truth)[members], positions, error, **topology)
        of_truth = split_stress(truth[members], positions, reference, **topology)
        for name, pairs in parts.items():
            pairs.append((getattr(of_error, name), getattr(of_truth, name)))
    by_part = {
        name: _deviation(*(np.concatenate(side) for side in zip(*pairs, strict=True)))
        for name, pairs in parts.items()
    }
    return {"total": _deviation(guess - truth, truth), **by_part}


def frame_force_rmse(reference: Sequence[ArrayLike], predicted: Sequence[ArrayLike]) -> Floats:
    """Root-mean-square force error of each frame, eV/Å, shape (n_frames,).

    Unlike the averages this accepts forces that are not finite: such a frame has the error inf.
    """
    pairs = zip(reference, predicted, strict=True)
    error = np.array([rms(np.subtract(p, r, dtype=float)) for r, p in pairs])
    return np.where(np.isfinite(error), error, np.inf)


def worst_frames(frame_errors: ArrayLike, n_worst: int = 5) -> Ints:
    """Indices of the frames with the largest errors, worst first; NaN counts as the worst.

    Parameters
    ----------
    frame_errors
        Shape (n_frames,); the sign is ignored.
    n_worst
        How many to return, at most all.

    Returns
    -------
    ndarray of int
        Shape (min(n_worst, n_frames),).
    """
    size = np.abs(np.asarray(frame_errors, dtype=float))
    return np.argsort(-np.where(np.isnan(size), np.inf, size), kind="stable")[:n_worst]


def rms(values: ArrayLike) -> float:
    """Root mean square of all values."""
    return float(np.sqrt(np.mean(np.square(values))))


def _deviation(error: Floats, reference: Floats) -> Deviation:
    size = rms(reference)
    return Deviation(rms(error), rms(error) / size if size > 0 else np.nan)


def _by_topology(frames: Sequence[Atoms]) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Numbers of the frames of each topology, with the arguments that a split takes for them."""
    groups: dict[tuple, list[int]] = defaultdict(list)
    for i, atoms in enumerate(frames):
        groups[_topology(atoms)].append(i)
    for members in groups.values():
        first = frames[members[0]]
        yield (
            members,
            {
                "masses": first.get_masses(),
                "molecule": first.arrays["molecule"],
                "cell": [frames[i].cell.array for i in members],
                "bonds": first.info["bonds"],
                "pbc": first.pbc,
            },
        )


def _topology(atoms: Atoms) -> tuple:
    for name, where in (("molecule", atoms.arrays), ("bonds", atoms.info)):
        if name not in where:
            raise ValueError(f"frames has a frame ({atoms.get_chemical_formula()}) without {name}")
    parts = (atoms.numbers, atoms.arrays["molecule"], atoms.info["bonds"], atoms.pbc)
    return (*(np.asarray(part).tobytes() for part in parts), atoms.get_masses().tobytes())


def _check_forces(name: str, frames: Sequence[Atoms], forces: Sequence[ArrayLike]) -> None:
    if len(frames) == 0 or len(frames) != len(forces):
        raise ValueError(f"{name} has {len(forces)} entries, allowed is one per frame and above 0")
    for i, (atoms, force) in enumerate(zip(frames, forces, strict=True)):
        if np.shape(force) != (len(atoms), 3):
            raise ValueError(
                f"{name}[{i}] has shape {np.shape(force)}, allowed is {(len(atoms), 3)}"
            )


def _finite_pair(reference: ArrayLike, predicted: ArrayLike, ndim: int) -> tuple[Floats, Floats]:
    truth, guess = np.asarray(reference, dtype=float), np.asarray(predicted, dtype=float)
    if truth.shape != guess.shape or truth.ndim != ndim or not truth.size:
        raise ValueError(
            f"predicted has shape {guess.shape} and reference {truth.shape}, allowed is one shape "
            f"with {ndim} axes and at least one frame"
        )
    for name, values in (("reference", truth), ("predicted", guess)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}{np.argwhere(~np.isfinite(values))[0].tolist()} is not finite")
    return truth, guess
