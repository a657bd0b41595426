import numpy as np
import pytest
from crosstrain.measure.statistics import (
    Estimate,
    column_errors,
    combine_replicas,
    correlated_error,
    drift,
    equilibrated,
    kaplan_meier,
    mean_with_error,
    statistical_inefficiency,
)
from scipy.signal import lfilter


def ar1(rng, n, phi, size=1):
    """Stationary AR(1) series of unit variance and inefficiency (1 + φ) / (1 - φ)."""
    noise = rng.normal(size=(size, n + 200)) * np.sqrt(1 - phi**2)
    return lfilter([1], [1, -phi], noise)[:, 200:].squeeze()


def test_inefficiency_of_ar1():
    series = ar1(np.random.default_rng(0), 100_000, 0.8)
    assert statistical_inefficiency(series) == pytest.approx(9.0, rel=0.1)
    assert statistical_inefficiency(np.random.default_rng(1).normal(size=50_000)) < 1.05


def test_equilibration_finds_the_end_of_a_transient():
    rng = np.random.default_rng(2)
    series = ar1(rng, 4000, 0.6)
    series[:800] += 8 * np.exp(-np.arange(800) / 150)
    found = equilibrated(series)
    assert 200 <= found.start <= 1000
    assert found.n_effective == pytest.approx((4000 - found.start) / found.inefficiency)
    mean = mean_with_error(series)
    assert abs(mean.value) < 3 * mean.error
    biased = mean_with_error(series, discard=False)
    assert biased.value > 0.2


def test_a_drifting_series_has_few_effective_samples():
    rng = np.random.default_rng(3)
    assert equilibrated(np.linspace(0, 5, 1000) + 0.1 * rng.normal(size=1000)).n_effective < 10


def test_a_drift_has_the_error_of_independent_samples():
    rng = np.random.default_rng(9)
    line = np.linspace(0, 1.5, 3000)
    found = [drift(series + line) for series in ar1(rng, 3000, 0.7, size=100)]
    low, high = np.transpose([one.interval() for one in found])
    assert np.sum((low <= 1.5) & (high >= 1.5)) >= 88  # binomial, as below
    assert np.mean([one.value for one in found]) == pytest.approx(1.5, abs=0.05)
    assert np.mean([one.n_effective for one in found]) == pytest.approx(3000 * 0.3 / 1.7, rel=0.1)
    exact = drift(line + 1e-6 * rng.normal(size=line.size))
    assert exact.value == pytest.approx(1.5, abs=1e-6)
    with pytest.raises(ValueError, match="is constant"):
        drift(np.ones(100))


def test_mean_error_covers_the_truth():
    rng = np.random.default_rng(4)
    means = [mean_with_error(series) for series in ar1(rng, 1500, 0.7, size=100)]
    inside = sum(low <= 0 <= high for low, high in (m.interval() for m in means))
    assert inside >= 88  # binomial(100, 0.95): fewer than 89 has a probability of 1 %
    spread = np.std([m.value for m in means])
    assert np.mean([m.error for m in means]) == pytest.approx(spread, rel=0.25)


def test_errors_of_short_runs_are_a_little_too_small():
    # A limit, not a wish: notebook 05 tells it, since the runs of `laptop` are as short.
    rng, phi = np.random.default_rng(5), np.exp(-1 / 25)  # ten independent samples in 501
    series = ar1(rng, 501, phi, size=200)
    found = [mean_with_error(each) for each in series]
    covered = np.mean([low <= 0 <= high for low, high in (one.interval() for one in found)])
    assert 0.84 < covered < 0.95
    # The start that makes a series look quietest does not make it a better one.
    for each, one in zip(series[:20], found, strict=False):
        assert one.n_effective <= len(each) / statistical_inefficiency(each) + 1e-9


def test_too_little_may_be_left_to_average():
    series = np.append([9.0] * 6, 0.1 * np.random.default_rng(6).normal(size=8))
    assert np.isfinite(mean_with_error(series, discard=False).error)
    with pytest.raises(ValueError, match=r"series has [89] samples, allowed are at least 10"):
        mean_with_error(series)


def test_correlated_error_by_column():
    rng = np.random.default_rng(5)
    columns = ar1(rng, 5000, 0.5, size=3).T
    columns[:, 1] = 0.3
    error = correlated_error(columns)
    assert error[1] == 0.0
    assert error[0] == pytest.approx(np.sqrt(3 / 5000), rel=0.2)
    assert correlated_error(columns[:, 0]) == error[0]
    columns[7, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        correlated_error(columns)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        (np.ones(100), "constant"),
        (np.arange(5.0), "5 samples"),
        (np.append(np.arange(20.0), np.nan), r"series\[20\] is not finite"),
        (np.zeros((20, 2)), "shape"),
    ],
)
def test_bad_series(series, message):
    for function in (equilibrated, mean_with_error, statistical_inefficiency):
        with pytest.raises(ValueError, match=message):
            function(series)


