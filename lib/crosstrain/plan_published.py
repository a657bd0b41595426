"""Data that others have published: models of DFT frames, and labels of the reference method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crosstrain.data import published
from crosstrain.data.profiles import State
from crosstrain.plan import Plan, atoms_in, declared, label_estimate_s
from crosstrain.plan_trials import elsewhere, evaluated, liquid, observed
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step

DFT = "ECEMC.xyz"  # published with labels by density functional theory
DFT_LABELS = ("dft", "reference")  # as published; by the reference method
CLUSTERS = "solvent_xtb_train_200.xyz"  # published with labels by the reference method


def stand_in(plan: Plan) -> Step | None:
    """The reference method beside published DFT labels; None without this comparison."""
    every = plan.profile.reference.stand_in_every
    if every is None:
        return None
    params = {"method": plan.profile.reference.method, "first": every // 2, "every": every}
    return declared("stand_in", "dft", params, estimate_s=label_estimate_s(160) * 200 / every)


def clusters() -> Step:
    """Published gas-phase clusters with labels by the reference method."""
    return _from_file(CLUSTERS, "clusters")


def _from_file(
    file: str, name: str, *, labels: Mapping[str, Step] | None = None, **which: Any
) -> Step:
    """Frames of a published file; the hash of the file is part of their key."""
    params = {"file": file, "sha256": published.FILES[file][1], **which}
    return declared("published", name, params, dict(labels or {}), estimate_s=10)


def dft_frames(
    plan: Plan, labels: str, blocks: Sequence[int] = range(10), *, size: int | None = None
) -> Step:
    """Frames of some blocks of the published DFT set.

    Parameters
    ----------
    plan : Plan
    labels : str
        ``dft``: as published; ``reference``: by the reference method.
    blocks : sequence of int
    size : int, optional
        So many of them, spread evenly (all).
    """
    if labels not in DFT_LABELS:
        raise ValueError(f"labels {labels!r}; allowed are {', '.join(DFT_LABELS)}")
    size_of_block = published.BLOCK_FRAMES
    taken = range(0, size_of_block, plan.profile.published.every)
    numbers = [size_of_block * block + i for block in sorted(blocks) for i in taken]
    if size is not None:
        if size > len(numbers):
            raise ValueError(f"size {size}; allowed are up to {len(numbers)} frames")
        numbers = [numbers[k] for k in np.linspace(0, len(numbers) - 1, size).round().astype(int)]
    parts = {}
    if labels == "reference":
        parts = {f"labels{block}": _dft_labels(plan, block) for block in sorted(blocks)}
    name = f"{labels}-{'_'.join(map(str, sorted(blocks)))}" + (f"-{size}" if size else "")
    return _from_file(DFT, name, labels=parts, numbers=numbers)


def _dft_labels(plan: Plan, block: int) -> Step:
    """Labels of the frames of a block by the reference method."""
    frames, method = dft_frames(plan, "dft", [block]), plan.profile.reference.method
    estimate_s = len(frames.params["numbers"]) * label_estimate_s(
        atoms_in(published.DFT_COMPOSITION)
    )
    params = {**frames.params, "method": method}
    return declared("label_published", f"block{block}", params, estimate_s=estimate_s)


def dft_model(
    plan: Plan,
    architecture: str,
    labels: str,
    split: str,
    *,
    size: int | None = None,
    times: float = 1,
) -> Step:
    """A model of published frames; a whole block trains, validates or tests.

    Parameters
    ----------
    plan : Plan
    architecture : str
    labels : str
        As for `dft_frames`.
    split : str
        Of the profile.
    size : int, optional
        Training frames (all).
    times : float, optional
        As much computing time as the profile gives to each training (once).
    """
    asked, training = plan.profile.published, plan.profile.training
    blocks, compute = asked.splits[split], plan.profile.compute
    parts = {
        "training": dft_frames(plan, labels, blocks.train, size=size),
        "validation": dft_frames(plan, labels, blocks.validate_on),
    }
    # a published file begins with the energies of its atoms
    atoms = {"atoms": parts["training"] if labels == "dft" else plan.atoms()}
    module = potentials.architecture(architecture)
    chosen = potentials.settings(architecture, training.architectures[architecture])
    n_frames = len(parts["training"].params["numbers"])
    n_atoms = atoms_in(published.DFT_COMPOSITION)
    if asked.core_s and not training.budget:
        raise ValueError(f"profile {plan.profile.name!r}: core_s needs training.budget")
    if asked.core_s:
        fixed, each = training.budget.frame_cost_s[architecture]
        n_samples = round(times * asked.core_s / (fixed + each * n_atoms))
        chosen = module.sized(chosen, n_samples, n_frames)
    params = {
        "architecture": architecture,
        "architecture_version": module.VERSION,
        "settings": chosen.model_dump(),
        "seed": asked.seed,
        "device": plan.device(architecture),
        "precision": compute.precision,
    }
    estimate_s = module.samples(chosen, n_frames) * module.SECONDS_PER_ATOM[0] * n_atoms
    name = f"{architecture}-{labels}_{split}" + (f"_{size}" if size else "")
    name += "" if times == 1 else f"-x{times:g}"
    name = f"{name}-s{asked.seed}"
    is_scratch = getattr(module, "IS_LARGE", False)
    return declared("train", name, params, parts | atoms, estimate_s, is_scratch=is_scratch)


def dft_models(plan: Plan) -> dict[tuple[str, str, str, int | None], Step]:
    """All models of published frames, by architecture, labels, split and number of frames."""
    asked = plan.profile.published
    if asked is None:
        return {}
    wanted = [(labels, split, None) for labels in DFT_LABELS for split in asked.splits]
    wanted += [("dft", next(iter(asked.splits)), size) for size in asked.sizes]
    return {
        (architecture, labels, split, size): dft_model(plan, architecture, labels, split, size=size)
        for labels, split, size in wanted
        for architecture in plan.profile.training.architectures
    }


def dft_longer(plan: Plan) -> dict[str, Step]:
    """Models that were trained longer, by architecture: of DFT labels, and the liquids' split."""
    asked = plan.profile.published
    if asked is None or asked.longer_times is None:
        return {}
    return {
        architecture: dft_model(
            plan, architecture, "dft", asked.liquid_split, times=asked.longer_times
        )
        for architecture in plan.profile.training.architectures
    }


