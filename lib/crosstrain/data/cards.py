"""Data cards: a page about each labelled set, made from its frames and its recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.units import bar

from crosstrain.build.boxes import density_g_cm3
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Block
from crosstrain.measure.errors import rms

LICENCE = "MIT"
UNITS = {
    "positions, cell": "Å",
    ENERGY: "eV",
    FORCES: "eV/Å",
    STRESS: "eV/Å³, Voigt order xx yy zz yz xz xy, negative under compression",
}
HOW = {
    "packed": "conformers of each molecule, relaxed by the reference method and displaced along "
    "their own normal modes at a temperature, packed at random; no dynamics at all",
    "classical": "the last frame of classical dynamics (MMFF94) at constant volume, each from a "
    "box of its own; frame by frame it goes through the ranges of temperature and density together",
    "scan": "liquid frames brought to other densities: rigid molecules move with the cell",
    "iterated": "chosen by the disagreement of a committee of models along its own dynamics, "
    "generation by generation",
    "molecules": "isolated molecules far from equilibrium: bonds, angles and torsions changed",
}


def card(
    name: str,
    block: Block,
    frames: Sequence[Atoms],
    failures: Sequence[Mapping[str, Any]],
    *,
    method: str,
    folder: str,
) -> str:
    """Return the data card of a set as Markdown.

    Parameters
    ----------
    name : str
    block : Block
        Its recipe in the profile.
    frames : sequence of Atoms
        Labelled frames.
    failures : sequence of mapping
        ``frame`` and ``reason`` of each label that failed.
    method : str
        Level of theory.
    folder : str
        Where the set is kept, below the top of the project.
    """
    options = ", ".join(f"{key} {value}" for key, value in block.options.items())
    rows = {
        "file": f"`{folder}/frames.extxyz.gz` (`ase.io.read` reads it as it is)",
        "how built": HOW.get(block.kind, block.kind),
        "recipe": f"kind {block.kind}, seed {block.seed}, {options}",
        "level of theory": method,
        "labels that failed": _failures(failures),
        **contents(frames),
        "units": "; ".join(f"{key}: {unit}" for key, unit in UNITS.items()),
        "licence": LICENCE,
    }
    lines = [f"# {name}", "", f"{block.purpose}", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {key} | {value} |" for key, value in rows.items()), ""])


def contents(frames: Sequence[Atoms]) -> dict[str, str]:
    """Return what a set holds, as text by heading: counts and ranges with their units."""
    if not frames:  # a committee may find nothing new
        return {"frames": "0"}
    periodic = [frame for frame in frames if frame.pbc.all()]
    compositions = sorted({frame.info["composition"] for frame in frames})
    temperatures = [f.info["temperature_K"] for f in frames if "temperature_K" in f.info]
    energies = [frame.info[ENERGY] / len(frame) for frame in frames]
    forces = np.concatenate([frame.arrays[FORCES] for frame in frames])
    sizes = np.linalg.norm(forces, axis=1)
    found = {
        "frames": f"{len(frames)} ({len(periodic)} periodic)",
        "atoms per frame": _span([len(frame) for frame in frames], "d"),
        "compositions": ", ".join(compositions),
        "temperature of preparation / K": _span(temperatures, ".0f"),
        "density / g cm⁻³": _span([density_g_cm3(frame) for frame in periodic], ".3f"),
        "energy / eV per atom": _span(energies, ".3f"),
        "force on an atom / eV Å⁻¹": _span(sizes, ".2f"),
        "force RMS per component / eV Å⁻¹": f"{rms(forces):.2f}",
        "pressure of the frozen frame / kbar": _span(
            [-frame.info[STRESS][:3].mean() / bar / 1e3 for frame in periodic], ".1f"
        ),
    }
    return {heading: text for heading, text in found.items() if text}


def _span(values: Sequence[float], form: str) -> str:
    if not len(values):
        return ""
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _failures(failures: Sequence[Mapping[str, Any]]) -> str:
    reasons = "; ".join(f"frame {failure['frame']}: {failure['reason']}" for failure in failures)
    return f"{len(failures)}" + (f" ({reasons})" if reasons else "")
