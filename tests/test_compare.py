from pathlib import Path

import numpy as np
import pytest
from crosstrain import compare
from crosstrain.compare import Point
from crosstrain.data import frames as fr
from crosstrain.data import summaries
from crosstrain.measure.transfer import Contrast, Run, State, attempt, cell, contrast
from crosstrain.run.store import Step
from crosstrain.study import Study

BOTH = ("deep_potential", "mace")
FRAMES = Path(__file__).parent / "data" / "frames.extxyz.gz"


def model(name: str, architecture: str = "mace") -> Step:
    return Step("train", name, {"architecture": architecture})


def points(**values: list[float]) -> dict:
    """Cells of MACE by row."""
    return compare.cells({(row, "mace"): [Point(v) for v in some] for row, some in values.items()})


def gain(found, better, row="new", base="old"):
    return compare.gains(found, [(row, base)], ["mace"], better=better)[row, base, "mace"]


def test_points_are_grouped_and_a_model_that_was_not_run_has_none():
    models = {"old": [model("a"), model("b", "deep_potential"), model("c")], "new": []}
    known = {"a": Point(1.0), "b": Point(2.0)}
    found = compare.points(models, lambda m: known.get(m.name))
    assert found == {("old", "mace"): [Point(1.0)], ("old", "deep_potential"): [Point(2.0)]}


def test_inventory_counts_frames_and_models():
    study = Study("smoke")
    sets = ["classical", "classical+dp_iterated", "classical+scan"]
    models = {sets[0]: study.models([sets[0]]), sets[1]: study.models([sets[1]])[:1], sets[2]: []}
    table = compare.inventory(study, models, {"deep_potential": "DP", "mace": "MACE"})
    assert table["frames"].tolist() == [20, 23, 25]
    assert table["DP, models"].tolist() == [1, 1, "not run"]
    assert table["MACE, models"].tolist() == [1, "not run", "not run"]
    others = {"classical+classical_more.3": [], "everything": []}
    assert compare.inventory(study, others, {})["frames"].tolist() == [23, 54]


def observed(time_ps: float, density: float | None, status: str = "completed") -> dict:
    known = density and {"value": density, "error": 0.01, "n_effective": 20.0}
    return {"status": status, "time_ps": time_ps, "planned_ps": 4.0, "density_g_cm3": known}


def visited(error_eV_A: float) -> dict:
    """A frame and a model whose forces push each molecule as a whole, alternately to and fro."""
    frame = fr.read(FRAMES)[0]
    frame.info["time_ps"] = 0.5
    sign = np.where(frame.arrays["molecule"] % 2, 1, -1)
    said = frame.arrays[fr.FORCES] + np.outer(sign, [error_eV_A, 0, 0])
    others = {"energy_eV": np.zeros(1), "stress_eV_A3": np.zeros((1, 6))}
    return {"frames": [frame], "forces_eV_A": [said], **others}


def test_liquid_pools_the_replicas():
    runs = [observed(4.0, 1.0), observed(4.0, 1.1)]
    found = compare.liquid(runs, [visited(0.3), visited(0.1)])
    assert found["lived"].value == 1.0
    assert found["density"].value == pytest.approx(1.05)
    assert found["density"].error == pytest.approx(0.05)  # their scatter is the larger
    assert np.isnan(found["own_force"].error)  # of a single frame
    once = compare.liquid(runs, [visited(0.1)])["own_force"].value
    assert found["own_force"].value == pytest.approx(once * np.sqrt((3**2 + 1) / 2), rel=1e-4)
    alone = summaries.model_errors(visited(0.1)["frames"], visited(0.1))["intermolecular / %"]
    assert found["own_percent"].value == pytest.approx(alone * np.sqrt((3**2 + 1) / 2), rel=1e-4)
    assert {point.state for point in found.values()} == {State.DONE}


# Observed, and the error of the forces between molecules on frames of the run: of two models "a"
# has two replicas and "b" one that ended early; "c" was not run.
RUNS = {
    "a-1": (observed(4.0, 1.0), 0.1),
    "a-2": (observed(4.0, 1.1), 0.3),
    "b-1": (observed(1.0, 0.7, "unstable"), 0.2),
}


