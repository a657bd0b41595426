import itertools

import numpy as np
import pytest
from crosstrain.measure import verdicts
from crosstrain.measure.transfer import NotComparable, contrast
from crosstrain.measure.verdicts import Finding, Verdict, rank_correlation
from scipy import stats


def rng():
    return np.random.default_rng(0)


def effect(mean):
    """An effect whose interval is the mean ± 0.9 or so."""
    return contrast([(1.0, mean + np.array([-0.1, 0.0, 0.1, 0.2]))])


ABOVE, HOLDS, BELOW = effect(1.0), effect(0.0), effect(-1.0)
NOT_RUN, FAILED = NotComparable("nothing", "not run"), NotComparable("nothing", "failed")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ABOVE, "supported"),
        (BELOW, "not supported"),
        (HOLDS, "undecided: the interval holds zero"),
        (NOT_RUN, "undecided: not run"),
        (FAILED, "undecided: failed"),
    ],
)
def test_one_effect(found, expected):
    assert str(verdicts.of_one(found)) == expected


@pytest.mark.parametrize(
    ("found", "of_all", "of_any"),
    [
        ([ABOVE, ABOVE], "supported", "supported"),
        ([ABOVE, BELOW], "not supported", "supported"),
        ([BELOW, BELOW], "not supported", "not supported"),
        ([ABOVE, NOT_RUN], "undecided: not run", "supported"),
        ([BELOW, NOT_RUN], "not supported", "undecided: not run"),
        (
            [HOLDS, NOT_RUN, NOT_RUN],
            "undecided: the interval holds zero, not run",
            "undecided: the interval holds zero, not run",
        ),
        ([], "undecided: not run", "undecided: not run"),
    ],
)
def test_several_effects(found, of_all, of_any):
    assert str(verdicts.of_all(found)) == of_all
    assert str(verdicts.of_any(found)) == of_any


def test_only_what_is_open_says_why_a_claim_is_undecided():
    clear = Finding(Verdict.SUPPORTED, "all alike")
    still_open = Finding(Verdict.UNDECIDED, "the interval holds zero")
    assert verdicts.all_hold([clear, still_open], [clear, still_open]) == still_open


def test_a_claim_about_all_effects_is_seldom_refuted_by_chance():
    """Four effects that are nothing: without widening one of them would refute too often."""
    source = np.random.default_rng(2)
    n_trials, refuted, plain = 400, 0, 0
    for _ in range(n_trials):
        effects = [contrast([(1, x)]) for x in source.normal(size=(4, 3))]
        found = verdicts.of_all(effects)
        refuted += found.verdict is Verdict.NOT_SUPPORTED
        plain += any(effect.upper < 0 for effect in effects)
    most = 0.025 * n_trials + 3 * np.sqrt(0.025 * n_trials)
    assert refuted <= most < plain


def test_an_effect_below_zero_may_be_one_of_many():
    below = contrast([(1.0, np.array([-1.0, -0.5, -0.9]))])
    assert below.upper < 0 < below.at(verdicts.bonferroni(0.95, 8)).upper
    assert str(verdicts.of_all([below])) == "not supported"
    assert str(verdicts.of_all([below, *[ABOVE] * 7])) == f"undecided: {verdicts.BY_CHANCE}"


def test_limits_of_another_confidence_are_those_of_the_contrast_itself():
    terms = [(1.0, np.array([0.2, 0.5, 0.1])), (-1.0, np.array([0.3, 0.9]))]
    wide = contrast(terms, confidence=0.99)
    assert contrast(terms).at(0.99) == wide


def test_bonferroni():
    assert verdicts.bonferroni(0.95, 5) == pytest.approx(0.99)
    assert verdicts.bonferroni(0.95, 0) == 0.95


def test_a_claim_about_any_of_several_effects_is_seldom_supported_by_chance():
    source = np.random.default_rng(1)
    n_trials, n_effects, wrong = 400, 4, 0
    confidence = verdicts.bonferroni(0.95, n_effects)
    for _ in range(n_trials):
        effects = [
            contrast([(1, x)], confidence=confidence) for x in source.normal(size=(n_effects, 3))
        ]
        wrong += verdicts.of_any(effects).verdict is Verdict.SUPPORTED
    # one side of a 5 % error, and three standard errors of the count
    assert wrong <= 0.025 * n_trials + 3 * np.sqrt(0.025 * n_trials)


def test_rank_correlation_is_spearmans_with_an_exact_test():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [10.0, 30.0, 20.0, 40.0, 80.0]
    found = rank_correlation(x, y, rng=rng())
    assert found.value == pytest.approx(stats.spearmanr(x, y).statistic)
    truth = [stats.spearmanr(x, p).statistic for p in itertools.permutations(y)]
    assert found.p_value == pytest.approx(np.mean(np.abs(truth) >= found.value - 1e-9))
    assert -1 <= found.lower < found.value < found.upper <= 1
    assert found.finding == Finding(Verdict.UNDECIDED, "p = 0.083 with 5 points")
    falling = rank_correlation(x, [-v for v in y], rng=rng())
    assert (falling.lower, falling.upper) == pytest.approx((-found.upper, -found.lower))


def test_a_perfect_order_of_few_points_is_not_proof():
    for n, finding in ((2, "undecided"), (4, "undecided"), (5, "supported"), (7, "supported")):
        found = rank_correlation(np.arange(n), np.arange(n), rng=rng())
        assert found.value == pytest.approx(1) and found.upper == pytest.approx(1)
        assert found.finding.verdict == finding
        assert found.lower < 0.98
    assert rank_correlation(np.arange(6), -np.arange(6), rng=rng()).finding.verdict == (
        Verdict.NOT_SUPPORTED
    )


def test_coverage_of_the_interval():
    source = np.random.default_rng(2)
    rho = 6 / np.pi * np.arcsin(0.7 / 2)  # Spearman's of a normal pair with Pearson's 0.7
    inside = 0
    for _ in range(150):
        x, y = source.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], size=7).T
        value = float(stats.spearmanr(x, y).statistic)
        lower, upper = verdicts._interval(value, 7, 0.95)
        inside += lower <= rho <= upper
    assert inside >= 0.88 * 150


@pytest.mark.parametrize(
    ("x", "y", "n"), [([], [], 0), ([1.0], [1.0], 1), ([1, 2, 3], [1, 1, 1], 3)]
)
def test_points_without_order_decide_nothing(x, y, n):
    found = rank_correlation(x, y, rng=rng())
    assert np.isnan(found.value)
    assert (found.lower, found.upper, found.n_points) == (-1, 1, n)
    assert found.finding.verdict is Verdict.UNDECIDED


def test_bad_points():
    with pytest.raises(ValueError, match="as many of each"):
        rank_correlation([1.0, 2.0], [1.0], rng=rng())
    with pytest.raises(ValueError, match="finite"):
        rank_correlation([1.0, np.nan], [1.0, 2.0], rng=rng())
