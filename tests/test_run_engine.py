"""The engine with real steps: nothing twice, failures told, kills survived."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from crosstrain import paths
from crosstrain.data import frames as fr
from crosstrain.data import profiles
from crosstrain.run.engine import (
    THREAD_VARIABLES,
    StepsFailed,
    _is_done_by_another,
    described,
    run_process,
)
from crosstrain.run.progress import Progress
from crosstrain.run.store import Step
from crosstrain.run.versions import PACKAGES, versions
from crosstrain.study import Study

COUNTED = re.compile(r"(\d+) steps? computed")


def records(folder: Path) -> dict[str, int]:
    """Time of each result below a folder, by the name of the result."""
    found = {}
    # os.walk, unlike rglob, passes over folders that are moved away meanwhile
    for root, _, files in os.walk(folder):
        result = Path(root)
        if "provenance.json" in files and ".staging" not in result.name:
            found[result.name] = (result / "provenance.json").stat().st_mtime_ns
    return found


def processes_with(word: str) -> list[int]:
    """Ids of processes with a word in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in entry.read_text():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_second_run_computes_nothing(tiny, tmp_path):
    study = Study(str(tiny), announce=False)
    targets = [study.block("water"), study.atoms()]
    assert study.fill(targets, quiet=True) == 3 + 3 + 1 + 1  # builds, labels, set, atoms
    before = records(tmp_path)
    assert study.fill(targets, quiet=True) == 0
    assert Study(str(tiny)).fill(targets, quiet=True) == 0
    assert records(tmp_path) == before
    assert len(study.frames("water")) == 3
    assert not list((tmp_path / "runs").rglob(".staging*"))
    assert list((study.store.scratch / "work").iterdir()) == []


def test_what_was_left_out_is_computed_again_for_a_reader(tiny):
    study = Study(str(tiny), announce=False)
    store, whole = study.store, study.block("water")
    study.fill([whole], quiet=True)
    labels = next(iter(whole.inputs.values()))

    def leave_out(record, folder):
        name = next(iter(record["files"]))
        (folder / name).unlink()
        (folder / "kept.txt").write_text("kept")
        record["left_out"] = {name: record["files"][name]}

    store.rewrite(labels, leave_out)
    assert study.fill([whole], quiet=True) == 0
    assert not _is_done_by_another(labels, store)
    shutil.rmtree(store.folder(whole))
    assert study.fill([whole], quiet=True) == 2
    assert store.is_whole(labels) and len(study.frames("water")) == 3


def test_nothing_asked_nothing_done(tiny, tmp_path):
    assert Study(str(tiny)).fill([], quiet=True) == 0
    assert not (tmp_path / "runs").exists()


def test_a_failing_step_stops_only_what_needs_it(tiny, tmp_path):
    study = Study(str(tiny), announce=False)
    bad = study.block("blown")
    with pytest.raises(StepsFailed) as error:
        study.fill([bad, study.atoms()], quiet=True)
    failures = error.value.failures
    (built,), (labelled, whole) = (
        [name for name in failures if name.startswith("build")],
        [name for name in failures if not name.startswith("build")],
    )
    assert "Error: " in failures[built]
    assert failures[labelled] == f"not run: needs {built}"
    assert failures[whole].startswith("not run: needs ")
    assert str(error.value).startswith("3 step(s) failed\n")
    assert study.store.is_current(study.atoms())
    assert list(records(tmp_path)) == [study.atoms().folder_name]
    # and it is tried again, with the same end
    with pytest.raises(StepsFailed, match="3 step"):
        study.fill([bad], quiet=True)


def test_the_local_engine_computes_in_parallel_and_only_once(crosstrain, tiny_with, tmp_path):
    tiny = tiny_with(compute={"engine": "local", "workers": 2})
    first = crosstrain("study", "--profile", tiny, "--only", "sets")
    assert first.returncode == 1, first.stderr
    assert "3 step(s) failed" in first.stderr  # the blown block
    assert "not run: needs build-blown" in first.stderr
    before = records(tmp_path)
    assert sum(name.startswith("label-water") for name in before) == 3
    assert sum(name.startswith("set-water") for name in before) == 1
    again = crosstrain("study", "--profile", tiny, "--only", "sets")
    assert again.returncode == 1
    assert records(tmp_path) == before
    assert wait_for(lambda: not processes_with(str(tmp_path)), 20)


DRIVER = """
import sys
from crosstrain.study import Study
study = Study(sys.argv[1], announce=False)
print(study.fill([study.block("water")], quiet=True), "steps computed")
"""


