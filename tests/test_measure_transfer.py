import numpy as np
import pytest
from crosstrain.measure.transfer import (
    NotComparable,
    Run,
    State,
    advantage,
    attempt,
    cell,
    contrast,
    difference_of_gains,
    efficiency,
    gain,
    logarithms,
)
from scipy import stats

DP, MACE = "deep_potential", "mace"


def done(*values):
    return [Run(State.DONE, value) for value in values]


def matrix(rng, means, scatter, n):
    """Cells of normal values about given means."""
    return {key: done(*rng.normal(mean, scatter[key[1]], n)) for key, mean in means.items()}


def test_a_gain_is_welchs_test():
    cells = {("scan", DP): done(0.5, 0.7, 0.6), ("base", DP): done(0.1, 0.4)}
    found = gain(cells, "scan", "base", DP)
    truth = stats.ttest_ind([0.5, 0.7, 0.6], [0.1, 0.4], equal_var=False)
    low, high = truth.confidence_interval()
    assert found.value == pytest.approx(0.35)
    assert found.error == pytest.approx(np.sqrt(0.01 / 3 + 0.045 / 2))
    assert found.degrees_of_freedom == pytest.approx(truth.df)
    assert found.p_value == pytest.approx(truth.pvalue)
    assert (found.lower, found.upper) == pytest.approx((low, high))
    assert found.n_seeds == (3, 2)


def test_seeds_that_agree_by_chance_do_not_narrow_a_gain():
    """Two seeds within 0.001, each known to 0.04 only: the errors of the runs count."""
    one, other = ([Run(State.DONE, v + d, 0.04) for d in (0, 0.001)] for v in (0.6, 0.5))
    cells = {("scan", DP): one, ("base", DP): other}
    found = gain(cells, "scan", "base", DP)
    assert found.error == pytest.approx(0.04)
    # the errors are known from the runs: their doubt is not that of two seeds
    assert (found.value - found.lower) / found.error == pytest.approx(stats.norm.ppf(0.975))
    assert found.p_value == pytest.approx(2 * stats.norm.sf(found.value / found.error))
    known = cell(cells, "scan", DP)
    assert found.error == pytest.approx(np.sqrt(2) * known.error)
    same = {key: [Run(State.DONE, 0.5, 0.04)] * 2 for key in cells}
    assert gain(same, "scan", "base", DP).error == pytest.approx(0.04)
    factors = logarithms(cells)
    assert [run.error for run in factors["scan", DP]] == pytest.approx([0.04 / 0.6, 0.04 / 0.601])


@pytest.mark.parametrize(("own", "n_rows"), [(0.3, 2), (1.0, 3), (2.0, 3)])
def test_an_interval_covers_as_told_where_runs_have_errors_of_their_own(own, n_rows):
    source, inside, n = np.random.default_rng(7), 0, 1500
    for _ in range(n):
        values = source.normal(size=(n_rows, 2)) + own * source.normal(size=(n_rows, 2))
        cells = {
            (str(row), DP): [Run(State.DONE, v, own) for v in each]
            for row, each in enumerate(values)
        }
        found = gain(cells, "0", "1", DP)
        inside += found.lower < 0 < found.upper
    assert 0.93 < inside / n < 0.995


def test_a_cell_scatters_at_least_as_those_of_its_architecture_do_on_average():
    calm, wild = (0.50, 0.50), (0.20, 0.60)
    cells = {("scan", DP): done(*calm), ("base", DP): done(0.30, 0.34), ("more", DP): done(*wild)}
    cells |= {("scan", MACE): done(0.0, 9.0), ("base", MACE): done(0.4, 0.5)}  # not of the pool
    pooled = (0 + 0.02**2 * 2 + 0.2**2 * 2) / 3
    found = gain(cells, "scan", "base", DP)
    assert found.error == pytest.approx(np.sqrt(pooled / 2 + pooled / 2))
    assert found.degrees_of_freedom == pytest.approx(3)
    wilder = gain(cells, "more", "base", DP)
    beyond = 0.2**2 * 2 - pooled
    assert wilder.error == pytest.approx(np.sqrt((0.2**2 * 2 + pooled) / 2))
    freedom = (2 * pooled + beyond) ** 2 / (beyond**2 / 1 + (2 * pooled) ** 2 / 3)
    assert wilder.degrees_of_freedom == pytest.approx(freedom)
    both = difference_of_gains(cells, "scan", "base", (DP, MACE))
    other = gain(cells, "scan", "base", MACE)  # two cells are no pool
    assert both.error == pytest.approx(np.hypot(found.error, other.error))
    flat = {("a", DP): done(1.0, 1.0), ("b", DP): done(0.5, 0.5), ("c", DP): done(*wild)}
    assert gain(flat, "a", "b", DP).error > 0