class TwoLiquids:
    """A study with these runs."""

    def liquids(self, model, state):
        assert state == "hot"
        return [Step("simulate", name) for name in RUNS if name.startswith(model.name)]

    def observed(self, run):
        return Step("observe", run.name)

    def relabelled(self, run):
        return Step("relabel", run.name)

    def evaluated(self, model, frames):
        assert frames.kind == "relabel" and frames.name.startswith(model.name)
        return Step("evaluate", f"{model.name}-on-{frames.name}")

    def each(self, steps, read):
        return {step.name: read(step) for step in steps}

    def read(self, step, file):
        assert (step.kind, file) == ("observe", "observed.json")
        return RUNS[step.name][0]

    def predicted(self, step):
        return visited(RUNS[step.name.partition("-on-")[2]][1])


def test_the_error_on_own_frames_has_one_of_its_own():
    frame = fr.read(FRAMES)[0]
    noise = np.random.default_rng(2).normal(size=(40, len(frame), 3))

    def run(numbers):
        said = [frame.arrays[fr.FORCES] + 0.1 * size * noise[k] for k, size in numbers]
        frames = [frame] * len(said)
        others = {"energy_eV": np.zeros(len(said)), "stress_eV_A3": np.zeros((len(said), 6))}
        return {"frames": frames, "forces_eV_A": said, **others}

    once = compare.liquid([observed(4.0, 1.0)], [run((k, 1.0) for k in range(40))])["own_force"]
    twice = [run((k, 1.0) for k in range(start, 40, 2)) for start in (0, 1)]
    halves = compare.liquid([observed(4.0, 1.0)] * 2, twice)["own_force"]
    assert halves.value == pytest.approx(once.value)
    assert 0 < halves.error < 0.1 * once.value
    assert 0.3 < halves.error / once.error < 3  # as many frames


def test_every_model_gets_the_numbers_of_its_own_runs():
    models = {"old": [model("a"), model("c")], "new": [model("b", "deep_potential")]}
    found = compare.liquids(TwoLiquids(), models, "hot")
    assert list(found) == ["lived", "own_force", "density", "own_percent"]
    assert {frozenset(cells) for cells in found.values()} == {
        frozenset([("old", "mace"), ("new", "deep_potential")])
    }
    (lived,), (ended,) = found["lived"].values()
    assert (lived[0], lived[2]) == (1.0, State.DONE)
    assert (ended[0], ended[2]) == (0.25, State.UNSTABLE)
    densities = [points[0].value for points in found["density"].values()]
    assert densities == pytest.approx([1.05, 0.7])
    mine, other = (points[0].value for points in found["own_force"].values())
    assert mine / other == pytest.approx(np.sqrt((1**2 + 3**2) / 2) / 2, rel=1e-4)


def test_one_early_end_makes_a_model_unstable_and_a_missing_value_is_no_number():
    nothing = {"frames": [], "forces_eV_A": []}
    found = compare.liquid([observed(1.0, None, "unstable"), observed(4.0, None)], [nothing])
    assert found["lived"].value == pytest.approx(5 / 8)
    assert np.isnan(found["density"].value)
    assert np.isnan(found["own_force"].value)
    assert {point.state for point in found.values()} == {State.UNSTABLE}


def test_a_model_whose_run_ended_early_is_in_no_gain_of_errors():
    stable, unstable = [Point(80.0), Point(82.0)], [Point(900.0, np.nan, State.UNSTABLE)] * 2
    found = compare.cells({("new", "mace"): stable, ("old", "mace"): [*unstable, Point(np.nan)]})
    states = [run.state for run in found["old", "mace"]]
    assert states == [State.UNSTABLE, State.UNSTABLE, State.FAILED]
    assert not any(run.value for run in found["old", "mace"])
    unstable_only = {key: runs[:2] for key, runs in found.items()}
    assert compare.in_words(gain(unstable_only, "lower"), "lower") == "old: unstable"


def test_rows_that_a_page_does_not_show_make_a_gain_surer():
    pair = {"old": [80.0, 80.1], "new": [60.0, 60.1]}
    alone = gain(points(**pair), "lower")
    pooled = gain(points(**pair, other=[50.0, 55.0], another=[70.0, 77.0]), "lower")
    assert pooled.value == pytest.approx(alone.value)
    assert pooled.degrees_of_freedom > alone.degrees_of_freedom


