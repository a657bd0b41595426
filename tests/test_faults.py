"""Faults on purpose: after each no wrong number, a clear message, and a rerun that completes.

One small campaign of water goes through every kind of step. Of each kind, one step is killed when
its result is complete but not yet stored, and of some its driver, too; both leave nothing to mend.
Its store is then damaged, filled up and locked.
"""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pytest
import yaml
from ase import Atoms
from crosstrain import paths, shipped, steps
from crosstrain.__main__ import main
from crosstrain.build.molecules import molecule
from crosstrain.data import frames as fr
from crosstrain.data import profiles, published
from crosstrain.plan_published import DFT
from crosstrain.potentials import protocol
from crosstrain.run import engine
from crosstrain.run.engine import StepsFailed
from crosstrain.run.store import LOCK, PROVENANCE, Step, Store, StoreError, sha256, upstream
from crosstrain.study import Study

pytestmark = pytest.mark.timeout(2700)  # the first test that runs waits for the whole campaign

SMALL_GAP = {"cutoff": 3.0, "n_max": 2, "l_max": 1, "n_sparse": 10}
SMALL_MODEL = {
    "rcut": 3.0,
    "rcut_smth": 0.5,
    "sel": [10, 60, 40],
    "neuron": [2, 4],
    "axis_neuron": 2,
    "fitting_neuron": [4, 4],
    "steps": 20,
    "report_every": 10,
}
WATER = {
    "molecules": ["O"],
    "compositions": [{"O": 6}],
    "density_g_cm3": [0.5, 0.6],
    "temperature_K": [100, 200],
    "conformers": 1,
}
# What a step does is no concern of its driver, but a trainer is a process of its own below it.
WITH_DRIVER = ("label", "train", "simulate", "evaluate")
MADE_UP_eV = {"H": -12.0, "C": -148.0, "O": -431.0}


def small_profile() -> dict:
    """Settings of a campaign of six waters with every kind of step."""
    values = yaml.safe_load((paths.PROFILES / "smoke.yml").read_text())
    values |= {
        "name": "faults",
        "store": "runs/faults/data",
        "compute": {"engine": "serial", "workers": 1},
        "reference": {"frames_per_piece": 20, "cost_multiples": [1], "stand_in_every": 20},
        "blocks": {"water": {"kind": "packed", "frames": 20, "seed": 1, "options": WATER}},
        "tests": {},
    }
    for section in set(profiles.OF_THE_STUDY) - {"published"}:
        values.pop(section, None)
    values["published"]["liquids"] = {}
    values["training"] |= {
        "sets": ["water"],
        "rows": [],
        "names": {},
        "validate_every": 3,
        "architectures": {"gap": SMALL_GAP},  # of the quickest start
    }
    values["liquid"] |= {
        "composition": {"O": 6},
        "states": {"hot": {"temperature_K": 300, "pressure_bar": 1000, "diffusion_ps": 0.005}},
        "start_density_g_cm3": 0.6,
        "start_ps": 0.05,
        "rdf": {"pairs": ["O-H"], "r_max_A": 2.5, "n_bins": 10},
    }
    values["dynamics"] = {
        "timestep_fs": 0.25,
        "duration_ps": 0.005,
        "save_every_fs": 0.5,
        "relabelled_frames": 3,
    }
    values["iteration"] |= {
        "start": "water",
        "blocks": {"chosen": "gap"},
        "generations": 2,
        "frames": 2,
        "runs": 1,
        "compositions": [{"O": 6}],
        "temperature_K": [300, 300],
        "density_g_cm3": [0.6, 0.6],
        "duration_ps": 0.002,
        "timestep_fs": 0.25,
        "save_every_fs": 0.5,
    }
    return values