@pytest.mark.parametrize("engine", ["serial", "local"])
def test_a_killed_driver_is_continued(tiny_with, tmp_path, engine):
    tiny = tiny_with(compute={"engine": engine, "workers": 2})
    command = [sys.executable, "-c", DRIVER, str(tiny)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as driver:
        is_begun = wait_for(lambda: any(n.startswith("label") for n in records(tmp_path)), 120)
        driver.send_signal(signal.SIGKILL)
    assert is_begun
    # what was started does not run on unseen
    assert wait_for(lambda: not processes_with(str(tmp_path)), 30)
    before = records(tmp_path)
    assert any(name.startswith("build") for name in before)
    assert not any(name.startswith("set") for name in before)

    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    after = records(tmp_path)
    assert len(after) == 3 + 3 + 1
    assert {name: after[name] for name in before} == before
    assert int(COUNTED.search(again.stdout)[1]) == len(after) - len(before)


SLEEPING = """
import sys
from crosstrain.__main__ import main
from crosstrain.run import engine
profile, code = sys.argv[1:]
plain_command, engine.GRACE_S = engine._command, 1.0
engine._command = lambda *given: [sys.executable, "-c", code, plain_command(*given)[-1]]
sys.exit(main(["study", "--only", "sets", "--profile", profile]))
"""
ASLEEP = "import time; print('asleep', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ASLEEP}"


@pytest.mark.parametrize("engine", ["serial", "local"])
@pytest.mark.parametrize("step", [ASLEEP, DEAF], ids=["polite", "deaf"])
def test_sigterm_of_the_driver_ends_its_steps(tiny_with, tmp_path, engine, step):
    tiny = tiny_with(compute={"engine": engine, "workers": 2})
    command = [sys.executable, "-c", SLEEPING, str(tiny), step]
    wanted = {"serial": 1, "local": 2}[engine]

    def asleep() -> bool:
        logs = (tmp_path / "runs" / "scratch").rglob("log.txt")
        return sum("asleep" in log.read_text() for log in logs) == wanted

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as driver:
        is_begun = wait_for(asleep, 120)
        driver.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            _, said = driver.communicate(timeout=60)
        finally:
            driver.kill()
    assert is_begun and time.monotonic() - begun < 15
    assert driver.returncode == 130
    assert said.endswith("crosstrain: interrupted; the same command goes on from here\n")
    assert not processes_with(str(tmp_path))
    assert not list(tmp_path.rglob("failure.txt"))  # to be stopped is no failure


def test_an_interrupted_labelling_keeps_its_frames(tiny_with):
    """A step goes on from what its killed predecessor left in the work folder."""
    study = Study(str(tiny_with(reference={"frames_per_piece": 3})), announce=False)
    (label,) = study.block("water").inputs.values()
    (frames,) = label.inputs.values()
    study.fill([frames], quiet=True)
    done = fr.read(study.store.folder(frames) / "frames.extxyz.gz")[0]
    done.info |= {"method": "kept", "REF_energy": -1.0, "REF_stress": np.zeros(6)}
    done.arrays["REF_forces"] = np.zeros((len(done), 3))
    fr.write(study.store.work(label) / "0.extxyz.gz", [done])
    assert [frame.info["method"] for frame in study.frames("water")] == [
        "kept",
        "GFN2-xTB",
        "GFN2-xTB",
    ]


# --- one process ------------------------------------------------------------------------------


def test_threads_are_pinned(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    code = "import json, os; json.dump(dict(os.environ), open('env.json', 'w'))"
    code = code.replace("env.json", str(tmp_path / "env.json"))
    assert run_process([sys.executable, "-c", code], str(tmp_path), threads=3) == ""
    seen = json.loads((tmp_path / "env.json").read_text())
    assert {name: seen[name] for name in THREAD_VARIABLES} == dict.fromkeys(THREAD_VARIABLES, "3")
    assert "OMP_NUM_THREADS" in THREAD_VARIABLES


def test_pinned_threads_are_the_threads_numpy_uses(tmp_path):
    code = (
        "import numpy, threadpoolctl;"
        "n = [p['num_threads'] for p in threadpoolctl.threadpool_info()]; print(n);"
        "assert n and set(n) == {1}"
    )
    assert run_process([sys.executable, "-c", code], str(tmp_path), threads=1) == ""


def test_the_memory_of_a_step_is_not_that_of_its_driver(tiny_with):
    ballast = np.ones(100_000_000)  # 800 MB, of which a process that it starts has none
    study = Study(str(tiny_with(compute={"engine": "local", "workers": 2})), announce=False)
    label = next(iter(study.block("water").inputs.values()))
    study.fill([label], quiet=True)
    assert 20 < study.store.provenance(label)["cost"]["peak_memory_MB"] < 600 < ballast.nbytes / 1e6


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1), ("darwin", 1024)])
def test_the_peak_memory_is_in_kB_whatever_getrusage_counts(platform, unit, monkeypatch):
    from crosstrain import steps

    largest = steps.resource.getrusage(steps.resource.RUSAGE_CHILDREN).ru_maxrss
    monkeypatch.setattr(steps.sys, "platform", platform)
    assert steps._largest_kB(steps.resource.RUSAGE_CHILDREN) == largest / unit


