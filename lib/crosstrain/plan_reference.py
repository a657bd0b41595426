"""The liquid of the reference method: which runs of which models it is had from."""

from __future__ import annotations

from crosstrain.plan import Plan, declared
from crosstrain.plan_foundation import compared_runs, foundation_models
from crosstrain.plan_trials import evaluated, liquid, liquids, observed, relabelled
from crosstrain.run.store import Step


def reference(plan: Plan, state: str) -> Step:
    """The reference method's own liquid at a state, from relabelled runs of models.

    Raises
    ------
    ValueError
        If the profile names a model for it that it does not have.
    """
    samplers, inputs = {}, {}
    for run in _sampling(plan, state):
        model, own = run.inputs["model"], relabelled(plan, run)
        samplers[run.name] = model.name
        inputs |= {
            f"{run.name}.observed": observed(plan, run),
            f"{run.name}.frames": own,
            f"{run.name}.energies": evaluated(model, own),
        }
    params = {
        "samplers": samplers,
        "temperature_K": plan.profile.liquid.states[state].temperature_K,
        "rdf": plan.profile.liquid.rdf.model_dump(),
    }
    return declared("reference", state, params, inputs)


def _sampling(plan: Plan, state: str) -> list[Step]:
    """The runs of the models named for it; else of every model of the matrix."""
    named = plan.profile.liquid.states[state].reference_models
    if named is None:
        sets = plan.profile.liquid.reference_sets or plan.profile.training.sets
        return [run for model in plan.models(sets) for run in liquids(plan, model, state)]
    known, lacking = foundation_models(plan)
    here = {name: model for name, model in known.items() if state in compared_runs(plan, model)}
    for name in named:
        if name not in here:
            allowed = "; ".join([", ".join(here), *(f"{n}: {why}" for n, why in lacking.items())])
            raise ValueError(
                f"liquid.states.{state}.reference_models: {name!r}; allowed are {allowed}"
            )
    return [
        liquid(plan, here[name], state, n) for name, replicas in named.items() for n in replicas
    ]