def publish(folder: Path) -> None:
    """Write a file in the form of the published DFT set: one block of EC, its labels made up."""
    rng = np.random.default_rng(0)
    frames = [Atoms(element, info={"energy": energy}) for element, energy in MADE_UP_eV.items()]
    for _ in range(published.BLOCK_FRAMES):
        frame = molecule("EC", 0)
        frame.rattle(0.02, rng=rng)
        virial = rng.normal(0, 0.1, (3, 3))
        labels = {"energy": sum(MADE_UP_eV[s] for s in frame.symbols) + rng.normal(-50, 0.1)}
        labels |= {"virial": virial + virial.T, "temperature": 300, "density": 0.28}
        frame = Atoms(frame.symbols, frame.positions, cell=[8.0] * 3, pbc=True, info=labels)
        forces = rng.normal(0, 0.5, (len(frame), 3))
        frame.arrays["forces"] = forces - forces.mean(axis=0)
        frames.append(frame)
    ase.io.write(folder / DFT, frames, format="extxyz")


def take_as_published(folder: Path) -> None:
    """Let this process take that file for the published one."""
    published.FILES = published.FILES | {DFT: ("nowhere", sha256(folder / DFT))}


def campaign(study: Study, given: Path) -> list[Step]:
    """The targets: labels, a model and its liquid, a committee's frames, models of other origin."""
    (model,) = study.models()
    targets = [*study.sets(), *study.results(model), study.block("chosen"), study.reference("hot")]
    targets += [study.evaluated(model, study.block("water")), study.pretrained("so3lr")]
    targets += [study.dft_frames("reference", [0])]
    if given.exists():
        targets.append(study.given_model("mine", given, "gap", sha256(given)))
    return targets


# --- SIGKILL in every kind of step ------------------------------------------------------------


def drive(profile: str, kills: str) -> None:
    """Compute the campaign, going on after failures; each step's process is `step_and_die`."""

    def command(step: Step, store: Store) -> list[str]:
        order = plain_command(step, store)[-1]
        return [sys.executable, "-c", IN_PROCESS, "step_and_die", order, kills]

    take_as_published(paths.published())
    plain_command, engine._command = engine._command, command
    study = Study(profile, announce=False)
    (model,), given = study.models(), Path(profile).with_name("mine.xml")
    while not given.exists() or not study.has(campaign(study, given)[-1]):
        try:
            study.fill(campaign(study, given))
            shutil.copyfile(study.store.folder(model) / "gap.xml", given)
        except StepsFailed as error:
            if not any("code -9" in reason for reason in error.failures.values()):
                raise  # it was not killed


def step_and_die(order: str, kills: str) -> None:
    """Compute a step; of each kind, one is killed when all but the storing is done.

    Of the kinds `WITH_DRIVER` its driver is killed next, after which it must end, too.
    """
    take_as_published(paths.published())
    step = Step.from_json(json.loads(Path(order).read_text())["step"])
    kind, folder = steps.KINDS[step.kind], Path(kills) / step.kind
    named = folder / "name.txt"
    if not named.exists():
        folder.mkdir()
        named.write_text(step.folder_name)

    def dying(params, inputs, out, work):
        kind.function(params, inputs, out, work)
        if named.read_text() != step.folder_name:
            return
        if not (folder / "worker").exists():
            shutil.copytree(out, folder / "worker")
            os.kill(os.getpid(), signal.SIGKILL)
        if step.kind in WITH_DRIVER and not (folder / "driver").exists():
            shutil.copytree(out, folder / "driver")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(10)
            (folder / "survived").touch()

    steps.KINDS[step.kind] = steps.Kind(dying, kind.version)
    steps.run(Path(order))


IN_PROCESS = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_faults; "
IN_PROCESS += "getattr(test_faults, sys.argv[1])(*sys.argv[2:])"


@pytest.fixture(scope="session")
def killed(tmp_path_factory):
    """The campaign after all kills: its study, what was kept of them, and how drivers ended."""
    folder = tmp_path_factory.mktemp("faults")
    kills = folder / "kills"
    kills.mkdir()
    profile = folder / "faults.yml"
    profile.write_text(yaml.safe_dump(small_profile()))
    publish(folder)
    environment = os.environ | {
        "CROSSTRAIN_RUNS": str(folder / "runs"),
        "CROSSTRAIN_PUBLISHED": str(folder),
    }
    command = [sys.executable, "-c", IN_PROCESS, "drive", str(profile), str(kills)]
    codes = []
    while not codes or codes[-1] == -signal.SIGKILL:
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        codes.append(done.returncode)
        with open(kills / "told.txt", "a") as file:
            file.write(done.stderr)
    assert codes[-1] == 0, done.stderr
    return profile, folder, codes


