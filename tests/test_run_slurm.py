"""A campaign through a real SLURM of one node, which loses its node and a job in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from crosstrain.data import profiles
from crosstrain.data.profiles import Compute
from crosstrain.run import engine
from crosstrain.run.store import PROVENANCE, Step
from crosstrain.study import Study

pytestmark = pytest.mark.timeout(700)  # a cluster that hangs must not take the whole suite with it
WHOLE = (pytest.mark.long, pytest.mark.timeout(3600))
HERE = Path(__file__).parent
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue")
OWN_ENGINE = """
from crosstrain.run.engines import slurm_gpu
common = {"workers_per_node": 2, "walltime": "01:00:00", "last_start": "00:10:00"}
common |= {"address": "127.0.0.1", "heartbeat_s": 10}
def config(settings):
    return slurm_gpu.config(settings, cpu=common, gpu=common | {"gpus_per_node": 2})
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Start a SLURM for these tests and return what runs its commands."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"no SLURM here: {', '.join(missing)} not installed")
    folder = tmp_path_factory.mktemp("slurm")
    script = str(HERE / "slurm" / "node.sh")
    started = subprocess.run([script, "start", str(folder)], capture_output=True, text=True)
    if started.returncode:
        pytest.skip(f"SLURM does not start here: {started.stderr}")
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}

    def command(*words: str) -> str:
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command.environment = environment
    yield command
    subprocess.run([script, "stop", str(folder)], check=True)


@pytest.fixture
def cluster(slurm, tmp_path, monkeypatch):
    """Point this process to that SLURM; return what writes an engine for it to a file."""
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])

    def write(text: str = OWN_ENGINE) -> Path:
        file = tmp_path / "cluster.py"
        file.write_text(text)
        return file

    return write


def small_profile(folder: Path) -> Path:
    """The smoke profile with fewer steps: one model and its liquid."""
    values = yaml.safe_load((profiles.paths.PROFILES / "smoke.yml").read_text())
    for section in ("iteration", *profiles.OF_THE_STUDY):
        values.pop(section, None)
    values["reference"] |= {"frames_per_piece": 6, "cost_multiples": [1]}
    values["blocks"] = {"packed": values["blocks"]["packed"] | {"frames": 12}}
    values["tests"] = {}
    values["training"] |= {"sets": ["packed"], "rows": [], "names": {}, "validate_every": 6}
    settings = {"rcut": 4.0, "steps": 60, "report_every": 20}
    values["training"]["architectures"] = {"deep_potential": settings}
    values["liquid"]["states"] = {"hot": {"temperature_K": 500, "pressure_bar": 1000}}
    values["dynamics"] |= {"duration_ps": 0.01, "save_every_fs": 2, "relabelled_frames": 2}
    path = folder / "small.yml"
    path.write_text(yaml.safe_dump(values))
    return path


def wait_for(condition, seconds: float, driver: subprocess.Popen | None = None) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        assert driver is None or driver.poll() is None, driver.communicate()[1].decode()
        time.sleep(0.3)


def results(folder: Path) -> dict[str, int]:
    """Time of each result, by its name."""
    return {
        path.parent.name: path.stat().st_mtime_ns
        for path in folder.glob(f"**/*/{PROVENANCE}")
        if not path.parent.name.startswith(".")
    }


