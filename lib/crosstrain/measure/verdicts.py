"""Rules that turn effects with intervals into verdicts on a claim, and rank correlation.

An effect is written so that it is positive if the claim is true. A claim is supported if the whole
confidence interval is above zero, not supported if the whole of it is below, and else undecided: an
interval that holds zero shows neither an effect nor that there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from crosstrain.measure.transfer import Contrast, Effect, NotComparable, State

BY_CHANCE = "what is below zero is not so with the interval widened for their number"


class Verdict(StrEnum):
    """What the evidence says of a claim."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Finding:
    """A verdict, and why it is undecided if it is."""

    verdict: Verdict
    reason: str = ""

    @property
    def is_clear(self) -> bool:
        """Whether it is decided, one way or the other."""
        return self.verdict is not Verdict.UNDECIDED

    def __str__(self) -> str:
        return ": ".join(filter(None, [self.verdict.value, self.reason]))


def of_one(effect: Effect) -> Finding:
    """Judge a claim that one effect is positive."""
    if isinstance(effect, NotComparable):
        return Finding(Verdict.UNDECIDED, effect.cause)
    if effect.lower > 0:
        return Finding(Verdict.SUPPORTED)
    if effect.upper < 0:
        return Finding(Verdict.NOT_SUPPORTED)
    return Finding(Verdict.UNDECIDED, "the interval holds zero")


def of_all(effects: Sequence[Effect], *, confidence: float = 0.95) -> Finding:
    """Judge a claim that every effect is positive.

    It is supported if every interval is above zero, which needs no correction for their number
    (intersection-union test). Among k effects one is below zero by chance more easily: it refutes
    the claim only if it is so with an interval of the confidence ``bonferroni(confidence, k)``.

    Parameters
    ----------
    effects : sequence of Effect
        With intervals of `confidence`.
    confidence : float
    """
    wide = bonferroni(confidence, len(effects))
    widened = [effect.at(wide) if isinstance(effect, Contrast) else effect for effect in effects]
    return all_hold([of_one(effect) for effect in effects], [of_one(effect) for effect in widened])


def all_hold(findings: Sequence[Finding], when_widened: Sequence[Finding]) -> Finding:
    """Judge a claim that needs all of several findings, as `of_all`.

    Parameters
    ----------
    findings : sequence of Finding
    when_widened : sequence of Finding
        The same with intervals that are widened for their number.
    """
    if any(found.verdict is Verdict.NOT_SUPPORTED for found in when_widened):
        return Finding(Verdict.NOT_SUPPORTED)
    if findings and all(found.verdict is Verdict.SUPPORTED for found in findings):
        return Finding(Verdict.SUPPORTED)
    if any(found.verdict is Verdict.NOT_SUPPORTED for found in findings):
        return Finding(Verdict.UNDECIDED, BY_CHANCE)
    return _undecided(findings)


def of_any(effects: Sequence[Effect]) -> Finding:
    """Judge a claim that at least one effect is positive: it is refuted if all are below zero.

    Among k effects one is above zero by chance more easily: give intervals of the confidence
    ``bonferroni(confidence, k)``.
    """
    findings = [of_one(effect) for effect in effects]
    verdicts = {found.verdict for found in findings}
    if Verdict.SUPPORTED in verdicts:
        return Finding(Verdict.SUPPORTED)
    if verdicts == {Verdict.NOT_SUPPORTED}:
        return Finding(Verdict.NOT_SUPPORTED)
    return _undecided(findings)


def _undecided(findings: Sequence[Finding]) -> Finding:
    open_ones = [found for found in findings if not found.is_clear]
    reasons = dict.fromkeys(found.reason for found in open_ones if found.reason)
    return Finding(Verdict.UNDECIDED, ", ".join(reasons) or State.NOT_RUN.value)


def bonferroni(confidence: float, n_effects: int) -> float:
    """Confidence of each of several intervals that hold all their truths with `confidence`."""
    return 1 - (1 - confidence) / max(n_effects, 1)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation of a few points.

    Attributes
    ----------
    value
        In [-1, 1]; NaN if there are fewer than 2 points or one axis does not vary.
    lower, upper
        Confidence interval; -1 and 1 below 4 points.
    p_value
        Of the two-sided test of no correlation, by all permutations (a random 10000 of them above
        7 points); 1 where there is no value.
    n_points
        Number of points.
    finding
        Whether the correlation is positive: decided where ``p_value`` is below 1 - confidence.
    """

    value: float
    lower: float
    upper: float
    p_value: float
    n_points: int
    finding: Finding

    def __str__(self) -> str:
        if np.isnan(self.value):
            return f"none to be had ({self.finding.reason})"
        reach = f"{self.lower:.2f} to {self.upper:.2f}"
        return f"{self.value:.2f} ({reach}), {self.n_points} points, p = {self.p_value:.2g}"


def rank_correlation(
    x: ArrayLike, y: ArrayLike, *, rng: np.random.Generator, confidence: float = 0.95
) -> RankCorrelation:
    r"""Spearman's rank correlation with its interval and an exact test.

    With z = artanh ρ and s = sqrt((1 + ρ²/2)/(n - 3)) the interval is tanh(z ± q s), q the normal
    quantile. A perfect order has no finite z: the next to perfect one is used for its inner limit.

    Parameters
    ----------
    x, y
        Shape (n_points,).
    rng
        Source of the permutations, where there are too many to try all.
    confidence
        Of the interval and of the test.

    Returns
    -------
    RankCorrelation

    Raises
    ------
    ValueError
        If x and y are not finite and of one length.

    References
    ----------
    D. G. Bonett, T. A. Wright, Psychometrika 2000, 65, 23.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if a.ndim != 1 or a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"x and y are {a} and {b}, allowed are finite numbers, as many of each")
    n = len(a)
    if n < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        few = Finding(Verdict.UNDECIDED, f"{n} points" if n < 2 else "no variation")
        return RankCorrelation(np.nan, -1.0, 1.0, 1.0, n, few)
    value = float(stats.spearmanr(a, b).statistic)
    ranks = stats.rankdata(a)
    permuted = stats.permutation_test(
        (ranks,),
        lambda r: stats.pearsonr(r, stats.rankdata(b)).statistic,
        permutation_type="pairings",
        n_resamples=10_000,
        rng=rng,
    )
    p_value = float(permuted.pvalue)
    lower, upper = _interval(value, n, confidence) if n > 3 else (-1.0, 1.0)
    if p_value >= 1 - confidence:
        finding = Finding(Verdict.UNDECIDED, f"p = {p_value:.2g} with {n} points")
    else:
        finding = Finding(Verdict.SUPPORTED if value > 0 else Verdict.NOT_SUPPORTED)
    return RankCorrelation(value, lower, upper, p_value, n, finding)


def _interval(value: float, n: int, confidence: float) -> tuple[float, float]:
    next_to_perfect = 1 - 12 / (n * (n**2 - 1))  # two neighbours exchanged
    known = float(np.clip(value, -next_to_perfect, next_to_perfect))
    reach = stats.norm.ppf(0.5 + confidence / 2) * np.sqrt((1 + known**2 / 2) / (n - 3))
    lower, upper = np.tanh(np.arctanh(known) + np.array([-reach, reach]))
    return min(float(lower), value), max(float(upper), value)
