"""What a block of training data is worth to each architecture, and whether the worth transfers.

Each cell of the matrix, a row of training sets by an architecture, holds one run per seed. Whatever
is asked of the matrix is a sum of cell means with coefficients: a gain (with the block minus
without), a difference of two gains, a gain minus a multiple of another.

Intervals are those of Welch, with Satterthwaite's degrees of freedom: cells may scatter unequally.
But two or three seeds alone know very little of their scatter, and may agree by chance. So a cell
scatters at least as its runs' own errors say, and at least as the cells of its architecture do on
average, an average that is known with the degrees of freedom of all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from crosstrain.measure.molecules import Floats

Better = Literal["higher", "lower"]
LEAST_POOLED = 3
"""Cells whose scatter is worth an average; the two of a gain would only tell of each other."""


class State(StrEnum):
    """How a run, or a cell of the matrix, ended."""

    DONE = "done"
    UNSTABLE = "unstable"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Run:
    """The metric of one seed.

    Attributes
    ----------
    state
        An unstable model has a value if the metric is one of how it lived, such as its score; one
        that failed or was not run has none.
    value
        In the unit of the metric, or None.
    error
        Standard error of the value within this seed, from its trajectory; 0 if it has none.
    is_best
        Whether the metric ends here: nothing is better, such as a survival fraction of one.
    """

    state: State
    value: float | None = None
    error: float = 0.0
    is_best: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.error < np.inf:
            raise ValueError(f"error is {self.error}, allowed are finite values from 0")
        if self.value is None:
            is_allowed = self.state is not State.DONE
        else:
            is_allowed = self.state in (State.DONE, State.UNSTABLE) and np.isfinite(self.value)
        if not is_allowed:
            raise ValueError(
                f"value is {self.value} of a run that is {self.state.value!r}, allowed is a finite "
                "number if it is done, this or None if it is unstable, and else None"
            )


Cells = Mapping[tuple[str, str], Sequence[Run]]
"""Runs by (row, architecture), one per seed; a missing cell was not run."""


class NotComparable(ValueError):
    """A cell has too few values, or no scatter from which an error could be had.

    Attributes
    ----------
    cause
        In a word or two: not run, failed, unstable, too few seeds, no scatter or at its best.
    row
        Of the cell that has too few values, if it is one cell's fault.
    """

    def __init__(self, message: str, cause: str, row: str = "") -> None:
        super().__init__(message)
        self.cause, self.row = cause, row

    def in_words(self) -> str:
        """The cause, with its row, for a table."""
        return f"{self.row}: {self.cause}" if self.row else self.cause


@dataclass(frozen=True)
class Cell:
    """Summary of one cell.

    Attributes
    ----------
    state
        Unstable if any seed is; else done if any seed has a value; else failed if any seed did;
        else not run.
    mean
        Over the seeds that have a value, or None.
    error
        Its standard error: from the scatter of the seeds, but at least what their own errors leave
        (two seeds may agree by chance). None below 2 values.
    counts
        Seeds by state; all zero if the cell is missing.
    """

    state: State
    mean: float | None
    error: float | None
    counts: Mapping[State, int]


@dataclass(frozen=True)
class Contrast:
    """A sum of cell means with coefficients, such as a gain.

    Attributes
    ----------
    value, error
        In the unit of the metric, positive is better; its standard error, see `contrast`.
    degrees_of_freedom
        Of Welch and Satterthwaite, see there.
    lower, upper
        Limits of Student's confidence interval.
    p_value
        Of the two-sided t test of the value 0; not corrected for the number of tests.
    n_seeds
        Values in each cell, in the order of the terms.
    """

    value: float
    error: float
    degrees_of_freedom: float
    lower: float
    upper: float
    p_value: float
    n_seeds: tuple[int, ...]

    def at(self, confidence: float) -> Contrast:
        """Return the same effect with limits of another confidence."""
        lower, upper = _limits(self.value, self.error, self.degrees_of_freedom, confidence)
        return replace(self, lower=lower, upper=upper)


@dataclass(frozen=True)
class Efficiency:
    """Transfer efficiency of a block, without unit.

    Attributes
    ----------
    value
        Gain of the receiver / gain of the maker, both over the equal-size control: 1 = transfers
        fully, 0 = no better than more of the same, below 0 = harmful. None if it is not defined.
    lower, upper
        Limits of its confidence interval (Fieller), or None.
    reason
        Why there is no value; empty if there is.
    maker, receiver
        The two gains, always to be shown beside the ratio; None where cells are missing.
    """

    value: float | None
    lower: float | None
    upper: float | None
    reason: str
    maker: Contrast | None
    receiver: Contrast | None


def logarithms(cells: Cells) -> Cells:
    """Cells of the natural logarithms: a gain is then that of the factor by which errors shrink.

    Errors of two architectures can differ tenfold, and so would differences of them.

    Raises
    ------
    ValueError
        If a value is not positive.
    """
    values = [run.value for runs in cells.values() for run in runs if run.value is not None]
    if values and min(values) <= 0:
        raise ValueError(f"value is {min(values)}, allowed are values above 0")
    return {
        key: [
            run
            if run.value is None
            else Run(run.state, float(np.log(run.value)), run.error / run.value)
            for run in runs
        ]
        for key, runs in cells.items()
    }


def cell(cells: Cells, row: str, architecture: str) -> Cell:
    """Summarise one cell for a table; nothing is averaged in that has no value."""
    runs = cells.get((row, architecture), ())
    counts = Counter(run.state for run in runs)
    sample = _sample_of(runs)
    n = len(sample.values)
    order = (State.UNSTABLE, State.DONE, State.FAILED)
    return Cell(
        next((state for state in order if counts[state]), State.NOT_RUN),
        float(sample.values.mean()) if n else None,
        float(np.sqrt(_variance(sample) / n)) if n > 1 else None,
        {s: counts[s] for s in State},
    )


def gain(
    cells: Cells,
    row: str,
    base: str,
    architecture: str,
    *,
    better: Better = "higher",
    confidence: float = 0.95,
) -> Contrast:
    """How much better an architecture is on one row than on another.

    Parameters
    ----------
    cells
        The matrix.
    row, base
        With the block, and without it; give the equal-size control (of ``classical_more`` as
        many frames) as the base to tell the kind of data from their number.
    architecture
        Column of both.
    better
        Whether the metric is a score ("higher") or an error ("lower"); a gain is positive if the
        row is the better one.
    confidence
        Level of the interval.

    Returns
    -------
    Contrast

    Raises
    ------
    NotComparable
        If a cell has fewer than 2 values, or no cell any scatter.
    """
    terms = _gain_terms(cells, row, base, architecture, better)
    return contrast(terms, confidence=confidence)


def difference_of_gains(
    cells: Cells,
    row: str,
    base: str,
    architectures: tuple[str, str],
    *,
    better: Better = "higher",
    confidence: float = 0.95,
) -> Contrast:
    """Test whether a block's effect differs between two architectures.

    Parameters
    ----------
    cells, row, base, better, confidence
        As in `gain`.
    architectures
        The gain of the first minus that of the second.

    Returns
    -------
    Contrast
        Its ``p_value`` is that of the t test of equal gains (difference in differences).

    Raises
    ------
    NotComparable
        As `gain`; also if every seed of the base is at the best that the metric can say for one of
        the architectures, whose gain this metric could not show.
    """
    one, other = (_gain_terms(cells, row, base, a, better) for a in architectures)
    for architecture in architectures:
        if reason := _at_its_best(cells, base, architecture):
            raise NotComparable(reason, "at its best", base)
    return contrast([*one, *_times(-1, other)], confidence=confidence)


def advantage(
    cells: Cells,
    row: str,
    architectures: tuple[str, str],
    *,
    better: Better = "higher",
    confidence: float = 0.95,
) -> Contrast:
    """How much better the first of two architectures is than the second on one row.

    Parameters
    ----------
    cells, row, better, confidence
        As in `gain`.
    architectures
        The two.

    Returns
    -------
    Contrast

    Raises
    ------
    NotComparable
        As `gain`.
    """
    one, other = (_seeds(cells, row, a) for a in architectures)
    terms = [(_sign(better), one), (-_sign(better), other)]
    return contrast(terms, confidence=confidence)


Effect = Contrast | NotComparable
"""A contrast, or why there is none."""


def attempt(function: Callable[..., Contrast], *args: Any, **options: Any) -> Effect:
    """Return what a function of this module returns, or the `NotComparable` that it raises."""
    try:
        return function(*args, **options)
    except NotComparable as error:
        return error


def efficiency(
    cells: Cells,
    row: str,
    control: str,
    *,
    maker: str,
    receiver: str,
    better: Better = "higher",
    confidence: float = 0.95,
) -> Efficiency:
    """Transfer efficiency of a block from the architecture that made it to another.

    The ratio is given where the maker's gain is above zero by its whole confidence interval. Below
    zero there is nothing to transfer: two harms would read as a success. Nor is it given where the
    receiver's control is at the best of the metric already, which no help could improve.

    Parameters
    ----------
    cells, better, confidence
        As in `gain`.
    row
        The row with the block.
    control
        The row with as many more frames of the base's own kind.
    maker, receiver
        Architectures; for a block made by human intuition any two.

    Returns
    -------
    Efficiency

    Notes
    -----
    The interval holds every ratio θ for which N - θD = 0 is not rejected, N and D being the two
    gains (Fieller), with standard errors and degrees of freedom as in `contrast`. It is bounded
    just if the interval of D excludes zero.

    References
    ----------
    E. C. Fieller, J. R. Stat. Soc. B 1954, 16, 175.
    """
    gains: dict[str, Contrast | None] = {}
    reasons = []
    for architecture in (maker, receiver):
        try:
            gains[architecture] = gain(
                cells, row, control, architecture, better=better, confidence=confidence
            )
        except NotComparable as error:
            gains[architecture] = None
            reasons.append(error.in_words())
    made, received = gains[maker], gains[receiver]
    if received and (reason := _at_its_best(cells, control, receiver)):
        reasons.append(reason)
    if made and not made.lower > 0:
        sign = "below zero" if made.upper < 0 else "not clear of zero"
        reasons.append(f"the gain of {maker} is {sign} ({made.lower:.3g} to {made.upper:.3g})")
    if reasons:
        return Efficiency(None, None, None, "; ".join(dict.fromkeys(reasons)), made, received)
    numerator = _gain_terms(cells, row, control, receiver, better)
    denominator = _gain_terms(cells, row, control, maker, better)
    lower, upper = _fieller(numerator, denominator, confidence)
    return Efficiency(received.value / made.value, lower, upper, "", made, received)


class Pool(NamedTuple):
    """Mean variance between the seeds of several cells, and its degrees of freedom."""

    variance: float = 0.0
    freedom: float = 1.0


class Sample(NamedTuple):
    """Values of a cell, shape (n_seeds,), their own standard errors (as many, or one), its pool."""

    values: Floats
    errors: Floats = np.zeros(1)
    pool: Pool = Pool()


Term = tuple[float, Sample]
"""A coefficient and the sample of a cell."""


def _limits(
    value: float, error: float, degrees_of_freedom: float, confidence: float
) -> tuple[float, float]:
    """Limits of Student's confidence interval."""
    reach = stdtrit(degrees_of_freedom, 0.5 + confidence / 2) * error
    return float(value - reach), float(value + reach)


