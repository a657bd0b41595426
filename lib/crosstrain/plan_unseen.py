"""Molecules that no model was trained on: the models that are tried on them, and their liquids."""

from __future__ import annotations

from crosstrain.plan import Plan
from crosstrain.plan_trials import elsewhere, evaluated, liquid
from crosstrain.run.store import Step


def unseen_models(plan: Plan) -> list[Step]:
    """The models that are tried on molecules they have not seen."""
    unseen = plan.profile.unseen
    return [
        plan.model(architecture, sets, seed)
        for sets in (unseen.sets if unseen else ())
        for seed in unseen.seeds
        for architecture in plan.profile.training.architectures
    ]


def unseen_run(plan: Plan, model: Step, molecule: str) -> Step:
    """A trajectory of the pure liquid of a molecule with a model."""
    unseen = plan.profile.unseen
    other = elsewhere(
        plan,
        molecule,
        plan.profile.liquid.states[unseen.state],
        composition=plan.pure(molecule),
        start_density_g_cm3=unseen.densities_g_cm3[molecule],
        duration_ps=unseen.duration_ps,
        save_every_fs=unseen.save_every_fs,
    )
    return liquid(other, model, molecule, 1)


def unseen_results(plan: Plan) -> list[Step]:
    """What models are judged by on unseen molecules: runs, and forces on classical snapshots."""
    unseen, steps = plan.profile.unseen, []
    for model in unseen_models(plan):
        steps += [unseen_run(plan, model, molecule) for molecule in unseen.groups]
        steps += [evaluated(model, plan.block(name)) for name in plan.unseen_blocks()]
    return steps
