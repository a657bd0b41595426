"""Models that others have trained on much more: as published, fine-tuned, beside bespoke ones."""

from __future__ import annotations

from crosstrain.plan import Plan, declared
from crosstrain.plan_trials import (
    evaluated,
    liquid,
    liquids,
    observed,
    relabelled,
    states_of,
    tested,
)
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step


def pretrained(plan: Plan, name: str) -> Step:
    """A published model, by name; the hash of its weights is part of its key.

    Raises
    ------
    ValueError
        If there is none of that name.
    crosstrain.potentials.protocol.WeightsNotFound
        If its weights are not here.
    """
    model = potentials.published(name)
    params = {
        "architecture": potentials.pretrained()[name],
        "name": name,
        "sha256": potentials.checked_weights(model)[1],
        "device": plan.profile.compute.device,
        "precision": plan.profile.compute.precision,
        "seed": 0,
    }
    return declared("pretrained", name, params)


def fine_tuned(plan: Plan, architecture: str, sets: str) -> Step:
    """A published model trained further; the hash of the weights it starts from is in its key.

    Parameters
    ----------
    plan : Plan
    architecture : str
        Of those that the profile fine-tunes.
    sets : str
        As for `crosstrain.plan.Plan.model`.

    Raises
    ------
    ValueError
        If the profile does not fine-tune it.
    crosstrain.potentials.protocol.WeightsNotFound
        If the weights are not here.
    """
    tuning = plan.profile.foundation and plan.profile.foundation.fine_tuning
    known = tuning.architectures if tuning else {}
    if architecture not in known:
        allowed = ", ".join(known) or "none"
        raise ValueError(f"fine-tuned architecture {architecture!r}; allowed are {allowed}")
    chosen = known[architecture]
    base = potentials.settings(architecture, chosen.settings).base
    _, sha256 = potentials.checked_weights(potentials.published(base))
    return plan.trained(
        architecture,
        chosen.settings | {"base_sha256": sha256},
        sets,
        tuning.seed,
        frame_cost_s=chosen.frame_cost_s,
    )


def foundation_models(plan: Plan) -> tuple[dict[str, Step], dict[str, str]]:
    """Return the published and fine-tuned models of the profile by name, and why others lack.

    Fine-tuned ones are named as their steps are, for example ``so3lr-classical.50-s1``.

    Raises
    ------
    ValueError
        If the profile has no foundation models.
    """
    foundation, found, not_run = plan.profile.foundation, {}, {}
    if foundation is None:
        raise ValueError(f"profile {plan.profile.name!r} has no section 'foundation'")
    wanted = {name: (pretrained, (plan, name)) for name in foundation.models}
    if tuning := foundation.fine_tuning:
        wanted |= {
            f"{architecture}-{sets}-s{tuning.seed}": (fine_tuned, (plan, architecture, sets))
            for sets in dict.fromkeys(tuning.sizes + tuning.sets)
            for architecture in tuning.architectures
        }
    for name, (make, arguments) in wanted.items():
        try:
            found[name] = make(*arguments)
        except potentials.WeightsNotFound as error:
            not_run[name] = f"not run: {error}"
    return found, not_run


def bespoke_models(plan: Plan) -> list[Step]:
    """The models trained from nothing on the sets that published ones are fine-tuned on."""
    tuning = plan.profile.foundation.fine_tuning
    return [
        plan.model(architecture, sets, tuning.seed)
        for sets in (dict.fromkeys(tuning.sizes + tuning.sets) if tuning else ())
        for architecture in plan.profile.training.architectures
    ]


def single_runs(plan: Plan, model: Step) -> dict[str, Step]:
    """The first replica of a model's liquid at each state where it is run.

    Published models are run at every state, fine-tuned ones where the profile says.
    """
    tuning, states = plan.profile.foundation.fine_tuning, plan.profile.liquid.states
    is_tuned = tuning and model.params["architecture"] in tuning.architectures
    names = tuning.states if is_tuned and model.kind == "train" else states_of(plan, model)
    return {name: liquid(plan, model, name, states[name].replicas[0]) for name in names}


def level_of_theory(plan: Plan, model: Step) -> str:
    """The level of theory of the labels that a model was trained on."""
    if model.kind == "pretrained":
        return potentials.published(model.name).level_of_theory
    return plan.profile.reference.method


def compared(plan: Plan) -> list[Step]:
    """What foundation models are judged by, as they are and fine-tuned, beside bespoke ones."""
    if plan.profile.foundation is None:
        return []
    found, _ = foundation_models(plan)
    judged = {model: list(single_runs(plan, model).values()) for model in found.values()}
    # every replica, as in the transfer matrix, beside which the size scan stands
    judged |= {
        model: [run for state in states_of(plan, model) for run in liquids(plan, model, state)]
        for model in bespoke_models(plan)
    }
    steps = []
    for model, runs in judged.items():
        steps += tested(plan, model)
        for run in runs:
            steps += [observed(plan, run), evaluated(model, relabelled(plan, run))]
    return steps
