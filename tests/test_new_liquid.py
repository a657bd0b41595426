"""A liquid outside the study by the command line, from its SMILES to what its models lack."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

LIQUID = ("thf", "--composition", "C1CCOC1:3", "--temperature", "300", "--density", "0.89")
ARCHITECTURES = ("deep_potential", "mace")


def stored(runs):
    """When each result was stored, by its name."""
    return {
        file.parent.name: file.stat().st_mtime_ns
        for file in runs.rglob("provenance.json")
        if not file.parent.name.startswith(".")
    }


def stop_in_training(command, runs, environment, by):
    """Start a command, stop it when it trains; return its exit code and what it said."""
    command = [sys.executable, "-m", "crosstrain", *command]
    under_way = runs / "scratch" / "runs-own-thf-data" / "work"
    before = set(under_way.glob("train-*"))
    said = runs / "said.txt"  # no pipe: what a killed run leaves behind would hold it open
    with said.open("w") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        while set(under_way.glob("train-*")) <= before and process.poll() is None:
            time.sleep(0.2)
        time.sleep(3)
        process.send_signal(by)
        code = process.wait()
    return code, said.read_text()


def assert_report(lines, sets):
    """What a user reads of each model of a training set, and the advice."""
    for architecture in ARCHITECTURES:
        model = f"{architecture}-{sets}-s1"
        begin = lines.index(f"{model}: C1CCOC1:3, 300 K, 1 bar")
        about = lines[begin + 1 : begin + 20]
        assert about[0].startswith(f"  {model}-own-r1: ")
        assert " ps, by " in about[0]
        for said in ("density", "errors on", "  force / meV", "survival", "density of the ref"):
            assert any(line.startswith(f"  {said}") for line in about), said
        assert any(line.startswith("  score ") for line in about)
        found = [line for line in lines if line.startswith((f"{model}: nothing", f"{model} lacks"))]
        assert len(found) == 1
    if sets == "classical":  # the runs of four models together have frames enough
        assert any(line.startswith("a score has only its limits at this size") for line in lines)
    if any(" lacks " in line for line in lines):
        assert lines[-1] == "to add it: crosstrain improve thf"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_from_a_smiles_to_a_judged_model_and_a_better_set(crosstrain, tmp_path):
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}

    def run(*arguments):
        return crosstrain(*arguments, env=environment, cwd="/")

    code, said = stop_in_training(("new", *LIQUID), tmp_path, environment, signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    kept = stored(tmp_path)
    assert any(name.startswith("set-classical-") for name in kept)

    first = run("new", *LIQUID)  # the same command goes on
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"{tmp_path / 'own' / 'thf.yml'}: about 0.2 core hours")
    assert_report(first.stdout.splitlines(), "classical")
    known = stored(tmp_path)
    assert kept.items() <= known.items()
    records = [json.loads(file.read_text()) for file in tmp_path.rglob("provenance.json")]
    cpu_s = sum(record["cost"]["cpu_s"] for record in records)
    print(f"from a SMILES to a judged model: {cpu_s / 60:.1f} core minutes")

    again = run("new", *LIQUID)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "to compute" not in again.stderr
    assert stored(tmp_path) == known

    improve = ("improve", "thf", "--add", "molecules")
    code, said = stop_in_training(improve, tmp_path, environment, signal.SIGINT)
    assert (code, said.splitlines()[-1]) == (
        130,
        "crosstrain: interrupted; the same command goes on from here",
    )
    better = run(*improve)
    assert better.returncode == 0, better.stderr
    assert_report(better.stdout.splitlines(), "classical+molecules")
    assert known.items() <= stored(tmp_path).items()
    again = run(*improve)
    assert (again.returncode, again.stdout) == (0, better.stdout)
    assert "to compute" not in again.stderr
    assert not [*tmp_path.rglob(".staging*")]

    refused = run("new", *LIQUID)  # its training set is another one now
    assert refused.returncode == 2
    assert "is of another liquid, or improved: its training.sets is" in refused.stderr
