"""Active learning by a committee: where to explore, what is new, and what is worth a label.

A committee is a handful of models that differ by their seeds. Where it agrees it knows, where it
disagrees a little it can learn, and where it disagrees a lot the dynamics has left the physics.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHOSEN, SPARE, KNOWN, TOO_FAR, BROKEN = "chosen", "spare", "known", "too far", "broken"
REASONS = (CHOSEN, SPARE, KNOWN, TOO_FAR, BROKEN)
FILL = 4  # candidates to one chosen, where frames below the lower bound are taken
FEWEST = 20
"""Frames that a committee must have been trained on for `bounds` to be known."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Disagreement(NamedTuple):
    """Force disagreement of a committee, eV/Å, both of shape (n_frames,)."""

    largest: NDArray[np.float64]
    mean: NDArray[np.float64]


class Bounds(NamedTuple):
    """Disagreement (eV/Å) from which a frame is new, and from which it is too far."""

    low: float
    high: float


class Start(NamedTuple):
    """One exploratory run at constant volume and temperature."""

    temperature_K: float
    density_g_cm3: float
    composition: Mapping[str, int]


@dataclass(frozen=True)
class Selection:
    """Which candidates are to be labelled, and what became of the others.

    Attributes
    ----------
    chosen
        Indices of the chosen frames, in the order of their choice.
    reasons
        For each candidate one of `REASONS`: chosen; spare (would do, but others were enough or are
        the same); known (disagreement below `low`); too far (`high` or more, or not finite);
        broken (kept apart because its molecules are not intact).
    deviation
        Largest disagreement of each candidate, shape (n_frames,), eV/Å.
    is_intact
        Shape (n_frames,).
    bounds
        The bounds that were used.
    """

    chosen: NDArray[np.intp]
    reasons: tuple[str, ...]
    deviation: NDArray[np.float64]
    is_intact: NDArray[np.bool_]
    bounds: Bounds

    def record(self) -> dict[str, Any]:
        """Return what a report of this generation needs, ready for JSON.

        Quantiles are those of the finite disagreements, by level; None if there are none.
        """
        finite = self.deviation[np.isfinite(self.deviation)]
        quantiles = np.quantile(finite, QUANTILES).tolist() if len(finite) else None
        counts = Counter(self.reasons)
        return {
            "candidates": len(self.reasons),
            "counts": {reason: counts[reason] for reason in REASONS},
            "not_intact": int(np.sum(~self.is_intact)),
            "not_finite": len(self.deviation) - len(finite),
            "chosen": self.chosen.tolist(),
            "chosen_not_intact": int(np.sum(~self.is_intact[self.chosen])),
            "low_eV_A": self.bounds.low,
            "high_eV_A": self.bounds.high,
            "deviation_quantiles_eV_A": quantiles
            and dict(zip(map(str, QUANTILES), quantiles, strict=True)),
        }


def disagreement(forces: Sequence[Sequence[ArrayLike]]) -> Disagreement:
    r"""Disagreement of a committee about the forces on each frame ("model deviation").

    .. math:: \sigma_i = \sqrt{\langle |F_i - \langle F_i \rangle|^2 \rangle}

    for atom i, with the averages over the members; then the largest and the mean over the atoms.

    Parameters
    ----------
    forces
        ``forces[member][frame]`` is an array (n_atoms, 3), eV/Å; frames may differ in size.

    Returns
    -------
    Disagreement
        Infinite where a member's forces are not finite.

    Raises
    ------
    ValueError
        If there are fewer than 2 members, they differ in the number of frames, or about the number
        of atoms of a frame.

    References
    ----------
    L. Zhang, D.-Y. Lin, H. Wang, R. Car, W. E, Phys. Rev. Mater. 2019, 3, 023804.
    """
    if len(forces) < 2:
        raise ValueError(f"forces has {len(forces)} members, allowed are at least 2")
    sizes = [len(member) for member in forces]
    if len(set(sizes)) > 1:
        raise ValueError(f"forces has members with {sizes} frames, allowed is one number")
    pairs = [_frame_disagreement(i, frame) for i, frame in enumerate(zip(*forces, strict=True))]
    return Disagreement(*np.array(pairs, dtype=float).reshape(-1, 2).T)


