"""Foundation models beside bespoke ones: tables with their level of theory, curves and verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import cycle
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from crosstrain.data import costs, summaries
from crosstrain.data.figures import colour, set_marker
from crosstrain.data.plots import logarithmic
from crosstrain.measure.score import LiquidScore
from crosstrain.measure.statistics import Estimate
from crosstrain.measure.verdicts import Verdict

THEORY = "level of theory"
SAME_THEORY = "that of the labels"
MIXED = "* trained on another level of theory than the labels it is compared with"
STATUS = "status"
NOT_RUN = "not run"
RAW_ENERGY = "energy / meV atom⁻¹"
FORCE = "force / meV Å⁻¹"
INTER = "intermolecular / %"
GAIN_ERROR = "gain over it: intermolecular / %"
GAIN_SCORE = "gain over it: score"
SPARE_MARKERS = "h8pd"  # where that of a training set does not tell models apart


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


def errors(predicted: Mapping[str, Any]) -> dict[str, Estimate]:
    """Return a model's errors on labelled frames, each with its standard error.

    Energies are compared after removing the offset that composition explains; an absolute energy
    means nothing between two methods.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.
    """
    found = summaries.model_errors_with_spread(predicted["frames"], predicted)
    return {name: error for name, error in found.items() if name != RAW_ENERGY}


def error_row(
    found: Mapping[str, Estimate], frames: Sequence[Atoms], level_of_theory: str
) -> dict[str, str]:
    """Return a model's errors for a row of a table, and whether they mix levels of theory.

    Parameters
    ----------
    found : mapping of str to Estimate
        What `errors` returned.
    frames : sequence of Atoms
        That they are measured on.
    level_of_theory : str
        Of the model.
    """
    row = {"frames": str(len(frames))}
    if not frames:  # every label of the run failed
        return row
    row |= {name: summaries.with_error(error) for name, error in found.items()}
    return row | {THEORY: theory_note(level_of_theory, method_of(frames)) or SAME_THEORY}


def gain(mine: Mapping[str, Any], other: Mapping[str, Any]) -> Estimate:
    """Return by how much the intermolecular force error of another model is larger, in points of %.

    Its standard error holds the choice of frames, which are the same for both, and nothing of the
    scatter between trainings.

    Parameters
    ----------
    mine, other : mapping
        As `crosstrain.study.Study.predicted` returns them.
    """
    change = summaries.error_changes(mine["frames"], other, mine, relative=False)[INTER]
    return change._replace(value=-change.value)


def table(rows: Mapping[Any, Mapping[str, Any]], not_run: Mapping[str, str]) -> pd.DataFrame:
    """Return rows of numbers, and below them the models that were not run, with the reason.

    A column without any number is left out.

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
    frame = frame.where(frame.notna(), "-")
    return frame.loc[:, (frame != "-").any()]


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


def footnote(fig: Figure, not_run: Mapping[str, str], *, starred: bool = True) -> None:
    """Say below a figure what a star means, and which models are not in it.

    Parameters
    ----------
    fig : Figure
    not_run : mapping of str to str
        Why, by name; what helps stands in the table of the models.
    starred : bool
        Whether the figure has names with a star.
    """
    texts = [MIXED] if starred else []
    for reason in dict.fromkeys(not_run.values()):
        names = "; ".join(name for name, why in not_run.items() if why == reason)
        texts.append(f"{names}: {reason}, see the table of the models")
    width = int(12 * fig.get_figwidth())  # letters, at this size of the font
    lines = [line for text in texts for line in wrap(text, width)]
    fig.supxlabel("\n".join(lines), fontsize=9)


def price(ax: Axes, points: Mapping[str, tuple[str, str, float, Estimate]]) -> None:
    """Draw an error against the core time of a dynamics step (drawn in ms), both logarithmic.

    The colour is that of the architecture, the marker that of the training set; published models,
    and a second one of the same architecture and set, have markers of their own.

    Parameters
    ----------
    ax : Axes
    points : mapping of str to tuple
        By name for the legend: architecture, training set ('' if it is published), seconds per
        step (NaN if not measured), error.
    """
    if unknown := [name for name, (_, _, seconds, _) in points.items() if np.isnan(seconds)]:
        said = "\n".join(wrap(f"time of a step not measured: {', '.join(unknown)}", 45))
        ax.set_title(said, fontsize=8, loc="left")
    spare, drawn = cycle(SPARE_MARKERS), set()
    for name in (name for name in points if name not in unknown):
        architecture, training_set, seconds, (error, spread, _) = points[name]
        is_first = training_set and (architecture, training_set) not in drawn
        marker = set_marker(training_set) if is_first else next(spare)
        drawn.add((architecture, training_set))
        style = {"color": colour(architecture), "markersize": 9, "alpha": 0.85, "capsize": 3}
        ax.errorbar(1e3 * seconds, error, spread, fmt=marker, label=name, **style)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("core time per step / ms")
    ax.margins(0.25)
    logarithmic(ax, ax.xaxis, ax.yaxis)
    ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # more would run into each other