@pytest.fixture
def study(killed, tmp_path, monkeypatch) -> Study:
    """A copy of the finished campaign for a test to spoil."""
    profile, folder, _ = killed
    shutil.copytree(folder / "runs", tmp_path / "runs")
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("CROSSTRAIN_PUBLISHED", str(folder))
    monkeypatch.setattr(published, "FILES", published.FILES)
    take_as_published(folder)
    return Study(str(profile), announce=False)


@pytest.mark.parametrize("kind", steps.KINDS)
def test_sigkill_of_worker_and_driver_in_a_step_of_kind(killed, kind):
    _, folder, codes = killed
    kept = folder / "kills" / kind
    name = (kept / "name.txt").read_text()
    assert not (kept / "survived").exists()
    assert codes.count(-signal.SIGKILL) == len(WITH_DRIVER)
    told = (folder / "kills" / "told.txt").read_text()
    assert f"{name}  FAILED: its process ended with code -9" in told
    (stored,) = [
        path
        for path in (folder / "runs").rglob(name)
        if (path / PROVENANCE).is_file() and path.parent.name != "work"
    ]
    tries = ("worker", "driver") if kind in WITH_DRIVER else ("worker",)
    for try_ in tries:  # what was computed before the kill and what is stored now
        before = {path.name for path in (kept / try_).iterdir()}
        assert before == {path.name for path in stored.iterdir()} - {PROVENANCE}
        for path in (kept / try_).iterdir():
            if path.name == "disagreement.npz":  # a model that has just run differs in last bits
                was, now = np.load(path), np.load(stored / path.name)
                for name in was:
                    np.testing.assert_allclose(was[name], now[name], rtol=1e-6, err_msg=name)
            elif kind != "label_cost":  # which is measured again
                assert path.read_bytes() == (stored / path.name).read_bytes(), path.name


def test_nothing_is_left_of_the_kills(study, killed, tmp_path):
    targets = campaign(study, killed[0].with_name("mine.xml"))
    assert not [*tmp_path.rglob(".staging*")]
    assert not [*(study.store.scratch / "work").iterdir()]
    assert study.fill(targets, quiet=True) == 0
    for step in upstream(targets):
        if study.has(step):
            study.store.verify(step)


# --- damaged files ----------------------------------------------------------------------------


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def forget(study: Study, step: Step) -> None:
    shutil.rmtree(study.store.folder(step))


EACH_DAMAGE = [flip, pytest.param(cut, marks=pytest.mark.long)]  # a flipped bit hides better


@pytest.mark.parametrize("damage", EACH_DAMAGE)
@pytest.mark.parametrize("what", ["set", "model", "trajectory"])
def test_a_damaged_result_is_told_set_aside_and_computed_again(study, what, damage):
    (model,) = study.models()
    (liquid,) = study.liquids(model, "hot")
    source, file, reader = {
        "set": (study.block("water"), steps.FRAMES, study.evaluated(model, study.block("water"))),
        "model": (model, "gap.xml", study.evaluated(model, study.block("water"))),
        "trajectory": (liquid, "trajectory.npz", study.observed(liquid)),
    }[what]
    before = study.store.digest(source)
    forget(study, reader)
    damage(study.store.folder(source) / file)
    with pytest.raises(StepsFailed) as error:
        study.fill([reader], quiet=True)
    (told,) = error.value.failures.values()
    assert f"{source.folder_name}/{file} is missing or not the file that was stored" in told
    assert "moved to" in told and "the same command computes it again" in told
    assert not study.store.folder(reader).exists()
    assert study.fill([reader], quiet=True) >= 2
    study.store.verify(reader)
    assert study.store.digest(source) == before


