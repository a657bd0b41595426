import numpy as np
import pytest
from ase import Atoms
from crosstrain import compare
from crosstrain.compare import Point
from crosstrain.data.frames import FORCES
from crosstrain.measure.transfer import State, attempt, contrast
from crosstrain.run.store import Step
from crosstrain.study import Study

BOTH = ("deep_potential", "mace")


def model(name: str, architecture: str = "mace") -> Step:
    return Step("train", name, {"architecture": architecture})


def points(**values: list[float]) -> dict:
    """Points of MACE by row."""
    return {(row, "mace"): [Point(v) for v in some] for row, some in values.items()}


def gain(found, better, row="new", base="old"):
    options = {"better": better, "rng": np.random.default_rng(0)}
    return compare.gains(found, [(row, base)], ["mace"], **options)[row, base, "mace"]


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


def observed(time_ps: float, density: float | None, status: str = "completed") -> dict:
    known = density and {"value": density, "error": 0.01, "n_effective": 20.0}
    return {"status": status, "time_ps": time_ps, "planned_ps": 4.0, "density_g_cm3": known}


def visited(error_eV_A: float) -> dict:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 1]])
    atoms.arrays[FORCES] = np.zeros((2, 3))
    return {"frames": [atoms], "forces_eV_A": [np.full((2, 3), error_eV_A)]}


def test_liquid_pools_the_replicas():
    runs = [observed(4.0, 1.0), observed(4.0, 1.1)]
    found = compare.liquid(runs, [visited(0.3), visited(0.1)])
    assert found["lived"].value == 1.0
    assert found["density"].value == pytest.approx(1.05)
    assert found["density"].error == pytest.approx(0.05)  # their scatter is the larger
    assert found["own_force"].value == pytest.approx(1e3 * np.sqrt((0.3**2 + 0.1**2) / 2))
    assert {point.state for point in found.values()} == {State.DONE}


def test_one_early_end_makes_a_model_unstable_and_a_missing_value_is_no_number():
    nothing = {"frames": [], "forces_eV_A": []}
    found = compare.liquid([observed(1.0, None, "unstable"), observed(4.0, None)], [nothing])
    assert found["lived"].value == pytest.approx(5 / 8)
    assert np.isnan(found["density"].value)
    assert np.isnan(found["own_force"].value)
    assert {point.state for point in found.values()} == {State.UNSTABLE}


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
    members = [Point(1.0, 0.01), Point(0.9, np.nan, State.UNSTABLE), Point(np.nan)]
    assert compare.in_numbers(members) == "1.000 ± 0.010, 0.900 (ended early), no value"


def test_table_has_a_row_for_each_pair_and_a_column_for_each_architecture():
    options = {"better": "lower", "rng": np.random.default_rng(0)}
    gained = compare.gains(points(a=[1, 2], b=[1, 2]), [("a", "b"), ("c", "b")], BOTH, **options)
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
        attempt(contrast, terms, rng=np.random.default_rng(0))
        for terms in ([(1, maker)], [(1, receiver)], [(1, maker), (-1, receiver)])
    ]
    assert compare.serves_maker_only(*effects) == verdict


def test_what_is_handed_on_fully_has_efficiency_one():
    old, new = [[Point(v) for v in some] for some in ([80, 82, 84], [40, 41, 42])]
    same = {(row, a): some for a in BOTH for row, some in (("old", old), ("new", new))}
    none = same | {("new", "mace"): old}
    measured = {"same": same, "none": none, "not run": {}}
    roles = {"maker": "deep_potential", "receiver": "mace", "rng": np.random.default_rng(0)}
    table = compare.handed_on(measured, dict.fromkeys(measured, "lower"), "new", "old", **roles)
    assert table.loc["same", "efficiency"].startswith("1.00 (")
    assert table.loc["none", "efficiency"].startswith("0.00 (")
    assert table["helps its maker more"].tolist() == ["not supported", "supported", "undecided"]
    assert "not run" in table.loc["not run", "none, because"]
