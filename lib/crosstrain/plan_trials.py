"""What models are put through: labelled frames, and the liquid at every state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from crosstrain.data.profiles import State
from crosstrain.plan import Plan, atoms_in, declared, label_estimate_s, machine, set_of
from crosstrain.run.store import Step


def evaluated(model: Step, frames: Step) -> Step:
    """A model's predictions on labelled frames."""
    inputs = {"model": model, "frames": frames}
    name = f"{model.name}-on-{frames.kind}-{frames.name}"
    return declared("evaluate", name, machine(model), inputs, estimate_s=20)


def tested(plan: Plan, model: Step) -> list[Step]:
    """A model's predictions on every test set."""
    return [evaluated(model, plan.block(test)) for test in plan.profile.tests]


def start(plan: Plan, state: str, replica: int) -> Step:
    """The starting box of a replica: the liquid at a state, equilibrated classically."""
    liquid = plan.profile.liquid
    params = {
        "composition": liquid.composition,
        "density_g_cm3": liquid.start_density_g_cm3,
        "temperature_K": liquid.states[state].temperature_K,
        "duration_ps": liquid.start_ps,
        "seed": 9000 + replica,
    }
    estimate_s = 1e-5 * atoms_in(liquid.composition) * 2000 * liquid.start_ps
    return declared("start", f"{state}-r{replica}", params, estimate_s=5 + estimate_s)


def liquid(plan: Plan, model: Step, state: str, replica: int) -> Step:
    """A trajectory of the scoring liquid with a model at constant pressure."""
    dynamics, at = plan.profile.dynamics, plan.profile.liquid.states[state]
    duration_ps = dynamics.duration_ps
    compared = plan.profile.foundation.models if plan.profile.foundation else {}
    if model.kind == "pretrained" and model.name in compared:
        duration_ps = compared[model.name].duration_ps
    architecture = model.params["architecture"]
    n_atoms = atoms_in(plan.profile.liquid.composition)
    step_s = plan.model_s("step", architecture, model.params.get("settings", {}), n_atoms)
    steps_per_frame = round(dynamics.save_every_fs / dynamics.timestep_fs)
    settings = {
        "ensemble": "npt",
        "temperature_K": at.temperature_K,
        "pressure_bar": at.pressure_bar,
        "timestep_fs": dynamics.timestep_fs,
        "n_steps": round(duration_ps * 1e3 / dynamics.timestep_fs),
        "save_every": steps_per_frame,
        "thermo_every": steps_per_frame,
        "seed": 100 * model.params["seed"] + replica,
    }
    return declared(
        "simulate",
        f"{model.name}-{state}-r{replica}",
        machine(model) | {"dynamics": settings},
        {"model": model, "start": start(plan, state, replica)},
        estimate_s=step_s * settings["n_steps"],
    )


def liquids(plan: Plan, model: Step, state: str) -> list[Step]:
    """All replicas of a model's liquid at a state; none where it is not run."""
    if state not in states_of(plan, model):
        return []
    replicas = plan.profile.liquid.states[state].replicas
    return [liquid(plan, model, state, replica) for replica in replicas]


def states_of(plan: Plan, model: Step) -> list[str]:
    """The states at which a model is run: those meant for its training set, or for all."""
    sets = set_of(model.name) if model.kind == "train" else None
    states = plan.profile.liquid.states
    return [
        name
        for name, at in states.items()
        if None in (sets, at.sets) or sets in map(plan.set_name, at.sets)
    ]


def diffused(plan: Plan, model: Step, state: str) -> list[Step]:
    """Self-diffusion at constant volume after a model's first replica, if it is to be had."""
    dynamics = plan.profile.dynamics
    duration_ps = plan.profile.liquid.states[state].diffusion_ps
    runs = liquids(plan, model, state)
    if duration_ps is None or not runs:
        return []
    first = runs[0]
    settings = first.params["dynamics"] | {
        "ensemble": "nvt",
        "n_steps": round(duration_ps * 1e3 / dynamics.timestep_fs),
    }
    del settings["pressure_bar"]
    window = [0.1 * duration_ps, 0.5 * duration_ps]
    params = machine(model) | {"dynamics": settings, "fit_window_ps": window}
    inputs = {"model": model, "trajectory": first, "observed": observed(plan, first)}
    estimate_s = first.estimate_s * settings["n_steps"] / first.params["dynamics"]["n_steps"]
    return [declared("diffuse", first.name, params, inputs, estimate_s)]