def test_who_is_at_the_best_already_cannot_show_a_gain():
    best = [Run(State.DONE, 1.0, is_best=True)] * 2
    cells = {("base", DP): done(0.2, 0.3), ("scan", DP): done(0.9, 0.8), ("more", DP): done(0.1, 0)}
    cells |= {("base", MACE): best, ("scan", MACE): done(0.95, 0.9), ("more", MACE): best}
    with pytest.raises(NotComparable, match="base by mace is at the best") as refused:
        difference_of_gains(cells, "scan", "base", (DP, MACE))
    assert refused.value.in_words() == "base: at its best"
    found = efficiency(cells, "scan", "base", maker=DP, receiver=MACE)
    assert found.value is None and "no gain could show" in found.reason
    cells["base", MACE] = [best[0], Run(State.DONE, 0.9)]
    assert difference_of_gains(cells, "scan", "base", (DP, MACE)).value > 0
    loss = gain(cells, "scan", "more", MACE)  # harm can show all the same
    assert loss.value == pytest.approx(0.925 - 1)


def test_for_an_error_lower_is_better():
    cells = {("scan", DP): done(1.0, 1.2), ("base", DP): done(2.0, 2.4)}
    assert gain(cells, "scan", "base", DP, better="lower").value == pytest.approx(1.1)
    assert gain(cells, "scan", "base", DP).value == pytest.approx(-1.1)
    with pytest.raises(ValueError, match="better is 'more'"):
        gain(cells, "scan", "base", DP, better="more")


@pytest.mark.parametrize("scatter", [(0.1, 0.1), (0.02, 0.3)])
@pytest.mark.parametrize("n", [2, 3])
def test_coverage_of_students_interval(n, scatter):
    """At least 90 % of nominal 95 % intervals hold the truth, at two and at three seeds."""
    source = np.random.default_rng(2)
    n_trials, inside = 600, 0
    for _ in range(n_trials):
        one, other = source.normal(0.6, scatter[0], n), source.normal(0.4, scatter[1], n)
        found = contrast([(1, one), (-1, other)])
        inside += found.lower <= 0.2 <= found.upper
    assert inside >= 0.9 * n_trials


@pytest.mark.parametrize(
    ("scatter", "least", "width"), [([0.1] * 6, 0.93, 0.6), ([0.03, 0.3, 0.1] * 2, 0.9, 1.0)]
)
def test_coverage_of_pooled_intervals_with_two_seeds(scatter, least, width):
    """They hold the truth as often as they should, and are narrower than Welch's."""
    source = np.random.default_rng(9)
    n_trials, inside, ratios = 600, 0, []
    for _ in range(n_trials):
        cells = {(f"r{i}", DP): done(*source.normal(0, s, 2)) for i, s in enumerate(scatter)}
        found = gain(cells, "r0", "r1", DP)
        alone = gain({key: cells[key] for key in [*cells][:2]}, "r0", "r1", DP)
        inside += found.lower <= 0 <= found.upper
        ratios.append((found.upper - found.lower) / (alone.upper - alone.lower))
    assert inside >= least * n_trials
    assert np.median(ratios) < width


MEANS = {
    ("dp_iterated", DP): 0.8,
    ("control", DP): 0.3,
    ("dp_iterated", MACE): 0.7,
    ("control", MACE): 0.6,
}


def test_difference_of_gains():
    many = matrix(np.random.default_rng(4), MEANS, {DP: 0.1, MACE: 0.05}, 40)
    found = difference_of_gains(many, "dp_iterated", "control", (DP, MACE))
    one, other = (gain(many, "dp_iterated", "control", a) for a in (DP, MACE))
    assert found.value == pytest.approx(one.value - other.value)
    assert found.error == pytest.approx(np.hypot(one.error, other.error))
    assert found.p_value < 1e-6 and found.lower < 0.4 < found.upper
    assert found.n_seeds == (40,) * 4


def test_the_test_of_equal_gains_has_its_size_and_power():
    """No more false alarms than its level; a large difference is found with three seeds."""
    source = np.random.default_rng(5)
    equal = MEANS | {("dp_iterated", MACE): 1.1}
    alarms = {"equal": 0, "different": 0}
    for name, means in {"equal": equal, "different": MEANS}.items():
        for _ in range(300):
            cells = matrix(source, means, {DP: 0.1, MACE: 0.03}, 3)
            found = difference_of_gains(cells, "dp_iterated", "control", (DP, MACE))
            alarms[name] += found.p_value < 0.05
    assert alarms["equal"] < 0.08 * 300
    assert alarms["different"] > 0.7 * 300


