"""The state of a campaign, told from what real processes leave and hold."""

import signal
import subprocess
import sys

import pytest
from crosstrain import outlook
from crosstrain.run import campaign
from crosstrain.run.campaign import Status
from crosstrain.run.engine import Interrupted, StepsFailed, run_process
from crosstrain.run.store import Step, Store
from crosstrain.study import Study

HOLDER = """
import sys
from pathlib import Path
from crosstrain.run.store import Step, Store
with Store(Path(sys.argv[1]), Path(sys.argv[2])).lock(Step("atoms", "one")):
    print("held", flush=True)
    sys.stdin.read()
"""


def status(targets, store):
    return {at.step.kind: at.status for at in campaign.standings(targets, store)}


def store_with(tmp_path, *steps):
    """A store that holds results of some steps, each of 100 s."""
    store = Store(tmp_path / "data", tmp_path / "scratch")
    for step in steps:
        with store.lock(step), store.publish(step, {"cpu_s": 100.0}) as out:
            (out / "result.txt").write_text(step.name)
    return store


def test_a_step_runs_while_a_living_process_holds_it(tmp_path):
    store, step = store_with(tmp_path), Step("atoms", "one")
    assert status([step], store) == {"atoms": Status.TO_DO}
    command = [sys.executable, "-c", HOLDER, str(store.root), str(store.scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert status([step], store) == {"atoms": Status.RUNNING}
        assert (store.work(step) / ".lock").exists()
        holder.send_signal(signal.SIGKILL)
    assert (store.work(step) / ".lock").exists()  # a dead process leaves the file, not the lock
    assert status([step], store) == {"atoms": Status.TO_DO}


def test_looking_at_a_step_leaves_nothing_behind(tmp_path):
    store, step = store_with(tmp_path), Step("atoms", "one")
    assert not store.is_running(step) and store.failure(step) == ""
    assert not list(tmp_path.iterdir())


def test_a_failure_is_told_until_the_step_succeeds(tiny):
    study = Study(str(tiny), announce=False)
    atoms = study.atoms()
    study.store.root.mkdir(parents=True)
    obstacle = study.store.root / "sets"
    obstacle.write_text("a file where results should be")
    with pytest.raises(StepsFailed):
        study.fill([atoms], quiet=True)
    (failed,) = campaign.standings([atoms], study.store)
    assert failed.status == Status.FAILED and "sets" in failed.reason
    line, *_ = campaign.lines([failed])
    assert line.split()[:3] == ["failed", "atoms", "isolated"] and line.endswith(failed.reason)
    obstacle.unlink()
    study.fill([atoms], quiet=True)
    (done,) = campaign.standings([atoms], study.store)
    assert (done.status, done.reason) == (Status.DONE, "")
    assert done.core_s == study.cost(atoms)["cpu_s"]


def test_what_needs_a_failed_step_is_to_do(tiny):
    study = Study(str(tiny), announce=False)
    blown = study.block("blown")
    with pytest.raises(StepsFailed):
        study.fill([blown], quiet=True)
    expected = {"build": Status.FAILED, "label": Status.TO_DO, "set": Status.TO_DO}
    assert status([blown], study.store) == expected


@pytest.mark.parametrize(
    ("code", "is_failure"),
    [
        ("import sys; sys.exit(3)", True),
        ("import os; os.kill(os.getpid(), 9)", True),
        ("import sys; sys.exit(130)", False),  # interrupted, as `crosstrain step` ends then
        ("import os; os.kill(os.getpid(), 15)", False),
    ],
)
def test_an_interrupted_process_has_not_failed(tmp_path, code, is_failure):
    store, step = store_with(tmp_path), Step("atoms", "one")
    folder = store.work(step)
    folder.mkdir(parents=True)
    if is_failure:
        reason = run_process([sys.executable, "-c", code], str(folder), threads=1)
        assert reason.startswith("its process ended with code")
        assert store.failure(step) == reason
    else:
        with pytest.raises(Interrupted, match="its process ended with code"):
            run_process([sys.executable, "-c", code], str(folder), threads=1)
        assert store.failure(step) == ""
    assert run_process([sys.executable, "-c", ""], str(folder), threads=1) == ""
    assert store.failure(step) == ""


def test_hours_follow_what_alike_steps_cost(tmp_path):
    def train(architecture, name, estimate_s):
        params = {"architecture": architecture, "name": name}
        return Step("train", name, params, estimate_s=estimate_s)

    done = [train("mace", "a", 50.0), train("mace", "b", 150.0)]
    store = store_with(tmp_path, *done)
    rest = [train("mace", "c", 10.0), train("third", "d", 10.0), Step("relabel", "e")]
    found = campaign.standings([*done, *rest], store)
    assert [at.status for at in found] == [Status.DONE] * 2 + [Status.TO_DO] * 3
    # 200 s where 200 s were expected; another architecture goes by its kind, another kind by itself
    assert [at.core_s for at in found] == pytest.approx([100, 100, 10, 10, 1])
    dear = store_with(tmp_path / "dear", done[0])
    costs = {at.step.name: at.core_s for at in campaign.standings([done[0], *rest], dear)}
    assert costs == pytest.approx({"a": 100, "c": 20, "d": 20, "e": 1})
    told = campaign.summary(campaign.standings([done[0], *rest], dear), workers=2)
    assert told.startswith("1 steps stored, 3 to compute (0 running, 0 failed): about 0.0 core")


def test_a_gpu_shortens_the_wall_time_of_the_steps_that_want_one(tmp_path):
    hours = {"cuda": 100.0, "cpu": 20.0}
    steps = [
        Step("train", device, {"device": device}, estimate_s=3600 * h)
        for device, h in hours.items()
    ]
    found = campaign.standings(steps, store_with(tmp_path))
    told = campaign.summary(found, 4)
    assert told.endswith("about 120.0 core hours, 30.0 hours with 4 workers, all on cores")
    told = campaign.summary(found, 4, gpu_cores=10)
    assert told.endswith("120.0 core hours, 7.5 hours with 4 workers where a GPU is worth 10 cores")
    without = campaign.standings(steps[1:], store_with(tmp_path))
    assert campaign.summary(without, 4, gpu_cores=10).endswith(" 5.0 hours with 4 workers")


def test_cells_stand_as_their_steps(tiny_with, tmp_path):
    rows = {"rows": ["water", "blown", "everything"], "names": {"everything": "water+lost"}}
    training = {"sets": ["water", "blown"], "seeds": [1, 2], **rows}
    study = Study(str(tiny_with(training=training)), announce=False)

    def cells():
        _, *lines = outlook.cells(study, campaign.standings(study.campaign(), study.store))
        return {line.split()[0]: line.split(maxsplit=2)[2] for line in lines}

    fresh = {"water": "to do 1, 2", "blown": "to do 1, 2"}
    assert cells() == fresh | {"everything": "not among the training sets"}
    with pytest.raises(StepsFailed):
        study.fill([study.block("blown")], quiet=True)
    assert cells()["blown"] == "failed 1, 2"
    with study.store.lock(study.model("mace", "water", 2)):
        assert cells()["water"] == "to do 1; running 2"


def test_many_steps_to_do_are_counted_but_what_runs_or_failed_is_listed():
    def told(n_to_do):
        parts = [(Status.FAILED, "bad", "no room"), (Status.RUNNING, "now", "")]
        parts += [(Status.TO_DO, f"s{number}", "") for number in range(n_to_do)]
        found = [campaign.Standing(Step("atoms", name), how, why, 1.0) for how, name, why in parts]
        return campaign.lines(found)

    few, many = told(campaign.MOST_LISTED), told(campaign.MOST_LISTED + 1)
    assert len(few) == 2 + campaign.MOST_LISTED + 2
    assert many[:2] == few[:2] and many[0].endswith("no room") and " now " in many[1]
    assert [line.split() for line in many[2:3]] == [["to", "do", "51", "steps,", "by", "kind:"]]
    assert [line.split()[:5] for line in many[4:]] == [["atoms", "0", "1", "1", "51"]]


def test_an_empty_campaign_is_done():
    assert campaign.overall([]) == Status.DONE
    (heading,) = campaign.lines([])
    assert heading.split()[:3] == ["steps", "done", "running"]


def test_what_another_campaign_cost_tells_what_steps_will(tmp_path):
    def step(kind, name, estimate_s):
        return Step(kind, name, {"name": name}, estimate_s=estimate_s)

    done = [step("relabel", "a", 50.0), step("train", "b", 200.0)]
    elsewhere = campaign.standings(done, store_with(tmp_path / "elsewhere", *done))
    wanted = [step("label", "c", 10.0), step("train", "d", 10.0), step("build", "e", 10.0)]
    here = store_with(tmp_path / "here")
    costs = [at.core_s for at in campaign.standings(wanted, here, elsewhere)]
    assert costs == pytest.approx([20, 5, 10])  # twice and half of what was expected; unknown
    own = store_with(tmp_path / "own", step("train", "f", 100.0))
    costs = [
        at.core_s for at in campaign.standings([*wanted, step("train", "f", 100.0)], own, elsewhere)
    ]
    assert costs == pytest.approx([20, 10, 10, 100])  # its own steps come first
