"""What is shipped: whole, described, labelled by the method it names, and had again."""

import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from crosstrain import check, judge, matrix, paths, shipped
from crosstrain.data import evidence, foundation, summaries
from crosstrain.data import frames as fr
from crosstrain.measure import transfer, verdicts
from crosstrain.potentials import mace, protocol
from crosstrain.run.store import Step, Store, sha256
from crosstrain.simulate.trajectory import TRAJECTORY, read_trajectory, write_trajectory
from crosstrain.steps import FRAMES, RUN
from crosstrain.study import Study

LABEL_AGAIN = """
import json, sys
from pathlib import Path
from crosstrain.data import frames as fr, reference
frame = fr.read(Path(sys.argv[1]), labelled=True)[int(sys.argv[2])]
again = reference.label(frame, frame.info["method"])
stress = list(again.info.get(fr.STRESS, []))
print(json.dumps([again.info[fr.ENERGY], again.arrays[fr.FORCES].tolist(), stress]))
"""
REDO = """
import json, sys
from pathlib import Path
from crosstrain import steps
kind, params, inputs, out, work = json.loads(sys.argv[1])
inputs = {name: Path(folder) for name, folder in inputs.items()}
steps.KINDS[kind].function(params, inputs, Path(out), Path(work))
"""


@pytest.fixture(scope="module")
def study():
    return Study("laptop", announce=False)


@pytest.fixture(scope="module")
def sets(study):
    names = (*study.profile.blocks, *study.profile.tests)
    return {name: study.store.verify(study.block(name)) for name in names}


def test_every_set_of_the_profile_is_shipped_with_all_its_frames(study, sets):
    known = study.profile.blocks | study.profile.tests
    for name, folder in sets.items():
        frames = fr.read(folder / "frames.extxyz.gz", labelled=True)
        failures = json.loads((folder / "failures.json").read_text())
        assert len(frames) + len(failures) == known[name].frames
        assert len({frame.info["seed"] for frame in frames}) == len(frames)


def test_sets_share_no_frame(sets):
    seen = {}
    for name, folder in sets.items():
        for frame in fr.read(folder / "frames.extxyz.gz"):
            key = frame.positions.tobytes()
            assert key not in seen, f"{name} and {seen[key]}"
            seen[key] = name


@pytest.mark.parametrize("architecture", ["deep_potential", "mace"])
def test_a_model_is_scored_from_what_is_shipped_and_no_number_lacks_its_error(
    crosstrain, tmp_path, architecture
):
    """Of runs and models: name, state, time and engine; of all else value, error and samples."""
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    said = crosstrain("score", f"{architecture}-classical-s1", env=environment)
    assert said.returncode == 0, said.stderr
    assert "to compute" not in said.stderr
    *lines, picture = said.stdout.splitlines()
    assert Path(picture).stat().st_size > 10_000
    measured = [
        line for line in lines if re.search(r"(density|error|term|score|survival|force)", line)
    ]
    for line in lines:
        if line.startswith(f"{architecture}-classical-s1:") or " ps, by " in line:
            continue
        if re.search(r"\d\.\d", line) and "not available" not in line:
            assert re.search(r"± \S+ \(n = \d+|a single sample, no error|\(\S+ to \S+", line), line
    assert len(measured) > 10


def test_ase_reads_a_set_as_it_is(sets):
    import ase.io

    frames = ase.io.read(sets["classical"] / "frames.extxyz.gz", ":")
    assert frames[0].info["REF_energy"] < 0
    assert frames[0].arrays["REF_forces"].shape == (len(frames[0]), 3)


# --- had again ------------------------------------------------------------------------------


@pytest.fixture
def choice():
    """Choose at random; a failed test says the seed that repeats it."""
    seed = os.environ.get("CROSSTRAIN_SEED") or random.SystemRandom().randrange(10**6)
    print(f"CROSSTRAIN_SEED={seed} repeats it")
    return random.Random(int(seed))


