"""The architectures for real, tiny: a trained model is a potential, and what is wrong is told."""

import json
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress
from crosstrain.data import frames as fr
from crosstrain.data import profiles
from crosstrain.plan import Plan
from crosstrain.potentials import deep_potential, gap, mace, protocol
from crosstrain.potentials.protocol import TrainingError

DATA = Path(__file__).parent / "data"
# The cutoff is longer than the smallest box is wide, so atoms see their own images.
CUTOFF_A = 6.8
TINY = {
    "deep_potential": {
        "rcut": CUTOFF_A,
        "sel": (60, 80, 60),
        "neuron": (4, 8),
        "axis_neuron": 2,
        "fitting_neuron": (8, 8),
        "steps": 60,
        "report_every": 10,
    },
    "mace": {
        "r_max": CUTOFF_A,
        "num_channels": 4,
        "max_num_epochs": 6,
        "start_stage_two": 4,
        "eval_interval": 1,
    },
    "gap": {"cutoff": CUTOFF_A, "n_max": 3, "l_max": 2, "n_sparse": 20},
}
ARCHITECTURES = list(TINY)
IN_STEPS = ["deep_potential", "mace"]  # the others are fitted at once
MACHINE = {"device": "cpu", "precision": "float64"}
ATOM_ENERGIES = json.loads((DATA / "energies_eV.json").read_text())

TRAIN = """
import json, sys
from pathlib import Path
from crosstrain.data import frames as fr
from crosstrain.potentials import protocol
data, folder, name, values = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
training, validation = fr.split(fr.read(data / "frames.extxyz.gz", labelled=True), 6)
protocol.architecture(name).train(
    training, validation, protocol.settings(name, json.loads(values)), seed=1, folder=folder,
    atom_energies=json.loads((data / "energies_eV.json").read_text()),
    device="cpu", precision="float64",
)
"""


def frames():
    return fr.read(DATA / "frames.extxyz.gz", labelled=True)


def train(name, folder, *, values=(), seed=1, **changes):
    """Train a tiny model, by default on ten frames with two to validate."""
    training, validation = fr.split(frames(), 6)
    given = {"training": training, "validation": validation} | changes
    return protocol.architecture(name).train(
        given["training"],
        given["validation"],
        protocol.settings(name, TINY[name] | dict(values)),
        seed=seed,
        folder=folder,
        atom_energies=ATOM_ENERGIES,
        **MACHINE,
    )


@pytest.fixture(scope="session")
def dp_model(tmp_path_factory):
    """The file of a tiny Deep Potential."""
    return train("deep_potential", tmp_path_factory.mktemp("deep_potential"))


@pytest.fixture(scope="session", params=ARCHITECTURES)
def trained(request, tmp_path_factory):
    """A tiny trained model of each architecture."""
    if request.param == "deep_potential":
        model = request.getfixturevalue("dp_model")
    else:
        model = train(request.param, tmp_path_factory.mktemp(request.param))
    folder, module = model.parent, protocol.architecture(request.param)
    assert model == folder / module.MODEL_FILE
    return SimpleNamespace(
        name=request.param,
        module=module,
        folder=folder,
        calculator=module.calculator(model, **MACHINE),
    )


def smallest_box():
    return min(frames(), key=lambda frame: frame.get_volume())


# --- a trained model is a potential -----------------------------------------------------------


def test_forces_are_minus_the_gradient(trained):
    frame = smallest_box()
    frame.calc = trained.calculator
    forces = frame.get_forces()
    assert np.abs(forces).max() > 1e-3
    step = 3e-4  # Å; the energies of GAP scatter by 1e-9 eV
    for atom, axis in [(0, 0), (3, 1), (11, 2), (19, 0)]:
        energies = []
        for shift in (step, -step):
            moved = frame.copy()
            moved.positions[atom, axis] += shift
            moved.calc = trained.calculator
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step)
        assert forces[atom, axis] == pytest.approx(-slope, rel=1e-5, abs=1e-5)


