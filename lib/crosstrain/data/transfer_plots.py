"""Drawings of the transfer matrix: each function takes results and an Axes, and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from crosstrain.data.evidence import exceptions
from crosstrain.data.figures import colour, set_marker
from crosstrain.data.plots import PlainLogFormatter, readable
from crosstrain.measure import transfer
from crosstrain.measure.transfer import Better, Cells, Effect, NotComparable, State

COLOUR_MAPS = {"higher": "Blues", "lower": "Oranges", None: "Purples"}
# Cells without a value: face, edge of the hatching, hatching, text.
LOOKS = {
    State.NOT_RUN: ("white", "0.85", "", "0.55"),
    State.FAILED: ("0.3", "0.3", "", "white"),
    State.UNSTABLE: ("#FBE3DC", "#C0392B", "////", "#7B241C"),
}


def row_label(row: str) -> str:
    """Return the name of a row with room to break: ``classical + scan``."""
    return row.replace("+", " + ")


def heat_map(
    ax: Axes,
    cells: Cells,
    rows: Sequence[str],
    architectures: Mapping[str, str],
    *,
    form: str,
    better: Better | None,
    scale: Normalize | None = None,
) -> AxesImage:
    """Draw the means of cells as colours and numbers; a cell without a value says why.

    Parameters
    ----------
    ax : Axes
    cells : Cells
    rows : sequence of str
    architectures : mapping of str to str
        Label of each column.
    form : str
        Format of the numbers.
    better : str or None
        Decides the colours: blue if higher, so dark is good; orange if lower, so dark is bad;
        purple if neither.
    scale : Normalize, optional
        From `colour_scale`, of several heat maps that are to be compared; default: of these cells.

    Returns
    -------
    AxesImage
        For `colour_bar`.
    """
    found = {
        (i, j): transfer.cell(cells, row, architecture)
        for i, row in enumerate(rows)
        for j, architecture in enumerate(architectures)
    }
    means = np.array([np.nan if c.mean is None else c.mean for c in found.values()])
    shown = np.ma.masked_invalid(means.reshape(len(rows), len(architectures)))
    scale = scale or colour_scale([cells], better)
    image = ax.imshow(shown, cmap=COLOUR_MAPS[better], norm=scale, aspect="auto")
    for (i, j), one in found.items():
        face, edge, hatch, shade = LOOKS[one.state if one.mean is None else State.UNSTABLE]
        text, glow = one.state.value, face
        if one.mean is not None:
            face, glow = "none", image.to_rgba(one.mean)
            hatch = hatch if one.counts[State.UNSTABLE] else ""
            shade = readable(glow)
            edge = edge if shade == "black" else "white"  # hatching that is seen
            error = "" if one.error is None else f" ± {_not_zero(one.error, form)}"
            text = "\n".join(filter(None, [f"{one.mean:{form}}{error}", exceptions(one)]))
        box = Rectangle((j - 0.5, i - 0.5), 1, 1, fc=face, ec=edge, hatch=hatch, lw=0)
        ax.add_patch(box)
        behind = {"fc": glow, "ec": "none", "pad": 1.0} if hatch else None
        ax.text(j, i, text, ha="center", va="center", color=shade, fontsize=8.5, bbox=behind)
    ax.set_xticks(range(len(architectures)), list(architectures.values()))
    ax.set_yticks(range(len(rows)), [row_label(row) for row in rows])
    for edge in range(1, len(rows)):
        ax.axhline(edge - 0.5, color="white", linewidth=2)
    for edge in range(1, len(architectures)):
        ax.axvline(edge - 0.5, color="white", linewidth=2)
    ax.tick_params(length=0)
    ax.spines[:].set(visible=True, color="0.85")
    return image


def _not_zero(error: float, form: str) -> str:
    """An error in the form of its value: one that only reads as zero is below the last digit."""
    text = f"{error:{form}}" if error else "0"
    return text if float(text) or not error else f"<{text[:-1]}1"


def colour_scale(matrices: Sequence[Cells], better: Better | None) -> Normalize:
    """Return one scale of colours for the means of several matrices of one quantity.

    Scores and fractions go from 0 to 1. Errors are compared by their ratios, so theirs is
    logarithmic: from the smallest to the largest, but over a decade at least, so that errors that
    are nearly equal look so, and over a factor of 30 at most, for one that is next to nothing would
    press all others together. What is neither good nor bad goes from 0 to the largest.

    Parameters
    ----------
    matrices : sequence of Cells
    better : str or None
        As for `heat_map`.
    """
    cells = [transfer.cell(matrix, *key) for matrix in matrices for key in matrix]
    means = [cell.mean for cell in cells if cell.mean is not None]
    largest = max(means, default=1.0)
    if better == "higher":
        return Normalize(0, 1)
    if better is None or min(means, default=largest) <= 0:
        return Normalize(0, largest)
    return LogNorm(np.clip(min(means, default=largest), largest / 30, largest / 10), largest)


def colour_bar(image: AxesImage, axes: Sequence[Axes], label: str) -> None:
    """Draw the scale of a heat map beside the panels that share it.

    Parameters
    ----------
    image : AxesImage
        From `heat_map`.
    axes : sequence of Axes
    label : str
        Quantity and unit.
    """
    bar = axes[0].figure.colorbar(image, ax=axes, label=label, aspect=30)
    if isinstance(image.norm, LogNorm):
        bar.ax.yaxis.set_major_formatter(PlainLogFormatter())
        bar.ax.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(2, 0.5)))
    bar.outline.set_visible(False)


def effects(
    ax: Axes,
    found: Mapping[tuple[str, str], Effect],
    rows: Sequence[str],
    columns: Mapping[str, str],
    *,
    plain: Mapping[tuple[str, str], float] | None = None,
) -> None:
    """Draw effects with their intervals, by row and column, or why there is none.

    The marker is that of the row.

    Parameters
    ----------
    ax : Axes
    found : mapping of (row, column) to Effect
    rows : sequence of str
        From top to bottom.
    columns : mapping of str to str
        Colour of each column.
    plain : mapping, optional
        Values without an interval, drawn hollow where there is no effect with one.
    """
    plain = plain or {}
    for i, row in enumerate(rows):
        for j, (column, shade) in enumerate(columns.items()):
            place = i + 0.3 * (j - (len(columns) - 1) / 2)
            effect = found[row, column]
            if not isinstance(effect, NotComparable):
                reach = [[effect.value - effect.lower], [effect.upper - effect.value]]
                style = {"fmt": set_marker(row), "color": shade, "capsize": 3}
                ax.errorbar(effect.value, place, xerr=reach, **style)
                continue
            if (row, column) in plain:
                ax.plot(plain[row, column], place, set_marker(row), color=shade, fillstyle="none")
                continue
            where = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
            ax.text(0.99, place, effect.cause, color=shade, alpha=0.7, fontsize=8, **where)
    if not ax.has_data():
        ax.set(xlim=(-1, 1), xticks=[0])
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.axvline(0, color="0.6", linewidth=1, zorder=0)
    ax.set_yticks(range(len(rows)), [row_label(row) for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    for edge in range(1, len(rows)):
        ax.axhline(edge - 0.5, color="0.93", linewidth=1, zorder=0)


def overlap(ax: Axes, names: Sequence[str], values: ArrayLike) -> None:
    """Draw an overlap matrix: the share of the row's atoms that the column covers.

    Parameters
    ----------
    ax : Axes
    names : sequence of str
    values : array_like, shape (n_sets, n_sets)
    """
    image = ax.imshow(values, vmin=0, vmax=1, cmap="Greens")
    for (i, j), value in np.ndenumerate(np.asarray(values)):
        shade = readable(image.to_rgba(value))
        ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=shade, fontsize=8.5)
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="is covered by", ylabel="share of the atoms of")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def novelty_against_gain(
    ax: Axes,
    novelty: Mapping[str, float],
    gains: Mapping[tuple[str, str], Effect],
    plain: Mapping[tuple[str, str], float],
    architectures: Mapping[str, str],
) -> None:
    """Draw what rows gain against the novelty of the blocks that they add.

    Parameters
    ----------
    ax : Axes
    novelty : mapping of str to float
        By row, 1/Å.
    gains : mapping of (row, architecture) to Effect
        Those with an interval are filled points with a bar.
    plain : mapping of (row, architecture) to float
        Differences of means, hollow where there is no interval.
    architectures : mapping of str to str
        Label of each architecture.
    """
    aside = 0.012 * np.ptp(list(novelty.values())) if novelty else 0.0  # so that bars are apart
    for row in novelty:
        known = [name for name in architectures if (row, name) in plain]
        for number, architecture in enumerate(known):
            shade, gain = colour(architecture), gains.get((row, architecture))
            x = novelty[row] + aside * (number - (len(known) - 1) / 2)
            y = plain[row, architecture]
            look = {"color": shade, "markersize": 9, "fmt": set_marker(row)}
            if isinstance(gain, transfer.Contrast):
                bar = [[y - gain.lower], [gain.upper - y]]
                ax.errorbar(x, y, bar, elinewidth=1, capsize=3, **look)
            else:
                ax.errorbar(x, y, markerfacecolor="white", **look)
        if known:
            ax.plot([], [], set_marker(row), color="0.4", linestyle="", label=row_label(row))
    for architecture, label in architectures.items():
        ax.plot([], [], "-", color=colour(architecture), linewidth=5, label=label)
    if plain:
        ax.axhline(0, color="0.6", linewidth=1, zorder=0)
    else:
        ax.set(xticks=[], yticks=[])
        ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="0.4")
    ax.set_xlabel("novelty of the added frames / Å$^{-1}$")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)


def size_scan(
    ax: Axes, cells: Cells, sizes: Mapping[str, int], architectures: Mapping[str, str]
) -> None:
    """Draw a quantity against the number of training frames, with standard errors of the seeds.

    Parameters
    ----------
    ax : Axes
    cells : Cells
    sizes : mapping of str to int
        Frames of each row.
    architectures : mapping of str to str
        Label of each architecture.
    """
    marker = set_marker(next(iter(sizes)))
    for architecture, label in architectures.items():
        known = {n: transfer.cell(cells, row, architecture) for row, n in sizes.items()}
        points = [(n, c.mean, c.error or 0.0) for n, c in known.items() if c.mean is not None]
        if points:
            n, mean, error = np.transpose(points)
            style = {"fmt": f"{marker}-", "color": colour(architecture), "label": label}
            ax.errorbar(n, mean, error, capsize=3, **style)
    ax.set(xscale="log", xlabel="frames of the training set")
    ax.set_xlim(min(sizes.values()) / 1.2, max(sizes.values()) * 1.2)
    ax.set_xticks(list(sizes.values()), list(map(str, sizes.values())))
    ax.xaxis.set_minor_locator(NullLocator())
