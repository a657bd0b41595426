"""Means, errors and survival curves from correlated, few and censored data."""

import logging
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from crosstrain.measure.molecules import Floats

MIN_SAMPLES = 10
MAX_DISCARD = 0.5
CANDIDATE_STARTS = 50


class Estimate(NamedTuple):
    """A value, its standard error and the number of independent data behind it.

    ``error`` is NaN where a single independent datum allows none.
    """

    value: float
    error: float
    n_effective: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Confidence interval from Student's t with n_effective - 1 degrees of freedom."""
        _check_confidence(confidence)
        if not self.n_effective > 1:
            return (np.nan, np.nan)
        reach = stdtrit(self.n_effective - 1, 0.5 + confidence / 2) * self.error
        return (float(self.value - reach), float(self.value + reach))


class Equilibration(NamedTuple):
    """Index where the equilibrated part starts, the inefficiency g and n_effective = n / g."""

    start: int
    inefficiency: float
    n_effective: float


class SurvivalCurve(NamedTuple):
    """Kaplan-Meier curve at time 0 and at each distinct observed time; all of shape (n_times,).

    ``survival`` holds from its time until the next; ``lower`` and ``upper`` are NaN where the
    log-log band is undefined (survival 1 or 0).
    """

    times: Floats
    survival: Floats
    lower: Floats
    upper: Floats


def statistical_inefficiency(series: ArrayLike) -> float:
    """Number of consecutive samples that are worth one independent sample (at least 1).

    Parameters
    ----------
    series
        Shape (n_samples,).

    Returns
    -------
    float
        g = 1 + 2τ/Δt, from `pymbar.timeseries`.

    Raises
    ------
    ValueError
        If the series is too short, constant or not finite.

    References
    ----------
    J. D. Chodera et al., J. Chem. Theory Comput. 2007, 3, 26.
    """
    return float(_timeseries().statistical_inefficiency(_check_series(series)))


def equilibrated(series: ArrayLike) -> Equilibration:
    """Find the start that leaves the largest number of independent samples.

    At most the first half is discarded: in a short tail the inefficiency is always
    underestimated. A series that still drifts at its end shows as a small ``n_effective``.

    The start that is found so is also the one after which the series looks quietest. So the
    inefficiency is that after the start or that of the whole series, whichever is larger.

    Parameters
    ----------
    series
        Shape (n_samples,).

    Returns
    -------
    Equilibration

    Raises
    ------
    ValueError
        If the series is too short, constant or not finite.

    References
    ----------
    J. D. Chodera, J. Chem. Theory Comput. 2016, 12, 1799.
    """
    x = _check_series(series)
    whole = statistical_inefficiency(x)
    best = Equilibration(0, whole, x.size / whole)
    for start in np.unique(np.linspace(0, MAX_DISCARD * x.size, CANDIDATE_STARTS).astype(int))[1:]:
        if np.ptp(x[start:]) == 0:
            break
        g = float(_timeseries().statistical_inefficiency(x[start:]))
        n_effective = float((x.size - start) / g)
        if n_effective > best.n_effective:
            best = Equilibration(int(start), g, n_effective)
    inefficiency = max(best.inefficiency, whole)
    return Equilibration(best.start, inefficiency, (x.size - best.start) / inefficiency)


def mean_with_error(series: ArrayLike, *, discard: bool = True) -> Estimate:
    """Mean of a correlated series with its standard error.

    Parameters
    ----------
    series
        Shape (n_samples,).
    discard
        Whether the part before equilibration (`equilibrated`) is left out.

    Returns
    -------
    Estimate
        ``n_effective`` is the number of independent samples in the part that was averaged.

    Raises
    ------
    ValueError
        If the series, or what is left of it, is too short, constant or not finite.

    Notes
    -----
    The error is s/√(n_effective - 1) with s² = ⟨δA²⟩, which allows for the variance that a mean
    over few independent samples takes with it.
    """
    x = _check_series(series)
    if discard:
        return mean_from(x, equilibrated(x))
    n_effective = x.size / statistical_inefficiency(x)
    return Estimate(float(x.mean()), _standard_error(x.std(), n_effective), n_effective)


