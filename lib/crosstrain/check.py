"""Checks of what is shipped: stored results, labelled sets, rendered notebooks, figures."""

from __future__ import annotations

import json
from pathlib import Path

from crosstrain import paths, shipped
from crosstrain.data import figures
from crosstrain.data import frames as fr
from crosstrain.run import notebooks
from crosstrain.run.store import PROVENANCE, Step, StoreError
from crosstrain.steps import FRAMES
from crosstrain.study import Study


def problems(study: Study) -> list[str]:
    """Return everything that is wrong with the shipped files, a line each."""
    known = study.known()
    return [
        *_stored(study, known),
        *_unknown(study, known),
        *_described(study, known),
        *_rendered(),
        *_figures(study),
    ]


def _stored(study: Study, known: list[Step]) -> list[str]:
    found = []
    for step in known:
        try:
            if study.store.provenance(step) is None:
                continue
            folder = study.store.verify(step)
            if not study.store.is_current(step):
                found.append(f"{step.folder_name}: made from inputs that have changed since")
            if (folder / FRAMES).exists() and step.kind in ("set", "relabel"):
                fr.read(folder / FRAMES, labelled=True)
        except (StoreError, fr.BadFrames) as error:
            found.append(str(error))
    return found


def _unknown(study: Study, known: list[Step]) -> list[str]:
    folders = {study.store.folder(step) for step in known}
    return [
        f"{path.parent.name}: not part of this profile's study; delete it"
        for path in sorted(study.store.root.glob(f"*/*/{PROVENANCE}"))
        if path.parent not in folders
    ]


def _described(study: Study, known: list[Step]) -> list[str]:
    """Check cards and registry, which exist for the results that are shipped."""
    if study.store.root != paths.data():
        return []
    try:
        return shipped.problems(study, known)
    except (StoreError, fr.BadFrames) as error:
        return [f"cards and registry cannot be checked: {error}"]


def _rendered() -> list[str]:
    return [
        f"{name}: rendered from another text or profile; run 'crosstrain render {name}'"
        for name in notebooks.names()
        if notebooks.is_stale(name)
    ] + _readme()


def _readme() -> list[str]:
    is_current = (paths.root() / "README.md").read_text() == notebooks.readme()
    return [] if is_current else ["README.md: its table of notebooks is old; render again"]


def _figures(study: Study) -> list[str]:
    folder = paths.root() / "figures"
    manifest = figures.read_manifest(folder)
    found = []
    for stem, entry in manifest.items():
        for suffix in ("png", "pdf"):
            if not (folder / f"{stem}.{suffix}").is_file():
                found.append(f"figures/{stem}.{suffix}: in the manifest but missing")
        if entry["parameters"].get("profile") != study.profile.name:
            continue
        for name, digest in entry["inputs"].items():
            record = next(study.store.root.glob(f"*/{name}/{PROVENANCE}"), None)
            if record is None or _digest(record) != digest:
                found.append(f"figures/{stem}: its input {name} has changed; render again")
    listed = {f"{stem}.{suffix}" for stem in manifest for suffix in ("png", "pdf")}
    there = {p.name for p in folder.glob("[0-9]*__*")}
    return found + [f"figures/{name}: not in the manifest" for name in sorted(there - listed)]


def _digest(record: Path) -> str | None:
    try:
        return json.loads(record.read_text())["digest"]
    except (ValueError, KeyError, TypeError):  # it is damaged, which `_stored` tells
        return None
