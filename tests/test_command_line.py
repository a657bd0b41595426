"""The command line: light to start, and every bad input one clear line."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from crosstrain.__main__ import _keys
from crosstrain.data import frames as fr
from crosstrain.potentials import protocol

FRAMES = Path(__file__).parent / "data" / "frames.extxyz.gz"

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


def test_help_names_the_commands(crosstrain):
    done = crosstrain("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("plan", "study", "run", "render", "check"))


def test_starting_imports_nothing_heavy(apart):
    code = "import crosstrain.__main__, json, sys; print(json.dumps(sorted(sys.modules)))"
    assert not set(HEAVY) & set(apart(code))


def test_rooms_import_without_their_heavy_packages(apart):
    """A reader who wants one room does not pay for torch or a quantum chemistry code."""
    rooms = ["build.boxes", "measure.forces", "simulate.dynamics", "data.reference"]
    rooms += ["steps", "study", "run.engine"]
    rooms += [f"potentials.{name}" for name in protocol.names()]
    imports = "; ".join(f"import crosstrain.{room}" for room in rooms)
    loaded = apart(f"import json, sys; {imports}; print(json.dumps(sorted(sys.modules)))")
    heavy = {"torch", "tblite", "rdkit", "openmm", "parsl", "mace", "deepmd", "quippy"}
    assert not (heavy | {"pandas", "matplotlib"}) & set(loaded)


def test_no_command_and_an_unknown_one(crosstrain):
    assert crosstrain().returncode == 2
    done = crosstrain("fly")
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr
    assert "Traceback" not in done.stderr


def test_unknown_profile(crosstrain):
    done = crosstrain("plan", "--profile", "lapdog")
    assert_one_line(done, "'lapdog'", "allowed are", "laptop", "smoke")


def test_unknown_notebook(crosstrain, tiny):
    assert_one_line(crosstrain("run", "99_fly", "--profile", tiny), "'99_fly'", "allowed are")


def test_plan_on_an_empty_store_computes_nothing(crosstrain, tiny, tmp_path):
    done = crosstrain("plan", "--profile", tiny)
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    steps = [line for line in lines if line.startswith("  to do ")]
    kinds = [line.split()[2] for line in steps]
    assert kinds[0] == "build"
    assert {"label", "set", "atoms", "train", "simulate", "reference"} <= set(kinds)
    assert last.startswith(f"0 steps stored, {len(steps)} to compute (0 running, 0 failed): about ")
    assert not (tmp_path / "runs").exists()


def test_check_of_an_empty_store_finds_nothing_stored_wrong(crosstrain, tiny, tmp_path):
    done = crosstrain("check", "--profile", tiny)
    assert done.returncode in (0, 1), done.stderr  # pages of another profile may be stale
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


def test_inspect_accepts_sound_frames_and_writes_them(crosstrain, tmp_path):
    output = tmp_path / "mine.extxyz.gz"
    done = crosstrain("inspect", FRAMES, "--periodic", "--output", output)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 problem(s), 12 sound frame(s)"
    again = crosstrain("inspect", output)
    assert again.stdout.splitlines()[-1] == "0 problem(s), 12 sound frame(s)"


def test_inspect_names_file_frames_and_remedy(crosstrain, tmp_path):
    text = gzip.decompress(FRAMES.read_bytes()).decode().replace("REF_energy", "dft_energy")
    file, output = tmp_path / "theirs.extxyz", tmp_path / "out.extxyz"
    file.write_text(text)
    done = crosstrain("inspect", file, "--output", output)
    assert done.returncode == 2
    assert done.stderr.startswith("theirs.extxyz, frames 0, 1, 2, 3, 4 and 7 more: no energy")
    assert "--key energy=dft_energy" in done.stderr
    assert not output.exists()
    assert crosstrain("inspect", file, "--key", "energy=dft_energy").returncode == 0
    assert_one_line(crosstrain("inspect", tmp_path / "none.xyz"), "none.xyz: no such file")


def test_inspect_does_not_write_over_its_own_file(crosstrain, tmp_path):
    file = tmp_path / "mine.extxyz.gz"
    file.write_bytes(FRAMES.read_bytes())
    done = crosstrain("inspect", file, "--output", tmp_path / "." / "x" / ".." / file.name)
    assert_one_line(done, "--output", file.name, "would overwrite the file itself")
    assert file.read_bytes() == FRAMES.read_bytes()


def test_inspect_says_what_it_does_not_write(crosstrain, tmp_path):
    frames = fr.read(FRAMES)
    for frame in frames:
        frame.arrays |= {"charge": np.zeros(len(frame)), "spin": np.ones(len(frame))}
    atom = Atoms("O", info={fr.ENERGY: -100.0})
    file, output = tmp_path / "theirs.extxyz", tmp_path / "out.extxyz"
    ase.io.write(file, [atom, *frames], format="extxyz")
    said = crosstrain("inspect", file, "--output", output).stdout
    assert "note: theirs.extxyz: not kept: charges, spin\n" in said
    assert "note: isolated atoms are not written: O\n" in said
    assert "charge" not in output.read_text() and "spin" not in output.read_text()
    assert len(fr.read(output)) == len(frames)


def test_keys_are_plain_names_and_given_once():
    given = ["energy=1", "forces=a=b", "stress=[x"]  # no numbers, no lists
    assert _keys(given) == {"energy": "1", "forces": "a=b", "stress": "[x"}
    for texts, message in (
        (["energy="], "key 'energy='; allowed is LABEL=NAME"),
        (["energy"], "key 'energy'; allowed is LABEL=NAME"),
        (["=energy"], "key '=energy'; allowed is LABEL=NAME"),
        (["energy=1", "energy=2"], "key 'energy=2': energy is '1' already"),
    ):
        with pytest.raises(ValueError, match=message):
            _keys(texts)


@pytest.mark.slow
def test_build_a_liquid_of_ones_own(crosstrain, tmp_path):
    command = ["build", "mine", "--kind", "packed", "--composition", "CO:3", "--density", "0.6"]
    command += ["--frames", "2", "--temperature", "200", "300", "--profile", "smoke"]
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    done = crosstrain(*command, env=environment)
    assert done.returncode == 0, done.stderr
    *said, file = done.stdout.splitlines()
    assert "density / g cm⁻³: 0.600" in said
    assert len(fr.read(Path(file), labelled=True)) == 2
    again = crosstrain(*command, env=environment)
    assert again.stdout == done.stdout
    assert "to compute" not in again.stderr


def test_build_refuses_what_cannot_be(crosstrain, tmp_path):
    arguments = ["--composition", "CCN:2", "--kind", "packed"]
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    done = crosstrain("build", "mine", *arguments, env=environment)
    assert_one_line(done, "'CCN'", "unsupported element N")
    assert not list(tmp_path.rglob("frames*"))


def test_score_refuses_what_it_cannot_load(crosstrain):
    done = crosstrain("score", "nothing.model", cwd=Path(__file__).parents[1])
    assert_one_line(done, "nothing.model: no such file")
    done = crosstrain("score", "nothing")
    assert_one_line(done, "'nothing'", "a model file, or", "mace-classical-s1", "so3lr")


def test_new_refuses_what_cannot_be(crosstrain, tmp_path):
    arguments = ["--composition", "[Na+]:1", "--density", "1", "--temperature", "300"]
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    done = crosstrain("new", "mine", *arguments, env=environment)
    assert_one_line(done, "unsupported element Na")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_run_at_no_state_has_no_score(crosstrain, tmp_path):
    state = "{temperature_K: 500, pressure_bar: 1000, sets: [classical+dp_iterated]}"
    mine = tmp_path / "mine.yml"
    mine.write_text(f"extends: smoke\nname: mine\nliquid: {{states: {{hot: {state}}}}}\n")
    done = crosstrain("score", "mace-classical-s1", "--profile", str(mine))
    assert_one_line(done, "at no state (liquid.states: sets); give --temperature")


def test_new_does_not_overwrite_another_liquid(crosstrain, tmp_path):
    from crosstrain import own
    from crosstrain.data import profiles

    state = {"temperature_K": 300.0, "pressure_bar": 1.0, "density_g_cm3": 1.0}
    profile = own.profile_for("mine", composition={"EC": 2}, base=profiles.load("smoke"), **state)
    own.write(profile, tmp_path / "own" / "mine.yml")
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    arguments = ["--composition", "EC:3", "--density", "1", "--temperature", "300"]
    done = crosstrain("new", "mine", *arguments, env=environment)
    assert_one_line(done, "compositions is [{'EC': 2}], not [{'EC': 3}]; choose another name")