def relabelled(plan: Plan, run: Step) -> Step:
    """Frames of a model's own trajectory with reference labels."""
    n_frames = plan.profile.dynamics.relabelled_frames
    params = {"method": plan.profile.reference.method, "frames": n_frames}
    return declared(
        "relabel",
        run.name,
        params,
        {"trajectory": run},
        estimate_s=n_frames * label_estimate_s(atoms_in(plan.profile.liquid.composition)),
    )


def observed(plan: Plan, run: Step) -> Step:
    """Density and radial distribution functions of a trajectory."""
    params = {"rdf": plan.profile.liquid.rdf.model_dump()}
    return declared("observe", run.name, params, {"trajectory": run}, estimate_s=5)


def judged(plan: Plan, model: Step, runs: Iterable[Step]) -> list[Step]:
    """What is measured of a model on the test sets and in some runs of its liquid."""
    steps = tested(plan, model)
    for run in runs:
        steps += [observed(plan, run), evaluated(model, relabelled(plan, run))]
    return steps


def results(plan: Plan, model: Step) -> list[Step]:
    """All that is measured of a model: on the test sets, and of its liquid at every state."""
    states = states_of(plan, model)
    steps = judged(plan, model, [run for state in states for run in liquids(plan, model, state)])
    for state in states:
        steps += diffused(plan, model, state)
    return steps


def enlarged(plan: Plan) -> dict[str, tuple[list[Step], list[Step]]]:
    """Observations of a model's replicas in the profile's box and in a larger one, by model.

    Empty if the profile has no larger box.
    """
    larger = plan.profile.larger_box
    if larger is None:
        return {}
    at, dynamics = plan.profile.liquid, plan.profile.dynamics
    other = elsewhere(
        plan,
        f"{larger.state}_x{larger.times}",
        at.states[larger.state],
        composition={name: larger.times * n for name, n in at.composition.items()},
        start_density_g_cm3=at.start_density_g_cm3,
        duration_ps=dynamics.duration_ps,
        save_every_fs=dynamics.save_every_fs,
    )
    (state,) = other.profile.liquid.states
    return {
        model.name: (
            [observed(plan, run) for run in liquids(plan, model, larger.state)],
            [observed(other, run) for run in liquids(other, model, state)],
        )
        for model in plan.models(larger.sets)
        if model.params["seed"] == plan.profile.training.seeds[0]
    }


def longer(plan: Plan) -> dict[tuple[str, str], Step]:
    """The models trained longer than the budget, by architecture and set, if the profile asks.

    Raises
    ------
    ValueError
        If the profile asks for it and has no budget.
    """
    asked, training = plan.profile.longer_training, plan.profile.training
    if asked is None:
        return {}
    if training.budget is None:
        raise ValueError(f"profile {plan.profile.name!r}: longer_training needs training.budget")
    core_s = asked.times * training.budget.core_s
    return {
        (name, sets): plan.trained(
            name,
            training.architectures[name],
            sets,
            asked.seed,
            tag=f"-x{asked.times:g}",
            core_s=core_s,
        )
        for sets, chosen in asked.sets.items()
        for name in chosen
    }


def elsewhere(
    plan: Plan,
    name: str,
    state: State,
    *,
    composition: Mapping[str, int],
    start_density_g_cm3: float,
    duration_ps: float,
    save_every_fs: float,
) -> Plan:
    """The plan of another liquid at one state, with the same models."""
    of_liquid = {
        "composition": dict(composition),
        "states": {name: state},
        "start_density_g_cm3": start_density_g_cm3,
    }
    times = {"duration_ps": duration_ps, "save_every_fs": save_every_fs}
    changes = {
        "liquid": plan.profile.liquid.model_copy(update=of_liquid),
        "dynamics": plan.profile.dynamics.model_copy(update=times),
    }
    return Plan(plan.profile.model_copy(update=changes))