def test_stress_is_the_gradient_with_strain(trained):
    frame = smallest_box()
    frame.calc = trained.calculator
    stress = frame.get_stress()
    # the large weights of a kernel fit leave noise in the last digits of the energy
    step, numeric = 1e-4 if trained.name == "gap" else 1e-5, np.zeros((3, 3))
    for i, j in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]:
        energies = []
        for size in (step, -step):
            strain = np.eye(3)
            strain[i, j] += size / 2
            strain[j, i] += size / 2
            strained = frame.copy()
            strained.set_cell(frame.cell.array @ strain, scale_atoms=True)
            strained.calc = trained.calculator
            energies.append(strained.get_potential_energy())
        numeric[i, j] = numeric[j, i] = (energies[0] - energies[1]) / (2 * step)
    numeric = full_3x3_to_voigt_6_stress(numeric) / frame.get_volume()
    assert np.abs(stress).max() > 1e-5
    assert stress == pytest.approx(numeric, rel=1e-4, abs=1e-7)


def test_a_frame_agrees_with_its_supercell(trained):
    """Also for a box that is smaller than the cutoff."""
    frame = smallest_box()
    assert frame.cell.lengths().min() < CUTOFF_A
    large = frame.repeat(2)
    frame.calc = large.calc = trained.calculator
    energy, forces, stress = (
        frame.get_potential_energy(),
        frame.get_forces(),
        frame.get_stress(),
    )
    assert large.get_potential_energy() == pytest.approx(8 * energy, rel=1e-9)
    assert large.get_forces() == pytest.approx(np.tile(forces, (8, 1)), abs=1e-7)
    assert large.get_stress() == pytest.approx(stress, abs=1e-9)


def test_the_order_of_atoms_and_the_origin_do_not_matter(trained):
    frame = smallest_box()
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = frame[order]
    shuffled.positions += [1.0, 2.0, 3.0]
    shuffled.wrap()
    frame.calc = shuffled.calc = trained.calculator
    assert shuffled.get_potential_energy() == pytest.approx(frame.get_potential_energy(), rel=1e-9)
    assert shuffled.get_forces() == pytest.approx(frame.get_forces()[order], abs=1e-7)


def test_a_molecule_alone_is_one_in_a_large_box(trained):
    alone = frames()[0]
    alone = alone[alone.arrays["molecule"] == 0]
    alone.set_cell(None)
    alone.pbc = False
    boxed = alone.copy()
    boxed.set_cell(np.eye(3) * 40)
    boxed.pbc = True
    alone.calc = boxed.calc = trained.calculator
    energy, forces = alone.get_potential_energy(), alone.get_forces()
    assert boxed.get_potential_energy() == pytest.approx(energy, abs=1e-6)
    assert boxed.get_forces() == pytest.approx(forces, abs=1e-6)


def test_the_energy_has_the_zero_of_the_labels(trained):
    """Energies of the elements differ by 90 eV; even a tiny model comes within 3 eV an atom."""
    for frame in frames()[:3]:
        label = frame.info[fr.ENERGY]
        frame.calc = trained.calculator
        assert frame.get_potential_energy() / len(frame) == pytest.approx(
            label / len(frame), abs=3.0
        )


def test_a_model_file_names_no_folder_of_the_machine(trained):
    file = trained.folder / trained.module.MODEL_FILE
    inside = [file.read_bytes()]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            inside += [archive.read(name) for name in archive.namelist()]
    home = str(Path(protocol.__file__).parents[3]).encode()
    assert not any(home in part or sys.prefix.encode() in part for part in inside)


# --- the engines of MACE ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def mace_model(tmp_path_factory):
    """A tiny MACE model in single precision."""
    training, validation = fr.split(frames(), 6)
    values = {"r_max": 4.5, "max_num_epochs": 2, "start_stage_two": 1}
    return mace.train(
        training,
        validation,
        protocol.settings("mace", TINY["mace"] | values),
        seed=1,
        folder=tmp_path_factory.mktemp("engines"),
        atom_energies=ATOM_ENERGIES,
        device="cpu",
        precision="float32",
    )


def both_engines(model):
    pytest.importorskip("symmetrix")
    native = mace.calculator(model, device="cpu", precision="float32")
    torch = mace.calculator(model, device="cpu", precision="float32", engine="mace-torch")
    assert (native.engine, torch.engine) == ("symmetrix-xl 0.1.1", "mace-torch 0.3.16")
    return native, torch


def test_both_engines_of_mace_agree(mace_model):
    native, torch = both_engines(mace_model)
    for frame in frames()[:3]:
        n = len(frame)
        assert native.get_potential_energy(frame) / n == pytest.approx(
            torch.get_potential_energy(frame) / n, abs=protocol.AGREEMENT["energy"]
        )
        assert native.get_forces(frame) == pytest.approx(
            torch.get_forces(frame), abs=protocol.AGREEMENT["forces"]
        )
        assert native.get_stress(frame) == pytest.approx(
            torch.get_stress(frame), abs=protocol.AGREEMENT["stress"]
        )


