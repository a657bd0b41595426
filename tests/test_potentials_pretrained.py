"""Published models are potentials, are fine-tuned for real, and say where weights are missing."""

import dataclasses
import json
import re
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from crosstrain import steps
from crosstrain.build.boxes import whole
from crosstrain.data import frames as fr
from crosstrain.potentials import chgnet, mace, mace_foundation, protocol, so3lr
from crosstrain.potentials.protocol import TrainingError, WeightsNotFound
from crosstrain.study import Study

DATA = Path(__file__).parent / "data"
ATOM_ENERGIES = json.loads((DATA / "energies_eV.json").read_text())
# Precision, step and tolerance of finite differences: CHGNet knows single precision only.
MODELS = {
    "so3lr": ("float64", 1e-4, 1e-5),
    "chgnet": ("float32", 1e-2, 5e-3),
}
EMBEDDED = list(MODELS)


def frames():
    return fr.read(DATA / "frames.extxyz.gz", labelled=True)


@cache
def smallest_box():
    return min(frames(), key=lambda frame: frame.get_volume())


def published(name):
    """A published model; torch's default precision belongs to the process, and is set to its."""
    import torch

    torch.set_default_dtype(getattr(torch, MODELS[name][0]))
    return loaded(name)


@cache
def loaded(name):
    file, _ = protocol.checked_weights(protocol.published(name))
    module = protocol.architecture(protocol.pretrained()[name])
    return module.calculator(file, device="cpu", precision=MODELS[name][0])


def energy_of(frame, name):
    copy = frame.copy()
    copy.calc = published(name)
    return copy.get_potential_energy()


# --- published models are potentials ----------------------------------------------------------


