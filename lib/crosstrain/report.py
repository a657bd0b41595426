"""The report on one model: its runs, density, structure, errors where it goes, and score."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crosstrain import judge, paths
from crosstrain.data import figures, foundation, plots, summaries
from crosstrain.data.profiles import Liquid, State
from crosstrain.measure.statistics import Estimate
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step
from crosstrain.study import Study


def study_of(
    base: Study,
    model: str,
    *,
    composition: Mapping[str, int] | None = None,
    state: State | None = None,
    is_trusted: bool = False,
) -> tuple[Study, Step]:
    """Return the study in which a model is judged, and the model as its step.

    Parameters
    ----------
    base : Study
        Of a profile, whose sizes are used.
    model : str
        A model of the profile, a pretrained model by name, or a model file.
    composition : mapping of str to int, optional
        Molecules of the liquid (default: the profile's).
    state : State, optional
        Where (default: the states of the profile).
    is_trusted : bool
        Whether a model file may be loaded: it can hold any code.

    Raises
    ------
    ValueError
        If there is no such model, its file is not trusted, or no architecture can load it; or the
        weights of a pretrained one are not here.
    """
    names = [step.name for step in base.models()]
    is_own_liquid = composition is not None or state is not None
    if model in names and not is_own_liquid:
        return base, base.named_model(model)
    if model in potentials.pretrained():
        study = base.with_liquid(composition, state)
        try:
            return study, study.pretrained(model)
        except potentials.WeightsNotFound as error:
            raise ValueError(f"{model}: {error}") from None
    if model in names:
        step = base.named_model(model)
        file, is_trusted, name = base.model_file(step), True, step.name
    else:
        file, name = Path(model), Path(model).stem
    if not file.is_file():
        # names have dots, too: classical.25
        if file.suffix in _suffixes() or file.is_dir() or len(file.parts) > 1:
            raise ValueError(
                f"model file {model}: {'a folder' if file.is_dir() else 'no such file'}"
            )
        known = ", ".join([*names, *potentials.pretrained()])
        raise ValueError(f"model {model!r}; allowed are a model file, or {known}")
    if not is_trusted:
        raise ValueError(
            f"{file.name}: loading a model file can run any code that is in it; "
            "if you know where it comes from, say --trust"
        )
    architecture = _architecture_of(file)
    if fault := potentials.architecture(architecture).file_fault(file):
        raise ValueError(f"{file.name}: {fault}; give a model file as it was saved")
    study = base.with_liquid(composition, state)
    return study, study.given_model(name, file.resolve(), architecture, paths.sha256(file))


def _suffixes() -> dict[str, str]:
    """Architecture by the suffix of its model files."""
    return {
        Path(potentials.architecture(name).MODEL_FILE).suffix: name for name in potentials.names()
    }


def _architecture_of(file: Path) -> str:
    suffixes = _suffixes()
    if file.suffix not in suffixes:
        known = ", ".join(f"{suffix} ({name})" for suffix, name in suffixes.items())
        raise ValueError(f"{file.name}: unknown kind of model file; allowed are {known}")
    return suffixes[file.suffix]


def reference_for(base: Study, liquid: Liquid, state: State) -> tuple[Mapping[str, Any], str]:
    """Return the stored reference liquid for a state, and '' or why there is none."""
    same = base.profile.liquid.composition == liquid.composition
    for name, known in base.profile.liquid.states.items():
        if (
            same
            and known.temperature_K == state.temperature_K
            and (known.pressure_bar == state.pressure_bar)
        ):
            step = base.reference(name)
            if base.store.is_current(step):
                return base.read(step, "reference.json"), ""
            return judge.NO_REFERENCE, "it is not computed yet: run 'crosstrain study'"
    return judge.NO_REFERENCE, "the profile has none for this liquid and state"


def lines(base: Study, study: Study, model: Step, name: str) -> list[str]:
    """Return the report on a model at a state of the study, computing what is missing."""
    state = study.profile.liquid.states[name]
    reference, why = reference_for(base, study.profile.liquid, state)
    liquids = study.liquids(model, name)
    runs = study.each(
        [study.observed(run) for run in liquids], lambda step: study.read(step, "observed.json")
    )
    visited = study.each(
        [study.evaluated(model, study.relabelled(run)) for run in liquids], study.predicted
    )
    observed = list(runs.values())
    composition = " ".join(f"{m}:{n}" for m, n in study.profile.liquid.composition.items())
    said = [f"{model.name}: {composition}, {state.temperature_K:g} K, {state.pressure_bar:g} bar"]
    if note := _theory(study, model):
        said.append(f"  level of theory {note}")
    for run, seen in runs.items():
        how = f"{seen['status']} {seen['detail']}".strip()
        said.append(f"  {run}: {how} ({seen['time_ps']:g} ps, by {seen['engine']})")
    said.append(f"  {_density(observed)}")
    moved = study.each(study.diffused(model, name), lambda step: study.read(step, "diffusion.json"))
    for seen in moved.values():
        said += [f"  {line}" for line in _diffusion(seen)]
    for run, said_there in zip(runs, visited.values(), strict=True):
        said_there = judge.while_it_lived(said_there, runs[run])
        errors = _errors(study, model, said_there)
        said.append(f"  errors on {len(said_there['frames'])} own frames, {run}:")
        said += [f"    {key}: {summaries.estimate(value)}" for key, value in errors.items()]
    verdict = why or summaries.reference_verdict(reference, "density")
    said.append(f"  density of the reference / g cm⁻³: {verdict}")
    score = judge.liquid_score(observed, reference, rng=np.random.default_rng(0))
    for term, part in score.terms.items():
        delta = Estimate(part.deviation, part.deviation_error, part.n_effective)
        limits = f"{part.value:.2f} ({part.lower:.2f} to {part.upper:.2f})"
        said.append(f"  {term}: deviation {summaries.estimate(delta)}, term {limits}")
    survival = Estimate(score.survival, score.survival_error, score.n_replicas)
    said.append(f"  survival {summaries.estimate(survival)}")
    said.append(f"  {summaries.score_sentence(score)}")
    return said


def _density(observed: Sequence[Mapping[str, Any]]) -> str:
    """Density of the runs that were completed, or why there is none."""
    whole = [seen for seen in observed if seen["status"] == "completed"]
    density = judge.mean_density(whole)
    if density:
        return f"density {summaries.estimate(density)} g/cm³"
    why = whole[0]["missing"].get("density", "") if whole else "ended early"
    return f"density: not available ({why})"


def _errors(study: Study, model: Step, said: Mapping[str, Any]) -> dict[str, Estimate]:
    """Errors on frames of a run; of a model of another level of theory no absolute energy."""
    if not said["frames"]:
        return {}
    found = summaries.model_errors_with_spread(said["frames"], said)
    if _theory(study, model):
        del found[foundation.RAW_ENERGY]
    return found


def _theory(study: Study, model: Step) -> str:
    """A warning if a model is of another level of theory than the labels, or may be, else ''."""
    labels = study.profile.reference.method
    if model.kind == "given":
        return f"of the model not known, of the labels {labels}"
    if model.kind != "pretrained":
        return ""
    return foundation.theory_note(study.level_of_theory(model), labels)


def _diffusion(seen: Mapping[str, Any]) -> list[str]:
    """Self-diffusion by species, or why there is none."""
    known = [
        f"self-diffusion of {species} / 10⁻⁶ cm² s⁻¹: {summaries.diffusion(value)}"
        for species, value in seen["D_cm2_s"].items()
    ]
    lacking = [f"{name}: not available ({why})" for name, why in seen["missing"].items()]
    return known + lacking


def picture(base: Study, study: Study, model: Step) -> Path:
    """Draw density, survival and radial distribution functions of a model; return the file."""
    import matplotlib.pyplot as plt

    figures.use_style()
    pairs = study.profile.liquid.rdf.pairs
    states = {name: study.profile.liquid.states[name] for name in study.states_of(model)}
    first = study.liquids(model, next(iter(states)))[0]  # its key is of model, liquid and state
    shade = figures.colour(model.params["architecture"])
    shape = (len(states), 2 + len(pairs))
    fig, axes = plt.subplots(*shape, figsize=(4 * shape[1], 3.4 * shape[0]), squeeze=False)
    for (name, state), row in zip(states.items(), axes, strict=True):
        reference, _ = reference_for(base, study.profile.liquid, state)
        runs = study.liquids(model, name)
        observed = [study.read(study.observed(run), "observed.json") for run in runs]
        for run, seen in zip(runs, observed, strict=True):
            trajectory = study.trajectory(run)
            plots.density_trace(
                row[0],
                trajectory.thermo["time_ps"],
                summaries.densities_g_cm3(trajectory),
                seen=seen,
                colour=shade,
            )
        at = f"{state.temperature_K:g} K, {state.pressure_bar:g} bar"
        row[0].set(title=at, xlabel="time / ps", ylabel="density / g cm$^{-3}$")
        mine = {"until_ps": observed[0]["planned_ps"], "colours": {model.name: shade}}
        plots.survivals(row[1], {model.name: observed}, **mine)
        row[1].set_title(at)
        for pair, ax in zip(pairs, row[2:], strict=True):
            curve = judge.mean_rdf(observed, pair)
            if curve:
                known = curve["r_A"], curve["g"], curve["error"]
                plots.radial_distribution(ax, *known, colour=shade)
            if reference is not judge.NO_REFERENCE:
                plots.reference_rdf(ax, reference, pair)
            ax.set_title(f"{pair}, {at}")
    content = io.BytesIO()
    fig.savefig(content, format="png", metadata={"Software": None})
    plt.close(fig)
    target = paths.runs() / "own" / f"score-{model.name}-{first.key[:10]}.png"
    paths.write_atomically(target, content.getvalue())
    return target
