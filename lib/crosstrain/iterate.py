"""One generation of active learning: a committee explores, disagrees, and chooses what to label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from crosstrain.build import sets
from crosstrain.data import frames as fr
from crosstrain.measure import overlap
from crosstrain.simulate import selection


def start_box(
    composition: Mapping[str, int], *, temperature_K: float, density_g_cm3: float, seed: int
) -> Atoms:
    """Return a box from a short classical run, where a committee's exploration begins."""
    (box,) = sets.classical(
        numbers=[0],
        seed=seed,
        compositions=[composition],
        temperature_K=(temperature_K, temperature_K),
        density_g_cm3=(density_g_cm3, density_g_cm3),
        duration_ps=1.0,
    )
    return box


def forces_of(frames: Sequence[Atoms], committee: Sequence[Calculator]) -> list[list[NDArray]]:
    """Return the forces (eV/Å) of every member on every frame."""
    said = []
    for member in committee:
        forces = []
        for frame in frames:
            copy = frame.copy()
            copy.calc = member
            forces.append(copy.get_forces())
        said.append(forces)
    return said


def choose(
    candidates: Sequence[Atoms],
    deviation: NDArray[np.float64],
    known: Sequence[Atoms],
    known_deviation: NDArray[np.float64],
    *,
    n: int,
    allow_broken: bool,
) -> selection.Selection:
    """Choose diverse frames that the committee disagrees about, but not too much.

    Parameters
    ----------
    candidates : sequence of Atoms
    deviation : ndarray, shape (n_candidates,)
        Largest disagreement of the committee, eV/Å.
    known : sequence of Atoms
        The committee's training frames.
    known_deviation : ndarray, shape (n_known,)
        Its disagreement about these, which sets the bounds.
    n : int
        How many.
    allow_broken : bool
        Whether a frame with broken or interlocked molecules may be chosen.
    """
    limits = selection.bounds(known_deviation)
    is_intact = np.array([is_usable(frame) for frame in candidates])
    means = overlap.frame_means(overlap.descriptors([*candidates, *known]), may_lack=True)
    return selection.select(
        deviation,
        means[: len(candidates)],
        low=limits.low,
        high=limits.high,
        n=n,
        is_intact=is_intact,
        allow_broken=allow_broken,
        known=means[len(candidates) :],
    )


def is_usable(frame: Atoms) -> bool:
    """Return whether a frame has intact molecules and could be labelled."""
    try:
        fr.check(frame)
    except ValueError:
        return False
    return sets.is_sound(frame)
