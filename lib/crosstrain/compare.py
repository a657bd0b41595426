"""Before and after: what models of several training sets make of the same tests and liquid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from crosstrain import judge, matrix
from crosstrain.data import summaries
from crosstrain.data.charts import LIQUID
from crosstrain.measure import score, transfer
from crosstrain.measure.statistics import Estimate
from crosstrain.measure.transfer import Better, Cells, Effect, NotComparable, Run, State
from crosstrain.measure.verdicts import Verdict, of_one
from crosstrain.run.store import Step
from crosstrain.study import Study

WORDS = {
    Verdict.SUPPORTED: "helps",
    Verdict.NOT_SUPPORTED: "harms",
    Verdict.UNDECIDED: "unclear",
}
"""What a gain does, by the verdict on 'it is positive'."""
MOST_LIMITS = 1e3
"""Largest ratio of the limits of a factor that is still told."""


class Point(NamedTuple):
    """One model's value of a quantity.

    Attributes
    ----------
    value : float
        NaN where there is none.
    error : float
        Its standard error; NaN where none is known.
    state : State
        Unstable if one of the model's runs ended early.
    """

    value: float
    error: float = np.nan
    state: State = State.DONE


Points = Mapping[tuple[str, str], Sequence[Point]]
"""Points by (row, architecture), one per seed; a row that was not run has none."""


def pooled(study: Study, rows: Sequence[str]) -> dict[str, list[Step]]:
    """Return the models of some rows, and all that are stored of the other rows of the matrix.

    Gains take their scatter from all rows of an architecture, so that a gain is as sure in one
    notebook as in another, whatever else this shows.

    Parameters
    ----------
    study : Study
    rows : sequence of str
        Training sets; theirs are the models that a notebook may show
        (`crosstrain.study.Study.shown`), none of one that the profile cannot train.
    """
    others = [row for row in study.rows() if row not in rows and study.can_train(row)]
    stored = {row: study.complete(row) for row in others}
    shown = {row: study.shown(row) if study.can_train(row) else [] for row in rows}
    return shown | stored


def of_matrix(held: matrix.Matrix, *, state: str, test: str) -> dict[str, Cells]:
    """Return what the transfer matrix knows of models, by a name for people.

    A model whose run ended early has no error on its own frames and no density: they would be those
    of a liquid that falls apart. How long it lived is its value.

    Parameters
    ----------
    held : Matrix
        From `crosstrain.matrix.read`.
    state : str
        Of the liquid.
    test : str
        Of the fixed error: the first test set of the profile.
    """
    return {
        f"force between molecules on {test}": held["fixed_error"],
        f"force between molecules on own frames, {state}": held["own_error"],
        f"|density - reference|, {state}": held["density_deviation"],
        f"lived / planned, {state}": held["survival"],
        f"liquid score, {state}": held["score"],
    }


def which_is_better(measured: Iterable[str]) -> dict[str, Better]:
    """Return which is better of each quantity, ``higher`` or ``lower``, by its name for people."""
    return {
        name: "higher" if name.startswith(("lived", "liquid score")) else "lower"
        for name in measured
    }


def points(models: Mapping[str, Sequence[Step]], of: Callable[[Step], Point | None]) -> Points:
    """Return the points of all models, by row and architecture.

    Parameters
    ----------
    models : mapping of str to sequence of Step
        Models by row (training set); none of a row that was not run.
    of : callable
        The point of a model; None if it has none, for it was not run.
    """
    found: dict[tuple[str, str], list[Point]] = {}
    for row, members in models.items():
        for model in members:
            point = of(model)
            if point is not None:
                found.setdefault((row, model.params["architecture"]), []).append(point)
    return found


def inventory(
    study: Study, models: Mapping[str, Sequence[Step]], labels: Mapping[str, str]
) -> pd.DataFrame:
    """Return how many frames each training set holds, and how many models there are of it.

    Parameters
    ----------
    study : Study
    models : mapping of str to sequence of Step
        Models by training set; none of one that was not run.
    labels : mapping of str to str
        Name for people by architecture.

    Returns
    -------
    DataFrame
        A row for each training set. Of an iterated block the frames are those asked for; fewer
        may have been worth a label.
    """
    rows = {}
    for row, members in models.items():
        rows[row] = {"frames": sum(study.sizes(row).values())}
        for architecture, label in labels.items():
            n_models = sum(model.params["architecture"] == architecture for model in members)
            rows[row][f"{label}, models"] = n_models or "not run"
    return pd.DataFrame.from_dict(rows, orient="index")


def liquids(study: Study, models: Mapping[str, Sequence[Step]], state: str) -> dict[str, Points]:
    """Return what `liquid` says of every model that is run at a state, by quantity.

    Parameters
    ----------
    study : Study
    models : mapping of str to sequence of Step
        Models by row (training set).
    state : str
    """
    everyone = [model for members in models.values() for model in members]
    runs = {model.name: study.liquids(model, state) for model in everyone}
    seen = study.each(
        [study.observed(run) for each in runs.values() for run in each],
        lambda step: study.read(step, "observed.json"),
    )
    visits = {
        model.name: [study.evaluated(model, study.relabelled(run)) for run in runs[model.name]]
        for model in everyone
    }
    own = study.each([visit for each in visits.values() for visit in each], study.predicted)
    known = {
        name: liquid(
            [seen[run.name] for run in each],
            [
                judge.while_it_lived(own[visit.name], seen[run.name])
                for run, visit in zip(each, visits[name], strict=True)
            ],
        )
        for name, each in runs.items()
        if each
    }
    return {
        quantity: points(models, lambda model, q=quantity: known.get(model.name, {}).get(q))
        for quantity in (*LIQUID, "own_percent")
    }


def liquid(
    observed: Sequence[Mapping[str, Any]], own: Sequence[Mapping[str, Any]]
) -> dict[str, Point]:
    """Return what a model's liquid at one state comes to.

    Parameters
    ----------
    observed : sequence of mapping
        Content of ``observed.json`` of each replica.
    own : sequence of mapping
        What the model says of relabelled frames of each, as `crosstrain.study.Study.predicted`.

    Returns
    -------
    dict of str to Point
        ``lived`` (fraction of the planned time), ``own_force`` and ``own_percent`` (RMSE of the
        forces between molecules on the model's own frames, meV/Å, and in percent of these forces)
        and ``density`` (g/cm³), all but the first with standard errors. If a run ended early they
        are of the short time it lived, to be shown as such and not to be averaged.
    """
    completed = all(run["status"] == "completed" for run in observed)
    state = State.DONE if completed else State.UNSTABLE
    lived = [run["time_ps"] for run in observed]
    between = [
        summaries.errors_between_molecules(run["frames"], run) for run in own if run["frames"]
    ]
    density = judge.mean_density(observed)
    value, error = density[:2] if density else (np.nan, np.nan)
    return {
        "lived": Point(score.survival_fraction(lived, observed[0]["planned_ps"]), np.nan, state),
        "own_force": Point(*_root_mean_square([each["meV_A"] for each in between]), state),
        "own_percent": Point(*_root_mean_square([each["percent"] for each in between]), state),
        "density": Point(value, error, state),
    }


def _root_mean_square(found: Sequence[Estimate]) -> tuple[float, float]:
    """The root of the mean square of independent estimates, and its standard error."""
    if not found:
        return np.nan, np.nan
    values, errors, _ = np.transpose(found)
    root = np.sqrt(np.mean(values**2))
    return float(root), float(np.linalg.norm(values * errors) / (len(values) * root))


def cells(found: Points) -> Cells:
    """Return points as cells of the transfer matrix.

    A point of an unstable model has no value there, and one without a value counts as failed.
    """

    def run(point: Point) -> Run:
        if point.state is State.UNSTABLE:
            return Run(State.UNSTABLE)
        if not np.isfinite(point.value):
            return Run(State.FAILED)
        return Run(point.state, point.value, float(np.nan_to_num(point.error)))

    return {key: list(map(run, members)) for key, members in found.items()}


def comparable(found: Cells, better: Better) -> Cells:
    """Return cells as gains are taken of them: errors ("lower") as their logarithms.

    A gain is then the logarithm of the factor by which the error shrinks.
    """
    return transfer.logarithms(found) if better == "lower" else found


def gains(
    found: Cells,
    pairs: Sequence[tuple[str, str]],
    architectures: Sequence[str],
    *,
    better: Better,
) -> dict[tuple[str, str, str], Effect]:
    """Return the gain of rows over others, or why there is none, by (row, base, architecture).

    Parameters
    ----------
    found : Cells
        Of all rows whose scatter is known, not only of those of the pairs.
    pairs : sequence of (row, base)
    architectures : sequence of str
    better : str
        ``higher``, or ``lower`` for errors, which are compared by their logarithms.
    """
    values = comparable(found, better)
    return {
        (*pair, architecture): transfer.attempt(
            transfer.gain, values, *pair, architecture, better=better
        )
        for pair in pairs
        for architecture in architectures
    }


def in_words(gain: Effect, better: Better) -> str:
    """Return a gain with its interval, such as ``error × 0.5 (0.4 to 0.62), helps``.

    An error that is smaller than its own error has no logarithm to speak of: where the limits of a
    factor lie further apart than `MOST_LIMITS`, no number is given.
    """
    if isinstance(gain, NotComparable):
        return gain.in_words()
    value, low, high = gain.value, gain.lower, gain.upper
    word = WORDS[of_one(gain).verdict]
    if better == "lower":
        if high - low > np.log(MOST_LIMITS):
            return f"lost in the noise, {word}"
        value, low, high = np.exp([-value, -high, -low])
        return f"error × {value:.3g} ({low:.3g} to {high:.3g}), {word}"
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f}), {word}"


def in_numbers(members: Sequence[Point]) -> str:
    """Return the values of models in words, such as ``1.02 ± 0.01, unstable``."""

    def one(point: Point) -> str:
        if point.state is State.UNSTABLE:
            return "unstable"
        if not np.isfinite(point.value):
            return "no value"
        known = point.error >= 0
        return summaries.plus_minus(*point[:2]) if known else summaries.in_digits(point.value)

    return ", ".join(map(one, members))


def density_in_words(known: transfer.Cell, reference: Mapping[str, Any]) -> str:
    """Return a mean density and how far it is off that of the reference, with standard errors.

    Parameters
    ----------
    known : Cell
        Of the density, g/cm³.
    reference : mapping
        Content of ``reference.json``; without a trusted density only the mean is said.
    """
    if known.mean is None:
        return known.state.value
    own = known.error
    said = f"{known.mean:.3f}" if own is None else summaries.plus_minus(known.mean, own)
    if n_unstable := known.counts[State.UNSTABLE]:
        said += f" without {n_unstable} unstable"
    if own is None or summaries.why_not(reference, "density"):
        return said
    truth = reference["observables"]["density"]
    off, error = known.mean - truth["value"], np.hypot(own, truth["error"])
    side = "too dense" if off > 0 else "too thin"
    doubt = "" if abs(off) > 2 * error else ", less than two standard errors"
    return f"{said}, {side} by {summaries.plus_minus(abs(off), error)}{doubt}"


def change_in_words(after: transfer.Cell, before: transfer.Cell) -> str:
    """Return by how much a mean differs from another, with the standard error of both if known."""
    for known in (after, before):
        if known.mean is None:
            return f"not comparable ({known.state.value})"
    change, errors = after.mean - before.mean, (after.error, before.error)
    sign = "+" if change > 0 else ""
    if None in errors:
        return f"{sign}{summaries.in_digits(change)} (no error known)"
    return f"{sign}{summaries.plus_minus(change, float(np.hypot(*errors)))}"


def contradictions(
    gained: Mapping[str, Mapping[tuple[str, str, str], Effect]],
    better: Mapping[str, Better],
    labels: Mapping[str, str],
) -> list[str]:
    """Return in words which gains contradict 'the block helps', which lean so, and how many do not.

    Parameters
    ----------
    gained : mapping
        From `gains`, by quantity.
    better, labels
        By quantity as there, and by architecture the name for people.
    """
    harms, leans, counts = [], [], Counter()
    for name, effects in gained.items():
        for (row, base, architecture), gain in effects.items():
            if isinstance(gain, NotComparable):
                counts["not comparable"] += 1
                continue
            counts[WORDS[of_one(gain).verdict]] += 1
            said = f"{name}, {labels[architecture]}, {row} over {base}"
            if of_one(gain).verdict is Verdict.NOT_SUPPORTED:
                harms.append(f"contradicts the claim: {said}: {in_words(gain, better[name])}")
            elif of_one(gain).verdict is Verdict.UNDECIDED and gain.value < 0:
                leans.append(f"leans against it: {said}: {in_words(gain, better[name])}")
    total = ", ".join(f"{word} {n}" for word, n in counts.items())
    return [*(harms or ["nothing contradicts it"]), *leans, f"all comparisons: {total}"]


def table(
    gained: Mapping[tuple[str, str, str], Effect],
    better: Better,
    labels: Mapping[str, str],
) -> pd.DataFrame:
    """Return gains in words, a row for each pair of training sets and a column by architecture.

    Parameters
    ----------
    gained : mapping
        From `gains`.
    better : str
        As there.
    labels : mapping of str to str
        Name for people by architecture.
    """
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for (row, base, architecture), gain in gained.items():
        rows.setdefault((row, base), {})[labels[architecture]] = in_words(gain, better)
    index = pd.MultiIndex.from_tuples(rows, names=["training set", "against"])
    return pd.DataFrame(list(rows.values()), index=index)


def serves_maker_only(maker: Effect, receiver: Effect, difference: Effect) -> Verdict:
    """Return the verdict on 'what one architecture generated need not help another'.

    Supported if the block helps its maker, and clearly more than the other; not supported if it
    helps both alike; else undecided, as where one of them is not comparable.

    Parameters
    ----------
    maker, receiver : Contrast or NotComparable
        Gain of each.
    difference : Contrast or NotComparable
        The maker's minus the receiver's.
    """
    effects = maker, receiver, difference
    if any(isinstance(effect, NotComparable) for effect in effects):
        return Verdict.UNDECIDED
    helps, helps_too, helps_more = (of_one(e).verdict is Verdict.SUPPORTED for e in effects)
    if helps and helps_more:
        return Verdict.SUPPORTED
    return Verdict.NOT_SUPPORTED if helps and helps_too else Verdict.UNDECIDED


def handed_on(
    measured: Mapping[str, Cells],
    better: Mapping[str, Better],
    row: str,
    control: str,
    *,
    maker: str,
    receiver: str,
) -> pd.DataFrame:
    """Return what a block that one architecture made is worth to another, a row per quantity.

    Parameters
    ----------
    measured : mapping of str to Cells
        By name of the quantity, of all rows as for `gains`.
    better : mapping of str to str
        Of each, as for `gains`.
    row, control : str
        Training sets with the block, and with as many more frames of the old kind.
    maker, receiver : str
        Architectures.

    Returns
    -------
    DataFrame
        Transfer efficiency, or why there is none, and the verdict of `serves_maker_only`.
    """
    rows = {}
    for name, found in measured.items():
        values, options = comparable(found, better[name]), {"better": better[name]}
        both = (maker, receiver)
        own, others = gains(found, [(row, control)], both, **options).values()
        worth = transfer.efficiency(values, row, control, maker=maker, receiver=receiver, **options)
        lacking = (gain for gain in (own, others) if isinstance(gain, NotComparable))
        reason = next((gain.in_words() for gain in lacking), worth.reason)
        more = transfer.attempt(transfer.difference_of_gains, values, row, control, both, **options)
        known = None if worth.reason else (worth.value, worth.lower, worth.upper)
        rows[name] = {
            "efficiency": "{:.2f} ({:.2f} to {:.2f})".format(*known) if known else "-",
            "none, because": reason or "-",
            "helps its maker more": serves_maker_only(own, others, more).value,
        }
    return pd.DataFrame.from_dict(rows, orient="index")