def test_the_cost_of_interrupted_tries_is_counted(tmp_path, monkeypatch):
    from crosstrain import steps

    file = tmp_path / "spent.json"
    monkeypatch.setattr(steps, "NOTED_EVERY_S", 0.01)
    with steps._metered(file) as spent:
        first = spent()
        while not file.exists():
            time.sleep(0.01)
    file.write_text(json.dumps({"wall_s": 100, "cpu_s": 50, "peak_memory_MB": 1e6}))
    with steps._metered(file) as spent:
        again = spent()
    assert first["wall_s"] < 50 < 100 <= again["wall_s"]
    assert first["cpu_s"] < 25 < 50 <= again["cpu_s"] and again["peak_memory_MB"] == 1e6
    file.write_text("[1")  # cut off
    with steps._metered(file) as spent:
        assert spent()["wall_s"] < 50


def test_a_result_names_the_code_that_made_it(tiny_with):
    study = Study(str(tiny_with()), announce=False)
    atoms = study.atoms()
    study.fill([atoms], quiet=True)
    code = study.store.provenance(atoms)["code"]
    assert code["tblite"] == metadata.version("tblite") and "commit" in code


def test_versions_are_those_of_all_packages_that_are_installed(monkeypatch):
    found = versions.__wrapped__()
    assert list(found)[: 1 + len(PACKAGES)] == ["commit", *PACKAGES]
    for name in ("so3krates-torch", "chgnet", "quippy-ase", "openmm", "pymbar"):
        assert found[name] == metadata.version(name)
    installed = metadata.version

    def without_openmm(name: str) -> str:
        if name == "openmm":
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", without_openmm)
    assert set(found) - set(versions.__wrapped__()) == {"openmm"}


def test_what_cannot_use_a_gpu_asks_for_none():
    profile = profiles.load("smoke")
    compute = profile.compute.model_copy(update={"device": "cuda"})
    study = Study(profile.model_copy(update={"compute": compute}), announce=False)
    third, mace = study.third(), study.model("mace", "classical", 1)
    (gap,) = third.models()
    given = study.given_model("mine", Path("mine.xml"), "gap", "0")
    assert not any(step.wants_gpu for step in (gap, *third.liquids(gap, "hot"), given))
    assert all(step.wants_gpu for step in (mace, *study.liquids(mace, "hot")))


PBS = """
from parsl import Config, HighThroughputExecutor
from parsl.providers import PBSProProvider

def config(settings):
    queue = {"queue": "batch"} if settings.threads == 1 else {}
    provider = PBSProProvider(walltime="01:00:00", **queue)
    return Config([HighThroughputExecutor("cpu", provider, max_workers_per_node=4)])
"""


@pytest.mark.parametrize(("threads", "queue"), [(1, "batch"), (2, "of the scheduler")])
def test_a_scheduler_may_have_queues(tmp_path, threads, queue):
    file = tmp_path / "pbs.py"
    file.write_text(PBS)
    compute = profiles.load("smoke").compute
    compute = compute.model_copy(update={"engine": str(file), "threads": threads})
    (line,) = described(compute)
    assert line.endswith(f"jobs of 01:00:00, partition {queue}")


def test_what_is_not_run_is_no_longer_counted(capsys):
    one, *readers = (Step("atoms", name, estimate_s=3600) for name in "abc")
    with Progress([one, *readers], workers=1) as progress:
        progress.started(one)
        progress.dropped(readers)
        progress.finished(one, "no")
    assert "[1/1] atoms-a" in (said := capsys.readouterr().err)
    assert said.endswith("left 0:00:00\n")


def test_reasons_of_a_failed_process(tmp_path):
    def run(code: str) -> str:
        return run_process([sys.executable, "-c", code], str(tmp_path), threads=1)

    told = f"import sys; open({str(tmp_path / 'failure.txt')!r}, 'w').write('no\\n'); sys.exit(1)"
    assert run(told) == "no"
    # an old reason is not given for a new failure
    assert run("import sys; sys.exit(3)") == (
        f"its process ended with code 3; see {tmp_path}/log.txt"
    )
    assert run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").startswith(
        "its process ended with code -9 (SIGKILL)"
    )
    assert run("print('words')") == ""
    assert "words" in (tmp_path / "log.txt").read_text()


def test_a_scheduler_that_takes_no_job_ends_the_run_with_its_words(tiny, tmp_path, monkeypatch):
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: no partition of that name' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    study = Study(str(tiny), announce=False)
    study.use_engine("slurm")
    with pytest.raises(RuntimeError, match=r"could not start its jobs.*no partition of that name"):
        study.fill([study.block("water")], quiet=True)
    written = sum(file.stat().st_size for file in (tmp_path / "runs").rglob("*.log"))
    assert written < 1e6  # it told the reason for each step, and each try, without an end


def test_a_result_names_the_commit_and_whether_the_library_was_changed(tmp_path, monkeypatch):
    def git(*arguments):
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert versions.__wrapped__()["commit"] == ""
    for name in ("lib/code.py", "data/result.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("1")
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    (tmp_path / "data" / "result.txt").write_text("2")  # a campaign adds results all the time
    clean = versions.__wrapped__()["commit"]
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (tmp_path / "lib" / "code.py").write_text("2")
    assert versions.__wrapped__()["commit"] == f"{clean}-dirty"
