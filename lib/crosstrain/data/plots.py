"""Drawings of results: each function takes arrays and an Axes, draws, and returns nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch
from matplotlib.ticker import LogFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from crosstrain.data.figures import (
    OTHER_MARKER,
    REFERENCE_COLOUR,
    SET_COLOURS,
    SET_MARKERS,
    colour,
    set_marker,
)
from crosstrain.measure.score import LiquidScore
from crosstrain.measure.statistics import Estimate, SurvivalCurve, kaplan_meier
from crosstrain.measure.transfer import State

# Boxes of the map: column, row (0 is the middle), heading, what is in it, notebook.
MAP_BOXES = (
    (0, 0.0, "molecules", "SMILES,\nconformers", "01"),
    (1, 0.0, "sets", "packed, moved,\nscanned, strained", "01, 06"),
    (2, 0.0, "labels", "energy, forces,\nstress", "02"),
    (3, 0.62, "Deep Potential", "feed-forward\nnetwork", "03"),
    (3, -0.62, "MACE", "message\npassing", "03"),
    (4, 0.0, "liquid", "dynamics at\nconstant pressure", "04"),
    (5, 0.0, "score", "against the\nreference's liquid", "05"),
    (1, -2.05, "matrix", "which data serve\nwhich model?", "06 to 08"),
    (2, -2.05, "foundation", "pretrained,\nfine-tuned", "09"),
    (3, -2.05, "unseen", "other shapes,\nother chemistry", "10"),
    (4, -2.05, "published", "labels of DFT\nof others", "11"),
    (5, -2.05, "your own", "liquid, data,\narchitecture", "12"),
)
MAP_ARROWS = ((0, 1), (1, 2), (2, 3), (2, 4), (3, 5), (4, 5), (5, 6))
BOX_WIDTH, BOX_HEIGHT = 0.78, 0.72


def study_map(ax: Axes) -> None:
    """Draw how the study hangs together: from molecules to scores, and what these are asked."""
    shades = {"Deep Potential": colour("deep_potential"), "MACE": colour("mace")}
    middle = {"ha": "center", "va": "center"}
    for column, row, heading, text, notebook in MAP_BOXES:
        corner = (column - BOX_WIDTH / 2, row - BOX_HEIGHT / 2)
        edge = shades.get(heading, "0.35")
        box = FancyBboxPatch(
            corner, BOX_WIDTH, BOX_HEIGHT, "round,pad=0,rounding_size=0.06", ec=edge, fc="0.97"
        )
        ax.add_patch(box)
        ax.text(column, row + 0.22, heading, **middle, weight="bold", color=edge)
        ax.text(column, row - 0.02, text, **middle, fontsize=9.5)
        ax.text(column, row - 0.28, notebook, **middle, fontsize=9.5, color="0.35")
    style = {"arrowstyle": "-|>", "color": "0.35", "shrinkA": 0, "shrinkB": 0}
    for start, end in MAP_ARROWS:
        (x0, y0), (x1, y1) = MAP_BOXES[start][:2], MAP_BOXES[end][:2]
        tail, head = (x0 + BOX_WIDTH / 2, y0), (x1 - BOX_WIDTH / 2, y1)
        ax.annotate("", head, tail, arrowprops=style)
    back = style | {"linestyle": "--", "connectionstyle": "arc3,rad=-0.62"}
    ax.annotate("", (2, -BOX_HEIGHT / 2), (4, -BOX_HEIGHT / 2), arrowprops=back)
    text = "frames of a model's own runs, labelled again: 05, 07"
    ax.text(3, -1.26, text, ha="center", fontsize=9.5)
    ax.plot([5, 5, 1], [-BOX_HEIGHT / 2, -1.5, -1.5], color="0.35", linewidth=1)
    for column in range(1, 6):
        ax.annotate("", (column, -2.05 + BOX_HEIGHT / 2), (column, -1.5), arrowprops=style)
    ax.text(0, -2.05, "what is\nasked", **middle, color="0.35")
    ax.set(xlim=(-0.45, 5.45), ylim=(-2.45, 1.02), aspect=0.8)
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
    is_few, span = x.size <= 1000, max(float(np.ptp(x)), 1e-9)
    shown, margin = x, 0.25 * span
    if is_few:  # those not far outside stay in view
        shown, margin = np.append(x, y[np.abs(y - x.mean()) < 1.5 * span]), 0.1 * span
    low, high = shown.min() - margin, shown.max() + margin
    ax.plot([low, high], [low, high], color="0.6", linewidth=1, zorder=1)
    dots = {"s": 28, "alpha": 0.8} if is_few else {"s": 6, "alpha": 0.35}
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
    ax.plot(samples, errors, ".-", color=colour, label=label, linewidth=1.2)
    ax.set_xlabel("frames seen")
    logarithmic(ax, ax.xaxis, ax.yaxis)


def component_bars(ax: Axes, errors: Mapping[str, Mapping[str, Estimate]]) -> None:
    """Draw relative force errors by component, a group of bars for each component.

    Parameters
    ----------
    ax : Axes
    errors : mapping
        What `crosstrain.data.summaries.component_errors` returned, by architecture.
    """
    components = ("translation", "rotation", "vibration", "total")
    width = 0.8 / len(errors)
    for k, (architecture, found) in enumerate(errors.items()):
        places = np.arange(len(components)) + (k - (len(errors) - 1) / 2) * width
        heights, errors_of = zip(*(found[name][:2] for name in components), strict=True)
        style = {"color": colour(architecture), "capsize": 3}
        ax.bar(places, heights, 0.92 * width, yerr=errors_of, **style)
    ax.set_xticks(range(len(components)), components)
    ax.axhline(100, color="0.6", linewidth=1, linestyle=":")
    ax.set_ylabel("force error / % of the component")


def density_trace(
    ax: Axes,
    time_ps: ArrayLike,
    density_g_cm3: ArrayLike,
    *,
    seen: Mapping[str, Any],
    colour: str,
    linestyle: str = "-",
) -> None:
    """Draw density against time: strong where it is averaged, which is the equilibrated part of a
    completed run, else pale; a cross where a run ended early.

    Parameters
    ----------
    ax : Axes
    time_ps, density_g_cm3 : array_like, shape (n,)
    seen : mapping
        Content of ``observed.json``.
    colour, linestyle : str
    """
    time, density = np.asarray(time_ps), np.asarray(density_g_cm3)
    is_whole = seen["status"] == "completed"
    begin_ps = seen.get("equilibrated_ps", np.inf) if is_whole else np.inf
    first = int(np.searchsorted(time, begin_ps))
    style = {"color": colour, "linestyle": linestyle}
    ax.plot(time[: first + 1], density[: first + 1], alpha=0.35, linewidth=1, **style)
    ax.plot(time[first:], density[first:], linewidth=1.4, **style)
    if not is_whole:
        ended_early(ax, time[-1], density[-1], colour=colour)


def ended_early(ax: Axes, time_ps: float, value: float, *, colour: str) -> None:
    """Mark with a cross, above all lines, where a run ended early."""
    ax.plot(time_ps, value, "x", color=colour, markersize=9, markeredgewidth=2, zorder=6)


def survival(
    ax: Axes,
    curve: SurvivalCurve,
    *,
    until_ps: float,
    label: str,
    colour: str,
    linestyle: str = "-",
) -> None:
    """Draw a Kaplan-Meier curve with its band.

    Parameters
    ----------
    ax : Axes
    curve : SurvivalCurve
        From `crosstrain.measure.statistics.kaplan_meier`, times in ps.
    until_ps : float
        Planned time, to which the last step is drawn.
    label, colour, linestyle : str
    """
    times = np.append(curve.times, until_ps)
    steps = [np.append(values, values[-1]) for values in curve[1:]]
    style = {"color": colour, "label": label, "linestyle": linestyle, "linewidth": 2}
    ax.step(times, steps[0], where="post", **style)
    # by corners of the steps: matplotlib's own steps leave out one whose right end has no band
    corners = np.repeat(times, 2)[1:-1]
    band = [np.repeat(values[:-1], 2) for values in steps[1:]]
    ax.fill_between(corners, *band, color=colour, alpha=0.15, linewidth=0)
    ax.set(xlim=(0, until_ps), ylim=(-0.03, 1.05), xlabel="time / ps", ylabel="fraction alive")


def survivals(
    ax: Axes,
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    until_ps: float,
    colours: Mapping[str, str],
) -> None:
    """Draw a Kaplan-Meier curve for each training set, with how many runs reached the end.

    Parameters
    ----------
    ax : Axes
    runs : mapping of str to sequence of mapping
        Status and time of the runs of each training set; one without any is left out, and keeps
        its style of line, so that panels with the same sets agree.
    until_ps : float
        Planned time.
    colours : mapping of str to str
        By training set.
    """
    dashes = ("-", "--", "-.", ":")
    for i, (name, members) in enumerate(runs.items()):
        if not members:
            continue
        died = [run["status"] != "completed" for run in members]
        curve = kaplan_meier([run["time_ps"] for run in members], died)
        label = f"{name}: {died.count(False)} of {len(died)}"
        style = {"colour": colours[name], "linestyle": dashes[i % len(dashes)]}
        survival(ax, curve, until_ps=until_ps, label=label, **style)
    # below the curve of those that all live, above that of half of them
    place = {"loc": "upper right", "bbox_to_anchor": (1, 0.94)}
    ax.legend(fontsize=9, frameon=True, edgecolor="none", framealpha=0.9, **place)


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
    """Make both axes logarithmic, number them plainly, and draw the line of equality.

    Each axis keeps the range of its own data, so that the line may cross a part of the plot only.
    """
    logarithmic(ax, ax.xaxis, ax.yaxis)
    limits = ax.get_xlim(), ax.get_ylim()
    ends = min(limits[0][0], limits[1][0]), max(limits[0][1], limits[1][1])
    ax.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    ax.set(xlim=limits[0], ylim=limits[1])


def score_terms(
    ax: Axes, scores: Mapping[tuple[str, str], LiquidScore], temperatures_K: Mapping[str, float]
) -> None:
    """Draw survival, every term and the score as a heat map, a row for each model and state.

    Parameters
    ----------
    ax : Axes
    scores : mapping of (model, state) to LiquidScore
    temperatures_K : mapping of str to float
        By state.
    """
    terms = list(dict.fromkeys(name for score in scores.values() for name in score.terms))
    columns = ["survival", *(t.replace("rdf:", "g(r) ") for t in terms), "score"]
    labels = [f"{model} at {temperatures_K[state]:g} K" for model, state in scores]
    rows = [
        [s.survival, *(s.terms[t].value if t in s.terms else np.nan for t in terms), s.value]
        for s in scores.values()
    ]
    values = np.array(rows, dtype=float)
    ax.set_facecolor("0.9")  # shows where there is no value
    image = ax.imshow(values, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    for (i, j), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        shade = "black" if np.isnan(value) else readable(image.to_rgba(value))
        ax.text(j, i, text, ha="center", va="center", color=shade, fontsize=9)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def readable(background: Sequence[float]) -> str:
    """Return black or white, whichever has the larger contrast with a colour (WCAG 2.1).

    Parameters
    ----------
    background : sequence of float
        Red, green, blue, from 0 to 1; what follows is not looked at.
    """
    srgb = np.asarray(background[:3])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    luminance = linear @ (0.2126, 0.7152, 0.0722)
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"


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


def architecture_legend(
    ax: Axes, labels: Mapping[str, str], *, reference: str | None = None
) -> None:
    """Add a legend of architectures by colour.

    Parameters
    ----------
    ax : Axes
    labels : mapping of str to str
        Name for people by architecture.
    reference : str, optional
        Name of what is drawn as a black line.
    """
    handles = [Patch(color=colour(name), label=label) for name, label in labels.items()]
    if reference is not None:
        handles.append(Line2D([], [], color=REFERENCE_COLOUR, label=reference))
    # in front of lines that cross the panel
    ax.legend(handles=handles, handlelength=1.0, frameon=True, framealpha=0.9, edgecolor="none")


def set_legend(
    figure: Figure,
    colours: Mapping[str, str],
    *,
    markers: Mapping[str, str] | None = None,
    linestyles: Mapping[str, str] | None = None,
) -> None:
    """Add a legend above all panels of a figure.

    Parameters
    ----------
    figure : Figure
        With constrained layout, as `crosstrain.data.figures.use_style` sets it.
    colours : mapping of str to str
        Colour by what it stands for.
    markers : mapping of str to str, optional
        Its marker.
    linestyles : mapping of str to str, optional
        Its line. What has neither stands as a patch of its colour.
    """
    markers, linestyles = markers or {}, linestyles or {}
    handles = []
    for name, shade in colours.items():
        look = {"color": shade, "label": name}
        if name in markers or name in linestyles:
            drawn = {"marker": markers.get(name, ""), "linestyle": linestyles.get(name, "-")}
            handles.append(Line2D([], [], **look, **drawn))
        else:
            handles.append(Patch(**look))
    legend_above(figure, handles)


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """Add a legend above all panels, in as many columns as the figure has room for.

    Parameters
    ----------
    figure : Figure
        As for `set_legend`.
    handles : sequence of Artist
        With labels.
    """
    widest = 0.7 + 0.1 * max(len(handle.get_label()) for handle in handles)  # inches, about
    columns = int(np.clip(figure.get_figwidth() / widest, 1, len(handles)))
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


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
    style = {"marker": SET_MARKERS.get(kind, OTHER_MARKER), "edgecolors": shade, "facecolors": face}
    ax.scatter(*np.transpose(points), s=22, linewidths=0.8, alpha=0.75, label=name, **style)


def wrapped(training_set: str) -> str:
    """Return the name of a training set with a line for each of its blocks."""
    return training_set.replace("+", "\n+ ")


def scan_curves(
    ax: Axes,
    density_g_cm3: ArrayLike,
    pressure_kbar: ArrayLike,
    *,
    colour: str = REFERENCE_COLOUR,
    marker: str = OTHER_MARKER,
) -> None:
    """Draw the pressure along a volume scan, linear within 1 kbar of zero, logarithmic beyond.

    Parameters
    ----------
    ax : Axes
    density_g_cm3, pressure_kbar : array_like, shape (n_points,)
    colour : str
        That of the reference is drawn on top.
    marker : str
        That of the training set, from `crosstrain.data.figures.set_marker`.
    """
    on_top = colour == REFERENCE_COLOUR
    style = {"zorder": 3, "markersize": 6} if on_top else {"markersize": 5.5, "alpha": 0.85}
    ax.plot(density_g_cm3, pressure_kbar, f"{marker}-", color=colour, linewidth=1.4, **style)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    kilobars(ax)
    ax.set_xlabel("density / g cm$^{-3}$")


def kilobars(ax: Axes) -> None:
    """Scale the y axis for pressures of either sign: linear within 1 kbar, logarithmic beyond."""
    ax.set_yscale("symlog", linthresh=1, linscale=0.8)
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def reference_density(ax: Axes, reference: Mapping[str, Any]) -> None:
    """Draw the reference's density with its standard error if it may be trusted, else say so.

    Parameters
    ----------
    ax : Axes
        With density along y.
    reference : mapping
        Content of ``reference.json``.
    """
    found = reference["observables"].get("density")
    if found and not found["problems"]:
        low, high = found["value"] - found["error"], found["value"] + found["error"]
        ax.axhspan(low, high, color=REFERENCE_COLOUR, alpha=0.2, linewidth=0, zorder=0)
        ax.axhline(found["value"], color=REFERENCE_COLOUR, linewidth=1, zorder=0)
        return
    ax.set_title("reference not available", loc="right", color="0.4", fontsize=9)


def by_row(
    ax: Axes,
    points: Mapping[tuple[str, str], Sequence[tuple[float, float, State]]],
    rows: Sequence[str],
    architectures: Sequence[str],
) -> None:
    """Draw a quantity of models by training set: a point for each seed.

    A bar marks their mean if all of them are stable. Hollow: a run of the model ended early. A
    tripod at the bottom: there is no value. A training set without a model is labelled 'not run'.

    Parameters
    ----------
    ax : Axes
    points : mapping of (row, architecture) to sequence of (value, standard error, state)
        An error may be NaN.
    rows : sequence of str
        Training sets, from left to right.
    architectures : sequence of str
    """
    at_bottom = ax.get_xaxis_transform()
    for i, row in enumerate(rows):
        for k, architecture in enumerate(architectures):
            place = i + 0.36 * (k - (len(architectures) - 1) / 2)
            shade, members = colour(architecture), points.get((row, architecture), ())
            if not members:
                style = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 8}
                ax.text(place, 0.03, "not run", transform=at_bottom, color=shade, **style)
            spread = 0.09 * (np.arange(len(members)) - (len(members) - 1) / 2)
            if len(members) > 1 and all(state is State.DONE for *_, state in members):
                mean = np.mean([value for value, *_ in members])
                ax.hlines(mean, place - 0.15, place + 0.15, color=shade, alpha=0.5)
            for x, (value, error, state) in zip(place + spread, members, strict=True):
                if not np.isfinite(value):
                    style = {"color": shade, "markersize": 9, "clip_on": False}
                    ax.plot(x, 0.04, "1", transform=at_bottom, **style)
                    continue
                face = "white" if state is State.UNSTABLE else shade
                reach = None if np.isnan(error) else error
                style = {"color": shade, "markerfacecolor": face, "markersize": 6, "capsize": 2}
                ax.errorbar(x, value, reach, fmt=set_marker(row), linewidth=1.2, **style)
    ax.set_xticks(range(len(rows)), [wrapped(row) for row in rows], fontsize=8.5)
    ax.set_xlim(-0.6, len(rows) - 0.4)


def strained_molecules(
    axes: Sequence[Axes], strained: DataFrame, *, colour: str, marker: str, place: int = 0
) -> None:
    """Draw what is off of strained molecules: energies by energy, force errors by strain.

    Parameters
    ----------
    axes : sequence of Axes
        Of energy and of force error.
    strained : DataFrame
        From `crosstrain.data.summaries.strained_molecules`.
    colour, marker : str
        Of the model's training set.
    place : int
        Of the training set among those drawn: they stand a little apart.
    """
    size = 32 if marker == "*" else 16  # a star is the smallest in its square
    dots = {"s": size, "alpha": 0.65, "color": colour, "marker": marker, "linewidths": 0}
    off = strained["predicted_eV"] - strained["reference_eV"]
    axes[0].scatter(strained["reference_eV"] + 0.04 * place, off, **dots)
    axes[1].scatter(strained["strain_percent"] + 0.3 * place, strained["force_error_eV_A"], **dots)
    axes[0].set(xlabel="energy by the reference / eV", ylabel="model - reference / eV")
    axes[0].axhline(0, color="0.6", linewidth=1, zorder=0)
    axes[1].set(xlabel="strain of the most changed bond / %", ylabel="force error / eV Å$^{-1}$")
    logarithmic(axes[1])


class PlainLogFormatter(LogFormatter):
    """Label the ticks that `LogFormatter` would, without an exponent."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def logarithmic(ax: Axes, *axes: Axis) -> None:
    """Make the y axis, or the axes of `ax` that are given, logarithmic and number them plainly."""
    for axis in axes or (ax.yaxis,):
        ax.set(**{f"{axis.axis_name}scale": "log"})
        axis.set_major_formatter(PlainLogFormatter())
        axis.set_minor_formatter(PlainLogFormatter())
        low, high = axis.get_view_interval()
        if high < 2.5 * low:  # as good as linear
            axis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(lambda x, _: f"{x:g}")
        elif high < 8 * low:  # else too few ticks are numbered
            axis.set_minor_locator(LogLocator(subs=(1.2, 1.5, 2, 3, 4, 6, 8)))
            axis.set_minor_formatter(lambda x, _: f"{x:g}")


def not_run(axes: Iterable[Axes], text: str = "not run") -> None:
    """Leave panels empty and say why."""
    for ax in axes:
        ax.set_axis_off()
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4")