def transfer(cells, **changes):
    settings = {"maker": DP, "receiver": MACE}
    return efficiency(cells, "dp_iterated", "control", **settings | changes)


def test_efficiency():
    cells = matrix(np.random.default_rng(6), MEANS, {DP: 0.02, MACE: 0.02}, 4)
    found = transfer(cells)
    assert found.value == pytest.approx(found.receiver.value / found.maker.value)
    assert found.value == pytest.approx(0.2, abs=0.1)
    assert found.lower < found.value < found.upper
    assert found.reason == ""
    # the limits are the ratios that are only just rejected
    for limit in (found.lower, found.upper):
        values = {key: [run.value for run in runs] for key, runs in cells.items()}
        edge = contrast(
            [
                (1, values["dp_iterated", MACE]),
                (-1, values["control", MACE]),
                (-limit, values["dp_iterated", DP]),
                (limit, values["control", DP]),
            ],
        )
        assert edge.p_value == pytest.approx(0.05, abs=1e-6)


def test_fiellers_textbook_limits():
    """With many seeds and equal variances: the roots of Fieller's quadratic."""
    source = np.random.default_rng(7)
    cells = matrix(source, MEANS, {DP: 0.4, MACE: 0.4}, 5000)
    found = transfer(cells)
    z2 = stats.norm.ppf(0.975) ** 2
    n, d = found.receiver, found.maker
    roots = np.roots(
        [d.value**2 - z2 * d.error**2, -2 * n.value * d.value, n.value**2 - z2 * n.error**2]
    )
    np.testing.assert_allclose([found.lower, found.upper], np.sort(roots), rtol=1e-3)


def test_coverage_of_the_efficiency():
    """At least 90 % of nominal 95 % with three seeds (inverted Welch test)."""
    source = np.random.default_rng(8)
    given = inside = 0
    for _ in range(300):
        found = transfer(matrix(source, MEANS, {DP: 0.06, MACE: 0.03}, 3))
        if found.value is not None:
            given += 1
            inside += found.lower <= 0.2 <= found.upper
    assert given > 250
    assert inside >= 0.9 * given


@pytest.mark.parametrize(
    ("row", "control", "message"),
    [
        ((0.4, 0.8, 0.5), (0.3, 0.6, 0.2), "not clear of zero"),
        ((0.1, 0.12, 0.11), (0.3, 0.32, 0.31), "below zero"),
        ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), "scatter"),
        ((0.5,), (0.2, 0.3), "dp_iterated: too few seeds"),
    ],
)
def test_no_ratio_without_a_clear_denominator(row, control, message):
    cells = {("dp_iterated", MACE): done(0.5, 0.6), ("control", MACE): done(0.3, 0.4)}
    cells |= {("dp_iterated", DP): done(*row), ("control", DP): done(*control)}
    found = transfer(cells)
    assert (found.value, found.lower, found.upper) == (None, None, None)
    assert message in found.reason
    assert found.receiver.value == pytest.approx(0.2)


def test_seeds_that_agree_by_chance_do_not_hide_their_own_errors():
    lucky = {("a", DP): [Run(State.DONE, 0.80, 0.03), Run(State.DONE, 0.80, 0.04)]}
    assert cell(lucky, "a", DP).error == pytest.approx(0.025)  # of a mean of two
    apart = {("a", DP): [Run(State.DONE, 0.70, 0.03), Run(State.DONE, 0.90, 0.04)]}
    assert cell(apart, "a", DP).error == pytest.approx(0.1)
    with pytest.raises(ValueError, match="error is nan, allowed are finite values from 0"):
        Run(State.DONE, 0.80, float("nan"))


