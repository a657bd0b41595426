"""The outlook of a campaign, for people: how far it is, and the hours and storage that are left."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product

import numpy as np

from crosstrain.data import costs, profiles
from crosstrain.plan import GENERATION, Plan, atoms_in
from crosstrain.potentials import protocol as potentials
from crosstrain.run import campaign
from crosstrain.run.campaign import Standing
from crosstrain.run.store import Step, upstream
from crosstrain.study import Study

ALIKE = {"build": "set", "label": "set", "explore": "simulate", "member": "train"}
"""Kinds that need about as much storage for their content as another, which is known sooner."""


def lines(study: Study, gpu_cores: float | None = None) -> list[str]:
    """Return how far the campaign is: steps, cells of the matrix, what is left.

    Parameters
    ----------
    study : Study
    gpu_cores : float, optional
        How many cores of the machine of the measurements a GPU is worth, for hours of GPUs.
    """
    shipped = Study(announce=False)
    others = [] if shipped.store.root == study.store.root else [shipped]
    elsewhere = [
        standing
        for other in others
        for standing in campaign.standings(other.campaign(), other.store)
    ]
    found = campaign.standings(study.campaign(), study.store, elsewhere)
    known = [study, *others]  # whose results tell what others cost
    return [
        *campaign.lines(found),
        *cells(study, found),
        *_costs(study, known),
        *_gpu_hours(found, gpu_cores),
        _storage(study, found, known),
        campaign.summary(found, study.profile.compute.at_once, gpu_cores),
        *_left_to_others(study, gpu_cores),
    ]


def part(study: Study, steps: Sequence[Step]) -> list[str]:
    """Return how far some steps of a study are, and what is left of them."""
    found = campaign.standings(steps, study.store)
    return [*campaign.lines(found), campaign.summary(found, study.profile.compute.at_once)]


def _left_to_others(study: Study, gpu_cores: float | None) -> list[str]:
    """What profiles that extend this one have still to compute, a line each."""
    said = []
    for name in profiles.extending(study.profile.name):
        other = Study(name, announce=False)
        found = campaign.standings(other.campaign(), other.store)
        summary = campaign.summary(found, other.profile.compute.at_once, gpu_cores)
        said.append(f"profile {name}: {summary}")
    return said


def cells(study: Study, standings: Sequence[Standing]) -> list[str]:
    """Return how the models of every row and training set stand, a line per architecture.

    Parameters
    ----------
    study : Study
    standings : sequence of Standing
        Of the campaign.
    """
    known = {standing.step.folder_name: standing for standing in standings}
    training = study.profile.training
    planned = {study.set_name(sets) for sets in training.sets}
    left = {
        study.set_name(sets): f"left to profile {name}"
        for name in profiles.extending(study.profile.name)
        for sets in profiles.load(name).training.sets
    }
    said = [f"{'cells':32s}{'':16s}seeds"]
    for row, architecture in product(
        dict.fromkeys([*study.rows(), *training.sets]), training.architectures
    ):
        stands = left.get(study.set_name(row), "not among the training sets")
        if study.set_name(row) in planned:
            seeds: dict[str, list[int]] = {}
            for seed in training.seeds:
                model = study.model(architecture, row, seed)
                needed = upstream([model, *study.results(model)])
                parts = [known[s.folder_name] for s in needed if s.folder_name in known]
                seeds.setdefault(campaign.overall(parts), []).append(seed)
            stands = "; ".join(f"{how} {', '.join(map(str, s))}" for how, s in seeds.items())
        said.append(f"{row:32s}{architecture:16s}{stands}")
    return said


def _costs(study: Study, known: Sequence[Study]) -> list[str]:
    """What labels, training and dynamics cost, and how that was measured."""
    said = []
    for other in known:
        step = other.label_cost()
        if other.store.is_current(step):
            folder = other.store.verify(step)
            rows = json.loads((folder / "label_cost.json").read_text())
            if len(rows) < 3:  # of one or two sizes nothing follows for another
                continue
            cost = costs.scaling([r["atoms"] for r in rows], [r["core_s"] for r in rows])
            said.append(f"a label by {step.params['method']}: {cost}")
            break
    for architecture, values in study.profile.training.architectures.items():
        settings = potentials.settings(architecture, values).model_dump()
        found = costs.of_model(architecture, settings, study.measured)
        said += [f"{architecture}, a {what}: {cost}" for what, cost in found.items()]
        if not found:
            said.append(
                f"{architecture}: its settings were not measured (see 'make bench'), its hours "
                "are a guess from smaller models"
            )
    return said


def _gpu_hours(found: Sequence[Standing], gpu_cores: float | None) -> list[str]:
    """The hours of steps that ask for a GPU, which no measurement here is of."""
    core_h = campaign.hours_left(found)[1]
    if not core_h:
        return []
    hours = "GPU hours: not known; say with --gpu-cores how many cores a GPU is worth"
    if gpu_cores:
        hours = f"{core_h / gpu_cores:.1f} GPU hours where a GPU is worth {gpu_cores:g} cores"
    return [f"{core_h:.1f} of the core hours left are of steps for a GPU; {hours}"]


def _storage(study: Study, found: Sequence[Standing], known: Sequence[Study]) -> str:
    """The storage of all results, from those that are stored here and shipped."""
    sizes: dict[str, list[float]] = {}
    for other in known:
        for step in upstream(other.campaign()):
            if record := other.store.provenance(step):
                n_bytes = sum(file["bytes"] for file in record["files"].values())
                sizes.setdefault(step.kind, []).append(n_bytes / content(other, step))
    total, unknown = 0.0, set()
    for step in (at.step for at in found):
        size = costs.model_bytes(
            step.params.get("architecture", ""), step.params.get("settings", {}), study.measured
        )
        alike = sizes.get(step.kind) or sizes.get(ALIKE.get(step.kind, ""))
        if step.kind in ("train", "member") and size:
            total += size
        elif alike:
            total += content(study, step) * float(np.mean(alike))
        else:
            unknown.add(step.kind)
    rest = (
        f"; kinds that were never stored not counted: {', '.join(sorted(unknown))}"
        if unknown
        else ""
    )
    return f"storage of all results: {total / 1e9:.2f} GB{rest}"


def content(plan: Plan, step: Step) -> float:
    """Return what the size of a result goes by: atoms times frames, where it holds frames."""
    n_atoms = atoms_in(plan.profile.liquid.composition)
    if step.kind in ("simulate", "explore"):
        dynamics = step.params["dynamics"]
        if step.kind == "explore":
            n_atoms = atoms_in(dict(step.params["start"]["composition"]))
        return n_atoms * dynamics["n_steps"] / dynamics["save_every"]
    if step.kind == "relabel":
        return n_atoms * step.params["frames"]
    if step.kind == "set":
        block = plan.recipe(step.name)
        return block.frames * plan.atoms_per_frame(block)
    if step.kind in ("build", "label"):
        return _frames_of(plan, step)
    return 1.0


def _frames_of(plan: Plan, step: Step) -> float:
    """Atoms times frames of a part of a block."""
    source = step.inputs.get("frames", step)
    name, separator, _ = step.name.rpartition("-" if source.kind == "build" else GENERATION)
    block = plan.recipe(name if separator else step.name)
    first, last = source.params.get("numbers", (0, source.params.get("frames", 0)))
    return (last - first) * plan.atoms_per_frame(block)
