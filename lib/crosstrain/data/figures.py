"""Figures: one style, files that are the same whenever their content is, and a manifest."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from crosstrain import paths

MANIFEST = "manifest.json"
SUFFIXES = ("png", "pdf")

# Okabe and Ito's palette, readable with any colour vision.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
REFERENCE_COLOUR = "#000000"
ARCHITECTURE_COLOURS = {
    "deep_potential": PALETTE[0],
    "mace": PALETTE[1],
    "gap": "#117733",
    "so3lr": "#44AA99",
    "chgnet": "#C51B7D",
    "mace_foundation": "#663333",
}
LINE_STYLES = {"deep_potential": "-", "mace": "--"}  # where curves may lie on each other
SET_MARKERS = {
    "packed": "o",
    "classical": "s",
    "scan": "^",
    "molecules": "D",
    "dp_iterated": "v",
    "mace_iterated": "P",
    "classical_more": "X",
}
SET_COLOURS = {
    "packed": "#009E73",
    "classical": "#CC79A7",
    "scan": "#E69F00",
    "molecules": "#56B4E9",
    "dp_iterated": "#332288",  # of the family of its maker's colour, but not the same
    "mace_iterated": "#661100",
    "classical_more": "#3B3B3B",
}
JOINED_COLOUR = "#882255"  # of a set with several blocks added to the first
JOINED_MARKER, OTHER_MARKER = "*", "h"
# of a set with the first frames of a block added to the first, such as classical+classical_more.100
PART_COLOUR, PART_MARKER = "#999933", ">"


def seed_lines(seeds: Sequence[int]) -> dict[int, str]:
    """Return the line style of each seed, where models of one architecture are told apart."""
    return dict(zip(seeds, cycle(("-", "--", "-.", ":")), strict=False))


def use_style() -> None:
    """Set the project's look for all figures that follow."""
    import seaborn as sns

    sns.set_theme(context="notebook", style="ticks", palette=list(PALETTE))
    mpl.rcParams.update(
        {
            "figure.dpi": 110,
            "savefig.dpi": 200,
            "figure.constrained_layout.use": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "font.size": 11,
            "pdf.fonttype": 42,
            "svg.hashsalt": "crosstrain",
        }
    )


def colour(architecture: str) -> str:
    """Return the colour of an architecture, the same in every figure."""
    if architecture in ARCHITECTURE_COLOURS:
        return ARCHITECTURE_COLOURS[architecture]
    return PALETTE[2 + sum(architecture.encode()) % 4]


def set_colour(training_set: str) -> str:
    """Return the colour of a training set: that of its block, or of the one added to the first."""
    return _look(training_set, SET_COLOURS, JOINED_COLOUR, PART_COLOUR, REFERENCE_COLOUR)


def set_marker(training_set: str) -> str:
    """Return the marker of a training set, as `set_colour` its colour."""
    return _look(training_set, SET_MARKERS, JOINED_MARKER, PART_MARKER, OTHER_MARKER)


def _look(training_set: str, known: Mapping[str, str], joined: str, part: str, other: str) -> str:
    first, *added = training_set.split("+")
    if len(added) > 1:
        return joined
    if added and "." in added[0]:
        return part
    return known.get((added or [first])[0].partition(".")[0], other)


def save(
    figure: Figure,
    name: str,
    *,
    notebook: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    folder: Path | None = None,
) -> list[Path]:
    """Write a figure as PNG and PDF and enter it in the manifest of its folder.

    Parameters
    ----------
    figure : Figure
    name : str
        What it shows; the files are ``<notebook>__<name>.png`` and ``.pdf``.
    notebook : str
        Name of the notebook that makes it.
    parameters : mapping
        Parameters of that notebook.
    inputs : mapping of str to str
        Digest of each stored result it was made from.
    folder : Path, optional
        Default: `crosstrain.paths.figures`.
    """
    folder = folder or paths.figures()
    stem = f"{notebook}__{name}"
    files = {}
    for suffix, metadata in (("png", {"Software": None}), ("pdf", {"CreationDate": None})):
        content = io.BytesIO()
        figure.savefig(content, format=suffix, metadata=metadata)
        target = paths.inside(folder, f"{stem}.{suffix}")
        paths.write_atomically(target, content.getvalue())
        files[suffix] = target
    entry = {"notebook": notebook, "parameters": dict(parameters), "inputs": dict(inputs)}
    manifest = read_manifest(folder) | {stem: entry}
    paths.write_json(folder / MANIFEST, manifest)
    return list(files.values())


def take_over(made: Path, folder: Path, notebook: str) -> None:
    """Move the figures that a run of a notebook made into the place of those it made before.

    Parameters
    ----------
    made : Path
        Folder that the run wrote its figures into; there is none if it made none.
    folder : Path
        Folder of the figures of all notebooks.
    notebook : str
    """
    new, known = read_manifest(made), read_manifest(folder)
    others = {stem: entry for stem, entry in known.items() if entry["notebook"] != notebook}
    if not new and others == known:
        return
    for file in (made / f"{stem}.{suffix}" for stem in new for suffix in SUFFIXES):
        paths.write_atomically(folder / file.name, file.read_bytes())
    paths.write_json(folder / MANIFEST, others | new)
    for stem in known.keys() - others.keys() - new.keys():
        for suffix in SUFFIXES:
            (folder / f"{stem}.{suffix}").unlink(missing_ok=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what made each figure of a folder.

    Raises
    ------
    ValueError
        If the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise ValueError(
            f"{folder.name}/{MANIFEST} is damaged; delete it and render again"
        ) from None