@pytest.fixture
def redo(study, tmp_path):
    """Do a stored step again, with other inputs where these are given; return the new folder."""

    def do(step: Step, **others: Path) -> Path:
        print(step.folder_name)
        inputs = {n: str(others.get(n) or study.store.verify(s)) for n, s in step.inputs.items()}
        folders = [tmp_path / "out", tmp_path / "work"]
        for folder in folders:
            folder.mkdir()
        order = [step.kind, dict(step.params), inputs, *map(str, folders)]
        command = [sys.executable, "-c", REDO, json.dumps(order)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return folders[0]

    return do


def stored(study: Study, kind: str) -> list[Step]:
    """Stored steps of a kind whose inputs are stored too, with all their files."""
    known = [step for step in study.known() if step.kind == kind]
    known = [step for step in known if all(map(study.has, [step, *step.inputs.values()]))]
    return [step for step in known if not any(map(study.store.left_out, step.inputs.values()))]


def test_a_label_chosen_at_random_is_had_again(study, sets, apart, choice):
    iterated = {
        name: study.store.verify(study.block(name)) for name in study.profile.iteration.blocks
    }
    name, folder = choice.choice(sorted((sets | iterated).items()))
    frames = fr.read(folder / FRAMES, labelled=True)
    number = choice.randrange(len(frames))
    energy, forces, stress = apart(LABEL_AGAIN, folder / FRAMES, number)
    known = frames[number]
    assert energy == pytest.approx(known.info[fr.ENERGY], abs=1e-4), (name, number)
    np.testing.assert_allclose(forces, known.arrays[fr.FORCES], atol=1e-3, err_msg=name)
    np.testing.assert_allclose(stress, known.info.get(fr.STRESS, []), atol=1e-5, err_msg=name)


def test_predictions_chosen_at_random_are_had_again(study, redo, choice, tmp_path):
    """Five frames of one stored evaluation of a shipped model."""
    step = choice.choice(stored(study, "evaluate"))
    frames = fr.read(study.store.verify(step.inputs["frames"]) / FRAMES, labelled=True)
    numbers = sorted(choice.sample(range(len(frames)), min(5, len(frames))))
    some = tmp_path / "some"
    some.mkdir()
    fr.write(some / FRAMES, [frames[i] for i in numbers])
    new = np.load(redo(step, frames=some) / "predictions.npz")
    old = np.load(study.store.verify(step) / "predictions.npz")
    ends = np.cumsum([len(frame) for frame in frames])
    forces = np.split(old["forces_eV_A"], ends[:-1])
    forces = np.concatenate([forces[i] for i in numbers])
    # what is stored may be of a slower engine, and they were compared on another frame
    slack = max(1e-4 * np.abs(forces).max(), 2 * protocol.AGREEMENT["forces"])
    np.testing.assert_allclose(new["forces_eV_A"], forces, rtol=0, atol=slack)
    np.testing.assert_allclose(new["energy_eV"], old["energy_eV"][numbers], rtol=1e-6)
    np.testing.assert_allclose(
        new["stress_eV_A3"], old["stress_eV_A3"][numbers], rtol=1e-3, atol=1e-5
    )


def test_observables_chosen_at_random_are_had_again(study, redo, choice):
    step = choice.choice(stored(study, "observe"))
    new = json.loads((redo(step) / "observed.json").read_text())
    old = json.loads((study.store.verify(step) / "observed.json").read_text())
    if "repacked" in study.store.provenance(step.inputs["trajectory"]):
        # what was observed was not rounded yet: some pairs were in the bin beside
        for pair, known in old.get("rdf", {}).items():
            if known:
                same_rdf(new["rdf"][pair], known)
    same_json(new, old)


def same_rdf(new, old):
    """Take out what the bins of pairs decide, and assert that about as many neighbours are there.

    Up to every distance, to 1 % of those in the whole sphere.
    """
    r = np.array(old["r_A"])
    (neighbours, known), (spread, known_spread), (samples, known_samples) = (
        [np.array(rdf.pop(name), float) for rdf in (new, old)]
        for name in ("g", "error", "n_effective")
    )
    neighbours, known = (np.cumsum(r**2 * g) for g in (neighbours, known))
    np.testing.assert_allclose(neighbours, known, rtol=0, atol=0.01 * known[-1])
    np.testing.assert_allclose(np.linalg.norm(spread), np.linalg.norm(known_spread), rtol=0.2)
    np.testing.assert_allclose(samples, known_samples, rtol=0.5)


@pytest.mark.parametrize("fault", ["a bin further", "more neighbours", "no spread"])
def test_a_fault_in_an_rdf_is_not_taken_for_rounding(fault):
    r = np.arange(0.125, 10, 0.25)
    g = 1 + np.exp(-((r - 4) ** 2)) - np.exp(1 - r)
    rdf = {"r_A": r, "g": g, "error": 0.02 * np.ones(len(r)), "n_effective": np.full(len(r), 8.0)}
    same_rdf(rdf | {"g": g + 0.005 * np.cos(40 * r)}, dict(rdf))
    spoiled = {
        "a bin further": {"g": np.roll(g, 1)},
        "more neighbours": {"g": 1.02 * g},
        "no spread": {"error": np.zeros(len(r))},
    }
    with pytest.raises(AssertionError):
        same_rdf(rdf | spoiled[fault], dict(rdf))


def same_json(new, old):
    """Assert that two JSON values are the same, their numbers to 1e-9."""
    if isinstance(old, dict):
        assert new.keys() == old.keys()
        old, new = list(old.values()), [new[key] for key in old]
    if isinstance(old, list):
        assert len(new) == len(old)
        for one, other in zip(new, old, strict=True):
            same_json(one, other)
    else:
        assert new == (pytest.approx(old, rel=1e-9, abs=1e-9) if type(old) is float else old)


@pytest.mark.long
def test_the_density_of_a_liquid_chosen_at_random_is_had_again(study, redo, choice):
    """A whole run of MACE: rounding parts the two trajectories, their densities agree."""
    observed = {step.inputs["trajectory"].key: step for step in stored(study, "observe")}
    runs = [step for step in stored(study, "simulate") if step.params["architecture"] == "mace"]
    runs = [step for step in runs if is_complete(study, step) and step.key in observed]
    step = choice.choice(runs)
    rdf = observed[step.key].params["rdf"]
    new, old = (
        judge.observe(read_trajectory(folder), json.loads((folder / RUN).read_text()), rdf=rdf)[
            "density_g_cm3"
        ]
        for folder in (redo(step), study.store.verify(step))
    )
    assert abs(new["value"] - old["value"]) < 4 * np.hypot(new["error"], old["error"])


def is_complete(study: Study, step: Step) -> bool:
    return study.read(step, RUN)["status"] == "completed"


# --- what is left out -------------------------------------------------------------------------


def unpacked(record, folder):
    """As a trajectory is that was stored before trajectories were packed."""
    whole = read_trajectory(folder)
    records = {
        "time_ps": whole.time_ps,
        "positions": whole.positions,
        "cells": whole.cells,
        "thermo": np.stack(list(whole.thermo.values()), axis=1),
    }
    write_trajectory(folder / TRAJECTORY, whole.reference, records)
    record.pop("repacked", None)


def test_results_are_made_lighter_once_and_stay_what_their_readers_saw(tmp_path):
    """Two models of which one is kept, and a trajectory."""
    study = Study("laptop", announce=False)
    kept, other = (study.model("mace", sets, 1) for sets in ("packed", "classical"))
    run = study.liquids(other, "hot")[0]
    copy = Store(tmp_path / "data", tmp_path / "scratch")
    for step in (kept, other, run):
        shutil.copytree(study.store.verify(step), copy.folder(step))
    study.store = copy
    copy.rewrite(run, unpacked)
    study.known = lambda: [kept, other, run]
    training = study.profile.training.model_copy(update={"shipped": ["packed"]})
    study.profile = study.profile.model_copy(update={"training": training})
    before = {step: (copy.digest(step), copy.provenance(step)["files"]) for step in (other, run)}
    positions = read_trajectory(copy.folder(run)).positions

    assert sorted(shipped.lighten(study)) == sorted([other.folder_name, run.folder_name])
    assert shipped.lighten(study) == []

    assert study.model_file(kept).is_file()
    with pytest.raises(FileNotFoundError, match=r"train-mace-classical-s1.* is not shipped"):
        study.model_file(other)
    assert study.read(other, "training.json")["learning_curve"]
    left = copy.provenance(other)["left_out"]
    assert left == {mace.MODEL_FILE: before[other][1][mace.MODEL_FILE]}
    assert copy.provenance(run)["repacked"] == {TRAJECTORY: before[run][1][TRAJECTORY]}
    assert [copy.digest(step) for step in (other, run)] == [d for d, _ in before.values()]
    again = read_trajectory(copy.verify(run)).positions
    np.testing.assert_allclose(again, positions, rtol=0, atol=1.1e-3)
    size = copy.provenance(run)["files"][TRAJECTORY]["bytes"]
    assert size < 0.7 * before[run][1][TRAJECTORY]["bytes"]


def test_a_model_that_something_still_reads_is_not_left_out(tmp_path):
    study = Study("laptop", announce=False)
    model = study.model("mace", "classical", 1)
    copy = Store(tmp_path / "data", tmp_path / "scratch")
    shutil.copytree(study.store.verify(model), copy.folder(model))
    study.store, study.known = copy, lambda: [model, *study.tested(model)]
    training = study.profile.training.model_copy(update={"shipped": []})
    study.profile = study.profile.model_copy(update={"training": training})
    assert shipped.lighten(study) == []
    study.known = lambda: [model]
    assert shipped.lighten(study) == [model.folder_name]


# --- the registry ---------------------------------------------------------------------------


def test_the_registry_names_every_file_with_its_hash(study):
    registry = yaml.safe_load((paths.data() / shipped.REGISTRY).read_text())
    for name, entry in registry.items():
        assert sha256(paths.data() / name) == entry["sha256"], name
        assert entry["units"], name
    described = {paths.data() / name for name in registry}
    there = {
        path
        for room in ("sets", "models", "results")
        for path in (paths.data() / room).glob("*/*")
        if path.name != "provenance.json"
    }
    assert there == described


def test_pages_and_figures_are_of_the_texts_and_results(study):
    assert check._rendered() + check._figures(study) == []


def test_cards_and_registry_are_current(study):
    assert shipped.problems(study, study.known()) == []


def test_the_readme_says_what_the_results_show(study):
    def ends(architecture, sets):
        models = [study.model(architecture, sets, seed) for seed in study.profile.training.seeds]
        runs = [run for model in models for run in study.liquids(model, "hot")]
        assert len(models) == 2 and len(runs) == 4
        return {study.read(run, "run.json")["status"] for run in runs}

    simple = ("packed", "classical", "classical+classical_more", "classical+classical_more.100")
    chosen = ("classical+mace_iterated", "classical+dp_iterated", "classical+scan+molecules")
    assert {end for sets in simple for end in ends("deep_potential", sets)} == {"unstable"}
    assert {end for sets in chosen for end in ends("deep_potential", sets)} == {"completed"}
    of_mace = {end for sets in study.profile.training.sets for end in ends("mace", sets)}
    assert of_mace == {"completed"}
    control = [study.recipe(block).frames for block in ("mace_iterated", "dp_iterated")]
    assert control == [100, 100]
    alone = ("classical+scan", "classical+molecules")
    rows = (*simple, *chosen, *alone)
    cells = matrix.read(study, "hot", seed=0, rows=study.rows())
    scores = cells["score"]
    gained = evidence.gains(scores, rows, "classical", ["deep_potential", "mace"], better="higher")
    clear = {key for key, effect in gained.items() if verdicts.of_one(effect).is_clear}
    assert clear == {(row, "deep_potential") for row in chosen[:2]}
    assert all(gained[key].value > 0 for key in clear)

    def score(row, architecture):
        cell = transfer.cell(scores, row, architecture)
        return f"{cell.mean:.2f} ± {cell.error:.2f}"

    told = (*chosen[:2], simple[3], chosen[2])
    of_dp, of_mace = ([score(row, at) for row in told] for at in ("deep_potential", "mace"))
    harm = transfer.gain(scores, chosen[2], simple[2], "mace", better="higher")
    assert harm.upper < 0 < harm.at(verdicts.bonferroni(0.95, 2)).upper
    more = [study.recipe(block).frames for block in study.blocks_of(simple[2])]
    assert sum(more) - study.recipe("classical").frames == 150
    longer = study.longer()["mace", "classical"]
    ended = [study.read(run, "run.json")["status"] for run in study.liquids(longer, "hot")]
    for row in alone:
        deaths = transfer.cell(cells["survival"], row, "deep_potential").counts
        assert (deaths[transfer.State.DONE], deaths[transfer.State.UNSTABLE]) == (1, 1)
    dense = [transfer.cell(cells["density"], row, "mace") for row in (*alone, chosen[2])]
    densities = [f"{cell.mean:.3f} ± {cell.error:.3f}" for cell in dense]
    truth = study.read(study.reference("hot"), "reference.json")["observables"]["density"]
    assert dense[1].mean - truth["value"] > 2 * np.hypot(dense[1].error, truth["error"])
    assert dense[0].mean < truth["value"]
    assert sorted(ended) == ["completed", "unstable"]
    text = " ".join((paths.root() / "README.md").read_text().split())
    assert study.profile.liquid.states["hot"].temperature_K == 500
    for said in (
        "At 500 K no liquid of Deep Potential holds on the simplest sets",
        "all of them hold on the frames that a committee of MACE models chose",
        "as they do on those of its own choice, and with both blocks made by hand",
        "MACE's liquids hold on every set",
        "Deep Potential gains clearly by either set of chosen frames, whoever chose them "
        f"({of_dp[0]} with MACE's, {of_dp[1]} with its own, {of_dp[2]} with as many more of the "
        f"old kind), and by the blocks made by hand not clearly ({of_dp[3]})",
        "By the chosen frames its score gains nothing that is clear "
        f"({of_mace[0]} with its own, {of_mace[1]} with Deep Potential's, "
        f"{of_mace[2]} with as many more of the old kind)",
        f"With the blocks made by hand it is {of_mace[3]}, against {score(simple[2], 'mace')} on "
        f"their control, 150 more frames of the old kind: {harm.value:.3g} "
        f"({harm.lower:.3g} to {harm.upper:.3g}), which is clear if it is looked at alone",
        "of one model that was trained twice as long one run of two broke",
        f"With the scans alone MACE's density is {densities[0]} g/cm³, with the strained molecules "
        f"alone {densities[1]}, with both blocks {densities[2]}, where the reference has "
        f"{truth['value']:.3f} ± {truth['error']:.3f}",
        "With either of these blocks alone one model of Deep Potential of two loses its liquid",
    ):
        assert said in text


def test_the_readme_says_what_fine_tuning_shows(study):
    def predicted(model, test):
        return study.predicted(study.evaluated(model, study.block(test)))

    def between_molecules(model, test):
        return foundation.errors(predicted(model, test))[foundation.INTER]

    found, _ = study.foundation_models()
    tuned = {step.name: step for step in found.values() if step.kind == "train"}
    assert study.recipe("classical").frames == 150
    for test in ("classical_test", "hot_test"):
        of_25 = between_molecules(tuned["so3lr-classical.25-s1"], test)
        models = itertools.product(("deep_potential", "mace"), ["classical"], (1, 2))
        best = min(between_molecules(study.model(*of), test) for of in models)  # by the value first
        assert of_25.value < best.value
    rows = ("classical+dp_iterated", "classical+classical_more.100")
    trained = {"so3lr": lambda row: tuned[f"so3lr-{row}-s1"]}
    trained |= {a: lambda row, a=a: study.model(a, row, 1) for a in ("deep_potential", "mace")}
    gains = {
        name: summaries.with_error(foundation.gain(*(predicted(of(row), test) for row in rows)))
        for name, of in trained.items()
    }
    text = " ".join((paths.root() / "README.md").read_text().split())
    assert (
        "SO3LR, fine-tuned on 25 frames of `classical`, errs less between molecules than either "
        "architecture trained on all 150 (on `hot_test` its forces are "
        f"{summaries.with_error(of_25)} % wrong, those of the others {summaries.with_error(best)} "
        "% at best). What the chosen frames add to it cannot be distinguished from what they add "
        "to the others: with those of Deep Potential, against as many of the old kind, its error "
        "falls by "
        f"{gains['so3lr']} percentage points, that of Deep Potential by {gains['deep_potential']} "
        f"and that of MACE by {gains['mace']} (one training of each)"
    ) in text