def test_cells_that_failed_or_were_not_run_are_no_numbers():
    cells = {
        ("a", DP): [*done(0.5, 0.7), Run(State.UNSTABLE, 0.0)],
        ("b", DP): [Run(State.FAILED), Run(State.NOT_RUN), Run(State.DONE, 0.4)],
        ("c", DP): [Run(State.FAILED), Run(State.NOT_RUN)],
        ("d", DP): [Run(State.NOT_RUN)],
    }
    states = {name: cell(cells, name, DP).state for name in "abcde"}
    assert list(states.values()) == ["unstable", "done", "failed", "not run", "not run"]
    assert cell(cells, "a", DP).mean == pytest.approx(0.4)  # the unstable one counts
    assert cell(cells, "a", DP).error == pytest.approx(np.std([0.5, 0.7, 0], ddof=1) / np.sqrt(3))
    assert (cell(cells, "b", DP).mean, cell(cells, "b", DP).error) == (0.4, None)
    assert cell(cells, "b", DP).counts == {"done": 1, "unstable": 0, "failed": 1, "not run": 1}
    assert cell(cells, "c", DP).mean is None and not any(cell(cells, "e", DP).counts.values())

    with pytest.raises(NotComparable, match=r"1 values \(1 done, 1 failed, 1 not run\)"):
        gain(cells, "b", "a", DP)
    with pytest.raises(NotComparable, match=r"e by deep_potential has 0 values \(not run\)"):
        gain(cells, "a", "e", DP)
    with pytest.raises(NotComparable, match="scatter"):
        contrast([(1, [0.5, 0.5]), (-1, [0.0, 0.0])])


def test_an_unstable_run_may_have_no_value_and_is_not_averaged_in():
    cells = {
        ("a", DP): [*done(0.5, 0.7), Run(State.UNSTABLE)],
        ("b", DP): [Run(State.UNSTABLE), Run(State.NOT_RUN)],
    }
    found = cell(cells, "a", DP)
    assert (found.state, found.mean, found.counts[State.UNSTABLE]) == ("unstable", 0.6, 1)
    assert (cell(cells, "b", DP).state, cell(cells, "b", DP).mean) == ("unstable", None)


@pytest.mark.parametrize(
    ("runs", "cause"),
    [
        ([], "not run"),
        ([Run(State.NOT_RUN)], "not run"),
        (done(1.0), "too few seeds"),
        ([*done(1.0), Run(State.NOT_RUN)], "not run"),
        ([*done(1.0), Run(State.UNSTABLE)], "unstable"),
        ([Run(State.UNSTABLE, 0.2)], "too few seeds"),
        ([Run(State.FAILED), Run(State.NOT_RUN)], "failed"),
    ],
)
def test_why_cells_cannot_be_compared(runs, cause):
    cells = {("a", DP): runs, ("base", DP): done(0.4, 0.5)}
    found = attempt(gain, cells, "a", "base", DP)
    assert isinstance(found, NotComparable)
    assert (found.cause, found.in_words()) == (cause, f"a: {cause}")
    flat = {("a", DP): done(1.0, 1.0), ("base", DP): done(0.5, 0.5)}
    assert attempt(gain, flat, "a", "base", DP).in_words() == "no scatter"


def test_an_advantage_is_the_difference_of_two_architectures():
    cells = {("a", DP): done(0.2, 0.4), ("a", MACE): done(0.7, 0.8)}
    found = attempt(advantage, cells, "a", (MACE, DP))
    assert found.value == pytest.approx(0.45)
    assert found.p_value == pytest.approx(
        stats.ttest_ind([0.7, 0.8], [0.2, 0.4], equal_var=False).pvalue
    )
    worse = advantage(cells, "a", (MACE, DP), better="lower")
    assert worse.value == pytest.approx(-0.45)


@pytest.mark.parametrize(
    ("state", "value"),
    [
        (State.DONE, None),
        (State.DONE, np.nan),
        (State.UNSTABLE, np.inf),
        (State.FAILED, 0.0),
        (State.NOT_RUN, np.nan),
    ],
)
def test_a_run_has_a_value_or_a_reason(state, value):
    with pytest.raises(ValueError, match="value is"):
        Run(state, value)


def test_bad_contrasts():
    with pytest.raises(NotComparable, match="1 entries"):
        contrast([(1, [0.5, 0.6]), (-1, [0.4])])
    with pytest.raises(ValueError, match="finite"):
        contrast([(1, [0.5, np.nan])])
    with pytest.raises(ValueError, match="confidence is 95"):
        contrast([(1, [0.5, 0.6])], confidence=95)


def test_a_gain_of_logarithms_is_that_of_the_factor():
    done = [Run(State.DONE, value) for value in (80.0, 100.0)]
    halved = [Run(State.DONE, run.value / 2) for run in done]
    unstable = [Run(State.UNSTABLE)]
    cells = logarithms({("a", "x"): done, ("b", "x"): halved, ("c", "x"): unstable})
    assert cells["c", "x"] == unstable
    gained = gain(cells, "b", "a", "x", better="lower")
    assert gained.value == pytest.approx(np.log(2))
    with pytest.raises(ValueError, match="value is 0"):
        logarithms({("a", "x"): [Run(State.DONE, 0.0)]})