def test_frames_that_are_not_periodic_are_left_to_mace_torch(mace_model):
    native, torch = both_engines(mace_model)
    for n_atoms in (25, 1):
        frame = frames()[0][:n_atoms]
        frame.set_cell(None)
        frame.pbc = False
        assert native.get_potential_energy(frame) == torch.get_potential_energy(frame)
        assert np.array_equal(native.get_forces(frame), torch.get_forces(frame))


def test_forces_depend_on_the_configuration_alone(mace_model):
    """Else dynamics that was interrupted would not continue as if it had not been."""
    for calculator in both_engines(mace_model):
        frame = frames()[0]
        before = calculator.get_forces(frame).copy()
        for seed in range(3):
            moved = frame.copy()
            moved.rattle(0.1, seed=seed)
            calculator.get_forces(moved)
        assert np.array_equal(calculator.get_forces(frame), before)


@pytest.fixture(scope="session")
def low_mace(tmp_path_factory):
    """A MACE of lower order, whose second stage is shorter than its evaluation interval."""
    values = {"max_ell": 2, "max_num_epochs": 3, "start_stage_two": 1, "eval_interval": 7}
    return train("mace", tmp_path_factory.mktemp("low"), values=values)


def test_mace_torch_takes_over_and_says_why(mace_model, low_mace, monkeypatch):
    pytest.importorskip("symmetrix")
    options = {"device": "cpu", "precision": "float32"}
    monkeypatch.setitem(protocol.AGREEMENT, "forces", 0.0)
    calculator = mace.calculator(mace_model, **options)
    assert "(no Symmetrix: forces differs by" in calculator.engine
    with pytest.raises(ValueError, match="engine 'fast'; allowed are 'auto', 'mace-torch'"):
        mace.calculator(mace_model, engine="fast", **options)

    calculator = mace.calculator(low_mace, **options)
    assert calculator.engine.startswith("mace-torch 0.3.16 (no Symmetrix: ")
    assert "l_max=3" in calculator.engine
    assert np.isfinite(calculator.get_forces(smallest_box())).all()


# --- the engines of Deep Potential -------------------------------------------------------------


@pytest.mark.parametrize("is_shipped", [False, True])
def test_a_compressed_deep_potential_agrees(dp_model, is_shipped):
    """A tiny model in double precision, and one of the study in single precision."""
    if is_shipped:
        shipped = DATA.parents[1] / "data" / "models"
        model = next(shipped.glob(f"*deep_potential-classical-s1*/{deep_potential.MODEL_FILE}"))
    else:
        model = dp_model
    compressed = deep_potential.calculator(model, **MACHINE)
    plain = deep_potential.calculator(model, **MACHINE, engine="deepmd-kit")
    assert compressed.engine == f"{plain.engine}, compressed, neighbours given"
    pair = Atoms("OH", positions=[[0, 0, 0], [0, 0, 0.6]])  # closer than any bond
    for frame in [*frames()[:3], pair]:
        n = len(frame)
        assert compressed.get_potential_energy(frame) / n == pytest.approx(
            plain.get_potential_energy(frame) / n, abs=protocol.AGREEMENT["energy"]
        )
        assert compressed.get_forces(frame) == pytest.approx(
            plain.get_forces(frame), abs=protocol.AGREEMENT["forces"]
        )
        if frame.pbc.all():
            assert compressed.get_stress(frame) == pytest.approx(
                plain.get_stress(frame), abs=protocol.AGREEMENT["stress"]
            )


def pairs_of(atoms, neighbours):
    """Distances of all pairs, by atom and atom, in order of their length."""
    positions, home, nearest = neighbours.of(atoms)
    assert positions[: len(atoms)] == pytest.approx(atoms.positions)
    first, column = np.nonzero(nearest >= 0)
    place = nearest[first, column]
    lengths = np.linalg.norm(positions[place] - positions[first], axis=1)
    for atom in range(len(atoms)):
        assert (np.diff(lengths[first == atom]) >= 0).all()
    return sorted(zip(first, home[place], lengths.round(6), strict=True))