def bounds(deviation: ArrayLike, *, quantile: float = 0.95, ratio: float = 5.0) -> Bounds:
    """Bounds of selection from a committee's disagreement on frames that it was trained on.

    Parameters
    ----------
    deviation
        Largest disagreement on each of these frames, shape (n_frames,), eV/Å; at least 20.
    quantile
        `low` is this quantile of it: a frame is new if the committee is less sure of it than of
        all but the worst of its own training frames.
    ratio
        `high` is this many times `low`. The choice is ours: wider than the 3 of DP-GEN's methane
        example (0.05 and 0.15 eV/Å), because an early committee must be allowed its own failures.

    Returns
    -------
    Bounds

    Raises
    ------
    ValueError
        If there are too few values, one is negative or not finite, or a setting is out of range.
    """
    values = np.asarray(deviation, dtype=float)
    if values.ndim != 1 or len(values) < FEWEST or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"deviation has shape {values.shape}, allowed are at least {FEWEST} finite values "
            "from 0"
        )
    if not 0 < quantile < 1 or not ratio > 1:
        raise ValueError(
            f"quantile is {quantile} and ratio {ratio}, allowed are 0 to 1, and above 1"
        )
    low = float(np.quantile(values, quantile))
    return Bounds(low, ratio * low)


def select(
    deviation: ArrayLike,
    descriptors: ArrayLike,
    *,
    low: float,
    high: float,
    n: int,
    is_intact: ArrayLike,
    allow_broken: bool = False,
    known: ArrayLike | None = None,
) -> Selection:
    """Choose up to `n` diverse frames that a committee disagrees about, but not too much.

    Candidates with ``low <= deviation < high`` are chosen one after the other, each the one whose
    descriptor is farthest (Euclidean) from all chosen and known ones. Without known descriptors
    the first is the one with the largest deviation. If these are fewer than `n`, the rest comes in
    the same way from the `FILL` times as many candidates below ``low`` that the committee disagrees
    about most, so that sets made by different committees are equally large. Nothing is random; of
    equals the first wins, and a candidate equal to a chosen or known one is never chosen.

    Parameters
    ----------
    deviation
        Largest disagreement of each candidate (`disagreement`), shape (n_frames,), eV/Å; infinite
        or NaN where a model failed.
    descriptors
        Shape (n_frames, n_features), features in one unit.
    low, high
        Bounds, eV/Å.
    n
        Largest number of frames to choose.
    is_intact
        Whether each candidate has whole molecules and no clash, shape (n_frames,).
    allow_broken
        Whether the others may be chosen like the rest, or are kept apart.
    known
        Descriptors of frames that are in the training set already, shape (n_known, n_features).

    Returns
    -------
    Selection

    Raises
    ------
    ValueError
        If shapes do not fit, bounds are not rising from 0, `n` is below 1, or a descriptor of a
        frame that may be chosen is not finite.
    """
    deviation = np.asarray(deviation, dtype=float)
    x, intact = np.asarray(descriptors, dtype=float), np.asarray(is_intact)
    if deviation.ndim != 1 or x.ndim != 2 or len(x) != len(deviation):
        raise ValueError(
            f"deviation has shape {deviation.shape} and descriptors {x.shape}, allowed are "
            "(n_frames,) and (n_frames, n_features)"
        )
    if intact.shape != deviation.shape or intact.dtype != bool:
        raise ValueError(
            f"is_intact has shape {intact.shape} and type {intact.dtype}, allowed is bool of "
            f"{deviation.shape}"
        )
    if not 0 <= low < high:
        raise ValueError(f"low is {low} and high {high} eV/Å, allowed is 0 <= low < high")
    if n < 1:
        raise ValueError(f"n is {n}, allowed are values from 1")

    reasons = np.full(len(deviation), SPARE, dtype=object)
    reasons[deviation < low] = KNOWN
    reasons[~(deviation < high)] = TOO_FAR  # NaN too
    if not allow_broken:
        reasons[~intact] = BROKEN
    candidates, chosen = np.flatnonzero(reasons == SPARE), np.empty(0, dtype=int)
    familiar = np.flatnonzero(reasons == KNOWN)
    familiar = familiar[np.argsort(-deviation[familiar], kind="stable")]
    seen = _known(known, x)
    for pool in (candidates, familiar):
        missing = n - len(chosen)
        pool = pool if pool is candidates else pool[: FILL * missing]
        if missing and not np.isfinite(x[pool]).all():
            raise ValueError("descriptors of a frame that may be chosen are not finite")
        before = np.concatenate([seen, x[chosen]])
        order = _farthest_points(x[pool], missing, before, deviation[pool])
        chosen = np.append(chosen, pool[order])
    reasons[chosen] = CHOSEN
    return Selection(chosen, tuple(reasons), deviation, intact, Bounds(float(low), float(high)))


