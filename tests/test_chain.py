"""The whole chain from an empty store: boxes, labels, models, liquids, scores, notebooks."""

import filecmp
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from crosstrain.run import notebooks
from crosstrain.steps import FRAMES
from crosstrain.study import Study

# against hanging; 40 minutes of one slow core
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

# Structures, models' liquids, and statistics: executed twice, to the same bytes.
REPEATED = ("01_build_liquids", "05_score_models", "08_read_the_transfer_matrix")
ROOT = Path(__file__).resolve().parents[1]


def work_tree() -> str:
    """What git sees of the checkout."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def first(crosstrain, tmp_path_factory):
    """The folder of all runs of the notebooks from an empty store, and how the command ended."""
    folder, before = tmp_path_factory.mktemp("runs"), work_tree()
    environment = os.environ | {"CROSSTRAIN_RUNS": str(folder)}
    done = crosstrain("run", "--profile", "smoke", env=environment, cwd="/")
    assert work_tree() == before
    return folder, done


def test_the_smoke_profile_from_an_empty_store(first, crosstrain, tmp_path):
    folder, done = first
    environment = os.environ | {"CROSSTRAIN_RUNS": str(folder)}
    assert done.returncode == 0, done.stdout + done.stderr
    executed = [run.notebook for run in notebooks.matrix()]
    outcomes = dict(line.split()[:2] for line in done.stdout.splitlines()[-len(executed) :])
    assert outcomes == dict.fromkeys(executed, "done")
    for name in executed:
        assert (folder / "smoke" / f"{name}.ipynb").is_file()
    assert not list(folder.rglob("*.failed.ipynb"))
    figures = folder / "smoke" / "figures"
    manifest = json.loads((figures / "manifest.json").read_text())
    for stem, entry in manifest.items():
        assert entry["notebook"] in executed
        assert (figures / f"{stem}.png").is_file()
        assert (figures / f"{stem}.pdf").is_file()
    promised = {figure for name in executed for figure in figures_of(name)}
    assert set(manifest) <= promised
    assert {figure for figure in promised - set(manifest) if not of_published(figure)} == set()

    second = crosstrain("study", "--profile", "smoke", env=environment, cwd="/")
    assert second.returncode == 0, second.stderr
    assert second.stdout.startswith("0 steps computed")
    assert not list(folder.rglob(".staging*"))

    options = ("--profile", "smoke", "--output", tmp_path)
    third = crosstrain("run", *REPEATED, *options, env=environment, cwd=folder)
    assert third.returncode == 0, third.stdout + third.stderr
    made = [*tmp_path.glob("*.ipynb"), *(tmp_path / "figures").glob("*.p*")]
    assert {file.name[:2] for file in made} == {name[:2] for name in REPEATED}
    for file in made:
        first_made = folder / "smoke" / file.relative_to(tmp_path)
        assert filecmp.cmp(first_made, file, shallow=False), file.name


def figures_of(name: str) -> set[str]:
    """The figures that a notebook says it makes."""
    said = notebooks.twin(name).read_text().partition("**Files made.**")[2].partition("# %%")[0]
    return {f"{name}__{figure}" for figure in re.findall(r"`[a-z0-9_]*?__(\w+)`", said)}


def of_published(figure: str) -> bool:
    """Whether a figure is of published files, which are not everywhere."""
    return figure.startswith("11_") or figure.endswith(("__stand_in", "__clusters"))


def test_the_same_seeds_give_the_same_sets(first, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path))
    study, names = Study("smoke", announce=False), ("packed", "classical", "scan", "molecules")
    blocks = {name: study.block(name) for name in names}
    assert {study.recipe(name).kind for name in names} == {
        about.kind for about in study.profile.blocks.values()
    }
    study.fill(blocks.values(), quiet=True)
    for name, block in blocks.items():
        again = study.store.folder(block) / FRAMES
        known = first[0] / again.relative_to(tmp_path)
        assert filecmp.cmp(again, known, shallow=False), name