def contrast(
    terms: Sequence[tuple[float, Sample | ArrayLike]], *, confidence: float = 0.95
) -> Contrast:
    r"""Sum of the means of independent samples with coefficients, with Welch's interval.

    .. math:: L = \sum_i c_i \bar x_i, \quad s^2 = \sum_i v_i, \quad v_i = c_i^2 s_i^2 / n_i,
              \quad s^4 / \nu = \sum_i \frac{(w_i - u_i)^2}{n_i - 1}
                                + \sum_p \frac{(\sum_{i \in p} u_i)^2}{\nu_p},
              \quad u_i = c_i^2 s_p^2 / n_i

    Here s_i² is the largest of the variance of a sample, the mean square of its values' own
    errors, and the variance s_p² of its pool; w_i is v_i, or u_i where the own errors are the
    largest. So what the scatter of a sample has beyond its pool counts with the sample's own
    degrees of freedom, what comes from the pool with those of the pool, and what only the own
    errors add is taken as known: they come from many samples of each run, not from the seeds.
    Without pool and own errors this is Welch's interval. In simulations with 3 to 9 cells of 2 or
    3 seeds a 95 % interval covers 93 to 97 %, also where standard deviations of cells differ by a
    factor of e, at half of Welch's width; where one cell has all the scatter, 84 to 92 %; with own
    errors a tenth to twice as large as the other scatter of the seeds, 94 to 99 %.

    Parameters
    ----------
    terms
        Coefficient c and values, shape (n_seeds,), of each sample, with their errors if known.
    confidence
        Level of the interval.

    Returns
    -------
    Contrast

    Raises
    ------
    NotComparable
        If a sample has fewer than 2 values, or all are without scatter and errors.
    ValueError
        If a value is not finite, or the confidence is not between 0 and 1.

    References
    ----------
    B. L. Welch, Biometrika 1947, 34, 28; F. E. Satterthwaite, Biometrics Bull. 1946, 2, 110.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, allowed are values between 0 and 1")
    samples = [(c, _sample(values)) for c, values in terms]
    value, error, freedom = _welch(samples)
    # a variance is not quite 0 after rounding
    if not any(np.ptp(x.values) or np.any(x.errors) or x.pool.variance for _, x in samples):
        raise NotComparable(
            "no cell has any scatter between its seeds, so there is no error", "no scatter"
        )
    lower, upper = _limits(value, error, freedom, confidence)
    return Contrast(
        value=value,
        error=error,
        degrees_of_freedom=freedom,
        lower=lower,
        upper=upper,
        p_value=float(2 * stdtr(freedom, -abs(value) / error)),
        n_seeds=tuple(len(x.values) for _, x in samples),
    )


def _welch(terms: Sequence[Term]) -> tuple[float, float, float]:
    """Value, standard error and degrees of freedom of a sum of means."""
    n = np.array([len(x.values) for _, x in terms])
    weight = np.array([c**2 for c, _ in terms]) / n
    v = weight * [_variance(x) for _, x in terms]
    u = weight * [x.pool.variance for _, x in terms]
    shared: dict[Pool, float] = {}
    for (_, x), part in zip(terms, u, strict=True):
        shared[x.pool] = shared.get(x.pool, 0.0) + part
    pooled = sum(part**2 / pool.freedom for pool, part in shared.items())
    seen = np.array([_variance(x) > _own_variance(x) for _, x in terms])
    doubt = np.sum(seen * (v - u) ** 2 / (n - 1)) + pooled
    total = v.sum()
    freedom = np.inf if doubt == 0 else total**2 / doubt
    value = sum(c * x.values.mean() for c, x in terms)
    return float(value), float(np.sqrt(total)), float(freedom)


def _variance(sample: Sample) -> float:
    """Variance between the values, at least that of their own errors and that of the pool."""
    return max(float(sample.values.var(ddof=1)), _own_variance(sample), sample.pool.variance)


def _own_variance(sample: Sample) -> float:
    return float(np.mean(np.square(sample.errors)))


def _fieller(
    numerator: Sequence[Term], denominator: Sequence[Term], confidence: float
) -> tuple[float, float]:
    """Limits of the ratio of two sums, the denominator's interval being above zero."""

    def rejected(ratio: float) -> float:
        """Above zero where the test rejects this ratio; scaled to be finite far out."""
        value, error, freedom = _welch([*numerator, *_times(-ratio, denominator)])
        reach = stdtrit(freedom, 0.5 + confidence / 2) * error
        return float(abs(value) - reach) / (1 + abs(ratio))

    best = _welch(numerator)[0] / _welch(denominator)[0]
    return _crossing(rejected, best, -1.0), _crossing(rejected, best, 1.0)