def pairs_of_ase(atoms, cutoff):
    return sorted(
        (i, j, length) for i, j, length in zip(*neighbor_list("ijd", atoms, cutoff), strict=True)
    )


def test_neighbours_are_those_of_ase_while_atoms_and_cell_move():
    """A small skewed cell, so that an atom sees several images of others and of itself."""
    rng = np.random.default_rng(0)
    cell = [[4.0, 0, 0], [0.7, 5.0, 0], [-0.4, 0.9, 6.0]]
    atoms = Atoms("HCOOCH3", positions=rng.uniform(-8, 8, (8, 3)), cell=cell, pbc=True)
    neighbours = deep_potential.Neighbours(4.5)
    for step in range(60):
        found, known = pairs_of(atoms, neighbours), pairs_of_ase(atoms, 4.5)
        assert [pair[:2] for pair in found] == [pair[:2] for pair in known]
        assert [p[2] for p in found] == pytest.approx([p[2] for p in known], abs=1e-5)
        atoms.positions += rng.normal(scale=0.02, size=(8, 3))
        if step % 3 == 0:  # as a barostat does
            atoms.set_cell(atoms.cell.array * rng.uniform(0.996, 1.004), scale_atoms=True)
    assert 1 < neighbours.n_searches < 30


@pytest.mark.parametrize("change", ["move", "both", "cell", "element", "all the way across"])
def test_neighbours_are_searched_for_anew_when_they_must_be(change):
    x = 9.5 if change == "cell" else 6.4
    atoms = Atoms("HCO", positions=[[0, 0, 0], [x, 0, 0], [0, 9, 0]], cell=[20] * 3, pbc=True)
    neighbours = deep_potential.Neighbours(5.0)
    assert pairs_of(atoms, neighbours) == []
    if change == "move":
        atoms.positions[1, 0] = 4.9
    elif change == "both":  # neither by the whole margin
        atoms.positions[:2, 0] += [0.75, -0.75]
    elif change == "cell":
        atoms.set_cell([14.0, 20, 20])  # so that an image of 1 comes close; no atom moves
    elif change == "element":
        atoms.numbers[0] = 6
    else:
        atoms.positions[0, 0] += 20.0  # the same place
    found = pairs_of(atoms, neighbours)
    assert [pair[:2] for pair in found] == [pair[:2] for pair in pairs_of_ase(atoms, 5.0)]
    assert len(found) == (2 if change in ("move", "both", "cell") else 0)
    assert neighbours.n_searches == 2


def test_deep_potential_sees_atoms_without_neighbours_and_what_is_no_number(dp_model):
    fast = deep_potential.calculator(dp_model, **MACHINE)
    plain = deep_potential.calculator(dp_model, **MACHINE, engine="deepmd-kit")
    alone = Atoms("HO", positions=[[0, 0, 0], [15.0, 0, 0]], cell=[30] * 3, pbc=True)
    assert fast.get_potential_energy(alone) == pytest.approx(plain.get_potential_energy(alone))
    assert fast.get_forces(alone) == pytest.approx(np.zeros((2, 3)))
    lost = smallest_box()
    lost.positions[0, 0] = np.nan
    assert np.isnan(fast.get_forces(lost)).any()


def test_a_model_that_cannot_be_compressed_is_used_as_it_is(dp_model, monkeypatch):
    monkeypatch.setitem(protocol.AGREEMENT, "forces", 0.0)
    calculator = deep_potential.calculator(dp_model, **MACHINE)
    assert "(no compression: forces differs by" in calculator.engine
    assert np.isfinite(calculator.get_forces(smallest_box())).all()
    with pytest.raises(ValueError, match="engine 'fast'; allowed are 'auto', 'deepmd-kit'"):
        deep_potential.calculator(dp_model, engine="fast", **MACHINE)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_deep_potential_takes_the_device_it_is_told(device, tmp_path):
    code = f"""
import os, torch
torch.cuda.is_available = lambda: True  # a machine with a GPU
from crosstrain.potentials import deep_potential
deep_potential._use({device!r})
from deepmd.pt.utils.env import DEVICE
assert DEVICE.type == {device!r} == os.environ["DEVICE"], DEVICE
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_deep_potential_refuses_a_device_that_it_cannot_take(tmp_path, monkeypatch):
    import torch

    file = tmp_path / "none.pth"
    machine = {"device": "cuda", "precision": "float32"}
    monkeypatch.setenv("DEVICE", "cpu")  # put back afterwards
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for ask in (
        lambda: deep_potential.calculator(file, **machine),
        lambda: deep_potential.train(
            *([], [], deep_potential.Settings()),
            **(machine | {"seed": 1, "folder": tmp_path, "atom_energies": {}}),
        ),
    ):
        with pytest.raises(ValueError, match="device 'cuda', but torch finds no GPU here"):
            ask()
    deep_potential._use("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ValueError, match="has loaded deepmd-kit for 'cpu'"):
        deep_potential.calculator(file, **machine)


def test_counting_weights_settles_no_device(dp_model):
    code = f"""
