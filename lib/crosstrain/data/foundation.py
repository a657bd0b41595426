"""Foundation models beside bespoke ones: tables with their level of theory, curves and verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from crosstrain.data import costs, summaries
from crosstrain.data.figures import colour
from crosstrain.measure.score import LiquidScore

THEORY = "level of theory"
SAME_THEORY = "that of the labels"
MIXED = "* trained on another level of theory than the labels it is compared with"
STATUS = "status"
RAW_ENERGY = "energy / meV atom⁻¹"
FORCE = "force / meV Å⁻¹"
INTER = "intermolecular / %"


def theory_note(model: str, labels: str) -> str:
    """Return a warning if a model and labels are of different levels of theory, else ''.

    Parameters
    ----------
    model, labels : str
        Level of theory of the labels that a model was trained on, and of those it is compared with.
    """
    if model == labels:
        return ""
    return f"differs: model {model}, labels {labels}"


def method_of(frames: Sequence[Atoms]) -> str:
    """Return the level of theory that labelled frames state.

    Raises
    ------
    ValueError
        If they state none, or several.
    """
    methods = sorted({str(frame.info.get("method", "")) for frame in frames})
    if len(methods) != 1 or not methods[0]:
        raise ValueError(f"method of the frames is {methods}; allowed is one, the same for all")
    return methods[0]


def error_row(predicted: Mapping[str, Any], level_of_theory: str) -> dict[str, Any]:
    """Return a model's errors on labelled frames, and whether they mix levels of theory.

    Energies are compared after removing the offset that composition explains; an absolute energy
    means nothing between two methods.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.
    level_of_theory : str
        Of the model.
    """
    frames = predicted["frames"]
    errors = summaries.model_errors(frames, predicted)
    errors.pop(RAW_ENERGY, None)
    errors = {name: round(value, 1) for name, value in errors.items()}
    if not frames:
        return errors
    return errors | {THEORY: theory_note(level_of_theory, method_of(frames)) or SAME_THEORY}


def table(rows: Mapping[Any, Mapping[str, Any]], not_run: Mapping[str, str]) -> pd.DataFrame:
    """Return rows of numbers, and below them the models that were not run, with the reason.

    Parameters
    ----------
    rows : mapping
        By name of the model, or by a tuple that begins with it.
    not_run : mapping of str to str
        Reasons by name of the model.
    """
    found = {key: {STATUS: "run", **row} for key, row in rows.items()}
    width = max((len(key) for key in rows if isinstance(key, tuple)), default=0)
    for name, reason in not_run.items():
        found[(name, *["-"] * (width - 1)) if width else name] = {STATUS: reason}
    frame = pd.DataFrame.from_dict(found, orient="index", dtype=object)
    return frame.where(frame.notna(), "-")


def marked(name: str, note: str) -> str:
    """Return a name for a plot: with a star where levels of theory are mixed (see `MIXED`)."""
    return f"{name} *" if note else name


def seconds_per_step(
    params: Mapping[str, Any], atoms: int, entries: Sequence[Mapping[str, Any]]
) -> float:
    """Return the core seconds of a dynamics step of a model, as the benchmark measured it.

    Stored runs would not do: they hold the start of the process, and other engines in older ones.

    Parameters
    ----------
    params : mapping
        Of the step of the model.
    atoms : int
        In the box.
    entries : sequence of mapping
        From `crosstrain.data.costs.measured`.

    Returns
    -------
    float
        NaN if it was not measured.
    """
    settings = params.get("settings", {})
    name = params.get("name") or settings.get("base")  # of the model that it is, or was
    settings = {"name": name} if name else settings
    found = costs.of_model(params["architecture"], settings, entries)
    return found["step"].at(atoms) if "step" in found else float("nan")


def footnote(fig: Figure, not_run: Mapping[str, str]) -> None:
    """Say below a figure what a star means, and which models are not in it and why."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in not_run.items():
        by_reason.setdefault(reason, []).append(name)
    lines = [MIXED, *(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())]
    fig.supxlabel("\n".join(line for text in lines for line in wrap(text, 110)), fontsize=9)


