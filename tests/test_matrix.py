"""The transfer matrix, read from a store whose results were put there by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from crosstrain import matrix
from crosstrain.data import frames as fr
from crosstrain.data import summaries
from crosstrain.measure.transfer import State
from crosstrain.study import Study

FRAMES = Path(__file__).parent / "data" / "frames.extxyz.gz"
PAIRS = {"O-H": None}


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path))
    smoke = Study("smoke").profile
    rows = ["packed", "classical", "classical+lost"]
    training = smoke.training.model_copy(update={"rows": rows, "seeds": [1, 2]})
    hot = smoke.liquid.states["hot"].model_copy(update={"replicas": [1, 2]})
    liquid = smoke.liquid.model_copy(update={"states": {"hot": hot}})
    return Study(smoke.model_copy(update={"training": training, "liquid": liquid}), announce=False)


def put(study, step, write):
    with study.store.lock(step), study.store.publish(step, {}) as out:
        write(out)


def put_json(study, step, file, value):
    put(study, step, lambda out: (out / file).write_text(json.dumps(value)))


def put_run(study, model, replica, *, lived_ps=1.0, density=0.9):
    """A run of 1 ps as it was observed."""
    is_whole = lived_ps == 1.0
    seen = {
        "status": "completed" if is_whole else "unstable",
        "time_ps": lived_ps,
        "planned_ps": 1.0,
        "density_g_cm3": {"value": density, "error": 0.01, "n_effective": 9.0},
        "rdf": PAIRS,
    }
    liquid = study.liquid(model, "hot", replica)
    put_json(study, study.observed(liquid), "observed.json", seen)


def put_errors(study, model, labelled, shift_eV_A):
    """Labelled frames and a model whose forces are off by a shift along x, molecule by molecule."""
    frames = fr.read(FRAMES)
    if not study.has(labelled):
        put(study, labelled, lambda out: fr.write(out / "frames.extxyz.gz", frames))
    sign = [np.where(frame.arrays["molecule"] % 2, 1, -1) for frame in frames]
    forces = [
        frame.arrays[fr.FORCES] + np.outer(s, [shift_eV_A, 0, 0])
        for frame, s in zip(frames, sign, strict=True)
    ]
    said = {
        "energy_eV": np.zeros(len(frames)),
        "forces_eV_A": np.concatenate(forces),
        "stress_eV_A3": np.zeros((len(frames), 6)),
    }
    evaluated = study.evaluated(model, labelled)
    put(study, evaluated, lambda out: np.savez(out / "predictions.npz", **said))
    found = summaries.force_errors(frames, {"forces_eV_A": forces})
    return 1e3 * found["intermolecular"].rmse


def states(cells, row, architecture):
    return [run.state for run in cells[row, architecture]]


def test_nothing_stored_is_nothing_run(study, tmp_path):
    found = matrix.read(study, "hot", seed=0)
    assert set(found) == set(matrix.QUANTITIES)
    for cells in found.values():
        assert len(cells) == 3 * 2
        assert all(run.state is State.NOT_RUN for runs in cells.values() for run in runs)
        assert all(len(runs) == 2 for runs in cells.values())
        assert not matrix.has_value(cells)
    assert not list(tmp_path.iterdir())  # and nothing was computed
    assert matrix.chosen(found, "auto") == "own_error"


def test_values_of_a_model_whose_replicas_lived(study):
    model = study.model("mace", "classical", 1)
    fixed = put_errors(study, model, study.block("classical_test"), 0.01)
    found = matrix.read(study, "hot", seed=0)
    assert states(found["survival"], "classical", "mace") == [State.NOT_RUN] * 2
    assert found["fixed_error"]["classical", "mace"][0].value == pytest.approx(fixed)

    put_run(study, model, 1, density=0.9)
    one_missing = matrix.read(study, "hot", seed=0)
    assert states(one_missing["density"], "classical", "mace") == [State.NOT_RUN] * 2
    put_run(study, model, 2, density=0.8)
    errors = [
        put_errors(study, model, study.relabelled(study.liquid(model, "hot", replica)), shift)
        for replica, shift in ((1, 0.03), (2, 0.04))
    ]
    found = matrix.read(study, "hot", seed=0)
    first = {name: cells["classical", "mace"][0] for name, cells in found.items()}
    assert first["survival"].value == 1
    assert first["density"].value == pytest.approx(0.85)
    assert first["own_error"].value == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert first["score"].state is first["density_deviation"].state is State.NOT_RUN
    assert states(found["own_error"], "classical", "mace") == [State.DONE, State.NOT_RUN]
    assert states(found["own_error"], "classical", "deep_potential") == [State.NOT_RUN] * 2
    assert first["survival"].is_best and not first["density"].is_best
    parts = matrix.parts(study, "hot", matrix.stored(study, "hot"))
    own = {name: cells["classical", "mace"][0] for name, cells in parts.items()}
    whole = np.hypot(own["own:translation"].value, own["own:rotation"].value)
    assert own["own:vibration"].value < whole == pytest.approx(first["own_error"].value, rel=0.05)
    assert states(parts["fixed:rotation"], "packed", "mace") == [State.NOT_RUN] * 2


def test_an_unstable_model_has_how_long_it_lived_and_no_averages(study):
    model = study.model("mace", "packed", 2)
    put_errors(study, model, study.block("classical_test"), 0.01)
    put_run(study, model, 1, lived_ps=0.2)
    put_run(study, model, 2)
    found = matrix.read(study, "hot", seed=0)
    second = {name: cells["packed", "mace"][1] for name, cells in found.items()}
    assert second["survival"].state is State.UNSTABLE
    assert second["survival"].value == pytest.approx(0.6)
    for name in ("density", "own_error"):
        assert (second[name].state, second[name].value) == (State.UNSTABLE, None)
    parts = matrix.parts(study, "hot", matrix.stored(study, "hot"))
    assert states(parts["own:rotation"], "packed", "mace") == [State.NOT_RUN, State.UNSTABLE]
    assert states(parts["fixed:rotation"], "packed", "mace") == [State.NOT_RUN, State.DONE]
    assert second["fixed_error"].state is State.DONE  # a test set needs no liquid


def test_densities_by_start_are_of_models_that_lived_from_every_start(study):
    def found():
        return matrix.densities_by_start(study, "hot", matrix.stored(study, "hot"))

    assert found() == {}
    whole, early, lone = (study.model("mace", "classical", 1), study.model("mace", "packed", 2),
                          study.model("mace", "packed", 1))  # fmt: skip
    put_run(study, whole, 1, density=0.9)
    put_run(study, whole, 2, density=0.8)
    put_run(study, early, 1, density=0.7)
    put_run(study, early, 2, lived_ps=0.2)
    put_run(study, lone, 1)
    put_run(study, study.model("mace", "classical", 2), 1, density=0.6)
    put_run(study, study.model("mace", "classical", 2), 2, density=0.5)
    assert found().keys() == {1, 2}
    np.testing.assert_allclose(found()[1], [[0.9, 0.8]])
    np.testing.assert_allclose(found()[2], [[0.6, 0.5]])


def test_a_trusted_reference_gives_a_score(study):
    trusted = {"value": 0.86, "error": 0.001, "problems": []}
    reference = {"observables": {"density": trusted}, "r_A": []}
    for sets, lived in (("classical", 1.0), ("packed", 0.5)):
        for replica in (1, 2):
            put_run(study, study.model("mace", sets, 1), replica, lived_ps=lived, density=0.84)
    put_json(study, study.reference("hot"), "reference.json", reference)
    found = matrix.read(study, "hot", seed=0, tolerances={"density": 0.02, "rdf": 0.05})
    assert found["score"]["classical", "mace"][0].value == pytest.approx(0.5)
    assert found["score"]["packed", "mace"][0].value == pytest.approx(0.25)
    assert found["density_deviation"]["classical", "mace"][0].value == pytest.approx(0.02)
    # of two seeds: their mean holds the error of the reference once
    alone, whole = (
        found["density"]["classical", "mace"],
        found["density_deviation"]["classical", "mace"],
    )
    assert whole[0].error ** 2 - alone[0].error ** 2 == pytest.approx(2 * 0.001**2)
    assert found["density_deviation"]["packed", "mace"][0].state is State.UNSTABLE
    assert found["density_deviation"]["classical+lost", "mace"][0].state is State.NOT_RUN
    assert matrix.chosen(found, "auto") == "score"
    wide = {"density": 0.04, "rdf": 0.05}
    again = matrix.read(study, "hot", seed=0, tolerances=wide, known=matrix.stored(study, "hot"))
    assert again["score"]["classical", "mace"][0].value == pytest.approx(0.8)
    assert again["density_deviation"] == found["density_deviation"]


def test_a_failed_step_is_told_from_one_not_run(study):
    model = study.model("deep_potential", "packed", 1)
    work = study.store.work(model)
    work.mkdir(parents=True)
    (work / "failure.txt").write_text("no convergence")
    found = matrix.read(study, "hot", seed=0)
    for name in ("survival", "density", "own_error", "fixed_error"):
        assert states(found[name], "packed", "deep_potential") == [State.FAILED, State.NOT_RUN]
    assert states(found["survival"], "packed", "mace") == [State.NOT_RUN] * 2


def test_other_rows_and_bad_names(study):
    found = matrix.read(study, "hot", seed=0, rows=["classical.5"])
    assert set(found["density"]) == {("classical.5", "deep_potential"), ("classical.5", "mace")}
    with pytest.raises(ValueError, match=r"state 'warm'; the profile has hot"):
        matrix.read(study, "warm", seed=0)
    with pytest.raises(ValueError, match=r"quantity 'density'; allowed are auto, score, surv"):
        matrix.chosen(found, "density")
    assert matrix.chosen(found, "survival") == "survival"


def test_added_blocks(study):
    assert matrix.added_blocks(study, "classical+scan+molecules", "classical") == [
        "scan",
        "molecules",
    ]
    assert matrix.added_blocks(study, "packed", "classical") == ["packed"]
    assert "classical" not in matrix.added_blocks(study, "everything", "classical")


def test_frames_of_a_row_and_whether_the_blocks_have_as_many(study):
    assert study.sizes("classical.5+scan") == {"classical.5": 5, "scan": 5}
    assert study.sizes("classical+dp_iterated") == {"classical": 20, "dp_iterated": 3}
    assert matrix.n_added(study, "classical+classical_more.3", "classical") == 3
    assert matrix.n_added(study, "everything", "classical") == 20 + 5 + 6 + 3
    possible = ["classical+classical_more.5", "classical+classical_more.6", "classical+lost"]
    assert [study.can_train(row) for row in possible] == [True, False, False]
    found = matrix.read(study, "hot", seed=0, rows=possible)
    assert {state for row in possible for state in states(found["survival"], row, "mace")} == {
        State.NOT_RUN
    }
