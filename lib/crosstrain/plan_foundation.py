"""Models that others have trained on much more: as published, fine-tuned, beside bespoke ones."""

from __future__ import annotations

from crosstrain.plan import Plan, declared
from crosstrain.plan_trials import judged, liquid, states_of
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


def fine_tuned(plan: Plan, variant: str, sets: str) -> Step:
    """A published model trained further.

    Parameters
    ----------
    plan : Plan
    variant : str
        Of those that the profile fine-tunes.
    sets : str
        As for `crosstrain.plan.Plan.model`.

    Raises
    ------
    ValueError
        If the profile does not fine-tune it.
    crosstrain.potentials.protocol.WeightsNotFound
        If the weights, or other files that it reads, are not here.
    """
    tuning = plan.profile.foundation and plan.profile.foundation.fine_tuning
    known = tuning.variants if tuning else {}
    if variant not in known:
        allowed = ", ".join(known) or "none"
        raise ValueError(f"fine-tuned model {variant!r}; allowed are {allowed}")
    chosen, architecture = known[variant], tuning.architectures[variant]
    return plan.trained(
        architecture,
        chosen.settings,
        sets,
        tuning.seed,
        tag="" if variant == architecture else f"-{variant}",
        frame_cost_s=chosen.frame_cost_s,
    )


def foundation_models(plan: Plan) -> tuple[dict[str, Step], dict[str, str]]:
    """Return the published and fine-tuned models of the profile by name, and why others lack.

    Fine-tuned ones are named by variant, set and seed, for example ``so3lr-classical.50-s1``; of a
    variant that lacks a file the reason is given once.

    Raises
    ------
    ValueError
        If the profile has no foundation models.
    """
    foundation, found, not_run = plan.profile.foundation, {}, {}
    if foundation is None:
        raise ValueError(f"profile {plan.profile.name!r} has no section 'foundation'")
    for name in foundation.models:
        try:
            found[name] = pretrained(plan, name)
        except potentials.WeightsNotFound as error:
            not_run[name] = f"not run: {error}"
    tuning = foundation.fine_tuning
    for sets in dict.fromkeys(tuning.sizes + tuning.sets) if tuning else ():
        for variant in tuning.variants:
            try:
                found[f"{variant}-{sets}-s{tuning.seed}"] = fine_tuned(plan, variant, sets)
            except potentials.WeightsNotFound as error:
                not_run[f"{variant}, fine-tuned"] = f"not run: {error}"
    return found, not_run


def bespoke_models(plan: Plan) -> list[Step]:
    """The models trained from nothing on the sets that published ones are fine-tuned on."""
    tuning = plan.profile.foundation.fine_tuning
    return [
        plan.model(architecture, sets, tuning.seed)
        for sets in (dict.fromkeys(tuning.sizes + tuning.sets) if tuning else ())
        for architecture in plan.profile.training.architectures
    ]


def compared_runs(plan: Plan, model: Step) -> dict[str, list[Step]]:
    """The runs of its liquid that a model is compared by, at each state where it is run.

    Every replica, as in the transfer matrix: each starts from a box of its own, and what a box
    adds must be the same on both sides. Fine-tuned models are run where the profile says, others
    as `crosstrain.plan_trials.states_of` tells.
    """
    states = plan.profile.liquid.states
    is_tuned = _is_tuned(plan, model)
    names = plan.profile.foundation.fine_tuning.states if is_tuned else states_of(plan, model)
    return {
        name: [liquid(plan, model, name, replica) for replica in states[name].replicas]
        for name in names
    }


def _is_tuned(plan: Plan, model: Step) -> bool:
    tuning = plan.profile.foundation.fine_tuning
    tuned = tuning.architectures.values() if tuning else ()
    return model.kind == "train" and model.params["architecture"] in tuned


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
    steps = []
    for model in (*found.values(), *bespoke_models(plan)):
        runs = compared_runs(plan, model).values()
        steps += judged(plan, model, [run for each in runs for run in each])
    return steps