def test_a_damaged_result_that_is_only_looked_at(study):
    step = study.reference("hot")
    before = study.store.digest(step)
    flip(study.store.folder(step) / "reference.json")
    with pytest.raises(StoreError, match=r"reference.json is missing or not .* computes it again"):
        study.get(step)
    study.get(step)
    assert study.store.digest(step) == before


def test_a_check_moves_no_damaged_result_away(study):
    step = study.block("water")
    flip(study.store.folder(step) / steps.FRAMES)
    with pytest.raises(StoreError, match=f"{step.folder_name}/{steps.FRAMES} is missing or not"):
        shipped.pages(study, [step])
    assert study.store.folder(step).exists()


def test_a_damaged_record_of_published_data_stays_in_the_campaign(study):
    step = study.stand_in()
    cut(study.store.folder(step) / PROVENANCE)
    stays = {one.folder_name for one in study.campaign()}
    assert step.folder_name in stays  # so that whoever computes it can tell


def test_a_damaged_record_is_told_and_its_result_computed_again(study, capsys):
    step = study.atoms()
    before = study.store.digest(step)
    cut(study.store.folder(step) / PROVENANCE)
    assert study.fill([step], quiet=True) == 1
    assert f"{step.folder_name}/{PROVENANCE} is damaged; moved to" in capsys.readouterr().err
    assert study.store.digest(step) == before


@pytest.mark.parametrize("damage", EACH_DAMAGE)
def test_a_damaged_label_of_an_interrupted_step_is_made_again(study, damage):
    (label,) = study.block("water").inputs.values()
    before = study.store.digest(label)
    (first, *_) = fr.read(study.store.folder(label) / steps.FRAMES, labelled=True)
    first.info[fr.ENERGY] = -1.0  # so that it shows if it is taken
    forget(study, label)
    kept = study.store.work(label) / "0.extxyz.gz"
    fr.write(kept, [first])
    damage(kept)
    kept.with_name("1.failure.json").write_text('{"frame": "1')
    study.fill([label], quiet=True)
    assert study.store.digest(label) == before