@pytest.mark.parametrize("size", ["small", pytest.param("smoke", marks=WHOLE)])
def test_a_campaign_outlives_a_drained_node_and_a_cancelled_job(slurm, tmp_path, size):
    own = tmp_path / "cluster.py"
    own.write_text(OWN_ENGINE)
    profile = small_profile(tmp_path) if size == "small" else "smoke"
    command = [sys.executable, "-m", "crosstrain", "study", "--profile", str(profile)]
    command += ["--engine", str(own)]
    environment = slurm.environment | {"CROSSTRAIN_RUNS": str(tmp_path / "runs")}
    node = slurm("hostname", "-s").strip()

    def jobs(state: str) -> list[str]:
        return slurm("squeue", "--noheader", "--format=%i", f"--states={state}").split()

    driver = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        work = tmp_path / "runs" / "scratch" / "runs-smoke-data" / "work"
        wait_for(lambda: [*work.glob("train-*/log.txt")], 500, driver)
        slurm("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
        lost = jobs("running")
        assert len(lost) == 1
        before = results(tmp_path / "runs")
        slurm("scancel", *lost)
        wait_for(lambda: jobs("pending"), 300, driver)  # the campaign asks for another job
        assert not jobs("running")
        slurm("scontrol", "update", f"nodename={node}", "state=resume")
        _, complaints = driver.communicate(timeout=500 if size == "small" else 3000)
    finally:
        if driver.poll() is None:
            driver.send_signal(signal.SIGKILL)
    assert driver.returncode == 0, complaints.decode()
    after = results(tmp_path / "runs")
    assert {name: after[name] for name in before} == before  # nothing was computed twice
    assert {name.split("-")[0] for name in after} >= {"set", "train", "simulate", "reference"}
    assert not [*(tmp_path / "runs").rglob(".staging*")]
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert again.stdout.startswith("0 steps computed"), again.stderr
    wait_for(lambda: not jobs("running,pending"), 120)


GPU_SEEN = "import os, time; time.sleep(2); print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True)"


def test_each_step_on_a_gpu_node_has_a_gpu_of_its_own(cluster, tmp_path):
    own = cluster()
    settings = Compute(engine=str(own), workers=4)
    with engine._executor(settings) as submit:
        futures = []
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            step = Step("train", f"m{number}", {"device": "cuda"})
            futures.append(submit(step, [sys.executable, "-c", GPU_SEEN], str(folder)))
        assert [future.result() for future in futures] == ["", ""]
    seen = [(tmp_path / str(n) / "log.txt").read_text().strip() for n in range(2)]
    assert sorted(seen) == ["0", "1"]


STOPPED_ONCE = """
import pathlib, sys, time
begun = pathlib.Path(sys.argv[1])
if not begun.exists():
    begun.touch()
    time.sleep(600)
"""


def test_a_step_whose_job_is_cancelled_goes_on_in_another(slurm, cluster, tmp_path):
    """The scheduler stops the step before its worker: that is no failure of the step."""
    own = cluster()
    begun = tmp_path / "begun"
    with engine._executor(Compute(engine=str(own), workers=1)) as submit:
        words = [sys.executable, "-c", STOPPED_ONCE, str(begun)]
        future = submit(Step("observe", "x"), words, str(tmp_path))
        wait_for(begun.exists, 300)
        running = ["squeue", "--noheader", "--format=%i", "--states=running"]
        first = slurm(*running).split()
        slurm("scancel", *first)
        assert future.result(timeout=300) == ""
        assert not set(first) & set(slurm(*running).split())
    assert not (tmp_path / "failure.txt").exists()


def test_a_step_whose_job_reaches_its_walltime_goes_on_in_another(slurm, cluster, tmp_path):
    brief = OWN_ENGINE.replace("01:00:00", "00:01:00").replace("00:10:00", "00:00:30")
    own = cluster(brief)
    begun = tmp_path / "begun"
    with engine._executor(Compute(engine=str(own), workers=1)) as submit:
        words = [sys.executable, "-c", STOPPED_ONCE, str(begun)]
        assert submit(Step("observe", "x"), words, str(tmp_path)).result(timeout=500) == ""
    assert begun.exists()
    assert not (tmp_path / "failure.txt").exists()
    ended = ["squeue", "--noheader", "--format=%T", "--states=all"]
    assert "TIMEOUT" in slurm(*ended).split()


DRIVER = """
import sys
from crosstrain.data.profiles import Compute
from crosstrain.run import engine
from crosstrain.run.store import Step
own, folder = sys.argv[1:]
step = "import os, sys, time; from pathlib import Path; from crosstrain import steps;"
step += "steps._die_with_parent(); Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(600)"
with engine._executor(Compute(engine=own, workers=1)) as submit:
    submit(Step("observe", "x"), [sys.executable, "-c", step, f"{folder}/begun"], folder).result()
"""


def test_a_killed_driver_leaves_no_process_and_no_job(slurm, cluster, tmp_path):
    begun, command = tmp_path / "begun", [sys.executable, "-c", DRIVER, cluster(), tmp_path]
    driver = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    try:
        wait_for(lambda: begun.is_file() and begun.read_text(), 300, driver)
        helpers = psutil.Process(driver.pid).children(recursive=True)
        left = [*helpers, psutil.Process(int(begun.read_text()))]
    finally:
        driver.kill()
    assert len(left) > 1 and all(map(psutil.Process.is_running, left))
    driver.communicate()
    wait_for(lambda: not any(map(is_alive, left)), 200)
    queued = ["squeue", "--noheader", "--format=%i", "--states=running,pending"]
    wait_for(lambda: not slurm(*queued).split(), 120)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- without a cluster ------------------------------------------------------------------------


def executors(name: str, **settings) -> dict:
    found = engine.parsl_config(Compute(engine=name, **settings)).executors
    return {executor.label: executor for executor in found}


def test_a_gpu_step_goes_to_the_gpu_executor_and_others_do_not():
    on_gpu, on_cpu = Step("train", "x", {"device": "cuda"}), Step("train", "x", {"device": "cpu"})
    labels = Step("label", "x", {})
    assert [engine._place(s, ["cpu", "gpu"]) for s in (on_gpu, on_cpu, labels)] == [
        "gpu",
        "cpu",
        "cpu",
    ]
    assert [engine._place(s, ["local"]) for s in (on_gpu, on_cpu)] == ["local", "local"]


def test_as_many_jobs_as_the_workers_need(tmp_path):
    found = executors("slurm_gpu", workers=20, threads=4)
    assert found["cpu"].provider.max_blocks == 3  # of 8 steps each
    assert found["gpu"].provider.max_blocks == 5  # of 4 GPUs each
    assert found["gpu"].available_accelerators == ["0", "1", "2", "3"]
    assert found["gpu"].workers_per_node == 4
    assert found["cpu"].available_accelerators == []
    assert found["cpu"].provider.cores_per_node == 32


def test_no_step_is_begun_at_the_end_of_a_job():
    from crosstrain.run.engines import slurm

    (only,) = slurm.config(Compute(), walltime="02:00:00", last_start="00:30:00").executors
    assert only.drain_period == 90 * 60
    with pytest.raises(ValueError, match="last_start 02:00:00; allowed is less than walltime"):
        slurm.config(Compute(), walltime="02:00:00", last_start="02:00:00")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config = (", "SyntaxError"),
        ("x = 1", "AttributeError: .* has no attribute 'config'"),
        ("def config(settings): return 1", r"must return a parsl.Config"),
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def config(settings): return settings.nodes", "AttributeError"),
    ],
)
def test_engine_files_that_are_none(tmp_path, text, message):
    own = tmp_path / "cluster.py"
    own.write_text(text)
    with pytest.raises(ValueError, match=f"engine cluster.py: .*{message}"):
        engine.parsl_config(Compute(engine=str(own)))