def drift(series: ArrayLike) -> Estimate:
    """Change along the straight line through a correlated series, from first to last sample.

    Parameters
    ----------
    series
        Shape (n_samples,), evenly spaced.

    Returns
    -------
    Estimate
        ``n_effective`` is the number of independent samples of what is left beside the line.

    Raises
    ------
    ValueError
        As `mean_with_error`.

    Notes
    -----
    Of least squares; its error is that of independent samples times the square root of the
    inefficiency of the residuals.
    """
    x = _check_series(series)
    time = np.linspace(-0.5, 0.5, x.size)
    change = float(time @ x / (time @ time))
    left = x - x.mean() - change * time
    inefficiency = statistical_inefficiency(left)
    error = np.sqrt(left.var(ddof=2) * inefficiency / (time @ time))
    return Estimate(change, float(error), x.size / inefficiency)


def mean_from(series: ArrayLike, found: Equilibration) -> Estimate:
    """Mean of the equilibrated part of a series with its standard error, as `mean_with_error`.

    Parameters
    ----------
    series
        Shape (n_samples,).
    found
        What `equilibrated` returned for it.

    Raises
    ------
    ValueError
        If what is left of the series is too short or not finite.
    """
    x = np.asarray(series, dtype=float)[found.start :]
    _check_length(x)
    error = _standard_error(x.std(), found.n_effective)
    return Estimate(float(x.mean()), error, found.n_effective)


class ColumnErrors(NamedTuple):
    """How well the means of the columns of a correlated series are known.

    Attributes
    ----------
    error
        Standard error of each column's mean, shape () or (n_columns,); 0 of a constant column.
    n_effective
        Number of independent samples in the slowest column; all, if every column is constant.
    """

    error: Floats
    n_effective: float


def column_errors(columns: ArrayLike) -> ColumnErrors:
    """Standard errors of the means of a correlated series, and its independent samples.

    Parameters
    ----------
    columns
        Shape (n_samples,) or (n_samples, n_columns).

    Raises
    ------
    ValueError
        If there are too few samples or a value is not finite.
    """
    x = np.asarray(columns, dtype=float)
    flat, n_effective = _columns(x)
    error = np.zeros(flat.shape[1])
    varies = np.isfinite(n_effective)
    error[varies] = [
        _standard_error(spread, n)
        for spread, n in zip(flat[:, varies].std(axis=0), n_effective[varies], strict=True)
    ]
    return ColumnErrors(error.reshape(x.shape[1:]), float(min(n_effective.min(), len(x))))


def correlated_error(columns: ArrayLike) -> Floats:
    """Standard error of the mean of each column, as `column_errors`."""
    return column_errors(columns).error


def combine_replicas(estimates: Sequence[Estimate]) -> Estimate:
    """Mean over independent replicas or seeds, each with equal weight.

    Parameters
    ----------
    estimates
        One per replica, of runs of equal length.

    Returns
    -------
    Estimate
        From three replicas on, the error is their scatter, s/√n, and ``n_effective`` their
        number. Two replicas give the larger of their scatter and their own errors propagated, and
        ``n_effective`` of both together; where runs scatter by half more than their own errors
        say, an interval of 95 % then holds the mean in 90 % (simulated, of seven samples each). A
        single one is returned as it is.

    Raises
    ------
    ValueError
        If there is no estimate, or a value is not finite.
    """
    n = len(estimates)
    if n == 0:
        raise ValueError("estimates is empty, allowed is at least one")
    values = np.array([estimate.value for estimate in estimates])
    if not np.isfinite(values).all():
        raise ValueError(f"estimates has the values {values}, allowed are finite numbers")
    if n == 1:
        return Estimate(*estimates[0])
    scatter = values.std(ddof=1) / np.sqrt(n)
    if n >= 3:
        return Estimate(float(values.mean()), float(scatter), float(n))
    own = np.sqrt(np.sum([estimate.error**2 for estimate in estimates])) / n
    n_effective = sum(estimate.n_effective for estimate in estimates)
    return Estimate(float(values.mean()), float(np.fmax(scatter, own)), float(n_effective))