def price(ax: Axes, points: Mapping[str, tuple[str, float, float]]) -> None:
    """Draw an error against the core time of a dynamics step (drawn in ms), both logarithmic.

    Parameters
    ----------
    ax : Axes
    points : mapping of str to tuple
        By name for people: architecture, seconds per step (NaN if not measured), error.
    """
    if unknown := [name for name, (_, seconds, _) in points.items() if np.isnan(seconds)]:
        said = "\n".join(wrap(f"time of a step not measured: {', '.join(unknown)}", 60))
        ax.set_title(said, fontsize=8, loc="left")
    for name in (name for name in points if name not in unknown):
        architecture, seconds, error = points[name]
        ax.loglog(1e3 * seconds, error, "o", color=colour(architecture), markersize=9)
        offset = {"xytext": (6, 4), "textcoords": "offset points"}
        ax.annotate(name, (1e3 * seconds, error), fontsize=9, **offset)
    ax.set_xlabel("core time per step / ms")
    ax.margins(0.25)
    _plain_numbers(ax)


def _plain_numbers(ax: Axes) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))


def size_curve(
    ax: Axes, sizes: Sequence[int], values: Sequence[float], *, architecture: str, label: str
) -> None:
    """Draw an error against the number of labelled frames, both axes logarithmic."""
    ax.loglog(sizes, values, "o-", color=colour(architecture), label=label)
    ax.set_xlabel("labelled frames")
    _plain_numbers(ax)


def score_curve(
    ax: Axes,
    sizes: Sequence[int],
    scores: Sequence[LiquidScore],
    *,
    architecture: str,
    label: str,
) -> None:
    """Draw the liquid score, with its interval, against the number of labelled frames.

    Models without a score are drawn hollow below the axis.
    """
    shade = colour(architecture)
    for size, score in zip(sizes, scores, strict=True):
        if np.isnan(score.value):
            ax.plot(size, -0.1, "o", color=shade, fillstyle="none")
            continue
        reach = [[score.value - score.lower], [score.upper - score.value]]
        ax.errorbar(size, score.value, reach, fmt="o", color=shade, capsize=3)
    ax.plot(sizes, [score.value for score in scores], "-", color=shade, label=label)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_yticks([-0.1, 0, 0.25, 0.5, 0.75, 1], ["none", "0", "0.25", "0.5", "0.75", "1"])
    ax.set(ylim=(-0.18, 1.05), ylabel="liquid score", xlabel="labelled frames", xscale="log")
    ax.xaxis.set_major_formatter(LogFormatter())
    ax.xaxis.set_minor_formatter(LogFormatter())


def frames_to_match(curve: Mapping[int, float], target: float) -> int | None:
    """Return the smallest number of frames at which an error is no larger than a target, or None.

    Parameters
    ----------
    curve : mapping of int to float
        Error by number of frames; between these nothing is interpolated.
    target : float
    """
    reached = [size for size, error in curve.items() if error <= target]
    return min(reached) if reached else None


def verdict(foundation: LiquidScore, bespoke: Mapping[str, LiquidScore]) -> str:
    """Return whether a foundation model's liquid is worse than that of the best bespoke model.

    Our rule: worse, if its interval lies wholly below that of the bespoke model of highest score;
    better, if wholly above; else alike.

    Parameters
    ----------
    foundation : LiquidScore
    bespoke : mapping of str to LiquidScore
        By name of the model, at the same state.

    Returns
    -------
    str
        ``worse``, ``alike`` or ``better`` with what is compared, or ``open`` with the reason.
    """
    known = {name: score for name, score in bespoke.items() if not np.isnan(score.value)}
    if np.isnan(foundation.value) or not known:
        return "open: no trusted reference value to compare with, or no bespoke liquid"
    name = max(known, key=lambda key: known[key].value)
    best = known[name]
    word = "alike"
    if foundation.upper < best.lower:
        word = "worse"
    elif foundation.lower > best.upper:
        word = "better"
    mine = f"{foundation.value:.2f} ({foundation.lower:.2f} to {foundation.upper:.2f})"
    return f"{word}: score {mine} against {best.value:.2f} of {name}"


def claim(verdicts: Mapping[str, str]) -> str:
    """Return what verdicts on foundation models, as published, say of the claim that they need
    system-specific data.

    Parameters
    ----------
    verdicts : mapping of str to str
        What `verdict` returned, by model and state.
    """
    decided = {name: said for name, said in verdicts.items() if not said.startswith("open")}
    if not decided:
        return "open: no foundation model could be compared by its liquid"
    worse = sum(said.startswith("worse") for said in decided.values())
    word = {0: "not supported", len(decided): "supported"}.get(worse, "supported in part")
    return f"{word}: worse than the best bespoke model in {worse} of {len(decided)} comparisons"
