"""One generation of active learning: a committee explores, disagrees, and chooses what to label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from crosstrain.build import sets
from crosstrain.data import frames as fr
from crosstrain.measure import overlap
from crosstrain.simulate import dynamics, selection
from crosstrain.simulate.trajectory import read_trajectory


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


def explore(
    start: Atoms, committee: Sequence[Calculator], settings: Mapping[str, Any], folder: Path
) -> tuple[list[Atoms], selection.Disagreement, dynamics.RunResult]:
    """Run the first member at constant volume and ask all members about its frames.

    Parameters
    ----------
    start : Atoms
    committee : sequence of Calculator
    settings : mapping
        Of `crosstrain.simulate.dynamics.run_dynamics`.
    folder : Path
        For checkpoints; an interrupted run goes on from there.

    Returns
    -------
    list of Atoms
        The frames, at the time of the start and every ``save_every`` steps.
    Disagreement
        Of the committee about the forces on each.
    RunResult
        How the run ended.
    """
    result = dynamics.run_dynamics(
        start, committee[0], bonds=start.info["bonds"], folder=folder, **settings
    )
    frames = read_trajectory(folder).frames()
    return frames, selection.disagreement(forces_of(frames, committee)), result


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