def test_pool_has_the_rows_asked_for_and_of_the_others_what_is_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path))
    study = Study("smoke", announce=False)
    pool = compare.pooled(study, ["classical", "classical+molecules"])
    assert [*pool] == ["classical", "classical+molecules", *study.rows()[:1], *study.rows()[2:]]
    assert [m.name for m in pool["classical"]] == [m.name for m in study.models(["classical"])]
    assert not any(pool[row] for row in pool if row != "classical")
    larger = "classical+classical_more.100"  # than the block is
    assert compare.pooled(study, [larger])[larger] == []


def test_the_matrix_is_named_for_people():
    names = ("fixed_error", "own_error", "density_deviation", "survival", "score")
    found = compare.of_matrix({name: {name: []} for name in names}, state="hot", test="easy")
    assert [next(iter(cells)) for cells in found.values()] == list(names)
    better = compare.which_is_better(found)
    higher = [name for name in found if better[name] == "higher"]
    assert higher == ["lived / planned, hot", "liquid score, hot"]


def test_a_change_of_a_mean_has_the_error_of_both():
    found = {
        ("new", "mace"): [Run(State.DONE, 0.9, 0.03), Run(State.DONE, 0.9, 0.03)],
        ("old", "mace"): [Run(State.DONE, 1.0, 0.04), Run(State.DONE, 1.0, 0.04)],
        ("lost", "mace"): [Run(State.UNSTABLE)],
    }
    new, old, lost = (cell(found, row, "mace") for row in ("new", "old", "lost"))
    error = np.hypot(0.03, 0.04) / np.sqrt(2)
    assert compare.change_in_words(new, old) == f"-0.100 ± {error:.3f}"
    assert compare.change_in_words(old, new).startswith("+0.100 ± ")
    assert compare.change_in_words(new, lost) == "not comparable (unstable)"
    single = cell({("one", "mace"): [Run(State.DONE, 1.1)]}, "one", "mace")
    assert compare.change_in_words(single, old) == "+0.1 (no error known)"


def test_a_density_is_said_with_its_side_and_its_doubt():
    found = {
        ("thin", "mace"): [Run(State.DONE, 0.80, 0.01), Run(State.DONE, 0.81, 0.01)],
        ("dense", "mace"): [Run(State.DONE, 0.91, 0.03), Run(State.UNSTABLE)],
        ("near", "mace"): [Run(State.DONE, 0.91, 0.03), Run(State.DONE, 0.95, 0.03)],
        ("gone", "mace"): [Run(State.UNSTABLE)] * 2,
    }
    known = {"density": {"value": 0.9, "error": 0.01, "problems": []}}

    def said(row, observables=known):
        return compare.density_in_words(cell(found, row, "mace"), {"observables": observables})

    assert said("thin").startswith("0.8050 ± 0.0071, too thin by 0.095 ± 0.012")
    assert said("thin", {}) == "0.8050 ± 0.0071"
    assert said("dense") == "0.910 without 1 unstable"
    assert "too dense by 0.030" in said("near")
    assert said("near").endswith("less than two standard errors")
    assert said("gone") == "unstable"


def test_a_factor_that_may_be_anything_is_no_number():
    lost = Contrast(5.0, 3.0, 2.0, -1.0, 11.0, 0.1, (2, 2))
    assert compare.in_words(lost, "lower") == "lost in the noise, unclear"
    assert compare.in_words(lost, "higher") == "+5.00 (-1.00 to +11.00), unclear"


def test_contradictions_are_the_clear_harms_and_then_what_leans_so():
    found = points(old=[80.0, 82.0, 84.0], bad=[160.0, 165.0, 170.0], vague=[60.0, 90.0, 120.0])
    pairs = [("bad", "old"), ("vague", "old"), ("lost", "old")]
    gained = {"force": compare.gains(found, pairs, ["mace"], better="lower")}
    labels, better = {"mace": "MACE"}, {"force": "lower"}
    harm, lean, total = compare.contradictions(gained, better, labels)
    assert harm.startswith("contradicts the claim: force, MACE, bad over old: error × 2")
    assert lean.startswith("leans against it: force, MACE, vague over old: error × 1")
    assert total == "all comparisons: harms 1, unclear 1, not comparable 1"
    del gained["force"]["bad", "old", "mace"]
    assert compare.contradictions(gained, better, labels)[0] == "nothing contradicts it"


