"""The command line: quick, and every bad input one clear line."""

import json
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "tblite", "rdkit", "matplotlib", "ase", "numpy", "openmm", "papermill", "parsl")


def assert_one_line(done, *words):
    """Exit code 2 and one line that says what is allowed."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("crosstrain: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_help_is_quick(crosstrain):
    times = []
    for _ in range(3):
        begun = time.monotonic()
        done = crosstrain("--help")
        times.append(time.monotonic() - begun)
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("plan", "study", "run", "render", "check"))
    assert min(times) < 2


def test_starting_imports_nothing_heavy(apart):
    code = "import crosstrain.__main__, json, sys; print(json.dumps(sorted(sys.modules)))"
    assert not set(HEAVY) & set(apart(code))


def test_rooms_import_without_their_heavy_packages(apart):
    """A reader who wants one room does not pay for torch or a quantum chemistry code."""
    rooms = ["build.boxes", "measure.forces", "simulate.dynamics", "data.reference"]
    rooms += ["potentials.mace", "potentials.deep_potential", "steps", "study", "run.engine"]
    imports = "; ".join(f"import crosstrain.{room}" for room in rooms)
    loaded = apart(f"import json, sys; {imports}; print(json.dumps(sorted(sys.modules)))")
    assert not {"torch", "tblite", "rdkit", "openmm", "parsl", "mace", "deepmd"} & set(loaded)


def test_no_command_and_an_unknown_one(crosstrain):
    assert crosstrain().returncode == 2
    done = crosstrain("fly")
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["plan", "study", "run", "check"])
def test_unknown_profile(crosstrain, command):
    done = crosstrain(command, "--profile", "lapdog")
    assert_one_line(done, "'lapdog'", "allowed are", "laptop", "smoke")


def test_a_profile_with_a_wrong_setting(crosstrain, tiny_with):
    done = crosstrain("plan", "--profile", tiny_with(dynamics={"duration_ns": 1}))
    assert_one_line(done, "tiny.yml", "dynamics.duration_ns", "not permitted")


def test_a_profile_with_an_unknown_hyperparameter(crosstrain, tiny_with):
    training = {"architectures": {"mace": {"channels": 4}}}
    done = crosstrain("plan", "--profile", tiny_with(training=training))
    assert_one_line(done, "mace", "'channels'", "num_channels")


def test_a_profile_with_an_unknown_architecture(crosstrain, tiny_with):
    training = {"architectures": {"maze": {}}}
    done = crosstrain("plan", "--profile", tiny_with(training=training))
    assert_one_line(done, "'maze'", "deep_potential, mace")


def test_a_profile_that_is_not_yaml(crosstrain, tiny):
    tiny.write_text("name: [tiny\nstore: x")
    assert_one_line(crosstrain("plan", "--profile", tiny), "tiny.yml is not YAML")


@pytest.mark.parametrize("command", ["run", "render"])
def test_unknown_notebook(crosstrain, tiny, command):
    options = ["--profile", tiny] if command == "run" else []
    assert_one_line(crosstrain(command, "99_fly", *options), "'99_fly'", "allowed are")


@pytest.mark.parametrize("text", ["width", "=3", "width=[1,"])
def test_malformed_parameter(crosstrain, tiny, text):
    assert_one_line(crosstrain("run", "--profile", tiny, "-p", text), repr(text))


def test_unknown_engine(crosstrain, tiny):
    done = crosstrain("study", "--profile", tiny, "--engine", "cluster")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("crosstrain: engine 'cluster'; allowed are local, serial, or a Python")


def test_missing_order_of_a_step(crosstrain, tmp_path):
    assert_one_line(crosstrain("step", tmp_path / "nothing.json"), "nothing.json")


def test_plan_on_an_empty_store_computes_nothing(crosstrain, tiny, tmp_path):
    done = crosstrain("plan", "--profile", tiny)
    assert done.returncode == 0, done.stderr
    *steps, last = done.stdout.splitlines()
    kinds = [line.split()[1] for line in steps]
    assert kinds[0] == "build"
    assert {"label", "set", "atoms", "train", "simulate", "reference"} <= set(kinds)
    assert last.startswith(f"0 steps stored, {len(steps)} to compute: about ")
    assert not (tmp_path / "runs").exists()


def test_check_of_an_empty_store_finds_nothing_stored_wrong(crosstrain, tiny, tmp_path):
    done = crosstrain("check", "--profile", tiny)
    assert "is damaged" not in done.stdout
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_check_tells_a_damaged_result(crosstrain, tiny, tmp_path):
    done = crosstrain("study", "--profile", tiny, "--only", "sets")
    assert done.returncode == 1  # one of its blocks cannot be built
    (folder,) = (tmp_path / "runs" / "tiny" / "data" / "sets").glob("set-water-*")
    (folder / "failures.json").write_text("{}")
    stale = folder.parent / "set-old-0123456789"
    stale.mkdir()
    (stale / "provenance.json").write_text(json.dumps({"key": "0123456789"}))
    done = crosstrain("check", "--profile", tiny)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(f"{folder.name}/failures.json is missing or not the file" in line for line in lines)
    assert "set-old-0123456789: not part of this profile's study; delete it" in lines


def test_installed_script_is_the_module():
    script = subprocess.run(
        [f"{sys.exec_prefix}/bin/crosstrain", "--help"], capture_output=True, text=True
    )
    assert script.stdout.startswith("usage: crosstrain ")