def exploration_plan(
    n: int,
    *,
    compositions: Sequence[Mapping[str, int]],
    temperature_K: tuple[float, float] = (300.0, 1000.0),
    density_g_cm3: tuple[float, float],
    seed: int,
) -> list[Start]:
    """Spread exploratory runs evenly over temperature, density and composition.

    A scrambled Halton sequence, so that any number of runs fills the ranges evenly, and a longer
    plan of the same seed begins with the shorter one.

    Parameters
    ----------
    n
        Number of runs.
    compositions
        Molecules of a box, to draw from.
    temperature_K, density_g_cm3
        Low and high end.
    seed
        Of the scrambling.

    Returns
    -------
    list of Start

    Raises
    ------
    ValueError
        If `n` is below 1, there is no composition, or a range does not rise from above 0.
    """
    if n < 1 or not len(compositions):
        raise ValueError(f"n is {n} with {len(compositions)} compositions, allowed are at least 1")
    for name, (low, high) in {
        "temperature_K": temperature_K,
        "density_g_cm3": density_g_cm3,
    }.items():
        if not 0 < low <= high:
            raise ValueError(f"{name} is {low} to {high}, allowed are rising values above 0")
    from scipy.stats import qmc  # a second to load

    points = qmc.Halton(d=3, scramble=True, seed=seed).random(n)
    return [
        Start(
            float(np.interp(u, (0, 1), temperature_K)),
            float(np.interp(v, (0, 1), density_g_cm3)),
            compositions[int(w * len(compositions))],
        )
        for u, v, w in points
    ]


def _frame_disagreement(index: int, members: Sequence[ArrayLike]) -> tuple[float, float]:
    shapes = {np.shape(member) for member in members}
    if len(shapes) > 1 or np.ndim(members[0]) != 2 or np.shape(members[0])[1] != 3:
        raise ValueError(f"forces[...][{index}] has shapes {shapes}, allowed is one (n_atoms, 3)")
    f = np.asarray(members, dtype=float)
    if not np.isfinite(f).all():
        return np.inf, np.inf
    sigma = np.sqrt(f.var(axis=0).sum(axis=-1))
    return float(sigma.max()), float(sigma.mean())


def _known(known: ArrayLike | None, x: NDArray[np.float64]) -> NDArray[np.float64]:
    if known is None:
        return np.empty((0, x.shape[1]))
    k = np.asarray(known, dtype=float)
    if k.ndim != 2 or k.shape[1] != x.shape[1] or not np.isfinite(k).all():
        raise ValueError(
            f"known has shape {k.shape}, allowed are finite values (n_known, {x.shape[1]})"
        )
    return k


def _farthest_points(
    x: NDArray[np.float64], n: int, known: NDArray[np.float64], first_by: NDArray[np.float64]
) -> list[int]:
    """Indices of up to `n` points, each the farthest from `known` and all before it."""
    distance = np.full(len(x), np.inf)
    for point in known:
        distance = np.minimum(distance, np.linalg.norm(x - point, axis=1))
    chosen: list[int] = []
    while len(chosen) < min(n, len(x)):
        by = distance if len(known) or chosen else first_by
        best = int(by.argmax())
        if distance[best] == 0:
            break
        chosen.append(best)
        distance = np.minimum(distance, np.linalg.norm(x - x[best], axis=1))
    return chosen