import sys
from pathlib import Path
from crosstrain.potentials import deep_potential
assert deep_potential.n_weights(Path({str(dp_model)!r})) > 0
assert "deepmd.pt.utils.env" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


# --- training ---------------------------------------------------------------------------------


def test_learning_curve(trained):
    settings = protocol.settings(trained.name, TINY[trained.name])
    curve = trained.module.learning_curve(trained.folder, settings, 10)
    samples = [point.samples for point in curve]
    assert len(curve) >= 6 if trained.name in IN_STEPS else len(curve) == 1
    assert samples == sorted(set(samples))
    assert samples[-1] == trained.module.samples(settings, 10)
    assert all(0 < p.energy_rmse_eV_atom < 1000 and 0 < p.forces_rmse_eV_A < 100 for p in curve)
    first, last = curve[0], curve[-1]
    assert (
        first is last
        or last.energy_rmse_eV_atom < first.energy_rmse_eV_atom
        or last.forces_rmse_eV_A < first.forces_rmse_eV_A
    )
    json.dumps([point.to_json() for point in curve])


def test_a_stage_two_shorter_than_the_evaluation_interval_leaves_a_model(low_mace):
    assert low_mace.is_file()
    sized = mace.sized(mace.Settings(max_num_epochs=10, start_stage_two=9), 1, 5)
    assert (sized.max_num_epochs, sized.start_stage_two) == (3, 2)


@pytest.mark.parametrize("name", IN_STEPS)
def test_an_interrupted_training_is_continued(name, tmp_path):
    longer = {
        "deep_potential": {"steps": 300},
        "mace": {"max_num_epochs": 12, "start_stage_two": 8},
    }[name]
    values = TINY[name] | longer
    command = [sys.executable, "-c", TRAIN, DATA, tmp_path, name, json.dumps(values)]
    checkpoints = {
        "deep_potential": "model.ckpt-30.pt",
        "mace": "checkpoints/*epoch-2.pt",
    }[name]
    module, settings = protocol.architecture(name), protocol.settings(name, values)
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not list(tmp_path.glob(checkpoints)) and process.poll() is None:
            time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / module.MODEL_FILE).exists()
    before = module.learning_curve(tmp_path, settings, 10)
    assert before[-1].samples < module.samples(settings, 10)

    assert train(name, tmp_path, values=longer).is_file()
    after = module.learning_curve(tmp_path, settings, 10)
    assert after[:2] == before[:2]  # not begun anew
    samples = [point.samples for point in after]
    assert samples == sorted(set(samples))
    assert samples[-1] == module.samples(settings, 10)


def test_the_learning_rate_of_a_continued_deep_potential_is_that_of_a_whole_one(tmp_path):
    """Wherever it is interrupted, also at its end, and more than once."""
    values = {"steps": 200, "report_every": 10}
    names = ("whole", "continued")
    train("deep_potential", tmp_path / "whole", values=values)
    folder = tmp_path / "continued"
    shutil.copytree(tmp_path / "whole", folder, symlinks=True)
    for _ in range(2):
        (folder / "model.ckpt-200.pt").unlink()  # goes on from the last but one
        train("deep_potential", folder, values=values)
    (folder / deep_potential.MODEL_FILE).unlink()
    train("deep_potential", folder, values=values)
    whole, continued = (deep_potential._read_curve(tmp_path / name) for name in names)
    planned = dict(zip(whole["step"], whole["lr"], strict=True))
    assert continued["step"][-4:].tolist() == [190, 200, 190, 200]
    for step, rate in zip(continued["step"], continued["lr"], strict=True):
        assert rate == pytest.approx(planned[step], rel=0.1)  # it falls in 100 stairs of 5 %