def test_a_dry_run_lists_the_campaign_and_where_it_would_run(crosstrain, tiny, tmp_path):
    command = ["study", "--profile", tiny, "--engine", "slurm", "--workers", "16", "--dry-run"]
    done = crosstrain(*command)
    assert done.returncode == 0, done.stderr
    *steps, summary, place = done.stdout.splitlines()
    assert any(line.split()[:3] == ["to", "do", "train"] for line in steps)
    assert "with 16 workers" in summary
    assert place == (
        "cpu: 2 x 8 steps at a time, 1 threads each, jobs of 24:00:00, partition of sbatch"
    )
    assert not (tmp_path / "runs").exists()
    only = crosstrain(*command, "--only", "sets").stdout.splitlines()
    asked = {line.split()[2] for line in only if line.startswith("  to do")}
    assert {"set", "label"} <= asked and "train" not in asked
    refused = crosstrain("study", "--profile", tiny, "--workers", "0", "--dry-run")
    assert refused.returncode == 2
    assert "workers 0; allowed are 1 or more" in refused.stderr


def test_steps_that_want_a_gpu_are_told_where_there_is_none(crosstrain, tiny_with):
    steps = [Step("train", name, {"device": "cuda"}) for name in "ab"] + [Step("label", "c")]
    for name in ("slurm", "slurm_gpu", "local", "serial"):
        told = engine.without_gpu(steps, Compute(engine=name, workers=2))
        assert [line.split(" and ")[0] for line in told] == (
            ["2 steps want a GPU"] if name == "slurm" else []
        )
    assert engine.without_gpu(steps[2:], Compute(engine="slurm")) == []
    profile = tiny_with(compute={"device": "cuda"})
    done = crosstrain("study", "--profile", profile, "--engine", "slurm", "--dry-run")
    assert done.stdout.splitlines()[-1].endswith(
        " steps want a GPU and engine 'slurm' has none: use slurm_gpu, or an executor with "
        "gpus_per_node"
    )


def test_the_paper_profile_is_planned_for_a_gpu_cluster():
    study = Study("paper", announce=False)
    study.use_engine("slurm_gpu", 64)
    assert study.places() == [
        "cpu: 8 x 8 steps at a time, 8 threads each, jobs of 24:00:00, partition of sbatch",
        "gpu: 16 x 4 steps at a time, 8 threads each, a GPU for each, jobs of 24:00:00, "
        "partition of sbatch",
    ]