def replica_noise(estimates: Sequence[Estimate]) -> float:
    """Standard error of the mean over replicas as it is on average, neither cautious nor bold.

    Of two replicas the root mean square of their scatter and of their own errors propagated, where
    `combine_replicas` takes the larger; else the same.
    """
    combined = combine_replicas(estimates)
    if len(estimates) != 2:
        return combined.error
    one, other = estimates
    scatter, own = (one.value - other.value) / 2, np.hypot(one.error, other.error) / 2
    return float(np.sqrt((scatter**2 + own**2) / 2))


def kaplan_meier(times: ArrayLike, events: ArrayLike, *, confidence: float = 0.95) -> SurvivalCurve:
    """Survival curve of censored life times with Greenwood's log-log band.

    Parameters
    ----------
    times
        Observed time of each run, shape (n_runs,), any unit, not negative.
    events
        True where the run ended by its event, False where it was still alive (censored).
    confidence
        Level of the pointwise band.

    Returns
    -------
    SurvivalCurve

    Raises
    ------
    ValueError
        If shapes differ, nothing is given, or a time is negative or not finite.

    References
    ----------
    E. L. Kaplan, P. Meier, J. Am. Stat. Assoc. 1958, 53, 457; the band after J. D. Kalbfleisch,
    R. L. Prentice, The Statistical Analysis of Failure Time Data, 1980.
    """
    from scipy import stats

    t = np.asarray(times, dtype=float)
    e = np.asarray(events)
    if t.ndim != 1 or t.size == 0 or t.shape != e.shape:
        raise ValueError(
            f"times has shape {t.shape} and events {e.shape}, allowed is one (n_runs,)"
        )
    if not np.isin(e, (0, 1)).all():
        raise ValueError(f"events holds {np.unique(e)}, allowed are True and False")
    if not (np.isfinite(t).all() and (t >= 0).all()):
        raise ValueError(f"times holds {t}, allowed are finite values from 0")
    _check_confidence(confidence)
    e = e.astype(bool)
    curve = stats.ecdf(stats.CensoredData(uncensored=t[e], right=t[~e])).sf
    # Greenwood's band as scipy has it, which warns wherever survival is 0 or 1; those are NaN.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The confidence interval is undefined")
        band = curve.confidence_interval(confidence_level=confidence, method="log-log")
    columns = [
        curve.quantiles,
        curve.probabilities,
        band.low.probabilities,
        band.high.probabilities,
    ]
    if curve.quantiles[0] > 0:
        first = (0.0, 1.0, np.nan, np.nan)
        columns = [np.insert(c, 0, f) for c, f in zip(columns, first, strict=True)]
    return SurvivalCurve(*columns)


def _columns(x: Floats) -> tuple[Floats, Floats]:
    """Columns of a series, and the independent samples of each: infinite if it is constant."""
    _check_length(x)
    flat = x.reshape(len(x), -1)
    # Rounding leaves a constant column a spread of order 1e-16 of its size.
    varies = flat.std(axis=0) > 1e-12 * np.abs(flat).max(axis=0)
    n_effective = np.full(flat.shape[1], np.inf)
    for j in np.flatnonzero(varies):
        n_effective[j] = len(flat) / statistical_inefficiency(flat[:, j])
    return flat, n_effective


def _standard_error(spread: float, n_effective: float) -> float:
    return float(spread / np.sqrt(n_effective - 1)) if n_effective > 1 else np.nan


def _check_series(series: ArrayLike) -> Floats:
    x = np.asarray(series, dtype=float)
    if x.ndim != 1:
        raise ValueError(f"series has shape {x.shape}, allowed is (n_samples,)")
    _check_length(x)
    if np.ptp(x) == 0:
        raise ValueError(f"series is constant ({x[0]}), its error cannot be estimated")
    return x


def _check_length(x: Floats) -> None:
    if len(x) < MIN_SAMPLES:
        raise ValueError(f"series has {len(x)} samples, allowed are at least {MIN_SAMPLES}")
    if not np.isfinite(x).all():
        raise ValueError(f"series{np.argwhere(~np.isfinite(x))[0].tolist()} is not finite")


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, allowed are values between 0 and 1")


def _timeseries() -> ModuleType:
    """`pymbar.timeseries`, imported without its advertisement of optional packages."""
    logger = logging.getLogger("pymbar")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        from pymbar import timeseries
    finally:
        logger.setLevel(level)
    return timeseries
