"""The store: keys, publication in one move, damage, and what is computed again."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
from crosstrain.run.store import PROVENANCE, Step, Store, StoreError, upstream


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "data", tmp_path / "scratch")


def chain() -> tuple[Step, Step, Step, Step]:
    """Scratch frames and labels, and a shipped set and model."""
    frames = Step("build", "packed", {"frames": 3})
    labels = Step("label", "packed-000", {"part": 0}, {"frames": frames})
    whole = Step("set", "packed", {}, {"part000": labels})
    return frames, labels, whole, Step("train", "model", {"seed": 1}, {"packed": whole})


def put(store: Store, step: Step, content: str = "content") -> None:
    with store.publish(step, {"wall_s": 1.0}) as out:
        (out / "result.txt").write_text(content)


def compute(store: Store, targets, content: str = "content") -> list[str]:
    """Compute what is missing as the engine does; return the kinds that were."""
    done = []
    while steps := store.to_compute(targets):
        for step in steps:
            put(store, step, content)
        done += [step.kind for step in steps]
    return done


# --- keys -------------------------------------------------------------------------------------


def test_key_depends_on_what_decides_the_result():
    source = Step("build", "packed", {"frames": 3})
    step = Step("label", "x", {"method": "GFN2-xTB", "parts": 2}, {"frames": source})
    others = [
        replace(step, kind="relabel"),
        replace(step, params={"method": "GFN1-xTB", "parts": 2}),
        replace(step, version=2),
        replace(step, inputs={"other": source}),
        replace(step, inputs={}),
        replace(step, inputs={"frames": replace(source, params={"frames": 4})}),
        replace(step, inputs={"frames": replace(source, version=2)}),
    ]
    assert len({step.key, *(other.key for other in others)}) == len(others) + 1


def test_key_does_not_depend_on_names_order_or_estimates():
    source = Step("build", "packed", {"frames": 3})
    step = Step("label", "x", {"method": "GFN2-xTB", "parts": 2}, {"frames": source})
    assert step.key == replace(step, name="y", estimate_s=99.0).key
    assert step.key == replace(step, params={"parts": 2, "method": "GFN2-xTB"}).key
    assert step.key == replace(step, inputs={"frames": replace(source, name="z")}).key
    assert step.key == Step.from_json(json.loads(json.dumps(step.to_json()))).key


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "-x", "a b", "a\n"])
def test_names_that_are_no_folder_names(name):
    with pytest.raises(ValueError, match=r"step name .*; allowed are letters"):
        Step("set", name)
    with pytest.raises(ValueError, match="step name"):
        Step(name, "set")


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (float("nan"), ValueError, "not JSON compliant"),
        ({1, 2}, TypeError, "set is not JSON serializable"),
        (object(), TypeError, "object is not JSON serializable"),
    ],
)
def test_params_must_be_plain(value, error, message):
    step = Step("set", "x", {"value": value})
    with pytest.raises(error, match=message):
        _ = step.key


def test_upstream_has_inputs_first_and_each_key_once():
    frames, labels, _, model = chain()
    again = chain()[2]
    assert [s.kind for s in upstream([model, again])] == ["build", "label", "set", "train"]
    assert upstream([labels])[0].key == frames.key


# --- publication ------------------------------------------------------------------------------


def test_a_result_has_a_readable_name_a_room_and_a_record(store):
    *_, labels, whole, model = chain()
    compute(store, [model])
    assert store.folder(model).relative_to(store.root).as_posix() == (
        f"models/train-model-{model.key[:10]}"
    )
    assert store.folder(labels).is_relative_to(store.scratch)
    record = json.loads((store.folder(model) / PROVENANCE).read_text())
    assert record["params"] == {"seed": 1}
    assert record["sources"] == {"packed": whole.folder_name}
    assert record["inputs"] == {"packed": store.digest(whole)}
    assert record["files"]["result.txt"]["bytes"] == len("content")
    assert record["cost"] == {"wall_s": 1.0}


def test_a_large_result_is_scratch_wherever_it_is_read_again(store):
    shipped = chain()[3]
    large = replace(shipped, is_scratch=True)
    assert large.key == shipped.key
    again = Step.from_json(json.loads(json.dumps(large.to_json())))
    assert store.folder(shipped).is_relative_to(store.root)
    assert store.folder(again) == store.folder(large)
    assert store.folder(again).is_relative_to(store.scratch)


def test_equal_results_have_equal_digests(tmp_path):
    step = chain()[0]
    one, other = Store(tmp_path / "a", tmp_path / "a"), Store(tmp_path / "b", tmp_path / "b")
    put(one, step)
    put(other, step)
    assert one.digest(step) == other.digest(step)
    put(other, step, "else")
    assert one.digest(step) != other.digest(step)


def test_an_exception_in_publish_leaves_what_was_there(store):
    step = chain()[2]
    for before in (None, "whole"):
        if before:
            put(store, step, before)
        with pytest.raises(RuntimeError, match="halfway"), store.publish(step, {}) as out:
            (out / "result.txt").write_text("half")
            raise RuntimeError("halfway")
        left = [p.name for p in store.root.rglob("*") if p.is_file()]
        assert left == ([] if before is None else sorted(["result.txt", PROVENANCE], reverse=True))
        assert not list(store.root.rglob(".staging*"))
    assert (store.verify(step) / "result.txt").read_text() == "whole"


def test_an_empty_result_is_refused(store):
    step = chain()[2]
    with pytest.raises(StoreError, match="left no file"), store.publish(step, {}):
        pass
    assert store.digest(step) is None


KILLED = """
import sys, time
from pathlib import Path
from crosstrain.run.store import Step, Store
store = Store(Path(sys.argv[1]), Path(sys.argv[2]))
step = Step("set", "packed", {})
with store.lock(step), store.publish(step, {}) as out:
    (out / "result.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_in_publish_leaves_no_result(store):
    command = [sys.executable, "-c", KILLED, str(store.root), str(store.scratch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    step = Step("set", "packed", {})
    assert not store.folder(step).exists()
    assert not store.is_current(step)
    assert store.to_compute([step]) == [step]
    with store.lock(step):  # was released by the kernel
        put(store, step, "whole")
    assert (store.verify(step) / "result.txt").read_text() == "whole"
    assert [p.name for p in (store.root / "sets").iterdir()] == [step.folder_name]


def test_two_processes_that_do_not_share_a_lock_never_mix_their_files(store, tmp_path):
    command = [sys.executable, "-c", KILLED, str(store.root), str(tmp_path / "other")]
    step = Step("set", "packed", {})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        (staging,) = store.folder(step).parent.iterdir()
        with store.lock(step), store.publish(step, {}) as out:
            assert out != staging and not list(out.iterdir())
            (out / "mine.txt").write_text("whole")
        assert [path.name for path in staging.iterdir()] == ["result.txt"]  # it may go on
        process.send_signal(signal.SIGKILL)
    assert {path.name for path in store.verify(step).iterdir()} == {"mine.txt", PROVENANCE}
    put(store, step)
    assert not staging.exists()  # what a dead process leaves is removed


LOCKED = """
import sys, time
from pathlib import Path
from crosstrain import steps
order, log = Path(sys.argv[1]), Path(sys.argv[2])
def slow(params, inputs, out, work):
    with open(log, "a") as file:
        file.write("computed\\n")
    time.sleep(1.5)
    (out / "result.txt").write_text("done")
steps.KINDS["set"] = steps.Kind(slow, 1)
steps.run(order)
"""


def test_two_processes_compute_a_step_once(store, tmp_path):
    step = Step("set", "packed", {})
    order, log = tmp_path / "step.json", tmp_path / "log.txt"
    places = {"root": str(store.root), "scratch": str(store.scratch)}
    order.write_text(json.dumps({"step": step.to_json(), **places}))
    command = [sys.executable, "-c", LOCKED, str(order), str(log)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert log.read_text() == "computed\n"
    assert (store.verify(step) / "result.txt").read_text() == "done"


# --- damage -----------------------------------------------------------------------------------


def test_an_altered_or_missing_file_is_found(store):
    step = chain()[2]
    put(store, step)
    file = store.folder(step) / "result.txt"
    file.write_text("Content")
    message = rf"sets/{step.folder_name}/result.txt is missing or not the file that was stored"
    with pytest.raises(StoreError, match=message):
        store.verify(step)
    file.unlink()
    with pytest.raises(StoreError, match=message):
        store.verify(step)
    file.write_text("content")
    assert store.verify(step) == store.folder(step)


def test_what_is_not_stored(store):
    step = chain()[2]
    assert store.provenance(step) is None
    with pytest.raises(StoreError, match=f"{step.folder_name} is not stored"):
        store.verify(step)


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", "{}", '{"key": "another"}'])
def test_a_damaged_record_is_told(store, damage):
    step = chain()[2]
    put(store, step)
    (store.folder(step) / PROVENANCE).write_text(damage)
    for look in (store.provenance, store.is_current, store.verify, store.digest):
        message = rf"{step.folder_name}/provenance.json is damaged; .*'crosstrain study' moves its"
        with pytest.raises(StoreError, match=message):
            look(step)


def test_a_damaged_result_that_another_process_moved_away_is_not_stored(store, monkeypatch):
    step, hold = chain()[2], store.lock
    put(store, step)
    (store.folder(step) / "result.txt").write_text("Content")

    @contextmanager
    def lock(step):
        shutil.rmtree(store.folder(step))
        with hold(step):
            yield

    monkeypatch.setattr(store, "lock", lock)
    with pytest.raises(StoreError, match=f"{step.folder_name} is not stored"):
        store.checked(step)


# --- what is computed again -------------------------------------------------------------------


def test_everything_once_and_then_nothing(store):
    model = chain()[3]
    assert compute(store, [model]) == ["build", "label", "set", "train"]
    assert compute(store, [model]) == []


def test_scratch_is_computed_only_when_it_is_read(store):
    frames, labels, whole, model = chain()
    compute(store, [model])
    for step in (frames, labels):
        (store.folder(step) / PROVENANCE).unlink()
    assert store.to_compute([model]) == []
    assert [s.kind for s in store.to_compute([labels])] == ["build", "label"]
    (store.folder(whole) / PROVENANCE).unlink()
    assert [s.kind for s in store.to_compute([model])] == ["build", "label", "set"]


def leave_out(record, folder):
    (folder / "result.txt").unlink()
    (folder / "more.txt").write_text("kept")
    record["left_out"] = {"result.txt": record["files"]["result.txt"]}


def test_a_file_left_out_keeps_the_digest_and_is_computed_only_where_it_is_read(store):
    *_, whole, model = chain()
    compute(store, [model])
    digest = store.digest(whole)
    store.rewrite(whole, leave_out)
    assert store.left_out(whole) == ["result.txt"] and store.left_out(model) == []
    assert store.is_current(whole) and not store.is_whole(whole)
    assert store.digest(whole) == digest
    assert [path.name for path in sorted(store.verify(whole).iterdir())] == [
        "more.txt",
        PROVENANCE,
    ]
    assert store.to_compute([model]) == []
    reader = Step("evaluate", "model-on-packed", {}, {"packed": whole})
    assert compute(store, [model, reader]) == ["set", "evaluate"]
    assert store.left_out(whole) == []
    (store.folder(whole) / "result.txt").write_text("altered")
    with pytest.raises(StoreError, match=r"result\.txt is missing or not the file"):
        store.verify(whole)


def test_a_rewrite_leaves_no_folder_of_work_but_that_of_another_run(store):
    *_, whole, _ = chain()
    compute(store, [whole])
    store.rewrite(whole, leave_out)
    assert not store.work(whole).exists()
    order = store.work(whole) / "step.json"
    order.parent.mkdir()
    order.write_text("{}")
    store.rewrite(whole, lambda record, folder: None)
    assert [*store.work(whole).iterdir()] == [order]


def test_a_damaged_or_interrupted_rewrite_changes_nothing(store):
    *_, whole, _ = chain()
    compute(store, [whole])

    def fail(record, folder):
        (folder / "result.txt").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.rewrite(whole, fail)
    assert (store.verify(whole) / "result.txt").read_text() == "content"
    assert not list(store.folder(whole).parent.glob(".*"))
    (store.folder(whole) / "result.txt").write_text("altered")
    with pytest.raises(StoreError, match=r"result\.txt is missing or not the file"):
        store.rewrite(whole, leave_out)


def test_a_rewrite_that_is_interrupted_while_it_moves_leaves_what_there_was(store, monkeypatch):
    *_, whole, _ = chain()
    compute(store, [whole])

    def interrupted(source, target, replace=os.replace):
        if ".staging" in str(source):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", interrupted)
        store.rewrite(whole, leave_out)
    assert (store.verify(whole) / "result.txt").read_text() == "content"
    folder = store.folder(whole)
    assert not list(folder.parent.glob(".*"))
    folder.rename(folder.with_name(f".replaced-{folder.name}"))  # killed at that moment
    assert compute(store, [whole]) == ["set"]
    assert store.is_whole(whole) and not list(folder.parent.glob(".*"))


def test_a_deleted_result_is_computed_again_and_its_readers_only_if_it_differs(store):
    *_, whole, model = chain()
    compute(store, [model])
    (store.folder(whole) / PROVENANCE).unlink()
    assert compute(store, [model]) == ["set"]
    (store.folder(whole) / PROVENANCE).unlink()
    assert compute(store, [model], "else") == ["set", "train"]
    assert compute(store, [model]) == []


def test_a_deleted_result_upstream_of_the_target_is_computed_again(store):
    *_, whole, model = chain()
    compute(store, [model])
    (store.folder(whole) / PROVENANCE).unlink()
    assert [s.kind for s in store.to_compute([model])] == ["set"]


def test_changed_input_content_makes_the_reader_stale(store):
    *_, whole, model = chain()
    compute(store, [model])
    put(store, whole, "content")
    assert store.is_current(model)
    put(store, whole, "else")
    assert not store.is_current(model)
    assert [s.kind for s in store.to_compute([model])] == ["train"]


def iterated() -> tuple[Step, Step, Step]:
    """Shipped frames, the set of their labels, and a set read through one more scratch step."""
    chosen = Step("select", "chosen", {})
    parts = {f"part{i}": Step("label", f"{i}", {"part": i}, {"frames": chosen}) for i in range(2)}
    again = Step("label", "again", {}, {"labels": parts["part0"]})
    return chosen, Step("set", "chosen", {}, parts), Step("set", "again", {}, {"part": again})


@pytest.mark.parametrize("is_clone", [False, True], ids=["with scratch", "fresh clone"])
def test_changed_content_makes_stale_what_was_read_through_scratch(store, is_clone):
    chosen, near, far = iterated()
    compute(store, [near, far])
    record = json.loads((store.folder(far) / PROVENANCE).read_text())
    assert record["through_scratch"] == {chosen.folder_name: store.digest(chosen)}
    if is_clone:
        shutil.rmtree(store.scratch)
    assert store.is_current(near) and store.to_compute([near, far]) == []
    put(store, chosen)  # the same content
    assert store.to_compute([near, far]) == []
    put(store, chosen, "else")
    assert not store.is_current(near) and not store.is_current(far)
    assert sorted(compute(store, [near, far])) == ["label", "label", "label", "set", "set"]
    assert store.is_current(near) and store.to_compute([near, far]) == []


def test_content_that_changed_between_two_scratch_inputs_makes_stale(store):
    chosen, near, _ = iterated()
    first, second = near.inputs.values()
    for step in (chosen, first):
        put(store, step)
    put(store, chosen, "else")
    for step in (second, near):
        put(store, step)
    assert [step.name for step in store.to_compute([near])] == ["0", "chosen"]
    compute(store, [near])
    assert store.is_current(near)


def test_a_record_that_does_not_tell_what_was_behind_scratch_stays_current(store):
    chosen, near, _ = iterated()
    compute(store, [near])
    file = store.folder(near) / PROVENANCE
    record = json.loads(file.read_text())
    del record["through_scratch"]
    file.write_text(json.dumps(record))
    shutil.rmtree(store.scratch)
    put(store, chosen, "else")
    assert store.is_current(near) and store.to_compute([near]) == []
    assert json.loads(file.read_text()) == record


def test_an_input_that_changes_while_it_is_read_makes_the_reader_stale(store):
    *_, whole, model = chain()
    compute(store, [whole])
    with store.publish(model, {}) as out:
        put(store, whole, "else")
        (out / "result.txt").write_text("from the old set")
    assert not store.is_current(model)


def test_a_change_upstream_is_another_step(store):
    *_, whole, model = chain()
    compute(store, [model])
    changed = replace(model, inputs={"packed": replace(whole, version=2)})
    assert [s.kind for s in store.to_compute([changed])] == ["set", "train"]


def test_each_record_is_read_once(store, monkeypatch):
    source = Step("build", "packed", {})
    parts = {f"p{i}": Step("label", f"p{i}", {"part": i}, {"frames": source}) for i in range(100)}
    whole = Step("set", "packed", {}, parts)
    models = [Step("train", f"m{i}", {"seed": i}, {"packed": whole}) for i in range(50)]
    compute(store, models)
    read, plain = [], Store.provenance
    monkeypatch.setattr(
        Store, "provenance", lambda self, step: read.append(step.folder_name) or plain(self, step)
    )
    assert store.to_compute(models) == []
    assert len(read) == len(set(read)) == 100 + 1 + 50
