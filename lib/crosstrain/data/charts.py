"""Whole figures that more than one notebook draws: a panel for each state of the liquid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from crosstrain.data import plots
from crosstrain.data.figures import colour
from crosstrain.data.profiles import State
from crosstrain.measure import transfer

LIQUID = {
    "lived": "lived / planned time",
    "own_force": "force RMSE between\nmolecules, own frames\n/ meV Å$^{-1}$",
    "density": "density / g cm$^{-3}$",
}
"""What a model's liquid at one state comes to, with its unit."""
ALL_LIVED = "every run reached the end:\nall curves lie on each other at 1"


def survivals(
    lived: Callable[[str, str, str], Sequence[Mapping[str, Any]]],
    rows: Sequence[str],
    *,
    states: Mapping[str, State],
    labels: Mapping[str, str],
    until_ps: float,
    colours: Mapping[str, str],
) -> Figure:
    """Draw how long runs lived, by training set: states downwards, architectures across.

    The legend of each panel, with the runs that reached the end, stands below it. Curves that all
    lie on each other, for no run ended early, are said to.

    Parameters
    ----------
    lived : callable
        Status and time of the runs of a row and architecture at a state, given these three names.
    rows : sequence of str
        Training sets.
    states : mapping of str to State
    labels : mapping of str to str
        Name for people by architecture.
    until_ps, colours
        As for `crosstrain.data.plots.survivals`.
    """
    shape = (len(states), len(labels))
    fig, axes = plt.subplots(*shape, figsize=(5.6 * shape[1], 4.1 * shape[0]), squeeze=False)
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "fontsize": 9, "ncols": 2}
    middle = {"ha": "center", "va": "center", "color": "0.4"}
    for (name, state), line in zip(states.items(), axes, strict=True):
        for (architecture, label), ax in zip(labels.items(), line, strict=True):
            runs = {row: lived(row, architecture, name) for row in rows}
            plots.survivals(ax, runs, until_ps=until_ps, colours=colours)
            ax.legend(**below)
            ended = [run["status"] for members in runs.values() for run in members]
            if set(ended) == {"completed"}:
                ax.text(0.5, 0.5, ALL_LIVED, transform=ax.transAxes, **middle)
            ax.set_title(f"{label}, {state.temperature_K:g} K")
    return fig


def liquids(
    points: Mapping[
        str, Mapping[str, Mapping[tuple[str, str], Sequence[tuple[float, float, transfer.State]]]]
    ],
    rows: Sequence[str],
    *,
    states: Mapping[str, State],
    labels: Mapping[str, str],
    references: Mapping[str, Mapping[str, Any]],
) -> Figure:
    """Draw what models' liquids come to, a point for each: `LIQUID` downwards, states across.

    Parameters
    ----------
    points : mapping
        By state and quantity, as `crosstrain.data.plots.by_row` takes them.
    rows : sequence of str
        Training sets, from left to right in each panel.
    states : mapping of str to State
    labels : mapping of str to str
        Name for people by architecture.
    references : mapping of str to mapping
        Content of ``reference.json`` by state.
    """
    shape = (len(LIQUID), len(states))
    size = (5.4 * shape[1], 2.6 * shape[0] + 1.2)
    fig, axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True)
    for (name, state), column in zip(states.items(), axes.T, strict=True):
        for (quantity, label), ax in zip(LIQUID.items(), column, strict=True):
            plots.by_row(ax, points[name][quantity], rows, list(labels))
            ax.set_ylabel(label)
        lived, own_force, density = column
        lived.set_ylim(-0.05, 1.05)
        plots.logarithmic(own_force)
        plots.reference_density(density, references[name])
        lived.set_title(f"{state.temperature_K:g} K, {state.pressure_bar:g} bar")
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor", "fontsize": 9.5}
        density.set_xticks(range(len(rows)), rows, **turned)
    plots.set_legend(fig, {label: colour(name) for name, label in labels.items()})
    return fig
