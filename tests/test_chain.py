"""The whole chain from an empty store: boxes, labels, models, liquids, scores, notebooks."""

import filecmp
import json
import os
import subprocess
from pathlib import Path

import pytest
from crosstrain.data import profiles
from crosstrain.run import notebooks

# Structures, models' liquids, and statistics: executed twice, to the same bytes.
REPEATED = ("01_build_liquids", "05_score_models", "08_read_the_transfer_matrix")
ROOT = Path(__file__).resolve().parents[1]


def work_tree() -> str:
    """What git sees of the checkout."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3600)  # against hanging; 40 minutes of one slow core
def test_the_smoke_profile_from_an_empty_store(crosstrain, tmp_path):
    environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path)}
    before = work_tree()

    first = crosstrain("run", "--profile", "smoke", env=environment, cwd="/")
    assert first.returncode == 0, first.stdout + first.stderr
    executed = [run.notebook for run in notebooks.matrix()]
    outcomes = dict(line.split()[:2] for line in first.stdout.splitlines()[-len(executed) :])
    assert outcomes == dict.fromkeys(executed, "done")
    for name in executed:
        assert (tmp_path / "smoke" / f"{name}.ipynb").is_file()
    assert not list(tmp_path.rglob("*.failed.ipynb"))
    figures = tmp_path / "smoke" / "figures"
    manifest = json.loads((figures / "manifest.json").read_text())
    assert manifest
    for stem, entry in manifest.items():
        assert entry["notebook"] in executed
        assert (figures / f"{stem}.png").is_file()
        assert (figures / f"{stem}.pdf").is_file()

    second = crosstrain("study", "--profile", "smoke", env=environment, cwd="/")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("0 steps computed")
    assert not list(tmp_path.rglob(".staging*"))

    again = tmp_path / "again"
    options = ("--profile", "smoke", "--output", again)
    third = crosstrain("run", *REPEATED, *options, env=environment, cwd=tmp_path)
    assert third.returncode == 0, third.stdout + third.stderr
    made = [*again.glob("*.ipynb"), *(again / "figures").glob("*.p*")]
    assert {file.name[:2] for file in made} == {name[:2] for name in REPEATED}
    for file in made:
        first_made = tmp_path / "smoke" / file.relative_to(again)
        assert filecmp.cmp(first_made, file, shallow=False), file.name
    assert work_tree() == before


@pytest.mark.slow
def test_the_same_seeds_give_the_same_sets(crosstrain, tmp_path):
    sets = []
    for name in ("one", "other"):
        environment = os.environ | {"CROSSTRAIN_RUNS": str(tmp_path / name)}
        done = crosstrain("study", "--profile", "smoke", "--only", "sets", env=environment)
        assert done.returncode == 0, done.stderr
        files = sorted((tmp_path / name).glob("smoke/data/sets/*/frames.extxyz.gz"))
        sets.append({file.parent.name: file.read_bytes() for file in files})
    profile = profiles.load("smoke")
    assert len(sets[0]) == len(profile.blocks) + len(profile.tests)
    assert sets[0] == sets[1]
