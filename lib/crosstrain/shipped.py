"""What is shipped: how results are made light, a card per set, and the registry of ``data/``."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from crosstrain import paths
from crosstrain.data import cards
from crosstrain.data import frames as fr
from crosstrain.potentials.protocol import architecture
from crosstrain.run.store import PROVENANCE, Step
from crosstrain.simulate.trajectory import TRAJECTORY, is_packed, pack_trajectory
from crosstrain.steps import FRAMES, RUN
from crosstrain.study import Study

REGISTRY = "registry.yml"
LABELS = "eV, eV/Å, eV/Å³"
# What the numbers of a file are in, by its name; a model takes Å and gives labels.
UNITS = {
    FRAMES: "Å",
    RUN: "ps",
    "diffusion.json": "cm²/s, Å, ps",
    "energies_eV.json": "eV",
    "failures.json": "none",
    "label_cost.json": "s",
    "labels.npz": LABELS,
    "observed.json": "g/cm³, Å, ps",
    "predictions.npz": LABELS,
    "reference.json": "g/cm³, Å, K",
    "selection.json": "eV/Å, g/cm³, K, ps",
    "stand_in.json": f"{LABELS}, g/cm³",
    "training.json": "eV, eV/Å",
    TRAJECTORY: "Å, ps, K, eV, Å³, bar, g/mol",
}
HEADING = f"""\
# Every result under data/: hash, size and what made it. Written by 'crosstrain render', checked by
# 'crosstrain check'. All files were made by this project and are under the {cards.LICENCE} licence.
"""


def lighten(study: Study) -> list[str]:
    """Make the stored results that are shipped lighter; return the names of those that were made.

    Files of models are left out but of the training sets named in ``training.shipped`` of the
    profile and of those that something not yet computed reads, and trajectories are packed. What
    each result was before stays in its record.
    """
    known = [step for step in study.known() if step.is_shipped]
    kept = {model.folder_name for model in study.models(study.profile.training.shipped)}
    for step in study.store.to_compute(known):
        kept |= {source.folder_name for source in step.inputs.values()}
    changed = []
    for step in known:
        record = study.store.provenance(step)
        if record is None:
            continue
        if step.kind == "train" and step.folder_name not in kept and "left_out" not in record:
            change = partial(_leave_out, architecture(step.params["architecture"]).MODEL_FILE)
        elif step.kind == "simulate" and not is_packed(study.store.folder(step) / TRAJECTORY):
            change = _pack
        else:
            continue
        study.store.rewrite(step, change)
        changed.append(step.folder_name)
    return changed


def _leave_out(file: str, record: dict[str, Any], folder: Path) -> None:
    (folder / file).unlink()
    record["left_out"] = {file: record["files"][file]}


def _pack(record: dict[str, Any], folder: Path) -> None:
    pack_trajectory(folder / TRAJECTORY, folder / TRAJECTORY)
    record["repacked"] = {TRAJECTORY: record["files"][TRAJECTORY]}


def pages(study: Study, known: Iterable[Step]) -> dict[Path, str]:
    """Return the text of the registry and of the cards of all stored sets, by path."""
    root = study.store.root
    written = {root / REGISTRY: registry(study, known)}
    iterated = study.profile.iteration.blocks if study.profile.iteration else ()
    unseen = study.unseen_blocks()
    for name in (*study.profile.blocks, *iterated, *study.profile.tests, *unseen):
        step, block = study.block(name), study.recipe(name)
        if not study.has(step):
            continue
        folder = study.store.verify(step)  # a check moves nothing away, as `study.get` would
        frames = folder / FRAMES
        written[root / "sets" / f"{name}.md"] = cards.card(
            name,
            block,
            fr.read(frames, labelled=True) if frames.exists() else [],
            json.loads((folder / "failures.json").read_text()),
            method=step.params["method"],
            folder=f"data/sets/{folder.name}",
        )
    return written


def registry(study: Study, known: Iterable[Step]) -> str:
    """Return the text of the registry: every stored file of the results that are known."""
    entries: dict[str, dict[str, Any]] = {}
    for step in known:
        if not step.is_shipped or study.store.provenance(step) is None:
            continue
        folder = study.store.folder(step)
        record = json.loads((folder / PROVENANCE).read_text())
        for name, file in record["files"].items():
            path = (folder / name).relative_to(study.store.root).as_posix()
            entry = {"sha256": file["sha256"], "bytes": file["bytes"], "origin": step.kind}
            entry["units"] = UNITS.get(name, f"Å, {LABELS}" if step.room == "models" else "none")
            if name == FRAMES and "method" in step.params:
                entry |= {"method": step.params["method"], "units": f"Å, {LABELS}"}
            entries[path] = entry
    text = yaml.safe_dump(entries, sort_keys=True, allow_unicode=True, width=1000)
    return HEADING + text


def write(study: Study) -> None:
    """Write the registry and the cards, and delete cards of sets that are gone."""
    wanted = pages(study, study.known())
    for path, text in wanted.items():
        paths.write_atomically(path, text.encode())
    for path in (study.store.root / "sets").glob("*.md"):
        if path not in wanted:
            path.unlink()


def problems(study: Study, known: Iterable[Step]) -> list[str]:
    """Return what is missing or out of date among the results that are known, a line each."""
    wanted = pages(study, known)
    old = [path for path, text in wanted.items() if not path.is_file() or path.read_text() != text]
    gone = [path for path in (study.store.root / "sets").glob("*.md") if path not in wanted]
    return [
        *(f"{path.name}: missing or not of the stored results; render again" for path in old),
        *(f"{path.name}: a card without its set; delete it" for path in gone),
    ]