@pytest.mark.parametrize("name", EMBEDDED)
def test_forces_are_minus_the_gradient(name):
    _, step, tolerance = MODELS[name]
    frame = smallest_box().copy()
    frame.calc = published(name)
    forces = frame.get_forces()
    for atom, axis in [(0, 0), (3, 1), (11, 2)]:
        ends = []
        for shift in (step, -step):
            moved = frame.copy()
            moved.positions[atom, axis] += shift
            ends.append(energy_of(moved, name))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert abs(slope) > 0.1
        assert forces[atom, axis] == pytest.approx(-slope, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("name", EMBEDDED)
def test_stress_is_the_gradient_with_strain(name):
    _, step, tolerance = MODELS[name]
    frame = smallest_box().copy()
    frame.calc = published(name)
    stress = frame.get_stress()
    for i, j in [(0, 0), (1, 2)]:
        ends = []
        for size in (step, -step):
            strain = np.eye(3)
            strain[i, j] += size / 2
            strain[j, i] += size / 2
            strained = frame.copy()
            strained.set_cell(frame.cell.array @ strain, scale_atoms=True)
            ends.append(energy_of(strained, name))
        numeric = np.zeros((3, 3))
        numeric[i, j] = numeric[j, i] = (ends[0] - ends[1]) / (2 * step) / frame.get_volume()
        k = int(np.argmax(np.abs(full_3x3_to_voigt_6_stress(numeric))))
        assert stress[k] == pytest.approx(numeric[i, j], rel=10 * tolerance, abs=1e-6)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_frame_agrees_with_its_supercell(name):
    """Also for a box that is smaller than the cutoff."""
    frame = smallest_box().copy()
    large = frame.repeat((2, 1, 1))
    frame.calc = large.calc = published(name)
    energy, forces, stress = frame.get_potential_energy(), frame.get_forces(), frame.get_stress()
    assert large.get_potential_energy() == pytest.approx(2 * energy, rel=1e-6)
    assert large.get_forces() == pytest.approx(np.tile(forces, (2, 1)), abs=2e-4)
    assert large.get_stress() == pytest.approx(stress, abs=1e-6)


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_isolated_molecule_needs_no_box(name):
    frame = whole(smallest_box())
    molecule = frame[frame.arrays["molecule"] == 0]
    molecule.pbc, molecule.cell = False, None
    boxed = molecule.copy()
    boxed.set_cell([40.0] * 3)
    boxed.pbc = True
    molecule.calc = boxed.calc = published(name)
    energy, forces = molecule.get_potential_energy(), molecule.get_forces()
    assert energy == pytest.approx(boxed.get_potential_energy(), rel=1e-6)
    assert forces == pytest.approx(boxed.get_forces(), abs=1e-4)


def test_chgnet_agrees_with_the_calculator_of_its_package():
    from chgnet.model.dynamics import CHGNetCalculator

    file, _ = protocol.checked_weights(protocol.published("chgnet"))
    frame = smallest_box().copy()
    own = frame.copy()
    own.calc = CHGNetCalculator.from_file(str(file), use_device="cpu", on_isolated_atoms="ignore")
    frame.calc = published("chgnet")
    assert frame.get_potential_energy() == pytest.approx(own.get_potential_energy(), rel=1e-6)
    assert frame.get_forces() == pytest.approx(own.get_forces(), abs=1e-4)
    assert frame.get_stress() == pytest.approx(own.get_stress(), abs=1e-6)


def test_chgnet_takes_a_lone_atom():
    atom = Atoms("H", calculator=published("chgnet"))
    assert np.isfinite(atom.get_potential_energy())
    assert not atom.get_forces().any()


def test_chgnet_refuses_double_precision(tmp_path):
    with pytest.raises(ValueError, match="precision 'float64'; CHGNet allows float32 only"):
        chgnet.calculator(tmp_path, device="cpu", precision="float64")


# --- weights ----------------------------------------------------------------------------------


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """An empty folder of weights, and an empty cache."""
    folder = tmp_path / "weights"
    folder.mkdir()
    monkeypatch.setenv("CROSSTRAIN_WEIGHTS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def stand_ins(monkeypatch):
    """Other files may take the place of the published ones, which no test downloads."""
    for name, model in mace_foundation.PRETRAINED.items():
        stand_in = dataclasses.replace(model, sha256="")
        monkeypatch.setitem(mace_foundation.PRETRAINED, name, stand_in)


def test_every_published_model_states_its_level_of_theory():
    known = protocol.pretrained()
    assert {"so3lr", "chgnet", "mace_mp_0", "mace_mp_0_d3", "mace_off23"} <= set(known)
    assert all(protocol.published(name).level_of_theory for name in known)
    with pytest.raises(ValueError, match=r"pretrained model 'gap'; allowed are .*so3lr"):
        protocol.published("gap")


@pytest.mark.parametrize("name", ["mace_mp_0", "mace_mp_0_d3", "mace_off23"])
def test_missing_weights_say_how_to_provide_them(weights, name):
    with pytest.raises(WeightsNotFound, match=r"weights not found \(put .*\.model into .*_WEIGHTS"):
        protocol.checked_weights(protocol.published(name))


def test_weights_of_a_package_that_is_not_there():
    with pytest.raises(WeightsNotFound, match=r"weights not found .*pip install nothing==1"):
        protocol.packaged_weights("no_such_package", "a", "nothing==1")
    with pytest.raises(WeightsNotFound, match="weights not found"):
        protocol.packaged_weights("crosstrain", "no/such/file", "x")


def test_weights_are_found_by_either_name_and_checked_by_hash(weights, stand_ins, tmp_path):
    model = protocol.published("mace_mp_0")
    short = tmp_path / "cache" / "mace" / "20231210mace128L0_energy_epoch249model"
    short.parent.mkdir(parents=True)
    short.write_text("as mace-torch keeps it")
    assert protocol.checked_weights(model)[0] == short
    (weights / mace_foundation.MP_SMALL).write_text("as published")
    path, sha256 = protocol.checked_weights(model)
    assert path == weights / mace_foundation.MP_SMALL
    assert protocol.checked_weights(model, sha256) == (path, sha256)
    with pytest.raises(ValueError, match=rf"have SHA-256 {sha256}; expected is {'0' * 64}"):
        protocol.checked_weights(model, "0" * 64)


@pytest.mark.parametrize("name", mace_foundation.PRETRAINED)
def test_a_file_that_only_has_the_published_name_is_refused(weights, name):
    model = protocol.published(name)
    assert re.fullmatch("[0-9a-f]{64}", model.sha256)
    for file in (mace_foundation.MP_SMALL, mace_foundation.OFF_SMALL):
        (weights / file).write_text("an error page")
    said = rf"\.model, have SHA-256 .*; expected is {model.sha256}: get the file again"
    with pytest.raises(protocol.WeightsNotFound, match=said):
        protocol.checked_weights(model)
    study = Study("smoke", announce=False)
    assert study.reference("hot")  # what does not need them goes on
    if name in study.profile.foundation.models:
        found, lacking = study.foundation_models()
        assert name not in found
        assert "get the file again" in lacking[name]
        assert any(line.startswith(f"{name}: not run: ") for line in study.left_out())


def test_the_step_of_a_published_model_records_what_it_is(tmp_path):
    sha256 = protocol.checked_weights(protocol.published("so3lr"))[1]
    params = {"name": "so3lr", "architecture": "so3lr", "sha256": sha256}
    steps.KINDS["pretrained"].function(params, {}, tmp_path, tmp_path)
    record = json.loads((tmp_path / protocol.RECORD).read_text())
    assert record["sha256"] == sha256
    assert record["level_of_theory"] == "PBE0+MBD"
    assert (
        protocol.checked_weights(protocol.published("so3lr"))[0].read_bytes()
        == (tmp_path / so3lr.MODEL_FILE).read_bytes()
    )
    with pytest.raises(ValueError, match="expected is other"):
        steps.KINDS["pretrained"].function(params | {"sha256": "other"}, {}, tmp_path, tmp_path)


# --- fine-tuning ------------------------------------------------------------------------------


def tune(module, folder, *, values=(), **changes):
    training, validation = fr.split(frames(), 6)
    given = {"training": training, "validation": validation} | changes
    return module.train(
        given["training"],
        given["validation"],
        module.Settings(**dict(values)),
        seed=1,
        folder=folder,
        atom_energies=ATOM_ENERGIES,
        device="cpu",
        precision="float32",
    )


def isolated():
    """A labelled molecule without a box."""
    frame = whole(frames()[0])
    molecule = frame[frame.arrays["molecule"] == 0]
    molecule.pbc, molecule.cell = False, None
    molecule.info = {"REF_energy": frame.info[fr.ENERGY] * len(molecule) / len(frame)}
    return molecule


def test_so3lr_is_fine_tuned_to_the_labels_and_continued(tmp_path):
    training, validation = fr.split(frames(), 6)
    training = [*training, isolated()]
    kept = {"training": training, "validation": validation}
    short, long = (so3lr.Settings(num_epochs=n, batch_size=2) for n in (2, 5))
    assert tune(so3lr, tmp_path, values=short, **kept) == tmp_path / so3lr.MODEL_FILE
    before = so3lr.learning_curve(tmp_path, short, len(training))
    assert [point.samples for point in before] == [11, 22] == [11, so3lr.samples(short, 11)]
    model = tune(so3lr, tmp_path, values=long, **kept)
    after = so3lr.learning_curve(tmp_path, long, len(training))
    assert after[: len(before)] == before
    assert after[-1].samples == so3lr.samples(long, 11)

    tuned = so3lr.calculator(model, device="cpu", precision="float32")
    trainers_own = so3lr.calculator(tmp_path / "model.model", device="cpu", precision="float32")
    liquid = frames()[0]
    np.testing.assert_array_equal(tuned.get_forces(liquid), trainers_own.get_forces(liquid))
    published = protocol.checked_weights(protocol.published("so3lr"))[0]
    assert model.stat().st_size < 1.1 * published.stat().st_size  # nothing of the last batch
    assert after[-1].forces_rmse_eV_A < 0.9 * before[0].forces_rmse_eV_A
    said = np.concatenate([tuned.get_forces(frame.copy()) for frame in validation])
    labels = np.concatenate([frame.arrays[fr.FORCES] for frame in validation])
    assert np.sqrt(np.mean((said - labels) ** 2)) == pytest.approx(
        after[-1].forces_rmse_eV_A, rel=1e-3
    )
    for frame in validation:  # the zero of the labels, 100 eV an atom from that of SO3LR
        energy = tuned.get_potential_energy(frame.copy())
        assert energy / len(frame) == pytest.approx(frame.info[fr.ENERGY] / len(frame), abs=0.5)


def test_the_smallest_shift_that_fits_brings_energies_to_the_zero_of_the_labels(tmp_path):
    file, _ = protocol.checked_weights(protocol.published("so3lr"))
    so3lr._write_shifted(file, frames()[:5], tmp_path / "base.model", "cpu", "float64")
    shifted = so3lr.calculator(tmp_path / "base.model", device="cpu", precision="float64")
    for frame in frames()[:5]:
        off = shifted.get_potential_energy(frame.copy()) - frame.info[fr.ENERGY]
        assert off / len(frame) == pytest.approx(0, abs=0.02)
        assert shifted.get_forces(frame.copy()) == pytest.approx(
            published("so3lr").get_forces(frame.copy()), abs=1e-9
        )


def test_fine_tuning_refuses_other_weights_and_missing_labels(tmp_path):
    with pytest.raises(ValueError, match="expected is 00"):
        tune(so3lr, tmp_path, values={"base_sha256": "00"})
    training = frames()[:4]
    del training[2].arrays[fr.FORCES]
    with pytest.raises(TrainingError, match="training frame 2: no label REF_forces"):
        tune(so3lr, tmp_path, training=training)
    with pytest.raises(ValueError, match="finetune_choice"):
        protocol.settings("so3lr", {"finetune_choice": "all"})


def test_the_trainer_leaves_the_process_as_it_was(tmp_path):
    import logging

    import torch

    logger, dtype = logging.getLogger("a.logger.of.ours"), torch.get_default_dtype()
    handlers = logging.getLogger().handlers[:]
    tune(so3lr, tmp_path, training=frames()[:2], values={"num_epochs": 1})
    assert logging.getLogger("a.logger.of.ours") is logger
    assert logging.getLogger().handlers == handlers
    assert torch.get_default_dtype() == dtype


def test_sizes_of_a_fine_tuning():
    assert so3lr.sized(so3lr.Settings(), 1000, 20).num_epochs == 50
    assert so3lr.sized(so3lr.Settings(), 1, 20).num_epochs == 1
    tuned = mace_foundation.sized(mace_foundation.Settings(batch_size=4), 1000, 21)
    assert tuned.max_num_epochs == 50
    assert mace_foundation.samples(tuned, 21) == 1000
    with pytest.raises(ValueError, match="3 training frames; batch_size is 4"):
        mace_foundation.sized(mace_foundation.Settings(batch_size=4), 1000, 3)


# Of an atom of each element, between the zero of a published model and that of the labels.
APART_eV = {"C": 3.0, "H": -1.0, "O": 7.0}


@pytest.fixture(scope="session")
def small_mace(tmp_path_factory):
    """A tiny MACE model that stands where published weights would.

    Like these it has a zero of its own, and knows an element (N) that the labels do not have:
    mace-torch carries the zero over from weights of the same elements.
    """
    zero = {e: energy + APART_eV[e] for e, energy in ATOM_ENERGIES.items()} | {"N": -70.0}
    elsewhere = frames()
    for frame in elsewhere:
        frame.info[fr.ENERGY] += sum(APART_eV[symbol] for symbol in frame.symbols)
    other = elsewhere[0]
    other.info[fr.ENERGY] += zero["N"] - zero[other.symbols[0]]
    other.symbols[0] = "N"
    training, validation = fr.split(elsewhere, 6)
    values = {"r_max": 4.0, "num_channels": 4, "max_num_epochs": 2, "start_stage_two": 1}
    return mace.train(
        training,
        validation,
        mace.Settings(**values, eval_interval=1, max_ell=2, correlation=2),
        seed=1,
        folder=tmp_path_factory.mktemp("published"),
        atom_energies=zero,
        device="cpu",
        precision="float32",
    )


def check_tuned(folder, model, settings, *, seen=8):
    """The curve falls, and the model has the zero of the labels, eV an atom from where it began."""
    curve = mace_foundation.learning_curve(folder, settings, 10)
    assert [point.samples for point in curve] == [seen, 2 * seen, 3 * seen]
    assert curve[-1].forces_rmse_eV_A < 0.95 * curve[0].forces_rmse_eV_A
    tuned = mace_foundation.calculator(model, device="cpu", precision="float32")
    for frame in frames()[:2]:
        off = (tuned.get_potential_energy(frame) - frame.info[fr.ENERGY]) / len(frame)
        assert off == pytest.approx(0, abs=0.5)


TUNING = {"max_num_epochs": 3, "lr": 0.02}


def test_mace_is_fine_tuned_where_weights_are_given(weights, stand_ins, small_mace, tmp_path):
    shutil.copyfile(small_mace, weights / mace_foundation.OFF_SMALL)
    model = tune(mace_foundation, tmp_path / "plain", values=TUNING)
    check_tuned(tmp_path / "plain", model, mace_foundation.Settings(**TUNING))


def test_mace_replays_other_frames_in_a_second_head(weights, stand_ins, small_mace, tmp_path):
    shutil.copyfile(small_mace, weights / mace_foundation.OFF_SMALL)
    fr.write(weights / "replay.extxyz", frames()[:8])
    values = TUNING | {"replay_file": "replay.extxyz", "replay_labels": "model"}
    model = tune(mace_foundation, tmp_path / "replayed", values=values)
    settings = mace_foundation.Settings(**values)
    check_tuned(tmp_path / "replayed", model, settings, seen=16)  # whole batches of 10 + 7 frames


def test_replayed_frames_are_in_the_budget(weights):
    fr.write(weights / "replay.extxyz", frames()[:8])
    n_replayed, values = 8 - 1, {"batch_size": 1}  # one validates
    alone = mace_foundation.Settings(**values)
    replayed = mace_foundation.Settings(replay_file="replay.extxyz", **values)
    assert mace_foundation.sized(alone, 120, 4).max_num_epochs == 30
    assert mace_foundation.sized(replayed, 110, 4).max_num_epochs == 10  # 4 + 7 frames in each
    assert mace_foundation.samples(replayed, 4) == replayed.max_num_epochs * (4 + n_replayed)
    with (weights / "replay.extxyz").open("a") as file:
        file.write("1\n\nH 0 0 0\n" * 32)
    # 36 for each 1, four validate: mace-torch repeats that int(0.1 * 36) times more
    assert mace_foundation.samples(replayed, 1) == replayed.max_num_epochs * (1 + 3 + 36)
    assert mace_foundation.samples(replayed, 4) == replayed.max_num_epochs * (4 + 36)


def test_mace_is_asked_for_a_second_head_only_with_frames_to_replay(weights):
    given = weights / mace_foundation.OFF_SMALL
    options = (given, 1, "cpu", "float32")
    plain = mace_foundation._arguments(mace_foundation.Settings(), *options)
    assert f"--foundation_model={given}" in plain
    assert "--multiheads_finetuning=False" in plain
    assert not [argument for argument in plain if "pt_" in argument]
    settings = mace_foundation.Settings(replay_file="replay.extxyz", replay_weight=0.5)
    with pytest.raises(WeightsNotFound, match=r"put replay\.extxyz into .*CROSSTRAIN_WEIGHTS"):
        mace_foundation._arguments(settings, *options)
    (weights / "replay.extxyz").write_text("")
    replayed = mace_foundation._arguments(settings, *options)
    assert {
        "--multiheads_finetuning=True",
        f"--pt_train_file={weights / 'replay.extxyz'}",
        "--weight_pt_head=0.5",
    } <= set(replayed)


def test_mace_is_not_fine_tuned_without_weights(weights, tmp_path):
    with pytest.raises(WeightsNotFound, match="weights not found"):
        tune(mace_foundation, tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("name", ["mace_mp_0", "mace_mp_0_d3"])
def test_dispersion_is_added_where_the_record_says_so(small_mace, tmp_path, name):
    model = tmp_path / mace_foundation.MODEL_FILE
    shutil.copyfile(small_mace, model)
    (tmp_path / protocol.RECORD).write_text(json.dumps({"name": name}))
    loaded = mace_foundation.calculator(model, device="cpu", precision="float32")
    bare = mace.calculator(small_mace, device="cpu", precision="float32", engine="mace-torch")
    frame = smallest_box()
    added = loaded.get_potential_energy(frame.copy()) - bare.get_potential_energy(frame.copy())
    assert loaded.get_stress(frame.copy()).shape == (6,)
    if name == mace_foundation.D3:
        assert -0.2 * len(frame) < added < -0.01 * len(frame)
        assert "torch-dftd" in loaded.engine
    else:
        assert added == pytest.approx(0, abs=1e-3)