def by_size(
    steps: Mapping[str, str], records: Mapping[str, Mapping[str, Any]], sizes: Collection[str]
) -> dict[str, dict[int, str]]:
    """Return trained models by variant, or architecture, and by rising number of frames.

    Parameters
    ----------
    steps : mapping of str to str
        Name of the stored step by name in the comparison, such as ``mace_off23-classical.25-s1``;
        the two differ where a variant is not an architecture.
    records : mapping
        Content of ``training.json`` by name of the step.
    sizes : collection of str
        Training sets that are parts of one; models of others are left out.
    """
    found: dict[str, dict[int, str]] = {}
    for name, step in steps.items():
        variant, sets = name.split("-")[:2]
        if sets in sizes:
            n_frames = records[step]["n_training"] + records[step]["n_validation"]
            found.setdefault(variant, {})[n_frames] = name
    return {variant: dict(sorted(sized.items())) for variant, sized in found.items()}


def size_axis(ax: Axes, sizes: Iterable[int]) -> None:
    """Number a logarithmic axis of labelled frames at the sizes that were tried."""
    ticks = sorted(set(sizes))
    ax.set(xscale="log", xlabel="labelled frames")
    ax.set_xticks(ticks, list(map(str, ticks)))
    ax.xaxis.set_minor_locator(NullLocator())


def size_curve(
    ax: Axes,
    sizes: Sequence[int],
    found: Sequence[Estimate],
    *,
    architecture: str,
    label: str,
    marker: str,
) -> None:
    """Draw an error with its own against the number of labelled frames, both axes logarithmic."""
    values, spreads = zip(*(error[:2] for error in found), strict=True)
    style = {"fmt": f"{marker}-", "color": colour(architecture), "capsize": 3}
    ax.errorbar(sizes, values, spreads, label=label, **style)
    ax.set_xscale("log")
    logarithmic(ax)


def score_curve(
    ax: Axes,
    sizes: Sequence[int],
    scores: Sequence[LiquidScore],
    *,
    architecture: str,
    label: str,
    marker: str,
    beside: float = 0,
) -> None:
    """Draw the liquid score, with its interval, against the number of labelled frames.

    Models without a score are drawn hollow below the axis.

    Parameters
    ----------
    ax : Axes
    sizes : sequence of int
    scores : sequence of LiquidScore
    architecture, label, marker : str
    beside : float
        Part of its size by which a point stands to the right of it, so that several intervals at
        one size can be told apart.
    """
    shade, places = colour(architecture), (1 + beside) * np.asarray(sizes)
    for place, score in zip(places, scores, strict=True):
        if np.isnan(score.value):
            ax.plot(place, -0.1, marker, color=shade, fillstyle="none")
            continue
        reach = [[score.value - score.lower], [score.upper - score.value]]
        ax.errorbar(place, score.value, reach, fmt=marker, color=shade, capsize=3)
    ax.plot(places, [score.value for score in scores], "-", color=shade, label=label)
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set_yticks([-0.1, 0, 0.25, 0.5, 0.75, 1], ["none", "0", "0.25", "0.5", "0.75", "1"])
    ax.set(ylim=(-0.18, 1.05), ylabel="liquid score", xscale="log")


def enough(curve: Mapping[int, Estimate], target: float) -> str:
    """Return in words the fewest frames with an error no larger than a target, and that error.

    Parameters
    ----------
    curve : mapping of int to Estimate
        Error by number of frames; between these nothing is interpolated.
    target : float
    """
    reached = [size for size, error in curve.items() if error.value <= target]
    if not reached:
        return f"none of up to {max(curve)}"
    fewest = min(reached)
    said = ", the fewest tried" if fewest == min(curve) else ""
    return f"{fewest}{said}: {summaries.with_error(curve[fewest])}"