def test_a_halved_error_is_said_as_a_factor():
    found = points(old=[80.0, 82.0, 84.0], new=[40.0, 41.0, 42.0])
    assert gain(found, "lower").value == pytest.approx(np.log(2))
    said = compare.in_words(gain(found, "lower"), "lower")
    assert said.startswith("error × 0.5 (0.4")
    assert said.endswith("helps")
    assert compare.in_words(gain(found, "lower", "old", "new"), "lower").endswith("harms")


def test_a_longer_life_is_said_as_a_difference():
    found = points(old=[0.2, 0.3, 0.25], new=[0.3, 0.2, 0.27])
    assert gain(found, "higher").value == pytest.approx(0.0067, abs=1e-4)
    said = compare.in_words(gain(found, "higher"), "higher")
    assert said.startswith("+0.01 (-0.")
    assert said.endswith("unclear")


def test_too_few_values_give_a_reason_and_no_number():
    def reason(**values):
        return compare.in_words(gain(points(**values), "lower"), "lower")

    assert reason(old=[1.0, 2.0], new=[1.0]) == "new: too few seeds"
    assert reason(old=[1.0, 2.0], new=[np.nan, 1.0]) == "new: failed"
    assert reason(old=[1.0, 2.0]) == "new: not run"
    assert reason(old=[1.0, 1.0], new=[1.0, 1.0]) == "no scatter"


def test_values_of_models_that_ended_early_say_so():
    members = [Point(1.0, 0.01), Point(0.9), Point(0.9, 0.1, State.UNSTABLE), Point(np.nan)]
    assert compare.in_numbers(members) == "1.000 ± 0.010, 0.9, unstable, no value"


def test_table_has_a_row_for_each_pair_and_a_column_for_each_architecture():
    found, pairs = points(a=[1, 2], b=[1, 2]), [("a", "b"), ("c", "b")]
    gained = compare.gains(found, pairs, BOTH, better="lower")
    table = compare.table(gained, "lower", {"mace": "MACE", "deep_potential": "DP"})
    assert list(table.index) == [("a", "b"), ("c", "b")]
    assert list(table.columns) == ["DP", "MACE"]
    assert table.loc[("a", "b"), "MACE"].endswith("unclear")


# seeds that are scattered around the gain of a factor that is clear, and of one that is not
CLEAR, TWICE, NOT_CLEAR = [1.0, 1.02, 1.04], [2.0, 2.02, 2.04], [-1.0, 0.0, 1.0]
FLAT = [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("maker", "receiver", "verdict"),
    [
        (CLEAR, NOT_CLEAR, "undecided"),  # not clearly more
        (TWICE, CLEAR, "supported"),
        (CLEAR, CLEAR, "not supported"),
        (NOT_CLEAR, CLEAR, "undecided"),
        (CLEAR, FLAT, "undecided"),  # not comparable
    ],
)
def test_verdict_on_serving_the_maker_only(maker, receiver, verdict):
    effects = [
        attempt(contrast, terms)
        for terms in ([(1, maker)], [(1, receiver)], [(1, maker), (-1, receiver)])
    ]
    assert compare.serves_maker_only(*effects) == verdict


def test_what_is_handed_on_fully_has_efficiency_one():
    old, new = [[Point(v) for v in some] for some in ([80, 82, 84], [40, 41, 42])]
    same = {(row, a): some for a in BOTH for row, some in (("old", old), ("new", new))}
    none = compare.cells(same | {("new", "mace"): old})
    same = compare.cells(same)
    measured = {"same": same, "none": none, "not run": {}}
    roles = {"maker": "deep_potential", "receiver": "mace"}
    table = compare.handed_on(measured, dict.fromkeys(measured, "lower"), "new", "old", **roles)
    assert table.loc["same", "efficiency"].startswith("1.00 (")
    assert table.loc["none", "efficiency"].startswith("0.00 (")
    assert table["helps its maker more"].tolist() == ["not supported", "supported", "undecided"]
    assert "not run" in table.loc["not run", "none, because"]
