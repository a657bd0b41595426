"""Drawings of results: each function takes arrays and an Axes, draws, and returns nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import LogFormatter
from numpy.typing import ArrayLike, NDArray

from crosstrain.data.figures import (
    PALETTE,
    REFERENCE_COLOUR,
    SET_COLOURS,
    SET_MARKERS,
    colour,
)
from crosstrain.measure.errors import Deviation
from crosstrain.measure.score import LiquidScore
from crosstrain.measure.statistics import SurvivalCurve

# Boxes of the map: column, row (0 is the middle), heading, what is in it, notebook.
MAP_BOXES = (
    (0, 0.0, "molecules", "SMILES,\nconformers", "01"),
    (1, 0.0, "sets", "packed, moved,\nscanned, torn", "01"),
    (2, 0.0, "labels", "energy, forces,\nstress", "02"),
    (3, 0.62, "Deep Potential", "feed-forward\nnetwork", "03"),
    (3, -0.62, "MACE", "message\npassing", "03"),
    (4, 0.0, "liquid", "molecular\ndynamics, NPT", "04"),
    (5, 0.0, "score", "against the\nreference's liquid", "05"),
)
MAP_ARROWS = ((0, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5), (5, 6))
BOX_WIDTH, BOX_HEIGHT = 0.78, 0.72


def study_map(ax: Axes) -> None:
    """Draw how the study hangs together: from molecules to the score of a model."""
    shades = {"Deep Potential": colour("deep_potential"), "MACE": colour("mace")}
    for column, row, heading, text, notebook in MAP_BOXES:
        corner = (column - BOX_WIDTH / 2, row - BOX_HEIGHT / 2)
        edge = shades.get(heading, "0.35")
        box = FancyBboxPatch(
            corner, BOX_WIDTH, BOX_HEIGHT, "round,pad=0,rounding_size=0.06", ec=edge, fc="0.97"
        )
        ax.add_patch(box)
        ax.text(column, row + 0.22, heading, ha="center", va="center", weight="bold", color=edge)
        ax.text(column, row - 0.01, text, ha="center", va="center", fontsize=8.5)
        ax.text(column, row - 0.27, notebook, ha="center", va="center", fontsize=8, color="0.45")
    style = {"arrowstyle": "-|>", "color": "0.35", "shrinkA": 0, "shrinkB": 0}
    for start, end in MAP_ARROWS:
        (x0, y0), (x1, y1) = MAP_BOXES[start][:2], MAP_BOXES[end][:2]
        tail, head = (x0 + BOX_WIDTH / 2, y0), (x1 - BOX_WIDTH / 2, y1)
        ax.annotate("", head, tail, arrowprops=style)
    back = style | {"linestyle": "--", "connectionstyle": "arc3,rad=-0.62"}
    ax.annotate("", (2, -BOX_HEIGHT / 2), (4, -BOX_HEIGHT / 2), arrowprops=back)
    ax.text(3, -1.24, "frames of its own runs, labelled again", ha="center", fontsize=8.5)
    ax.set(xlim=(-0.45, 5.45), ylim=(-1.38, 1.05), aspect=0.8)
    ax.axis("off")


def parity(ax: Axes, reference: ArrayLike, predicted: ArrayLike, *, colour: str) -> None:
    """Draw predicted against reference values with the line of equality.

    Points that the model sends far outside the range of the reference are left out of the view,
    and their number is written into the plot.

    Parameters
    ----------
    ax : Axes
    reference, predicted : array_like
        Of one shape and unit.
    colour : str
    """
    x, y = np.ravel(reference), np.ravel(predicted)
    margin = 0.25 * max(float(np.ptp(x)), 1e-9)
    low, high = x.min() - margin, x.max() + margin
    ax.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=1)
    dots = {"s": 6, "alpha": 0.35} if x.size > 100 else {"s": 28, "alpha": 0.8}
    ax.scatter(x, y, color=colour, linewidths=0, rasterized=True, zorder=2, **dots)
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    outside = int(((y < low) | (y > high)).sum())
    if outside:
        text = f"{outside} of {y.size} outside"
        ax.text(0.04, 0.96, text, transform=ax.transAxes, va="top", fontsize=9)


def learning_curve(
    ax: Axes, points: Sequence[Mapping[str, float]], quantity: str, *, label: str, colour: str
) -> None:
    """Draw a validation error against the number of frames seen, both axes logarithmic.

    Parameters
    ----------
    ax : Axes
    points : sequence of mapping
        With ``samples`` and `quantity`.
    quantity : str
        ``energy_rmse_eV_atom`` or ``forces_rmse_eV_A``; drawn in meV.
    label, colour : str
    """
    samples = [point["samples"] for point in points]
    errors = [1e3 * point[quantity] for point in points]
    ax.loglog(samples, errors, ".-", color=colour, label=label, linewidth=1.2)
    ax.set_xlabel("frames seen")
    ax.yaxis.set_major_formatter(LogFormatter())
    ax.yaxis.set_minor_formatter(LogFormatter())


def component_bars(ax: Axes, errors: Mapping[str, Mapping[str, Deviation]]) -> None:
    """Draw relative force errors by component, a group of bars for each component.

    Parameters
    ----------
    ax : Axes
    errors : mapping
        What `crosstrain.measure.errors.force_errors` returned, by architecture.
    """
    components = ("translation", "rotation", "vibration", "total")
    width = 0.8 / len(errors)
    for k, (architecture, found) in enumerate(errors.items()):
        places = np.arange(len(components)) + (k - (len(errors) - 1) / 2) * width
        heights = [100 * found[name].relative for name in components]
        ax.bar(places, heights, 0.92 * width, color=colour(architecture))
    ax.set_xticks(range(len(components)), components)
    ax.axhline(100, color="0.6", linewidth=1, linestyle=":")
    ax.set_ylabel("force error / % of the component")


def density_trace(
    ax: Axes,
    time_ps: ArrayLike,
    density_g_cm3: ArrayLike,
    *,
    colour: str,
    label: str | None = None,
    equilibrated_ps: float | None = None,
    ended: bool = False,
) -> None:
    """Draw density against time, pale before equilibration, with a cross where the run ended early.

    Parameters
    ----------
    ax : Axes
    time_ps, density_g_cm3 : array_like, shape (n,)
    colour : str
    label : str, optional
    equilibrated_ps : float, optional
        Where the averaged part begins; without it the whole trace is pale.
    ended : bool
        Whether the run ended before its time.
    """
    time, density = np.asarray(time_ps), np.asarray(density_g_cm3)
    start = np.inf if equilibrated_ps is None else equilibrated_ps
    ax.plot(time, density, color=colour, alpha=0.35, linewidth=1)
    kept = time >= start
    ax.plot(time[kept], density[kept], color=colour, linewidth=1.4, label=label)
    if kept.any():
        ax.axvline(start, color=colour, linewidth=0.8, linestyle=":")
    if ended:
        ax.plot(time[-1], density[-1], "x", color=colour, markersize=9, markeredgewidth=2)


def survival(ax: Axes, curve: SurvivalCurve, *, until_ps: float, label: str, colour: str) -> None:
    """Draw a Kaplan-Meier curve with its band.

    Parameters
    ----------
    ax : Axes
    curve : SurvivalCurve
        From `crosstrain.measure.statistics.kaplan_meier`, times in ps.
    until_ps : float
        Planned time, to which the last step is drawn.
    label, colour : str
    """
    times = np.append(curve.times, until_ps)
    steps = [np.append(values, values[-1]) for values in curve[1:]]
    ax.step(times, steps[0], where="post", color=colour, label=label, linewidth=2)
    ax.fill_between(times, *steps[1:], step="post", color=colour, alpha=0.15, linewidth=0)
    ax.set(xlim=(0, until_ps), ylim=(-0.03, 1.05), xlabel="time / ps", ylabel="fraction alive")


def radial_distribution(
    ax: Axes,
    r_A: ArrayLike,
    g: ArrayLike,
    error: ArrayLike | None = None,
    *,
    label: str | None = None,
    colour: str = REFERENCE_COLOUR,
    linestyle: str = "-",
) -> None:
    """Draw a radial distribution function with a band of one standard error.

    Parameters
    ----------
    ax : Axes
    r_A, g, error : array_like, shape (n_bins,)
    label, colour, linestyle : str
    """
    r, values = np.asarray(r_A), np.asarray(g)
    ax.plot(r, values, color=colour, label=label, linestyle=linestyle)
    if error is not None:
        spread = np.nan_to_num(np.asarray(error))
        ax.fill_between(r, values - spread, values + spread, color=colour, alpha=0.2, linewidth=0)
    ax.axhline(1, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlabel="r / Å", ylabel="g(r)")


def reference_rdf(ax: Axes, reference: Mapping[str, Any], pair: str) -> None:
    """Draw the reference's radial distribution function if it may be trusted, else say so.

    Parameters
    ----------
    ax : Axes
    reference : mapping
        Content of ``reference.json``.
    pair : str
        Such as ``O-H``.
    """
    found = reference["observables"].get(f"rdf:{pair}")
    if found and not found["problems"]:
        radial_distribution(ax, reference["r_A"], found["value"], found["error"])
        return
    text = "reference\nnot available"
    ax.text(0.03, 0.12, text, transform=ax.transAxes, color="0.4", fontsize=9)
    ax.set(xlabel="r / Å", ylabel="g(r)")


def equality(ax: Axes) -> None:
    """Draw the line of equality across a plot with logarithmic axes, and number these plainly."""
    low = min(ax.get_xlim()[0], ax.get_ylim()[0])
    high = max(ax.get_xlim()[1], ax.get_ylim()[1])
    ax.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=0)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter())


def score_terms(ax: Axes, scores: Mapping[tuple[str, str], LiquidScore]) -> None:
    """Draw survival, every term and the score as a heat map, a row for each model and state.

    Parameters
    ----------
    ax : Axes
    scores : mapping of (model, state) to LiquidScore
    """
    terms = list(dict.fromkeys(name for score in scores.values() for name in score.terms))
    columns = ["survival", *terms, "score"]
    rows = [
        [s.survival, *(s.terms[t].value if t in s.terms else np.nan for t in terms), s.value]
        for s in scores.values()
    ]
    values = np.array(rows, dtype=float)
    ax.set_facecolor("0.9")  # shows where there is no value
    ax.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        shade = "white" if value > 0.6 else "black"
        ax.text(j, i, text, ha="center", va="center", color=shade, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), [" at ".join(key) for key in scores])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def error_against_score(
    ax: Axes, points: Sequence[tuple[str, str, float, float, float, float]]
) -> None:
    """Draw the liquid score of models against their force error on a fixed set.

    Parameters
    ----------
    ax : Axes
    points : sequence of tuple
        Architecture, marker, force RMSE (meV/Å), score and the limits of its interval. Models
        without a score (NaN) are drawn hollow below the axis.
    """
    for architecture, marker, error, score, low, high in points:
        shade = colour(architecture)
        if np.isnan(score):
            ax.plot(error, -0.1, marker, color=shade, fillstyle="none", markersize=9)
            continue
        reach = [[score - low], [high - score]]
        ax.errorbar(error, score, reach, fmt=marker, color=shade, markersize=9, capsize=3)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_yticks([-0.1, 0, 0.25, 0.5, 0.75, 1], ["none", "0", "0.25", "0.5", "0.75", "1"])
    ax.set(ylim=(-0.18, 1.05), ylabel="liquid score")
    ax.set_xlabel("force RMSE on the fixed set / meV Å$^{-1}$")


def architecture_legend(ax: Axes, labels: Mapping[str, str]) -> None:
    """Add a legend of architectures by colour.

    Parameters
    ----------
    ax : Axes
    labels : mapping of str to str
        Name for people by architecture.
    """
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour(name), marker="o", linestyle="", label=label)
        for name, label in labels.items()
    ]
    ax.legend(handles=handles)


def cloud(ax: Axes, points: NDArray[np.float64], *, name: str) -> None:
    """Draw points of a set in its own colour and marker, hollow for a test set.

    Parameters
    ----------
    ax : Axes
    points : ndarray, shape (n_points, 2)
    name : str
        Of the set.
    """
    kind = name.removesuffix("_test")
    shade = SET_COLOURS.get(kind, "#444444")
    face = "none" if name.endswith("_test") else shade
    style = {"marker": SET_MARKERS.get(kind, "*"), "edgecolors": shade, "facecolors": face}
    ax.scatter(*np.transpose(points), s=22, linewidths=0.8, alpha=0.75, label=name, **style)


def distinct(index: int) -> str:
    """Return a colour for things that are not architectures, the same for the same index."""
    return PALETTE[2:][index % len(PALETTE[2:])]