def test_an_interrupted_fit_begins_anew_and_ends_the_same(tmp_path):
    values = TINY["gap"] | {"cutoff": 4.0}
    command = [sys.executable, "-c", TRAIN, DATA, tmp_path, "gap", json.dumps(values)]
    with subprocess.Popen(list(map(str, command))) as process:
        while not list(tmp_path.glob("*/training.xyz")) and process.poll() is None:
            time.sleep(0.02)
        time.sleep(0.2)  # the fit begins
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / gap.MODEL_FILE).exists()
    time.sleep(1)
    places = [str(link.resolve()) for link in Path("/proc").glob("[0-9]*/cwd")]
    assert not [place for place in places if str(tmp_path) in place]  # no fit runs on
    models = [train("gap", tmp_path / name, values=values) for name in ("", "other")]
    assert models[0].read_bytes() == models[1].read_bytes()
    assert models[0].parent == tmp_path


def test_the_seed_of_gap_draws_its_sparse_points(tmp_path):
    values = {"cutoff": 3.0, "n_sparse": 5}
    models = {train("gap", tmp_path / str(s), values=values, seed=s).read_bytes() for s in (1, 2)}
    assert len(models) == 2


def test_gap_tells_labels_that_its_trainer_does_not_see(tmp_path, monkeypatch):
    ready = gap._with_labels

    def as_a_matrix(frame):
        copy = ready(frame)
        copy.info["gap_virial"] = copy.info["gap_virial"].reshape(3, 3)
        return copy

    monkeypatch.setattr(gap, "_with_labels", as_a_matrix)
    message = "gap_fit read labels .*'virials': 0.*, but was given .*'virials': 60"
    with pytest.raises(TrainingError, match=message):
        train("gap", tmp_path, values={"cutoff": 3.0})


def likeness_of_stress(potential) -> float:
    """Correlation of what a potential says of all stresses with their labels."""
    given = np.concatenate([frame.info[fr.STRESS] for frame in frames()])
    said = np.concatenate([potential.get_stress(frame) for frame in frames()])
    return np.corrcoef(given, said)[0, 1]


def test_gap_learns_stress_with_its_sign(tmp_path):
    model = train("gap", tmp_path, values={"cutoff": 4.0, "virial_sigma": 1e-3})
    assert likeness_of_stress(gap.calculator(model, **MACHINE)) > 0.8


def test_mace_learns_stress_with_its_sign(tmp_path):
    """From stress alone, so that forces and energies cannot teach it."""
    shape = {"r_max": 4.0, "num_channels": 8, "max_ell": 1, "correlation": 1}
    shape |= {"num_interactions": 1}
    stages = {"max_num_epochs": 30, "start_stage_two": 20, "eval_interval": 10}
    rates = {"batch_size": 2, "lr": 0.05, "stage_two_lr": 0.05, "ema_decay": 0.5}
    weights = {
        f"{stage}{label}_weight": 1e4 * (label == "stress")
        for stage in ("", "stage_two_")
        for label in ("energy", "forces", "stress")
    }
    model = train("mace", tmp_path, values=shape | stages | rates | weights)
    potential = mace.calculator(model, engine="mace-torch", **MACHINE)
    assert likeness_of_stress(potential) > 0.4


def test_gap_knows_frames_that_are_not_periodic(tmp_path):
    alone = frames()[0][:10]
    alone.info[fr.ENERGY] = sum(ATOM_ENERGIES[symbol] for symbol in alone.symbols) - 40.0
    alone.set_cell(None)
    alone.pbc = False
    training, _ = fr.split(frames(), 6)
    model = train("gap", tmp_path, values={"cutoff": 4.0}, training=[*training, alone])
    potential = gap.calculator(model, **MACHINE)
    boxed = alone.copy()
    boxed.set_cell(np.eye(3) * 40)
    boxed.pbc = True
    assert potential.get_potential_energy(alone) == pytest.approx(
        potential.get_potential_energy(boxed), abs=1e-6
    )
    assert potential.get_forces(alone) == pytest.approx(potential.get_forces(boxed), abs=1e-6)
    with pytest.raises(NotImplementedError):
        potential.get_stress(alone)


def test_a_small_budget_takes_sparse_points_from_gap_and_a_large_one_adds_none():
    settings = gap.Settings(n_sparse=400)
    assert gap.sized(settings, 50, 100).n_sparse == 200
    assert gap.sized(settings, 0, 100).n_sparse == 1
    assert gap.sized(settings, 1000, 100) == settings
    assert gap.samples(settings, 100) == 100