def _crossing(function: Callable[[float], float], start: float, direction: float) -> float:
    """Where a function that is negative at `start` rises above zero; infinite if too far."""
    near, step = start, 0.1 * direction
    while function(near + step) < 0:
        near, step = near + step, 2 * step
        if abs(step) > 1e12:
            return direction * np.inf
    return float(brentq(function, near, near + step))


def _gain_terms(cells: Cells, row: str, base: str, architecture: str, better: Better) -> list[Term]:
    sign = _sign(better)
    return [(sign, _seeds(cells, row, architecture)), (-sign, _seeds(cells, base, architecture))]


def _at_its_best(cells: Cells, base: str, architecture: str) -> str:
    """Why no gain over a base can show in this metric, if every seed of it is at its best."""
    if all(run.is_best for run in cells[base, architecture] if run.value is not None):
        return f"{base} by {architecture} is at the best of this metric: no gain could show"
    return ""


def _sign(better: Better) -> float:
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}, allowed are 'higher' and 'lower'")
    return 1.0 if better == "higher" else -1.0


def _seeds(cells: Cells, row: str, architecture: str) -> Sample:
    """The sample of a cell, of at least two values."""
    runs = cells.get((row, architecture), ())
    sample = _sample_of(runs)
    values = sample.values
    if len(values) < 2:
        found = cell(cells, row, architecture).counts
        seeds = ", ".join(f"{n} {state.value}" for state, n in found.items() if n)
        lacking = {run.state for run in runs if run.value is None}
        order = (State.FAILED, State.UNSTABLE, State.NOT_RUN)
        cause = next((state.value for state in order if state in lacking), "too few seeds")
        raise NotComparable(
            f"{row} by {architecture} has {len(values)} values ({seeds or 'not run'}), "
            "allowed are at least 2",
            cause if seeds else State.NOT_RUN.value,
            row,
        )
    return sample._replace(pool=_pool(cells, architecture))