def dft_longer_runs(plan: Plan) -> dict[tuple[str, str], Step]:
    """Observed densities of the models that were trained longer, by architecture and liquid."""
    return {
        (architecture, name): dft_run(plan, model, name)
        for architecture, model in dft_longer(plan).items()
        for name in plan.profile.published.liquids
    }


def dft_run(plan: Plan, model: Step, name: str) -> Step:
    """The observed density of a liquid with a model of published frames."""
    at = plan.profile.published.liquids[name]
    state = State(temperature_K=at.temperature_K, pressure_bar=at.pressure_bar)
    other = elsewhere(
        plan,
        name,
        state,
        composition=at.composition,
        start_density_g_cm3=at.start_density_g_cm3,
        duration_ps=at.duration_ps,
        save_every_fs=at.save_every_fs,
    )
    return observed(other, liquid(other, model, name, 1))


def dft_runs(plan: Plan) -> dict[tuple[str, str, str], Step]:
    """Observed densities by architecture, labels and liquid."""
    asked = plan.profile.published
    return {
        (architecture, labels, name): dft_run(plan, model, name)
        for (architecture, labels, split, size), model in dft_models(plan).items()
        for name, about in asked.liquids.items()
        if split == asked.liquid_split and size is None and labels in about.labels
    }


def dft_results(plan: Plan) -> list[Step]:
    """All results on the published DFT set."""
    steps = [*dft_runs(plan).values(), *dft_longer_runs(plan).values()]
    for (_, labels, _, _), model in dft_models(plan).items():
        steps.append(evaluated(model, dft_frames(plan, labels)))
    for model in dft_longer(plan).values():
        steps.append(evaluated(model, dft_frames(plan, "dft")))
    return steps