def test_a_series_that_freezes_is_still_handled():
    rng = np.random.default_rng(6)
    series = np.append(rng.normal(size=20), np.full(80, 0.5))
    assert equilibrated(series).n_effective > 0


def test_replicas():
    three = [Estimate(1.0, 0.01, 50), Estimate(1.2, 0.01, 50), Estimate(1.1, 0.01, 50)]
    assert combine_replicas(three) == pytest.approx((1.1, 0.1 / np.sqrt(3), 3))
    assert combine_replicas(three[:2]) == pytest.approx((1.1, 0.1, 100))
    close = [Estimate(1.0, 0.3, 5), Estimate(1.0, 0.4, 5)]
    assert combine_replicas(close) == pytest.approx((1.0, 0.25, 10))
    assert combine_replicas(three[:1]) == three[0]
    with pytest.raises(ValueError, match="empty"):
        combine_replicas([])
    with pytest.raises(ValueError, match="nan"):
        combine_replicas([Estimate(np.nan, 0.1, 5), three[0]])


def test_estimate_interval_is_students():
    low, high = Estimate(0.0, 1.0, 3.0).interval()
    assert (low, high) == pytest.approx((-4.302653, 4.302653))
    assert Estimate(0.0, 1.0, np.inf).interval()[1] == pytest.approx(1.959964)
    assert np.isnan(Estimate(0.0, np.nan, 1.0).interval()).all()


# Remission times (weeks) under 6-mercaptopurine: E. A. Gehan, Biometrika 1965, 52, 203.
WEEKS = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
RELAPSE = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_kaplan_meier_of_the_leukaemia_trial():
    curve = kaplan_meier(WEEKS, RELAPSE)
    at = {t: i for i, t in enumerate(curve.times)}
    expected = {  # survival, lower and upper 95 % limit (log-log), as textbooks print them
        6: (0.857, 0.620, 0.952),
        7: (0.807, 0.563, 0.923),
        10: (0.753, 0.503, 0.889),
        13: (0.690, 0.432, 0.849),
        16: (0.627, 0.368, 0.805),
        22: (0.538, 0.268, 0.747),
        23: (0.448, 0.188, 0.680),
    }
    for week, (survival, lower, upper) in expected.items():
        i = at[week]
        assert curve.survival[i] == pytest.approx(survival, abs=6e-4)
        assert curve.lower[i] == pytest.approx(lower, abs=6e-4)
        assert curve.upper[i] == pytest.approx(upper, abs=6e-4)
    assert (curve.times[0], curve.survival[0]) == (0.0, 1.0)
    assert curve.survival[at[35]] == curve.survival[at[23]]


def test_kaplan_meier_limits():
    everyone_dies = kaplan_meier([1.0, 2.0, 4.0], [True] * 3)
    np.testing.assert_allclose(everyone_dies.survival, [1, 2 / 3, 1 / 3, 0])
    assert np.isnan(everyone_dies.lower[-1])
    nobody = kaplan_meier([5.0, 5.0], [False, False])
    np.testing.assert_allclose(nobody.survival, 1.0)
    at_once = kaplan_meier([0.0, 3.0], [True, False])
    np.testing.assert_allclose(at_once.times, [0.0, 3.0])
    np.testing.assert_allclose(at_once.survival, [0.5, 0.5])


def test_kaplan_meier_bad_input():
    with pytest.raises(ValueError, match="times has shape"):
        kaplan_meier([1.0, 2.0], [True])
    with pytest.raises(ValueError, match="times has shape"):
        kaplan_meier([], [])
    with pytest.raises(ValueError, match="finite values from 0"):
        kaplan_meier([1.0, -2.0], [True, False])
    with pytest.raises(ValueError, match="events holds"):
        kaplan_meier([1.0, 2.0], [0, 2])
    with pytest.raises(ValueError, match="confidence is 95"):
        kaplan_meier([1.0], [True], confidence=95)


def test_independent_samples_are_those_of_the_slowest_column():
    rng = np.random.default_rng(4)
    fast, slow = rng.normal(size=4000), np.repeat(rng.normal(size=400), 10)
    both = np.column_stack([fast, np.zeros(4000), slow])
    assert column_errors(fast).n_effective == pytest.approx(4000, rel=0.1)
    assert column_errors(both).n_effective == column_errors(slow).n_effective
    assert column_errors(slow).n_effective == pytest.approx(400, rel=0.25)
    assert column_errors(np.ones((50, 2))).n_effective == 50