def controls(
    rows: Iterable[str],
    *,
    base: str,
    control: str,
    iterated_control: str,
    iterated: Collection[str],
) -> dict[str, str]:
    """Return the control of each training set that adds blocks to the base.

    Parameters
    ----------
    rows : iterable of str
        Training sets.
    base : str
        The set that blocks are added to.
    control, iterated_control : str
        The base with more frames of its own kind: beside blocks made by people, and as many as an
        iterated block adds.
    iterated : collection of str
        Blocks.
    """
    own = {f"{base}+{block}" for block in iterated}
    return {
        row: iterated_control if row in own else control
        for row in rows
        if row.startswith(f"{base}+") and row not in (control, iterated_control)
    }


def against_control(
    control: str, gained: Estimate | None, mine: LiquidScore, other: LiquidScore | None
) -> dict[str, str]:
    """Return what a training set gains over its control, for a row of a table; positive is better.

    Parameters
    ----------
    control : str
        Its name, '' if the set has none.
    gained : Estimate or None
        What `gain` returned; None if the control was not run.
    mine, other : LiquidScore
        Of the set and of its control; None if that was not run.
    """
    if gained is None or other is None:
        gains = "-" if not control else NOT_RUN
        return {"control": control or "-", GAIN_ERROR: gains, GAIN_SCORE: gains}
    difference = mine.value - other.value
    by_score = "no score"
    if not np.isnan(difference):
        by_score = f"{difference:+.2f}, {_side(mine, other)}"
    return {"control": control, GAIN_ERROR: summaries.with_error(gained), GAIN_SCORE: by_score}


def which_gain(gains: Mapping[tuple[str, str], Estimate], one: str, other: str) -> str:
    """Return in words which of two kinds of model gain or lose with each training set.

    Parameters
    ----------
    gains : mapping of tuple to Estimate
        Gain over the control by training set and kind of model; positive is better.
    one, other : str
        Kinds of model; sets without a gain of both are left out.
    """
    both = [sets for sets, kind in gains if kind == one and (sets, other) in gains]
    told = {
        sets: [f"{kind} {_change(gains[sets, kind])}" for kind in (one, other)] for sets in both
    }
    return "; ".join(f"{sets}: {', '.join(words)}" for sets, words in told.items()) or NOT_RUN


def _change(gain: Estimate) -> str:
    """Whether a gain is clear: two standard errors from zero."""
    is_clear = abs(gain.value) > 2 * gain.error
    word = "unclear" if not is_clear else "gains" if gain.value > 0 else "loses"
    return f"{word} ({summaries.with_error(gain)})"


def _side(mine: LiquidScore, other: LiquidScore) -> str:
    """On which side of another interval a score's lies; undecided if they overlap."""
    if mine.upper < other.lower:
        return "worse"
    return "better" if mine.lower > other.upper else Verdict.UNDECIDED.value


def verdict(foundation: LiquidScore, bespoke: Mapping[str, LiquidScore]) -> str:
    """Return whether a foundation model's liquid is worse than that of the best bespoke model.

    Our rule: worse, if its interval lies wholly below that of the bespoke model of highest score;
    better, if wholly above; else undecided. The highest of many noisy scores is too high on
    average, which favours the bespoke models.

    Parameters
    ----------
    foundation : LiquidScore
    bespoke : mapping of str to LiquidScore
        By name of the model, at the same state.

    Returns
    -------
    str
        ``worse``, ``better`` or ``undecided``, with what is compared.
    """
    known = {name: score for name, score in bespoke.items() if not np.isnan(score.value)}
    if np.isnan(foundation.value) or not known:
        return f"{Verdict.UNDECIDED}: no trusted reference to compare with, or no bespoke liquid"
    name = max(known, key=lambda key: known[key].value)
    mine, best = (summaries.score_sentence(score) for score in (foundation, known[name]))
    chosen = f"the best of {len(known)} bespoke models"
    return f"{_side(foundation, known[name])}: {mine}, against {best}, of {name}, {chosen}"


def claim(verdicts: Mapping[str, str]) -> str:
    """Return what verdicts on foundation models, as published, say of the claim that they need
    system-specific data.

    Only clear verdicts count; without any the claim is undecided.

    Parameters
    ----------
    verdicts : mapping of str to str
        What `verdict` returned, by model and state.
    """
    worse, better = (
        sum(said.startswith(word) for said in verdicts.values()) for word in ("worse", "better")
    )
    clear, among = worse + better, f"{len(verdicts)} comparisons"
    if not clear:
        return f"{Verdict.UNDECIDED}: none of {among} is clear"
    word = {0: Verdict.NOT_SUPPORTED.value, clear: Verdict.SUPPORTED.value}
    said = word.get(worse, "supported in part")
    return f"{said}: worse in {worse} and better in {better} of {among}, the others are undecided"