INTERRUPTED_RUN = """
import os, sys
from pathlib import Path
from crosstrain import steps
from crosstrain.simulate import dynamics
run, save = dynamics.run_dynamics, dynamics._Run._save_checkpoint
def save_and_die(self):
    save(self)
    if self.step == 10:
        os._exit(9)
dynamics._Run._save_checkpoint = save_and_die
dynamics.run_dynamics = lambda *given, **named: run(*given, **named, checkpoint_every_s=1e-9)
steps.run(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("damage", EACH_DAMAGE)
def test_a_run_whose_two_checkpoints_are_damaged_is_begun_again(study, damage):
    (liquid,) = study.liquids(*study.models(), "hot")
    before = study.store.digest(liquid)
    forget(study, liquid)
    *command, order = engine._command(liquid, study.store)
    died = subprocess.run([sys.executable, "-c", INTERRUPTED_RUN, order], capture_output=True)
    assert died.returncode == 9, died.stderr
    folder = study.store.work(liquid) / "dynamics"
    for name in ("checkpoint.npz", "checkpoint.previous.npz"):
        damage(folder / name)
    again = subprocess.run([*command, order], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "begun again: " in again.stderr
    assert study.store.digest(liquid) == before


CHECKPOINTS = {"deep_potential": "model.ckpt-*.pt", "mace": "checkpoints/*.pt"}
MODELS = {
    "deep_potential": SMALL_MODEL,
    "mace": {"r_max": 3.0, "num_channels": 2, "max_ell": 1, "correlation": 1, "batch_size": 2}
    | {"max_num_epochs": 3, "start_stage_two": 2, "eval_interval": 1},
}
DATA = Path(__file__).parent / "data"
TRAIN = """
import json, sys
from pathlib import Path
from crosstrain.data import frames as fr
from crosstrain.data import profiles
from crosstrain.potentials import protocol
data, folder, name, values = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
all = [f for f in fr.read(data / "frames.extxyz.gz", labelled=True)][:6]
protocol.architecture(name).train(
    all[:4], all[4:], protocol.settings(name, json.loads(values)), seed=1, folder=folder,
    atom_energies=json.loads((data / "energies_eV.json").read_text()),
    device="cpu", precision="float32",
)
"""


def train(name: str, folder: Path, limit_bytes: int | None = None, **values):
    """Train a tiny model in a process, which may write only files up to a size."""

    def limit() -> None:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    words = [sys.executable, "-c", TRAIN, DATA, folder, name, json.dumps(MODELS[name] | values)]
    return subprocess.run(map(str, words), capture_output=True, text=True, preexec_fn=limit)


@pytest.fixture(scope="session", params=MODELS)
def finished(request, tmp_path_factory):
    """Name of an architecture and the folder of a training that has ended."""
    folder = tmp_path_factory.mktemp("finished")
    assert train(request.param, folder).returncode == 0
    return request.param, folder


@pytest.mark.parametrize("damage", EACH_DAMAGE)
def test_a_training_with_damaged_checkpoints_ends_with_a_model(finished, damage, tmp_path):
    name, folder = finished
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True, symlinks=True)
    model = tmp_path / protocol.architecture(name).MODEL_FILE
    model.unlink()
    checkpoints = [*tmp_path.glob(CHECKPOINTS[name])]
    for file in checkpoints:
        damage(file)
    again = train(name, tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("damaged checkpoint deleted") == len(checkpoints) > 0
    assert model.is_file()


def test_a_checkpoint_that_was_altered_is_not_gone_on_from(tmp_path):
    import torch

    whole, cut_off, flipped = (tmp_path / name for name in ("a.pt", "b.pt", "c.pt"))
    for file in (whole, cut_off, flipped):
        torch.save({"weights": torch.ones(1000)}, file)
    cut(cut_off)
    flip(flipped)
    torch.load(flipped)  # it does not see it, therefore the test
    assert protocol.whole_checkpoints([whole, cut_off, flipped]) == [whole]
    assert [*tmp_path.iterdir()] == [whole]


# --- no room, no right to write ---------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_a_disk_that_fills_up_in_a_training(name, tmp_path):
    full = train(name, tmp_path, limit_bytes=2000)
    assert full.returncode == 1
    assert re.search(r"(TrainingError|OSError): .*File too large$", full.stderr.rstrip())
    assert not (tmp_path / protocol.architecture(name).MODEL_FILE).exists()
    again = train(name, tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / protocol.architecture(name).MODEL_FILE).is_file()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 40 kB; its second value mounts it anew with other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        return shutil.which("mount") and not subprocess.run(command, capture_output=True).returncode

    if not mount("size=40k"):
        pytest.skip("disks can be mounted by root only")
    yield place, lambda options: mount(f"remount,{options}")
    subprocess.run(["umount", "--lazy", str(place)], check=True)


STUDY = ("study", "--only", "sets", "--profile")


def test_a_full_disk_is_told_and_a_rerun_completes_as_if_nothing_was(
    crosstrain, tiny, small_disk, tmp_path
):
    (disk, remount), _ = small_disk, keep_only_water(tiny)
    environment = os.environ | {"CROSSTRAIN_RUNS": str(disk / "runs")}
    (disk / "ballast").write_bytes(bytes(16000))
    full = crosstrain(*STUDY, tiny, env=environment)
    assert full.returncode == 1, full.stdout
    assert "Traceback" not in full.stderr
    assert "No space left on device" in full.stderr
    assert not [*disk.rglob(".staging*")]
    assert remount("size=10m")
    again = crosstrain(*STUDY, tiny, env=environment)
    assert again.returncode == 0, again.stderr
    assert crosstrain(*STUDY, tiny, env=environment).stdout.startswith("0 steps computed")
    calm = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path / "calm")}
    assert crosstrain(*STUDY, tiny, env=calm).returncode == 0
    assert digests(disk) == digests(tmp_path / "calm") != {}


def digests(folder: Path) -> dict[str, str]:
    """Digest of each result by its name, but for the times that labels took."""
    records = [json.loads(file.read_text()) for file in folder.rglob(PROVENANCE)]
    return {f"{r['kind']} {r['name']}": r["digest"] for r in records if r["kind"] != "label_cost"}


def test_a_read_only_store_is_told_and_its_results_are_still_read(crosstrain, tiny, small_disk):
    (disk, remount), _ = small_disk, keep_only_water(tiny)
    environment = os.environ | {"CROSSTRAIN_RUNS": str(disk / "runs")}
    assert remount("size=10m") and remount("ro")
    refused = crosstrain(*STUDY, tiny, env=environment)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert refused.stderr.splitlines()[-1].startswith(
        "crosstrain: [Errno 30] Read-only file system"
    )
    assert remount("rw")
    assert crosstrain(*STUDY, tiny, env=environment).returncode == 0
    assert remount("ro")
    again = crosstrain(*STUDY, tiny, env=environment)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("0 steps computed")


def keep_only_water(profile: Path) -> None:
    """Take out of the tiny profile the block that cannot be built."""
    values = yaml.safe_load(profile.read_text())
    del values["blocks"]["blown"]
    values["reference"] |= {"cost_multiples": [1]}
    profile.write_text(yaml.safe_dump(values))


def test_no_room_for_the_reason_is_still_a_failure(tmp_path):
    """An empty reason must not pass for success."""
    (tmp_path / "failure.txt").touch()
    code = f"open({str(tmp_path / 'failure.txt')!r}, 'w'); raise SystemExit(1)"
    said = engine.run_process([sys.executable, "-c", code], str(tmp_path), threads=1)
    assert said.startswith("its process ended with code 1")


# --- two at once, and clocks ------------------------------------------------------------------


def study_noting(profile: str, log: str) -> None:
    """Compute the sets of a profile; each step that is computed is noted in a file."""
    plain_command = engine._command
    engine._command = lambda step, store: [
        *(sys.executable, "-c", IN_PROCESS, "step_noting", plain_command(step, store)[-1], log)
    ]
    sys.exit(main([*STUDY, profile]))


def step_noting(order: str, log: str) -> None:
    step, _ = steps.read_order(Path(order))
    kind = steps.KINDS[step.kind]

    def noted(*arguments):
        with open(log, "a") as file:
            file.write(f"{step.folder_name}\n")
        kind.function(*arguments)

    steps.KINDS[step.kind] = steps.Kind(noted, kind.version)
    steps.run(Path(order))


def test_two_runs_on_one_store_compute_each_step_once(tiny, tmp_path):
    keep_only_water(tiny)
    log = tmp_path / "computed.txt"
    command = [sys.executable, "-c", IN_PROCESS, "study_noting", str(tiny), str(log)]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [run.wait() for run in runs] == [0, 0]
    study = Study(str(tiny), announce=False)
    expected = [step.folder_name for step in upstream(study.sets())]
    assert sorted(log.read_text().split()) == sorted(expected)
    for step in upstream(study.sets()):
        study.store.verify(step)
    assert not [*tmp_path.rglob(".staging*")]
    assert not [*(study.store.scratch / "work").iterdir()]
    assert study.fill(study.sets(), quiet=True) == 0


def test_a_step_that_another_run_stored_has_not_failed(tmp_path):
    """Its folder of work was taken away under the process that was about to compute it."""
    store = Store(tmp_path / "data", tmp_path / "scratch")
    done, lacking = Step("atoms", "one"), Step("atoms", "other")
    with store.lock(done), store.publish(done, {}) as out:
        (out / "result.txt").write_text("one")
    for step, stored in ((done, True), (lacking, False)):
        store.work(step).mkdir(parents=True, exist_ok=True)
        assert engine._is_done_by_another(step, store) is stored
        assert store.work(step).exists() is not stored


def test_a_step_stored_meanwhile_leaves_no_folder_of_work(tmp_path):
    """The process that finds its step stored by another run takes away what its engine wrote."""
    store, step = Store(tmp_path / "data", tmp_path / "scratch"), Step("atoms", "one")
    with store.lock(step), store.publish(step, {}) as out:
        (out / "result.txt").write_text("one")
    command = engine._command(step, store)
    assert store.work(step).exists()
    assert engine.run_process(command, str(store.work(step)), threads=1) == ""
    assert not store.work(step).exists()


def test_a_lock_that_was_taken_away_is_not_held(tmp_path):
    """Who waited for it holds the new one, so that no third process computes the step, too."""
    store, step = Store(tmp_path / "data", tmp_path / "scratch"), Step("atoms", "one")
    code = "import sys; from pathlib import Path; from crosstrain.run.store import Step, Store\n"
    code += "with Store(*map(Path, sys.argv[1:])).lock(Step('atoms', 'one')):"
    code += " print('held', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, str(store.root), str(store.scratch)]
    with store.lock(step):
        file = store.work(step) / LOCK
        waiting = subprocess.Popen(words, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        while not is_open_in(waiting, file):
            time.sleep(0.05)
        shutil.rmtree(store.work(step))
    assert waiting.stdout.readline() == "held\n"
    assert store.is_running(step)
    waiting.communicate("")
    assert not store.is_running(step)


def is_open_in(process: subprocess.Popen, file: Path) -> bool:
    """Whether a process has a file open (Linux)."""
    open_files = Path(f"/proc/{process.pid}/fd").iterdir()
    return str(file) in [os.path.realpath(number) for number in open_files]


@pytest.mark.parametrize("modified_s", [1.0, 4e9], ids=["1970", "2096"])
def test_a_skewed_clock_changes_nothing(tmp_path, modified_s):
    store = Store(tmp_path / "data", tmp_path / "scratch")
    source = Step("atoms", "one")
    reader = Step("observe", "two", {}, {"atoms": source})
    for step in (source, reader):
        with store.lock(step), store.publish(step, {}) as out:
            (out / "result.txt").write_text(step.name)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        os.utime(path, (modified_s, modified_s))
    assert store.to_compute([reader]) == []
    with store.lock(source), store.publish(source, {}) as out:
        (out / "result.txt").write_text("other")
    assert store.to_compute([reader]) == [reader]


# --- programs and models that fail ------------------------------------------------------------


def test_a_reference_that_does_not_converge_costs_one_frame(study, tmp_path):
    label = next(iter(study.block("water").inputs.values()))
    frames = fr.read(study.store.folder(label.inputs["frames"]) / steps.FRAMES)[:2]
    ions = Atoms("C8H8O8", np.random.default_rng(0).uniform(0, 30, (24, 3)))
    ions.info["seed"] = "spoiled"
    out, work = tmp_path / "out", tmp_path / "work"
    work.mkdir()
    fr.write(tmp_path / steps.FRAMES, [frames[0], ions, frames[1]])
    code = "import sys; from pathlib import Path; from crosstrain import steps;"
    code += "steps._label({'method': 'GFN2-xTB'}, {'frames': Path(sys.argv[1])},"
    code += "Path(sys.argv[2]), Path(sys.argv[3]))"
    words = [sys.executable, "-c", code, str(tmp_path), str(out), str(work)]
    for _ in range(2):  # a rerun takes what is there
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        subprocess.run(words, check=True, capture_output=True)
        check_two_labels_and_a_failure(out, fr.read(study.store.folder(label) / steps.FRAMES)[:2])


def check_two_labels_and_a_failure(out: Path, known: list[Atoms]) -> None:
    assert json.loads((out / "failures.json").read_text()) == [
        {"frame": "spoiled", "reason": "GFN2-xTB failed: SCF not converged in 250 cycles"}
    ]
    kept = fr.read(out / steps.FRAMES, labelled=True)
    assert [frame.info["seed"] for frame in kept] == [frame.info["seed"] for frame in known]
    for frame, same in zip(kept, known, strict=True):  # as without the spoiled one between them
        assert frame.info[fr.ENERGY] == pytest.approx(same.info[fr.ENERGY], abs=1e-6)
        np.testing.assert_allclose(frame.arrays[fr.FORCES], same.arrays[fr.FORCES], atol=1e-6)
        np.testing.assert_allclose(frame.info[fr.STRESS], same.info[fr.STRESS], atol=1e-8)


WILD = {"deep_potential": {"start_lr": 1e30, "stop_lr": 1e29}, "mace": {"lr": 1e30}}


@pytest.mark.parametrize(("name", "values"), WILD.items())
def test_a_training_that_diverges_is_told_and_stores_nothing(study, name, values):
    model = study.trained(name, MODELS[name] | values, "water", 1)
    reader = study.evaluated(model, study.block("water"))
    with pytest.raises(StepsFailed, match="TrainingError") as error:
        study.fill([reader], quiet=True)
    assert error.value.failures[reader.folder_name] == f"not run: needs {model.folder_name}"
    assert not study.store.folder(model).exists()
    assert "TrainingError" in study.store.failure(model)
    if name == "deep_potential":  # mace-torch does not tell, the study has to
        assert not (study.store.work(model) / protocol.architecture(name).MODEL_FILE).exists()


def test_a_trainer_that_exits_is_told_and_tried_again(study):
    model = study.trained("deep_potential", SMALL_MODEL, "water", 1)
    training = study.store.work(model) / "training"  # where the trainer wants a folder
    training.parent.mkdir(parents=True)
    (training.parent / "input_v2_compat.json").mkdir()
    with pytest.raises(StepsFailed, match="TrainingError: deepmd-kit stopped at 'train'"):
        study.fill([model], quiet=True)
    assert "TrainingError" in study.store.failure(model)
    (training.parent / "input_v2_compat.json").rmdir()
    assert study.fill([model], quiet=True) == 1
    assert study.store.failure(model) == ""


NAN_MODEL = """
import sys, torch
if sys.argv[1].endswith(".pth"):
    import deepmd.pt
    model, save = torch.jit.load(sys.argv[1]), torch.jit.save