def _pool(cells: Cells, architecture: str) -> Pool:
    """What the seeds of an architecture's rows scatter on average; nothing below `LEAST_POOLED`."""
    found = [_sample_of(runs).values for (_, name), runs in cells.items() if name == architecture]
    scattered = [values for values in found if len(values) > 1]
    if len(scattered) < LEAST_POOLED:
        return Pool()
    freedom = np.array([len(values) - 1 for values in scattered])
    variance = np.average([values.var(ddof=1) for values in scattered], weights=freedom)
    return Pool(float(variance), float(freedom.sum()))


def _sample_of(runs: Sequence[Run]) -> Sample:
    known = [(run.value, run.error) for run in runs if run.value is not None]
    return Sample(*np.array(known, dtype=float).reshape(-1, 2).T)


def _times(factor: float, terms: Sequence[Term]) -> list[Term]:
    return [(factor * c, x) for c, x in terms]


def _sample(given: Sample | ArrayLike) -> Sample:
    values, errors, pool = given if isinstance(given, Sample) else Sample(given)
    x = np.asarray(values, dtype=float)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(f"values is {x}, allowed are finite numbers on one axis")
    if len(x) < 2:
        raise NotComparable(f"values has {len(x)} entries, allowed are at least 2", "too few seeds")
    return Sample(x, np.asarray(errors, dtype=float), pool)