def test_gap_is_sized_once_for_a_set_whose_size_is_not_known_yet():
    laptop = profiles.load("laptop")
    budget = laptop.training.budget.model_copy(update={"core_s": 10.0})
    training = laptop.training.model_copy(update={"budget": budget})
    plan = Plan(laptop.model_copy(update={"training": training}))
    for sets, n_training in (("classical", 137), ("classical+dp_iterated", 137 + 91)):
        params = plan.trained("gap", {"n_sparse": 400}, sets, 1).params
        n_sparse = params["settings"]["n_sparse"]
        if "samples" in params:  # as the step does it
            settings = gap.Settings(**params["settings"])
            n_sparse = gap.sized(settings, params["samples"], n_training).n_sparse
        n_samples = 10.0 / (6e-3 * plan.atoms_per_frame(plan.recipe(sets.partition("+")[0])))
        assert n_sparse == pytest.approx(400 * n_samples / n_training, rel=0.1)


def test_mace_tells_labels_that_its_trainer_does_not_see(tmp_path):
    training, _ = fr.split(frames(), 6)
    del training[3].arrays[fr.FORCES]
    values = {"max_num_epochs": 2, "start_stage_two": 1}
    message = r"MACE read labels .*'forces': '9'.*, but was given .*'forces': 10"
    with pytest.raises(TrainingError, match=message):
        train("mace", tmp_path, training=training, values=values)


@pytest.mark.parametrize(("label", "file"), [("forces", "force.npy"), ("stress", "virial.npy")])
def test_deep_potential_tells_labels_that_its_trainer_does_not_see(
    label, file, tmp_path, monkeypatch
):
    write = deep_potential._write_systems

    def lose(frames, folder):
        systems = write(frames, folder)
        for path in folder.rglob(file):
            path.unlink()
        return systems

    monkeypatch.setattr(deep_potential, "_write_systems", lose)
    with pytest.raises(TrainingError, match=f"^deepmd-kit read no labels of {label}$"):
        train("deep_potential", tmp_path, values={"steps": 20})


def test_deep_potential_tells_stress_for_frames_that_have_one_only(tmp_path):
    """Of a frame that is not periodic none is reported, nor of any if its weight is zero."""
    head, row = "# step rmse_e_val rmse_f_val", "1 0.1 0.2"
    curve = tmp_path / "lcurve.out"
    curve.write_text(f"{head} rmse_v_val\n{row} nan\n{row} nan\n")
    deep_potential._check_curve(tmp_path, has_stress=False)
    curve.write_text(f"{head}\n{row}\n{row}\n")
    deep_potential._check_curve(tmp_path, has_stress=True)
    curve.write_text(f"{head} rmse_v_val\n{row} 0.3\n2 nan nan nan\n")
    with pytest.raises(TrainingError, match=r"^the training diverged: errors at step 2 are NaN$"):
        deep_potential._check_curve(tmp_path, has_stress=True)


def test_deep_potential_is_given_the_labels_in_its_own_signs(tmp_path):
    frame = smallest_box()
    (system,) = deep_potential._write_systems([frame], tmp_path / "training")
    (part,) = (tmp_path / system).glob("set.*")
    types = np.loadtxt(tmp_path / system / "type.raw", dtype=int)
    assert ["CHO"[t] for t in types] == list(frame.symbols)
    virial = np.load(part / "virial.npy").reshape(3, 3)
    expected = -frame.get_volume() * frame.info[fr.STRESS]
    assert full_3x3_to_voigt_6_stress(virial) == pytest.approx(expected, rel=1e-5)
    forces = np.load(part / "force.npy").reshape(-1, 3)
    assert forces == pytest.approx(frame.arrays[fr.FORCES], abs=1e-5)
    assert np.load(part / "energy.npy")[0] == pytest.approx(frame.info[fr.ENERGY], rel=1e-6)


def test_too_small_sel_is_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"sel for H is 20, but an atom has \d+ neighbours"):
        train("deep_potential", tmp_path, values={"sel": (60, 20, 60)})
    assert not list(tmp_path.iterdir())


