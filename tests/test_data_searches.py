import matplotlib
import numpy as np
import pytest
from crosstrain.data import searches
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

matplotlib.use("agg")

SELECTION = {
    "candidates": 4,
    "counts": {"chosen": 1, "spare": 0, "known": 2, "too far": 1, "broken": 0},
    "not_finite": 1,
    "not_intact": 0,
    "chosen_not_intact": 0,
    "low_eV_A": 0.1,
    "high_eV_A": 0.5,
    "deviation_quantiles_eV_A": {"0.05": 0.01, "0.5": 0.123, "0.95": 0.3},
    "deviation_eV_A": [0.01, 0.05, 0.3, None],
    "run_of_candidate": [0, 0, 0, 0],
    "reasons": ["known", "known", "chosen", "too far"],
    "chosen": [2],
    "runs": [
        {
            "start": {"composition": {"EC": 2}, "temperature_K": 500.4, "density_g_cm3": 0.9},
            "status": "unstable",
            "reason": "bond broken",
            "detail": "bond C1-C2 of molecule 0 (EC) broken at 1.000 ps",
            "time_ps": 1.0,
            "planned_ps": 4.0,
        }
    ],
}


def test_candidates_of_a_generation_in_numbers():
    row = searches.candidates({1: SELECTION}).loc[1]
    assert (row["candidates"], row["known"], row["too far"], row["not finite"]) == (4, 2, 1, 1)
    assert row["median disagreement / eV Å⁻¹"] == 0.12
    nothing = SELECTION | {"deviation_quantiles_eV_A": None}
    assert np.isnan(searches.candidates({1: nothing}).loc[1, "median disagreement / eV Å⁻¹"])
    allowed = SELECTION | {"not_intact": 2, "chosen_not_intact": 1}
    table = searches.candidates({2: allowed})
    assert table.loc[2, ["broken", "broken, allowed", "broken, chosen"]].tolist() == [0, 2, 1]
    assert "broken, allowed" not in searches.candidates({1: SELECTION})


WHOLE = SELECTION["runs"][0] | {"status": "completed", "reason": None, "time_ps": 4.0}


def test_explorations_are_counted_by_generation():
    both = SELECTION | {"runs": [*SELECTION["runs"], WHOLE]}
    table = searches.explorations({1: both, 2: SELECTION | {"runs": [WHOLE]}})
    assert table.loc[1].to_list() == [2, 1, 1, "bond broken (1)", 0.62]
    assert table.loc[2].to_list() == [1, 1, 0, "-", 1.0]


def test_runs_that_ended_early_say_what_happened():
    both = SELECTION | {"runs": [WHOLE, *SELECTION["runs"]]}
    (row,) = searches.ended_early({2: both}).to_dict("records")
    assert (row["generation"], row["molecules"], row["lived / ps"]) == (2, "EC:2", 1.0)
    assert row["what happened"] == "bond C1-C2 of molecule 0 (EC) broken at 1.000 ps"
    assert searches.ended_early({1: SELECTION | {"runs": [WHOLE]}}).empty


def test_first_and_last_generation_say_what_rose_and_what_fell():
    later = SELECTION | {"runs": [WHOLE], "low_eV_A": 0.2, "deviation_eV_A": [None] * 4}
    table = searches.first_and_last({1: SELECTION, 2: later, 3: later})
    assert table["it"].to_dict() == {
        "runs that reached their end / all": "rose",
        "lived / planned time, exploring": "rose",
        "median disagreement / eV Å⁻¹": "cannot be told",
        "known / all candidates": "stayed",
        "below the first generation's bound / all": "fell",  # not finite is not below
        "new above / eV Å⁻¹": "rose",
        "too far above / eV Å⁻¹": "stayed",
    }
    back = searches.first_and_last({1: later, 4: SELECTION})
    assert back["it"].iloc[0] == "fell"
    assert back.iloc[-1].to_list() == ["0.50", "0.50", "stayed"]


def test_a_change_within_the_scatter_of_the_runs_is_not_clear():
    runs = [SELECTION["runs"][0], WHOLE, WHOLE, WHOLE]
    one = SELECTION | {"runs": runs, "run_of_candidate": [0, 1, 2, 3]}
    other = one | {"runs": [WHOLE] * 4}
    row = searches.first_and_last({1: one, 2: other}).loc["runs that reached their end / all"]
    assert row["it"] == "not clear"
    assert row["last"] == "1.00"
    value, error = map(float, row["first"].split(" ± "))
    assert (value, error) == (0.75, pytest.approx((0.75 * 0.25 / 4) ** 0.5, abs=0.03))


@pytest.fixture
def ax():
    return Figure().add_subplot()


def test_candidates_are_drawn_in_their_generation_with_its_bounds(ax):
    searches.disagreements(ax, {1: SELECTION, 2: SELECTION})
    drawn = [c for c in ax.collections if isinstance(c, PathCollection)]
    places = np.concatenate([np.ma.filled(c.get_offsets(), np.nan) for c in drawn])
    places = places[np.isfinite(places[:, 1])]
    assert sorted(places[:, 1]) == [0.01, 0.01, 0.05, 0.05, 0.3, 0.3]
    assert set(places[:, 0].round()) == {1, 2}
    bounds = [c.get_segments() for c in ax.collections if c not in drawn]
    assert [line[0][1] for line in bounds[0]] == [0.1, 0.5]


def test_shares_of_the_candidates_add_up_to_one(ax):
    searches.reasons(ax, {1: SELECTION})
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(1)


def test_trend_leaves_out_a_generation_without_a_finite_disagreement(ax):
    nothing = SELECTION | {"deviation_quantiles_eV_A": None}
    searches.disagreement_trend(ax, {1: SELECTION, 2: nothing}, colour="k", marker="v")
    median, *caps, low = ax.lines
    assert median.get_xydata().tolist() == [[1, 0.123]]
    searches.disagreement_trend(ax, {1: SELECTION}, colour="k", marker="v", beside=0.1)
    assert ax.lines[4].get_xdata().tolist() == [1.1]
    assert len(caps) == 2
    assert low.get_ydata() == [0.1]


def test_blocks_of_unequal_numbers_of_generations_share_an_axis(ax):
    for selections in ({1: SELECTION, 2: SELECTION, 3: SELECTION}, {1: SELECTION}):
        searches.disagreement_trend(ax, selections, colour="k", marker="v")
    assert ax.get_xticks().tolist() == [1, 2, 3]
    assert ax.get_xlim() == (0.4, 3.6)


def test_exploring_runs_are_drawn_with_their_mean(ax):
    runs = [{"time_ps": t, "planned_ps": 4.0} for t in (1.0, 3.0)]
    searches.exploring(ax, {1: {"runs": runs}}, colour="k", marker="v")
    every, mean = ax.lines
    assert every.get_ydata().tolist() == [0.25, 0.75]
    assert mean.get_ydata().tolist() == [0.5]