else:
    model, save = torch.load(sys.argv[1], weights_only=False), torch.save
with torch.no_grad():
    for weight in model.parameters():
        weight.fill_(float("nan"))
    for buffer in model.buffers():
        if buffer.is_floating_point() and buffer.ndim:
            buffer.fill_(float("nan"))
save(model, sys.argv[2])
"""


def test_a_model_that_returns_nan_gives_no_number(study, finished, tmp_path):
    name, folder = finished
    sound = folder / protocol.architecture(name).MODEL_FILE
    file = tmp_path / f"nan{sound.suffix}"
    subprocess.run([sys.executable, "-c", NAN_MODEL, str(sound), str(file)], check=True)
    broken = study.given_model("nan", file, name, sha256(file))
    judged = study.evaluated(broken, study.block("water"))
    liquid = study.liquid(broken, "hot", 1)
    with pytest.raises(StepsFailed) as error:
        study.fill([judged, study.observed(liquid)], quiet=True)
    assert set(error.value.failures) == {judged.folder_name}
    assert "the model gives a number that is not finite for frame 0" in str(error.value)
    run = json.loads((study.store.folder(liquid) / steps.RUN).read_text())
    assert (run["status"], run["reason"]) == ("unstable", "non-finite force")
    seen = json.loads((study.store.folder(study.observed(liquid)) / "observed.json").read_text())
    assert not seen["density_g_cm3"]
    shutil.copyfile(sound, file)
    mended = study.given_model("nan", file, name, sha256(file))
    judged = study.evaluated(mended, study.block("water"))
    assert study.fill([judged], quiet=True) == 2
    found = np.load(study.store.folder(judged) / "predictions.npz")
    assert all(np.isfinite(found[key]).all() for key in found)