def test_sel_looks_at_every_frame():
    """The most neighbours need not be in the frame of highest density."""
    liquid, clump = frames()[:2]
    clump.positions[:] = 0.9 * np.argwhere(np.ones((3, 3, 3)))[: len(clump)]
    clump.set_cell(np.eye(3) * 20)
    settings = deep_potential.Settings(rcut=2.0, sel=(5, 7, 5))
    deep_potential._check_neighbours([liquid], settings)
    with pytest.raises(TrainingError, match="sel for"):
        deep_potential._check_neighbours([liquid, clump], settings)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_trainer_that_fails_says_why(name, tmp_path):
    """Nothing to train on: what the trainer itself says of it is in the message."""
    with pytest.raises(TrainingError, match=r" stopped\b.*: \S"):
        train(name, tmp_path, training=[])


# --- the protocol -----------------------------------------------------------------------------


def test_names():
    assert {"deep_potential", "mace"} <= set(protocol.names())
    assert "protocol" not in protocol.names()


@pytest.mark.parametrize("name", protocol.names())
def test_every_architecture_offers_the_protocol(name):
    module = protocol.architecture(name)
    is_trainable = hasattr(module, "train")
    offered = set()
    for part in (protocol.Potential, *([protocol.Architecture] if is_trainable else [])):
        offered |= {n for n in vars(part) if not n.startswith("_")} | set(part.__annotations__)
    missing = {n for n in offered if not hasattr(module, n)}
    assert missing == set()
    if is_trainable:
        protocol.settings(name, {})  # has defaults
    else:
        with pytest.raises(ValueError, match="cannot be trained here"):
            protocol.settings(name, {})


def test_every_architecture_that_is_trained_is_tried():
    """Here, or in the tests of published models that are fine-tuned."""
    modules = {name: protocol.architecture(name) for name in protocol.names()}
    of_others = {name for name, module in modules.items() if hasattr(module, "PRETRAINED")}
    assert {name for name in modules if hasattr(modules[name], "train")} - of_others == set(TINY)


def test_a_model_file_tells_its_architecture():
    suffixes = [Path(protocol.architecture(n).MODEL_FILE).suffix for n in protocol.names()]
    assert len(set(suffixes)) == len(suffixes)


def test_an_architecture_is_one_file(tmp_path, monkeypatch):
    import crosstrain.potentials as room

    (tmp_path / "springs.py").write_text(
        "from pydantic import BaseModel\n"
        "LABEL, VERSION, MODEL_FILE = 'Springs', 1, 'springs.json'\n"
        "class Settings(BaseModel):\n    stiffness: float = 1.0\n"
    )
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
    assert "springs" in protocol.names()
    assert protocol.architecture("springs").LABEL == "Springs"
    assert protocol.settings("springs", {"stiffness": 2}).stiffness == 2.0
    monkeypatch.delitem(sys.modules, "crosstrain.potentials.springs")


def test_unknown_architecture_lists_what_there_is():
    with pytest.raises(
        ValueError, match=r"architecture 'snap'; allowed are chgnet, deep_potential, gap, mace"
    ):
        protocol.architecture("snap")
    with pytest.raises(ValueError, match=r"architecture 'protocol'; allowed are"):
        protocol.settings("protocol", {})


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "mace",
            {"channels": 4},
            r"mace setting .channels. = 4: .*allowed are .*r_max, num_channels",
        ),
        ("mace", {"max_L": 9}, "mace setting 'max_L' = 9: .*less than or equal to 3"),
        ("mace", {"lr": "fast"}, "mace setting 'lr' = 'fast'"),
        ("mace", {"max_num_epochs": 90}, "mace settings: .*start_stage_two 90; allowed is less"),
        (
            "deep_potential",
            {"stepz": 1},
            "deep_potential setting 'stepz' = 1: .*allowed are rcut,",
        ),
        ("gap", {"cutoff": 12.0}, "gap setting 'cutoff' = 12.0: .*less than or equal to 10"),
        ("deep_potential", {"rcut": -1}, "deep_potential setting 'rcut' = -1"),
        ("deep_potential", {"sel": [1, 2]}, r"deep_potential setting 'sel.2'"),
    ],
)
def test_wrong_settings_are_named(name, values, message):
    with pytest.raises(ValueError, match=message):
        protocol.settings(name, values)


def test_settings_cannot_be_changed_by_accident():
    with pytest.raises(ValueError, match="frozen"):
        protocol.settings("mace", {}).r_max = 3.0
