"""The transfer matrix: what is stored of every row, architecture and seed, as numbers.

Nothing is computed here: a result that is not stored makes its run 'not run', or 'failed' if the
last try of a step that it needs has failed on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from crosstrain import judge
from crosstrain.data import summaries
from crosstrain.measure.score import TOLERANCES, LiquidScore
from crosstrain.measure.transfer import Better, Cells, Run, State
from crosstrain.run.store import Step, upstream
from crosstrain.study import Study

T = TypeVar("T")


@dataclass(frozen=True)
class Quantity:
    """Something that is known of each run.

    Attributes
    ----------
    label
        With its unit.
    better
        Whether more of it is better; None if neither.
    form
        Format of its numbers.
    """

    label: str
    better: Better | None
    form: str


QUANTITIES = {
    "score": Quantity("liquid score", "higher", ".2f"),
    "survival": Quantity("survival fraction", "higher", ".2f"),
    "density": Quantity("density / g cm$^{-3}$", None, ".3f"),
    "density_deviation": Quantity("density off the reference / g cm$^{-3}$", "lower", ".3f"),
    "own_error": Quantity("own-run intermolecular\nforce error / meV Å$^{-1}$", "lower", ".1f"),
    "fixed_error": Quantity("fixed-set intermolecular\nforce error / meV Å$^{-1}$", "lower", ".1f"),
}
COMPONENTS = ("translation", "rotation", "vibration")
"""Of the force on an atom, see `crosstrain.measure.forces`."""
DEFAULTS = ("score", "own_error")  # the first that has a value measures the effects
Matrix = Mapping[str, Cells]
"""Cells by quantity."""


def read(
    study: Study,
    state: str,
    *,
    seed: int,
    rows: Sequence[str] | None = None,
    tolerances: Mapping[str, float] = TOLERANCES,
    known: Stored | None = None,
) -> Matrix:
    """Return the transfer matrix at a state, from stored results only.

    Survival and score have a value for an unstable model: how long it lived counts. Density and the
    error on its own run have none, for a run that ended early is no whole run. The score and the
    deviation of the density need a trusted reference; without it they have no value anywhere.

    Parameters
    ----------
    study : Study
    state : str
        Of the profile's liquid.
    seed : int
        Of the score's bootstrap.
    rows : sequence of str, optional
        Training sets; default: the rows of the profile.
    tolerances : mapping
        As for `crosstrain.judge.liquid_score`.
    known : Stored, optional
        What `stored` returned for these rows, if they are read again with other tolerances.

    Returns
    -------
    Matrix
        For every quantity a run per seed of each (row, architecture).

    Raises
    ------
    ValueError
        If the profile has no such state.
    """
    known = known or stored(study, state, rows=rows)
    nothing = [dict.fromkeys(QUANTITIES, Run(State.NOT_RUN))] * len(study.profile.training.seeds)
    runs = {
        key: [_runs(study, m, state, known, seed, tolerances) for m in models] or nothing
        for key, models in _models(study, rows).items()
    }
    return {
        quantity: {key: [run[quantity] for run in seeds] for key, seeds in runs.items()}
        for quantity in QUANTITIES
    }


def stored(
    study: Study,
    state: str,
    *,
    rows: Sequence[str] | None = None,
    reference: Step | None = None,
) -> Stored:
    """Return all that is stored of the rows of a matrix at a state, which takes most of the time.

    Parameters
    ----------
    study, state, rows
        As for `read`.
    reference : Step, optional
        The reference liquid (the study's own).

    Raises
    ------
    ValueError
        If the profile has no such state.
    """
    states = study.profile.liquid.states
    if state not in states:
        raise ValueError(f"state {state!r}; the profile has {', '.join(states)}")
    models = [model for each in _models(study, rows).values() for model in each]

    def error(step: Step) -> dict[str, float] | None:
        said = study.predicted(step)
        if not said["frames"]:
            return None
        parts = summaries.force_errors(said["frames"], said)
        return {part: 1e3 * deviation.rmse for part, deviation in parts.items()}

    reference = reference or study.reference(state)
    liquids = [(m, liquid) for m in models for liquid in study.liquids(m, state)]
    return Stored(
        observed=_stored(
            study,
            (study.observed(liquid) for _, liquid in liquids),
            lambda step: study.read(step, "observed.json"),
        ),
        own_error=_stored(
            study, (study.evaluated(m, study.relabelled(run)) for m, run in liquids), error
        ),
        fixed_error=_stored(study, (_fixed(study, m) for m in models), error),
        reference=study.read(reference, "reference.json")
        if study.has(reference)
        else judge.NO_REFERENCE,
    )


def parts(
    study: Study, state: str, known: Stored, rows: Sequence[str] | None = None
) -> dict[str, Cells]:
    """Return what the quantities of the matrix are made of, from stored results only.

    Parameters
    ----------
    study, state, rows
        As for `read`.
    known : Stored
        What `stored` returned for these rows.

    Returns
    -------
    dict of str to Cells
        ``fixed:<component>`` and ``own:<component>``: force errors in meV/Å, those on own runs of
        stable models only; ``rdf:<pair>``: overlap errors, with the share of the noise taken off.
    """
    pairs = [name for name in known.reference["observables"] if name.startswith("rdf:")]
    found: dict[str, dict[tuple[str, str], list[Run]]] = {}
    for key, models in _models(study, rows).items():
        for model in models:
            runs = {
                f"fixed:{part}": _error(study, [_fixed(study, model)], known.fixed_error, part)
                for part in COMPONENTS
            }
            for name, run in (runs | _parts_of_liquid(study, model, state, known, pairs)).items():
                found.setdefault(name, {}).setdefault(key, []).append(run)
    return found


def densities_by_start(
    study: Study, state: str, known: Stored, rows: Sequence[str] | None = None
) -> dict[int, np.ndarray]:
    """Return the densities (g/cm³) of models by their seed and by the box that a run started from.

    Replica n of every model starts from the same box. Models of one seed are also driven by the
    same random numbers there, so what they have in common is due to both.

    Parameters
    ----------
    study, state, rows
        As for `read`.
    known : Stored
        What `stored` returned for these rows.

    Returns
    -------
    dict of int to ndarray, shape (n_models, n_replicas)
        Of models whose runs were all completed, by seed.
    """
    found: dict[int, list[list[float]]] = {}
    for model in (model for models in _models(study, rows).values() for model in models):
        steps = [study.observed(liquid) for liquid in study.liquids(model, state)]
        seen = [known.observed[step.name] for step in steps if step.name in known.observed]
        if len(seen) == len(steps) and all(
            run["status"] == "completed" and run["density_g_cm3"] for run in seen
        ):
            values = [run["density_g_cm3"]["value"] for run in seen]
            found.setdefault(model.params["seed"], []).append(values)
    return {seed: np.array(values) for seed, values in sorted(found.items())}


def _parts_of_liquid(
    study: Study, model: Step, state: str, known: Stored, pairs: Sequence[str]
) -> dict[str, Run]:
    liquids = study.liquids(model, state)
    observations = [study.observed(liquid) for liquid in liquids]
    own = [study.evaluated(model, study.relabelled(liquid)) for liquid in liquids]
    names = [*(f"own:{part}" for part in COMPONENTS), *pairs]
    if not liquids or not all(step.name in known.observed for step in observations):
        return dict.fromkeys(names, _absent(study, observations))
    seen = [known.observed[step.name] for step in observations]
    if any(run["status"] != "completed" for run in seen):
        return dict.fromkeys(names, Run(State.UNSTABLE))
    runs = {f"own:{part}": _error(study, own, known.own_error, part) for part in COMPONENTS}
    off = judge.deviations(seen, known.reference)
    for pair in pairs:
        runs[pair] = Run(State.NOT_RUN) if pair not in off else Run(State.FAILED)
        if pair in off and np.isfinite(off[pair].value):
            runs[pair] = _run(State.DONE, off[pair].value, off[pair].error)
    return runs


def _models(study: Study, rows: Sequence[str] | None) -> dict[tuple[str, str], list[Step]]:
    """Models by row and architecture, one per seed; none of a row that cannot be trained."""
    training = study.profile.training
    return {
        (row, architecture): [study.model(architecture, row, s) for s in training.seeds]
        if study.can_train(row)
        else []
        for row in (study.rows() if rows is None else rows)
        for architecture in training.architectures
    }


def has_value(cells: Cells) -> bool:
    """Whether any run of some cells has a value."""
    return any(run.value is not None for runs in cells.values() for run in runs)


def chosen(matrix: Matrix, quantity: str) -> str:
    """Return the quantity in which effects are measured.

    Parameters
    ----------
    matrix : Matrix
    quantity : str
        One of `QUANTITIES` of which more is better or worse, or ``auto``: the first of `DEFAULTS`
        that has a value anywhere, else the last of them.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if quantity == "auto":
        return next((name for name in DEFAULTS if has_value(matrix[name])), DEFAULTS[-1])
    allowed = [name for name, about in QUANTITIES.items() if about.better]
    if quantity not in allowed:
        raise ValueError(f"quantity {quantity!r}; allowed are auto, {', '.join(allowed)}")
    return quantity


def added_blocks(study: Study, row: str, base: str) -> list[str]:
    """Return the blocks that a row has and the base has not."""
    return [block for block in study.blocks_of(row) if block not in study.blocks_of(base)]


def n_added(study: Study, row: str, base: str) -> int:
    """Return how many frames a row has in the blocks that the base has not."""
    known = study.sizes(row)
    return sum(known[block] for block in added_blocks(study, row, base))


@dataclass(frozen=True)
class Stored:
    """What is stored, by the name of its step.

    Force errors are in meV/Å by component of the forces, None without a labelled frame.
    """

    observed: Mapping[str, Mapping[str, Any]]
    own_error: Mapping[str, Mapping[str, float] | None]
    fixed_error: Mapping[str, Mapping[str, float] | None]
    reference: Mapping[str, Any]


def _stored(study: Study, steps: Iterable[Step], read_one: Callable[[Step], T]) -> dict[str, T]:
    return study.each([step for step in steps if study.has(step)], read_one)


def _fixed(study: Study, model: Step) -> Step:
    return study.evaluated(model, study.block(next(iter(study.profile.tests))))


def _runs(
    study: Study,
    model: Step,
    state: str,
    values: Stored,
    seed: int,
    tolerances: Mapping[str, float],
) -> dict[str, Run]:
    """Every quantity of one model."""
    liquids = study.liquids(model, state)
    observations = [study.observed(liquid) for liquid in liquids]
    own = [study.evaluated(model, study.relabelled(liquid)) for liquid in liquids]
    runs = dict.fromkeys(QUANTITIES, _absent(study, observations))
    runs["fixed_error"] = _error(study, [_fixed(study, model)], values.fixed_error)
    if not liquids or not all(step.name in values.observed for step in observations):
        return runs
    seen = [values.observed[step.name] for step in observations]
    is_stable = all(run["status"] == "completed" for run in seen)
    ended = State.DONE if is_stable else State.UNSTABLE
    score = judge.liquid_score(
        seen, values.reference, rng=np.random.default_rng(seed), tolerances=tolerances
    )
    runs["survival"] = Run(ended, score.survival, is_best=score.survival == 1)
    runs["score"] = Run(State.NOT_RUN)
    if score.terms:
        noise = judge.score_error(score, seen, values.reference)
        runs["score"] = replace(_run(ended, score.value, noise), is_best=score.value == 1)
    deviation = _deviation(score, ended, values.reference, len(study.profile.training.seeds))
    if not is_stable:
        return runs | dict.fromkeys(("density", "own_error"), Run(ended)) | deviation
    density = judge.mean_density(seen)
    known = density and _run(ended, density.value, density.error)
    runs["density"] = known or Run(State.FAILED)
    runs["own_error"] = _error(study, own, values.own_error)
    return runs | deviation


def _run(state: State, value: float, error: float) -> Run:
    """A run with its own error, if this is known."""
    return Run(state, value, error if np.isfinite(error) else 0.0)


def _deviation(
    score: LiquidScore, ended: State, reference: Mapping[str, Any], n_seeds: int
) -> dict[str, Run]:
    """How far the density of a stable model is off that of the reference, if this has one.

    Its error holds that of the reference, which is the same for all models: it decides whether a
    deviation is more than noise, and the logarithms of two deviations do not lose it when they are
    subtracted, unless they are equal. A mean over seeds holds it once, so each seed's error holds
    √n of it, as means divide the errors of seeds by that.
    """
    if "density" not in score.terms:
        run = Run(State.NOT_RUN)
    elif ended is State.UNSTABLE:
        run = Run(ended)
    else:
        term = score.terms["density"]
        run = Run(State.FAILED)
        if np.isfinite(term.deviation):  # infinite if the model's is not to be had
            again = np.sqrt(n_seeds - 1) * reference["observables"]["density"]["error"]
            run = _run(ended, abs(term.deviation), np.hypot(term.deviation_error, again))
    return {"density_deviation": run}


def _error(
    study: Study,
    steps: Sequence[Step],
    known: Mapping[str, Mapping[str, float] | None],
    part: str = "intermolecular",
) -> Run:
    """Root-mean-square error over the replicas of a model, each of as many frames."""
    if not all(step.name in known for step in steps):
        return _absent(study, steps)
    errors = [known[step.name] for step in steps]
    if None in errors:
        return Run(State.FAILED)  # not one frame could be labelled
    return Run(State.DONE, float(np.sqrt(np.mean([error[part] ** 2 for error in errors]))))


def _absent(study: Study, steps: Sequence[Step]) -> Run:
    has_failed = any(study.store.failure(step) for step in upstream(steps))
    return Run(State.FAILED if has_failed else State.NOT_RUN)
