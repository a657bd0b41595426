"""The study: which steps there are and how they hang together. The only place that knows.

`Study` declares every step of a profile (a block's labels, a model, a liquid, ...) without
computing anything. `Study.get` returns a step's folder, computing what is missing first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from matplotlib.figure import Figure

from crosstrain import paths
from crosstrain.build.molecules import rdkit_molecule
from crosstrain.data import costs, figures, profiles, published, summaries
from crosstrain.data import frames as fr
from crosstrain.data.profiles import Block, Candidate, Profile, State
from crosstrain.potentials import protocol as potentials
from crosstrain.run import campaign
from crosstrain.run.store import Step, Store, upstream
from crosstrain.simulate import selection
from crosstrain.simulate.trajectory import Trajectory, read_trajectory
from crosstrain.steps import FRAMES, KINDS

T = TypeVar("T")
ELEMENTS = ["C", "H", "O"]
DFT = "ECEMC.xyz"  # published with labels by density functional theory
DFT_LABELS = ("dft", "reference")  # as published; by the reference method
CLUSTERS = "solvent_xtb_train_200.xyz"  # published with labels by the reference method
GENERATION = "_g"  # dp_iterated_g2: the first two generations of dp_iterated
LABELLED = ("set", "relabel", "published")
PACKAGES = ("crosstrain", "ase", "deepmd-kit", "mace-torch", "tblite", "rdkit", "numpy", "torch")


def store_of(profile: Profile) -> Store:
    """Return the store that a profile keeps its results in."""
    root = Path(profile.store)
    if not root.is_absolute():
        if not root.parts or ".." in root.parts:
            raise ValueError(
                f"store {profile.store!r} leads out of the project; name a folder in it"
            )
        first, *rest = root.parts
        # runs/ may be moved elsewhere (CROSSTRAIN_RUNS), data/ is part of the checkout
        root = paths.runs().joinpath(*rest) if first == "runs" else paths.root() / root
    return Store(root, paths.runs() / "scratch" / profile.name)


def labelled_set(
    set_name: str,
    *,
    kind: str,
    compositions: Sequence[Mapping[str, int]],
    density_g_cm3: tuple[float, float],
    temperature_K: tuple[float, float],
    frames: int,
    seed: int,
    profile: str | Profile = "laptop",
    **options: Any,
) -> Study:
    """Build and label a set of one's own liquid, in parallel, resumable; a second call loads it.

    Parameters
    ----------
    set_name : str
    kind : str
        ``classical``, ``packed`` or ``molecules`` (which leaves the density unused).
    compositions : sequence of mapping
        Molecules of each box, by a name of `crosstrain.build.molecules.NAMED` or by SMILES.
    density_g_cm3, temperature_K : tuple of float
        Low and high end.
    frames, seed : int
    profile : str or Profile
        Whose reference method and workers are used.
    **options
        Further options of the kind, see `crosstrain.build.sets`.

    Returns
    -------
    Study
        With this one set, kept below ``runs/own``: see `Study.frames` and `Study.block`.

    Raises
    ------
    ValueError
        If a molecule is not known or supported, or a number is out of range.
    """
    for name, (low, high) in (("density_g_cm3", density_g_cm3), ("temperature_K", temperature_K)):
        if not 0 < low <= high < np.inf:
            raise ValueError(f"{name} {low:g} to {high:g}; allowed are values above 0, rising")
    if frames < 1:
        raise ValueError(f"frames {frames}; allowed are 1 or more")
    options |= {"temperature_K": temperature_K, "density_g_cm3": density_g_cm3}
    options["compositions"] = [dict(composition) for composition in compositions]
    if kind in ("packed", "molecules"):
        options["molecules"] = sorted({name for box in compositions for name in box})
        options.setdefault("conformers", 20)
    if kind == "molecules":
        del options["temperature_K"], options["density_g_cm3"], options["compositions"]
    base = profiles.load(profile) if isinstance(profile, str) else profile
    block = Block(kind=kind, frames=frames, seed=seed, options=options)
    changes = {"store": "runs/own/data", "blocks": {set_name: block}, "tests": {}}
    study = Study(base.model_copy(update=changes))
    study.get(study.block(set_name))
    return study


class Study:
    """All steps of a profile, and access to their results.

    Parameters
    ----------
    profile : str or Profile
        Name of a profile, path of a profile file, or a profile.
    notebook : str
        Name of the notebook that uses it, for its figures.
    announce : bool
        Whether to print what is loaded.
    """

    def __init__(
        self,
        profile: str | Profile = "laptop",
        *,
        notebook: str = "interactive",
        announce: bool = True,
    ) -> None:
        self.profile = profiles.load(profile) if isinstance(profile, str) else profile
        self.store = store_of(self.profile)
        self.used: dict[str, str] = {}
        self._blocks: dict[str, Step] = {}
        self._measured = costs.measured()
        self._announce = announce
        self._notebook = notebook

    # --- what there is ------------------------------------------------------------------------

    def _step(
        self,
        kind: str,
        name: str,
        params: dict[str, Any],
        inputs: dict[str, Step] | None = None,
        estimate_s: float = 1.0,
    ) -> Step:
        # through JSON, so that a step is the same whether its profile gave lists or tuples
        params = json.loads(json.dumps(params))
        return Step(kind, name, params, inputs or {}, KINDS[kind].version, estimate_s)

    def atoms(self) -> Step:
        """Isolated atoms of the elements by the reference method."""
        params = {"method": self.profile.reference.method, "elements": ELEMENTS}
        return self._step("atoms", "isolated", params, estimate_s=5)

    def label_cost(self) -> Step:
        """What a label costs, for boxes of growing size."""
        params = {
            "method": self.profile.reference.method,
            "composition": {"EC": 1, "EMC": 1},
            "multiples": self.profile.reference.cost_multiples,
            "density_g_cm3": 1.0,
            "seed": 1,
        }
        estimate_s = sum(_label_s(25 * times) for times in self.profile.reference.cost_multiples)
        return self._step("label_cost", "boxes", params, estimate_s=5 + estimate_s)

    def stand_in(self) -> Step | None:
        """The reference method beside published DFT labels; None without this comparison."""
        every = self.profile.reference.stand_in_every
        if every is None:
            return None
        params = {"method": self.profile.reference.method, "first": every // 2, "every": every}
        return self._step("stand_in", "dft", params, estimate_s=_label_s(160) * 200 / every)

    def block(self, name: str) -> Step:
        """A labelled block or test set, by name.

        Raises
        ------
        ValueError
            If the profile has none of that name.
        """
        if name not in self._blocks:  # a generation needs all before it, again and again
            is_iterated = self._is_iterated(name)
            self._blocks[name] = self._iterated(name) if is_iterated else self._built(name)
        return self._blocks[name]

    def _built(self, name: str) -> Step:
        block, size = self.recipe(name), self.profile.reference.frames_per_piece
        for molecule in block.options.get("molecules", ()):
            _size(molecule)  # refuses what is no molecule before anything is computed
        method = {"method": self.profile.reference.method}
        parts = {}
        for start in range(0, block.frames, size):
            numbers = [start, min(start + size, block.frames)]
            part = f"{start // size:03d}"
            frames = self._frames(f"{name}-{part}", block, numbers)
            label_s = _label_s(self._atoms_per_frame(block)) * (numbers[1] - numbers[0])
            parts[f"part{part}"] = self._step(
                "label", frames.name, method, {"frames": frames}, estimate_s=label_s
            )
        about = {"kind": block.kind, "frames": block.frames, "seed": block.seed} | method
        return self._step("set", name, about, parts)

    def recipe(self, name: str) -> Block:
        """Return how a block is built; of an iterated one, its size."""
        if self._is_iterated(name):
            iteration, last = self.profile.iteration, name.partition(GENERATION)[2]
            n_frames = iteration.frames * int(last or iteration.generations)
            options = {"compositions": iteration.compositions}
            return Block(
                kind="iterated", frames=n_frames, seed=0, options=options, purpose=iteration.purpose
            )
        known = self.profile.blocks | self.profile.tests | self.unseen_blocks()
        if name not in known:
            raise ValueError(f"set {name!r}; the profile has {', '.join(known)}")
        return known[name]

    # --- iteration ----------------------------------------------------------------------------

    def _is_iterated(self, name: str) -> bool:
        iteration = self.profile.iteration
        block, separator, last = name.partition(GENERATION)
        if iteration is None or block not in iteration.blocks:
            return False
        allowed = [str(g) for g in range(1, iteration.generations + 1)]
        if separator and last not in allowed:
            names = ", ".join(f"{block}{GENERATION}{g}" for g in allowed)
            raise ValueError(f"set {name!r}; allowed are {block}, {names}")
        return True

    def _iterated(self, name: str) -> Step:
        """The frames of an iterated block, or of its first generations (``dp_iterated_g2``)."""
        iteration, (block, _, last) = self.profile.iteration, name.partition(GENERATION)
        generations = range(1, 1 + (int(last) if last else iteration.generations))
        method = {"method": self.profile.reference.method}
        parts = {
            f"part{g:03d}": self._step(
                "label",
                f"{block}_g{g}",
                method,
                {"frames": self.generation(block, g)},
                estimate_s=iteration.frames * _label_s(80),
            )
            for g in generations
        }
        about = {"kind": "iterated", "frames": iteration.frames * len(parts), "seed": 0} | method
        return self._step("set", name, about, parts)

    def committee(self, block: str, generation: int) -> list[Step]:
        """The models that explore for a generation: trained on all generations before it."""
        iteration = self.profile.iteration
        architecture = iteration.blocks[block]
        if generation == 1:
            return [self.model(architecture, iteration.start, seed) for seed in iteration.seeds]
        sets = f"{iteration.start}+{block}{GENERATION}{generation - 1}"
        settings = self.profile.training.architectures[architecture]
        return [
            self._trained(architecture, settings, sets, seed, core_s=iteration.core_s)
            for seed in iteration.seeds
        ]

    def explored(self, block: str, generation: int) -> list[Step]:
        """The runs in which a committee looks for frames that it does not know."""
        iteration = self.profile.iteration
        members = self.committee(block, generation)
        plan = selection.exploration_plan(
            iteration.runs * iteration.generations,
            compositions=iteration.compositions,
            temperature_K=iteration.temperature_K,
            density_g_cm3=iteration.density_g_cm3,
            seed=list(iteration.blocks).index(block),
        )
        every = round(iteration.save_every_fs / iteration.timestep_fs)
        first = (generation - 1) * iteration.runs
        steps = []
        for run, start in enumerate(plan[first : first + iteration.runs]):
            settings = {
                "ensemble": "nvt",
                "temperature_K": start.temperature_K,
                "timestep_fs": iteration.timestep_fs,
                "n_steps": round(iteration.duration_ps * 1e3 / iteration.timestep_fs),
                "save_every": every,
                "thermo_every": every,
                "seed": 1000 * generation + run,
            }
            params = _machine(members[0]) | {
                "name": f"{block}_g{generation}_r{run}",
                "start": start._asdict() | {"seed": 1000 * generation + run},
                "dynamics": settings,
            }
            inputs = {f"member{i}": model for i, model in enumerate(members)}
            seconds = 2e-4 * _n_atoms(dict(start.composition)) * settings["n_steps"]
            steps.append(self._step("explore", params["name"], params, inputs, seconds + 60))
        return steps

    def generation(self, block: str, generation: int) -> Step:
        """The frames chosen by a committee, and what became of all candidates."""
        iteration, members = self.profile.iteration, self.committee(block, generation)
        known = {"known000": self.block(iteration.start)}
        if generation > 1:
            known["known001"] = self.block(f"{block}{GENERATION}{generation - 1}")
        inputs = {f"run{i:03d}": step for i, step in enumerate(self.explored(block, generation))}
        inputs |= known | {f"member{i}": model for i, model in enumerate(members)}
        params = _machine(members[0]) | {
            "frames": iteration.frames,
            "allow_broken": iteration.allow_broken,
        }
        return self._step("select", f"{block}_g{generation}", params, inputs, estimate_s=60)

    def _frames(self, name: str, block: Block, numbers: list[int]) -> Step:
        options = dict(block.options)
        inputs = {"source": self.block(options.pop("source"))} if "source" in options else {}
        params = {"kind": block.kind, "seed": block.seed, "options": options, "numbers": numbers}
        params["method"] = self.profile.reference.method
        return self._step("build", name, params, inputs, estimate_s=20 + numbers[1] - numbers[0])

    def _atoms_per_frame(self, block: Block) -> float:
        if "source" in block.options:
            return self._atoms_per_frame(self.recipe(block.options["source"]))
        if "atoms_per_frame" in block.options:  # frames of one's own
            return block.options["atoms_per_frame"]
        each = block.options.get("compositions") or [{m: 1} for m in block.options["molecules"]]
        return sum(map(_n_atoms, each)) / len(each)

    def model(self, architecture: str, sets: str, seed: int) -> Step:
        """A trained model.

        Parameters
        ----------
        architecture : str
        sets : str
            Blocks joined by +, for example ``classical+scan``, or their short name in the profile;
            a number after a block takes its first frames only, for example ``classical.50``.
        seed : int
        """
        known = self.profile.training.architectures
        if architecture not in known:
            raise ValueError(f"architecture {architecture!r}; the profile has {', '.join(known)}")
        return self._trained(architecture, known[architecture], sets, seed)

    def _trained(
        self,
        architecture: str,
        settings: Mapping[str, Any],
        sets: str,
        seed: int,
        *,
        tag: str = "",
        core_s: float | None = None,
        frame_cost_s: tuple[float, float] | None = None,
    ) -> Step:
        training, compute = self.profile.training, self.profile.compute
        module = potentials.architecture(architecture)
        chosen = potentials.settings(architecture, settings)
        parts = self.blocks_of(sets)
        sizes = {name: int(size) if size else None for name, size in map(_part, parts)}
        if len(sizes) < len(parts):
            raise ValueError(f"sets {sets!r}: a block is there twice")
        if core_s and not training.budget:
            raise ValueError(f"profile {self.profile.name!r}: core_s needs training.budget")
        counts = {name: size or self.recipe(name).frames for name, size in sizes.items()}
        for name, count in counts.items():
            if count > self.recipe(name).frames:
                raise ValueError(f"sets {sets!r}: {name} has {self.recipe(name).frames} frames")
        n_frames = sum(counts.values())
        n_atoms = sum(n * self._atoms_per_frame(self.recipe(b)) for b, n in counts.items())
        n_samples = None
        if training.budget:
            known_s = training.budget.frame_cost_s
            if frame_cost_s is None and architecture not in known_s:
                raise ValueError(
                    f"training.budget.frame_cost_s has no {architecture!r}; it has "
                    f"{', '.join(known_s)}"
                )
            fixed, each = frame_cost_s or known_s[architecture]
            n_samples = round(
                (core_s or training.budget.core_s) / (fixed + each * n_atoms / n_frames)
            )
            n_training = sum(n - n // training.validate_every for n in counts.values())
            chosen = module.sized(chosen, n_samples, n_training)
        params = {
            "architecture": architecture,
            "architecture_version": module.VERSION,
            "settings": chosen.model_dump(),
            "seed": seed,
            "validate_every": training.validate_every,
            "device": compute.device,
            "precision": compute.precision,
        }
        if n_samples and any(map(self._is_iterated, sizes)):
            params["samples"] = n_samples  # how many frames will be chosen is not known yet
        if any(sizes.values()):
            params["first_frames"] = {name: size for name, size in sizes.items() if size}
        seconds = self._model_s("frame", architecture, chosen.model_dump(), n_atoms / n_frames)
        return self._step(
            "train",
            f"{architecture}-{self.set_name(sets)}{tag}-s{seed}",
            params,
            {name: self.block(name) for name in sizes} | {"atoms": self.atoms()},
            estimate_s=module.samples(chosen, n_frames) * seconds,
        )

    def blocks_of(self, sets: str) -> list[str]:
        """Return the blocks of a training set; a short name of the profile stands for several."""
        short = self.profile.training.names
        return [block for part in sets.split("+") for block in short.get(part, part).split("+")]

    def set_name(self, sets: str) -> str:
        """Return how a training set is called: by its short name, if the profile has one."""
        blocks = set(self.blocks_of(sets))
        short = self.profile.training.names
        return next((name for name in short if set(self.blocks_of(name)) == blocks), sets)

    def rows(self) -> list[str]:
        """The rows of the transfer matrix: training sets, whether the profile trains them or not.

        A row may name blocks that the profile does not have yet; see `can_train`.
        """
        return self.profile.training.rows or self.profile.training.sets

    def can_train(self, sets: str) -> bool:
        """Whether the profile has all blocks of a training set."""
        names = [_part(block)[0] for block in self.blocks_of(sets)]
        return all(self._is_iterated(name) or name in self.profile.blocks for name in names)

    def given_model(self, name: str, file: Path, architecture: str, digest: str) -> Step:
        """A model file under a name; `digest` is its SHA-256."""
        params = {
            "architecture": architecture,
            "device": self.profile.compute.device,
            "precision": self.profile.compute.precision,
            "file": str(file),
            "sha256": digest,
            "seed": 0,
        }
        return self._step("given", re.sub(r"[^A-Za-z0-9._+-]", "_", name), params)

    def pretrained(self, name: str) -> Step:
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
            "device": self.profile.compute.device,
            "precision": self.profile.compute.precision,
            "seed": 0,
        }
        return self._step("pretrained", name, params)

    def fine_tuned(self, architecture: str, sets: str) -> Step:
        """A published model trained further; the hash of the weights it starts from is in its key.

        Parameters
        ----------
        architecture : str
            Of those that the profile fine-tunes.
        sets : str
            As for `model`.

        Raises
        ------
        ValueError
            If the profile does not fine-tune it.
        crosstrain.potentials.protocol.WeightsNotFound
            If the weights are not here.
        """
        tuning = self.profile.foundation and self.profile.foundation.fine_tuning
        known = tuning.architectures if tuning else {}
        if architecture not in known:
            allowed = ", ".join(known) or "none"
            raise ValueError(f"fine-tuned architecture {architecture!r}; allowed are {allowed}")
        chosen = known[architecture]
        base = potentials.settings(architecture, chosen.settings).base
        _, sha256 = potentials.checked_weights(potentials.published(base))
        return self._trained(
            architecture,
            chosen.settings | {"base_sha256": sha256},
            sets,
            tuning.seed,
            frame_cost_s=chosen.frame_cost_s,
        )

    def foundation_models(self) -> tuple[dict[str, Step], dict[str, str]]:
        """Return the published and fine-tuned models of the profile by name, and why others lack.

        Fine-tuned ones are named as their steps are, for example ``so3lr-classical.50-s1``.

        Raises
        ------
        ValueError
            If the profile has no foundation models.
        """
        foundation, found, not_run = self.profile.foundation, {}, {}
        if foundation is None:
            raise ValueError(f"profile {self.profile.name!r} has no section 'foundation'")
        wanted = {name: (self.pretrained, (name,)) for name in foundation.models}
        if tuning := foundation.fine_tuning:
            wanted |= {
                f"{architecture}-{sets}-s{tuning.seed}": (self.fine_tuned, (architecture, sets))
                for sets in dict.fromkeys(tuning.sizes + tuning.sets)
                for architecture in tuning.architectures
            }
        for name, (make, arguments) in wanted.items():
            try:
                found[name] = make(*arguments)
            except potentials.WeightsNotFound as error:
                not_run[name] = f"not run: {error}"
        return found, not_run

    def bespoke_models(self) -> list[Step]:
        """The models trained from nothing on the sets that published ones are fine-tuned on."""
        tuning = self.profile.foundation.fine_tuning
        return [
            self.model(architecture, sets, tuning.seed)
            for sets in (dict.fromkeys(tuning.sizes + tuning.sets) if tuning else ())
            for architecture in self.profile.training.architectures
        ]

    def single_runs(self, model: Step) -> dict[str, Step]:
        """The first replica of a model's liquid at each state where it is run.

        Published models are run at every state, fine-tuned ones where the profile says.
        """
        tuning, states = self.profile.foundation.fine_tuning, self.profile.liquid.states
        is_tuned = tuning and model.params["architecture"] in tuning.architectures
        names = tuning.states if is_tuned and model.kind == "train" else self.states_of(model)
        return {name: self.liquid(model, name, states[name].replicas[0]) for name in names}

    def level_of_theory(self, model: Step) -> str:
        """The level of theory of the labels that a model was trained on."""
        if model.kind == "pretrained":
            return potentials.published(model.name).level_of_theory
        return self.profile.reference.method

    # --- unseen molecules ---------------------------------------------------------------------

    def unseen_blocks(self) -> dict[str, Block]:
        """How the classical snapshots of each pure liquid are made, by name (``unseen_DMC``)."""
        unseen = self.profile.unseen
        if unseen is None:
            return {}
        temperature_K = self.profile.liquid.states[unseen.state].temperature_K
        purpose = "The pure liquid at its starting density: never trained on, group {!r}."
        return {
            f"unseen_{molecule}": Block(
                kind="classical",
                frames=unseen.frames,
                seed=unseen.seed,
                purpose=purpose.format(unseen.groups[molecule]),
                options={
                    "compositions": [self._pure(molecule)],
                    "temperature_K": [temperature_K, temperature_K],
                    "density_g_cm3": [density, density],
                },
            )
            for molecule, density in unseen.densities_g_cm3.items()
        }

    def _pure(self, molecule: str) -> dict[str, int]:
        return {molecule: max(1, round(self.profile.unseen.atoms / _size(molecule)))}

    def unseen_models(self) -> list[Step]:
        """The models that are tried on molecules they have not seen."""
        unseen = self.profile.unseen
        return [
            self.model(architecture, sets, seed)
            for sets in (unseen.sets if unseen else ())
            for seed in unseen.seeds
            for architecture in self.profile.training.architectures
        ]

    def unseen_run(self, model: Step, molecule: str) -> Step:
        """A trajectory of the pure liquid of a molecule with a model."""
        unseen = self.profile.unseen
        return self._elsewhere(
            molecule,
            self.profile.liquid.states[unseen.state],
            composition=self._pure(molecule),
            start_density_g_cm3=unseen.densities_g_cm3[molecule],
            duration_ps=unseen.duration_ps,
            save_every_fs=unseen.save_every_fs,
        ).liquid(model, molecule, 1)

    def _elsewhere(
        self,
        name: str,
        state: State,
        *,
        composition: Mapping[str, int],
        start_density_g_cm3: float,
        duration_ps: float,
        save_every_fs: float,
    ) -> Study:
        """The study of another liquid at one state, in the same store."""
        of_liquid = {
            "composition": dict(composition),
            "states": {name: state},
            "start_density_g_cm3": start_density_g_cm3,
        }
        times = {"duration_ps": duration_ps, "save_every_fs": save_every_fs}
        changes = {
            "liquid": self.profile.liquid.model_copy(update=of_liquid),
            "dynamics": self.profile.dynamics.model_copy(update=times),
        }
        return Study(self.profile.model_copy(update=changes))

    def clusters(self) -> Step:
        """Published gas-phase clusters with labels by the reference method."""
        return self._published(CLUSTERS, "clusters")

    def _published(
        self, file: str, name: str, *, labels: Mapping[str, Step] | None = None, **which: Any
    ) -> Step:
        """Frames of a published file; the hash of the file is part of their key."""
        params = {"file": file, "sha256": published.FILES[file][1], **which}
        return self._step("published", name, params, dict(labels or {}), estimate_s=10)

    def generalised(self) -> list[Step]:
        """What models are judged by on unseen molecules: runs, forces, published clusters."""
        unseen, steps = self.profile.unseen, []
        for model in self.unseen_models():
            steps += [self.unseen_run(model, molecule) for molecule in unseen.groups]
            steps += [self.evaluated(model, self.block(name)) for name in self.unseen_blocks()]
            steps += self._possible(self.evaluated(model, self.clusters()), CLUSTERS)
        return steps

    # --- published DFT data -------------------------------------------------------------------

    def dft_frames(
        self, labels: str, blocks: Sequence[int] = range(10), *, size: int | None = None
    ) -> Step:
        """Frames of some blocks of the published DFT set.

        Parameters
        ----------
        labels : str
            ``dft``: as published; ``reference``: by the reference method.
        blocks : sequence of int
        size : int, optional
            So many of them, spread evenly (all).
        """
        size_of_block = published.BLOCK_FRAMES
        taken = range(0, size_of_block, self.profile.published.every)
        numbers = [size_of_block * block + i for block in sorted(blocks) for i in taken]
        if size is not None:
            if size > len(numbers):
                raise ValueError(f"size {size}; allowed are up to {len(numbers)} frames")
            numbers = [
                numbers[k] for k in np.linspace(0, len(numbers) - 1, size).round().astype(int)
            ]
        parts = {}
        if labels == "reference":
            parts = {f"labels{block}": self._dft_labels(block) for block in sorted(blocks)}
        name = f"{labels}-{'_'.join(map(str, sorted(blocks)))}" + (f"-{size}" if size else "")
        return self._published(DFT, name, labels=parts, numbers=numbers)

    def _dft_labels(self, block: int) -> Step:
        """Labels of the frames of a block by the reference method."""
        frames, method = self.dft_frames("dft", [block]), self.profile.reference.method
        estimate_s = len(frames.params["numbers"]) * _label_s(_n_atoms(published.DFT_COMPOSITION))
        params = {**frames.params, "method": method}
        return self._step("label_published", f"block{block}", params, estimate_s=estimate_s)

    def dft_model(
        self, architecture: str, labels: str, split: str, *, size: int | None = None
    ) -> Step:
        """A model of published frames; a whole block trains, validates or tests.

        Parameters
        ----------
        architecture : str
        labels : str
            As for `dft_frames`.
        split : str
            Of the profile.
        size : int, optional
            Training frames (all).
        """
        asked, training = self.profile.published, self.profile.training
        blocks, compute = asked.splits[split], self.profile.compute
        parts = {
            "training": self.dft_frames(labels, blocks.train, size=size),
            "validation": self.dft_frames(labels, blocks.validate_on),
        }
        # a published file begins with the energies of its atoms
        atoms = {"atoms": parts["training"] if labels == "dft" else self.atoms()}
        module = potentials.architecture(architecture)
        chosen = potentials.settings(architecture, training.architectures[architecture])
        n_frames = len(parts["training"].params["numbers"])
        n_atoms = _n_atoms(published.DFT_COMPOSITION)
        if asked.core_s and not training.budget:
            raise ValueError(f"profile {self.profile.name!r}: core_s needs training.budget")
        if asked.core_s:
            fixed, each = training.budget.frame_cost_s[architecture]
            chosen = module.sized(chosen, round(asked.core_s / (fixed + each * n_atoms)), n_frames)
        params = {
            "architecture": architecture,
            "architecture_version": module.VERSION,
            "settings": chosen.model_dump(),
            "seed": asked.seed,
            "device": compute.device,
            "precision": compute.precision,
        }
        estimate_s = module.samples(chosen, n_frames) * module.SECONDS_PER_ATOM[0] * n_atoms
        name = f"{architecture}-{labels}_{split}" + (f"_{size}" if size else "")
        name = f"{name}-s{asked.seed}"
        return self._step("train", name, params, parts | atoms, estimate_s)

    def dft_models(self) -> dict[tuple[str, str, str, int | None], Step]:
        """All models of published frames, by architecture, labels, split and number of frames."""
        asked = self.profile.published
        if asked is None:
            return {}
        wanted = [(labels, split, None) for labels in DFT_LABELS for split in asked.splits]
        wanted += [("dft", next(iter(asked.splits)), size) for size in asked.sizes]
        return {
            (architecture, labels, split, size): self.dft_model(
                architecture, labels, split, size=size
            )
            for labels, split, size in wanted
            for architecture in self.profile.training.architectures
        }

    def dft_run(self, model: Step, liquid: str) -> Step:
        """The observed density of a liquid with a model of published frames."""
        at = self.profile.published.liquids[liquid]
        state = State(temperature_K=at.temperature_K, pressure_bar=at.pressure_bar)
        study = self._elsewhere(
            liquid,
            state,
            composition=at.composition,
            start_density_g_cm3=at.start_density_g_cm3,
            duration_ps=at.duration_ps,
            save_every_fs=at.save_every_fs,
        )
        return study.observed(study.liquid(model, liquid, 1))

    def dft_runs(self) -> dict[tuple[str, str, str], Step]:
        """Observed densities by architecture, labels and liquid."""
        asked = self.profile.published
        return {
            (architecture, labels, name): self.dft_run(model, name)
            for (architecture, labels, split, size), model in self.dft_models().items()
            for name, liquid in asked.liquids.items()
            if split == asked.liquid_split and size is None and labels in liquid.labels
        }

    def dft_campaign(self) -> list[Step]:
        """All results on the published DFT set that are stored, or can be had from it here."""
        steps = [*self.dft_runs().values()]
        for (_, labels, _, _), model in self.dft_models().items():
            steps.append(self.evaluated(model, self.dft_frames(labels)))
        return [step for each in steps for step in self._possible(each, DFT)]

    def with_liquid(
        self, composition: Mapping[str, int] | None = None, state: State | None = None
    ) -> Study:
        """Return a study of models that are not the profile's, or of another liquid or state.

        It is kept below ``runs/own``.
        """
        liquid = self.profile.liquid
        changes: dict[str, Any] = {}
        if composition is not None:
            changes["composition"] = dict(composition)
        if state is not None:
            changes["states"] = {"asked": state}
        update = {"store": "runs/own/data", "liquid": liquid.model_copy(update=changes)}
        return Study(self.profile.model_copy(update=update), announce=self._announce)

    def searched(self) -> dict[str, dict[str, Step]]:
        """Models of the search for hyperparameters, by architecture and candidate.

        The chosen candidate is a model of the study itself.
        """
        search = self.profile.training.search
        if search is None:
            return {}
        return {
            architecture: {
                name: self._candidate(architecture, name, candidate)
                for name, candidate in candidates.items()
            }
            for architecture, candidates in search.candidates.items()
        }

    def _candidate(self, architecture: str, name: str, candidate: Candidate) -> Step:
        search = self.profile.training.search
        tried = self._trained(
            architecture,
            candidate.settings,
            search.set,
            search.seed,
            tag=f"-try_{name}",
            frame_cost_s=candidate.frame_cost_s,
        )
        chosen = self.model(architecture, search.set, search.seed)
        return chosen if chosen.key == tried.key else tried

    def evaluated(self, model: Step, frames: Step) -> Step:
        """A model's predictions on labelled frames."""
        inputs = {"model": model, "frames": frames}
        name = f"{model.name}-on-{frames.kind}-{frames.name}"
        return self._step("evaluate", name, _machine(model), inputs, estimate_s=20)

    def start(self, state: str, replica: int) -> Step:
        """The starting box of a replica: the liquid at a state, equilibrated classically."""
        liquid = self.profile.liquid
        params = {
            "composition": liquid.composition,
            "density_g_cm3": liquid.start_density_g_cm3,
            "temperature_K": liquid.states[state].temperature_K,
            "duration_ps": liquid.start_ps,
            "seed": 9000 + replica,
        }
        estimate_s = 1e-5 * _n_atoms(liquid.composition) * 2000 * liquid.start_ps
        return self._step("start", f"{state}-r{replica}", params, estimate_s=5 + estimate_s)

    def liquid(self, model: Step, state: str, replica: int) -> Step:
        """A trajectory of the scoring liquid with a model at constant pressure."""
        dynamics, at = self.profile.dynamics, self.profile.liquid.states[state]
        duration_ps = dynamics.duration_ps
        if model.kind == "pretrained":
            duration_ps = self.profile.foundation.models[model.name].duration_ps
        architecture = model.params["architecture"]
        n_atoms = _n_atoms(self.profile.liquid.composition)
        step_s = self._model_s("step", architecture, model.params.get("settings", {}), n_atoms)
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
        return self._step(
            "simulate",
            f"{model.name}-{state}-r{replica}",
            _machine(model) | {"dynamics": settings},
            {"model": model, "start": self.start(state, replica)},
            estimate_s=step_s * settings["n_steps"],
        )

    def diffused(self, model: Step, state: str) -> list[Step]:
        """Self-diffusion at constant volume after a model's first replica, if it is to be had."""
        dynamics = self.profile.dynamics
        duration_ps = self.profile.liquid.states[state].diffusion_ps
        liquids = self.liquids(model, state)
        if duration_ps is None or not liquids:
            return []
        liquid = liquids[0]
        settings = liquid.params["dynamics"] | {
            "ensemble": "nvt",
            "n_steps": round(duration_ps * 1e3 / dynamics.timestep_fs),
        }
        del settings["pressure_bar"]
        window = [0.1 * duration_ps, 0.5 * duration_ps]
        params = _machine(model) | {"dynamics": settings, "fit_window_ps": window}
        inputs = {"model": model, "trajectory": liquid, "observed": self.observed(liquid)}
        estimate_s = liquid.estimate_s * duration_ps / dynamics.duration_ps
        return [self._step("diffuse", liquid.name, params, inputs, estimate_s)]

    def relabelled(self, liquid: Step) -> Step:
        """Frames of a model's own trajectory with reference labels."""
        n_frames = self.profile.dynamics.relabelled_frames
        params = {"method": self.profile.reference.method, "frames": n_frames}
        return self._step(
            "relabel",
            liquid.name,
            params,
            {"trajectory": liquid},
            estimate_s=n_frames * _label_s(_n_atoms(self.profile.liquid.composition)),
        )

    def observed(self, liquid: Step) -> Step:
        """Density and radial distribution functions of a trajectory."""
        params = {"rdf": self.profile.liquid.rdf.model_dump()}
        return self._step("observe", liquid.name, params, {"trajectory": liquid}, estimate_s=5)

    def reference(self, state: str) -> Step:
        """The reference method's own liquid at a state, from every model's relabelled runs."""
        samplers, inputs = {}, {}
        allowed = self.profile.liquid.reference_sets or self.profile.training.sets
        for model in self.models(allowed):
            for liquid in self.liquids(model, state):
                relabelled = self.relabelled(liquid)
                samplers[liquid.name] = model.name
                inputs |= {
                    f"{liquid.name}.observed": self.observed(liquid),
                    f"{liquid.name}.frames": relabelled,
                    f"{liquid.name}.energies": self.evaluated(model, relabelled),
                }
        params = {
            "samplers": samplers,
            "temperature_K": self.profile.liquid.states[state].temperature_K,
            "rdf": self.profile.liquid.rdf.model_dump(),
        }
        return self._step("reference", state, params, inputs)

    def models(self, sets: Sequence[str] | None = None) -> list[Step]:
        """All models of the profile, or of some of its training sets, in the order of the sets."""
        return [
            self.model(architecture, name, seed)
            for name in (self.profile.training.sets if sets is None else sets)
            for seed in self.profile.training.seeds
            for architecture in self.profile.training.architectures
        ]

    def named_model(self, name: str) -> Step:
        """Return a model of the profile by name.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        known = {model.name: model for model in self.models()}
        if name not in known:
            raise ValueError(f"model {name!r}; the profile has {', '.join(known)}")
        return known[name]

    def liquids(self, model: Step, state: str) -> list[Step]:
        """All replicas of a model's liquid at a state; none where it is not run."""
        if state not in self.states_of(model):
            return []
        replicas = self.profile.liquid.states[state].replicas
        return [self.liquid(model, state, replica) for replica in replicas]

    def states_of(self, model: Step) -> list[str]:
        """The states at which a model is run: those meant for its training set, or for all."""
        sets = summaries.training_set(model.name) if model.kind == "train" else None
        states = self.profile.liquid.states
        return [
            name
            for name, at in states.items()
            if None in (sets, at.sets) or sets in map(self.set_name, at.sets)
        ]

    def sets(self) -> list[Step]:
        """All labelled blocks and test sets, and what labels cost."""
        blocks = [self.block(name) for name in (*self.profile.blocks, *self.profile.tests)]
        stand_in = self._possible(self.stand_in(), DFT)
        return [*blocks, self.atoms(), self.label_cost(), *stand_in]

    def _possible(self, step: Step | None, file: str) -> list[Step]:
        """Return a step on a published file, if it is stored or the file is at hand."""
        if step is not None and not self.store.is_current(step):
            try:
                published.path(file, download=False)
            except published.NotAvailable:
                step = None
        return [step] if step else []

    def tested(self, model: Step) -> list[Step]:
        """A model's predictions on every test set."""
        return [self.evaluated(model, self.block(test)) for test in self.profile.tests]

    def campaign(self) -> list[Step]:
        """Every step whose result the notebooks show, in the order of work."""
        steps = self.sets()
        for candidates in self.searched().values():
            steps += candidates.values()
        for model in self.models():
            steps += self.results(model)
        steps += self.compared() + self.generalised() + self.dft_campaign()
        return steps + [self.reference(state) for state in self.profile.liquid.states]

    def results(self, model: Step) -> list[Step]:
        """All that is measured of a model: on the test sets, and of its liquid at every state."""
        steps = self.tested(model)
        for state in self.states_of(model):
            for liquid in self.liquids(model, state):
                steps += [self.observed(liquid), self.evaluated(model, self.relabelled(liquid))]
            steps += self.diffused(model, state)
        return steps

    def compared(self) -> list[Step]:
        """What foundation models are judged by, as they are and fine-tuned, beside bespoke ones."""
        if self.profile.foundation is None:
            return []
        found, _ = self.foundation_models()
        steps = []
        for model in (*found.values(), *self.bespoke_models()):
            steps += self.tested(model)
            for run in self.single_runs(model).values():
                steps += [self.observed(run), self.evaluated(model, self.relabelled(run))]
        return steps

    def plan(self, gpu_cores: float | None = None) -> list[str]:
        """Return how far the campaign is, for people: steps, cells of the matrix, what is left.

        Parameters
        ----------
        gpu_cores : float, optional
            How many cores of the machine of the measurements a GPU is worth, for hours of GPUs.
        """
        found = campaign.standings(self.campaign(), self.store, self._shipped())
        last = campaign.summary(found, self.profile.compute.workers)
        lines = [*campaign.lines(found), *self.cell_lines(found), *self.cost_lines()]
        return [*lines, *self._gpu_lines(found, gpu_cores), self._storage_line(found), last]

    @cached_property
    def _measures(self) -> list[Study]:
        """The studies whose results tell what others cost: this one, and the shipped one."""
        shipped = Study(announce=False)
        return [self] if shipped.store.root == self.store.root else [self, shipped]

    def _shipped(self) -> list[campaign.Standing]:
        """How the shipped campaign stands, for a campaign that is not the shipped one."""
        return [
            standing
            for study in self._measures[1:]
            for standing in campaign.standings(study.campaign(), study.store)
        ]

    def _model_s(
        self, what: str, architecture: str, settings: Mapping[str, Any], n_atoms: float
    ) -> float:
        """Estimate of the seconds of a training frame or a step of dynamics on one core."""
        law = costs.of_model(architecture, settings, self._measured).get(what)
        if law:
            return law.at(n_atoms)
        each = potentials.architecture(architecture).SECONDS_PER_ATOM
        return each[0 if what == "frame" else 1] * n_atoms

    def cost_lines(self) -> list[str]:
        """Return what labels, training and dynamics cost, and how that was measured."""
        lines = []
        for study in self._measures:
            step = study.label_cost()
            if study.store.is_current(step):
                folder = study.store.verify(step)
                rows = json.loads((folder / "label_cost.json").read_text())
                if len(rows) < 2:  # of one size nothing follows for another
                    continue
                law = costs.power_law([r["atoms"] for r in rows], [r["core_s"] for r in rows])
                lines.append(f"a label by {step.params['method']}: {law}")
                break
        for architecture, values in self.profile.training.architectures.items():
            settings = potentials.settings(architecture, values).model_dump()
            laws = costs.of_model(architecture, settings, self._measured)
            lines += [f"{architecture}, a {what}: {law}" for what, law in laws.items()]
            if not laws:
                lines.append(
                    f"{architecture}: its settings were not measured (see 'make bench'), its hours "
                    "are a guess from smaller models"
                )
        return lines

    def _gpu_lines(self, found: Sequence[campaign.Standing], gpu_cores: float | None) -> list[str]:
        """Return the hours of steps that ask for a GPU, which no measurement here is of."""
        left = [at for at in found if at.status != campaign.Status.DONE]
        core_h = sum(at.core_s for at in left if at.step.params.get("device") == "cuda") / 3600
        if not core_h:
            return []
        hours = "GPU hours: not known; say with --gpu-cores how many cores a GPU is worth"
        if gpu_cores:
            hours = f"{core_h / gpu_cores:.1f} GPU hours where a GPU is worth {gpu_cores:g} cores"
        return [f"{core_h:.1f} of the core hours left are of steps for a GPU; {hours}"]

    def _storage_line(self, found: Sequence[campaign.Standing]) -> str:
        """Return the storage of all results, from those that are stored here and shipped."""
        sizes: dict[str, list[float]] = {}
        for study in self._measures:
            for step in upstream(study.campaign()):
                if record := study.store.provenance(step):
                    n_bytes = sum(file["bytes"] for file in record["files"].values())
                    sizes.setdefault(step.kind, []).append(n_bytes / study.content(step))
        known = [at.step for at in found if at.step.kind in sizes]
        total = sum(self.content(step) * float(np.mean(sizes[step.kind])) for step in known)
        unknown = sorted({at.step.kind for at in found} - sizes.keys())
        rest = (
            f"; kinds that were never stored not counted: {', '.join(unknown)}" if unknown else ""
        )
        return f"storage of all results: {total / 1e9:.2f} GB{rest}"

    def content(self, step: Step) -> float:
        """Return what the size of a result goes by: atoms times frames, where it holds frames."""
        n_atoms = _n_atoms(self.profile.liquid.composition)
        if step.kind == "simulate":
            return (
                n_atoms * step.params["dynamics"]["n_steps"] / step.params["dynamics"]["save_every"]
            )
        if step.kind == "relabel":
            return n_atoms * step.params["frames"]
        if step.kind == "set" and not self._is_iterated(step.name):
            block = self.recipe(step.name)
            return block.frames * self._atoms_per_frame(block)
        return 1.0

    def cell_lines(self, standings: Sequence[campaign.Standing]) -> list[str]:
        """Return how the models of every row and training set stand, a line per architecture.

        Parameters
        ----------
        standings : sequence of Standing
            Of the campaign.
        """
        known = {standing.step.folder_name: standing for standing in standings}
        planned = {self.set_name(sets) for sets in self.profile.training.sets}
        lines = [f"{'cells':32s}{'':16s}seeds"]
        rows = dict.fromkeys([*self.rows(), *self.profile.training.sets])
        for row, architecture in product(rows, self.profile.training.architectures):
            said = "not among the training sets"
            if self.set_name(row) in planned:
                seeds: dict[str, list[int]] = {}
                for seed in self.profile.training.seeds:
                    model = self.model(architecture, row, seed)
                    needed = upstream([model, *self.results(model)])
                    parts = [known[s.folder_name] for s in needed if s.folder_name in known]
                    seeds.setdefault(campaign.overall(parts), []).append(seed)
                said = "; ".join(f"{how} {', '.join(map(str, s))}" for how, s in seeds.items())
            lines.append(f"{row:32s}{architecture:16s}{said}")
        return lines

    def shown(self, sets: str) -> list[Step]:
        """The models of a training set that a notebook may show without surprise.

        All, if the profile asks for the set; else those that are stored with all their results.
        """
        models = self.models([sets])
        if sets in self.profile.training.sets:
            return models
        return [model for model in models if all(map(self.has, [model, *self.results(model)]))]

    def generations(self, block: str) -> dict[int, Step]:
        """The generations of an iterated block that a notebook may show, by number; as `shown`."""
        known = range(1, 1 + self.profile.iteration.generations)
        steps = {number: self.generation(block, number) for number in known}
        if any(block in sets.split("+") for sets in self.profile.training.sets):
            return steps
        return {number: step for number, step in steps.items() if self.has(step)}

    # --- access -------------------------------------------------------------------------------

    def fill(self, steps: Iterable[Step] | None = None, *, quiet: bool = False) -> int:
        """Compute what is missing of some steps (default: the campaign); return how many ran."""
        from crosstrain.run.engine import compute

        return compute(
            self.campaign() if steps is None else steps,
            self.store,
            self.profile.compute,
            quiet=quiet,
        )

    def use_engine(self, engine: str | None = None, workers: int | None = None) -> None:
        """Use another engine or number of workers than the profile's.

        Parameters
        ----------
        engine : str, optional
            ``serial``, a module of `crosstrain.run.engines`, or a file with a Parsl config.
        workers : int, optional
            Steps at a time.

        Raises
        ------
        ValueError
            If there are no workers.
        """
        if workers is not None and workers < 1:
            raise ValueError(f"workers {workers}; allowed are 1 or more")
        asked = {"engine": engine, "workers": workers}
        changes = {name: value for name, value in asked.items() if value is not None}
        compute = self.profile.compute.model_copy(update=changes)
        self.profile = self.profile.model_copy(update={"compute": compute})

    def places(self) -> list[str]:
        """Return where steps would be computed, a line per kind of node."""
        from crosstrain.run.engine import described

        return described(self.profile.compute)

    def costs(self) -> list[str]:
        """Return a line per kind of stored step: number, core time, largest memory."""
        kinds: dict[str, list[dict[str, float]]] = {}
        for step in upstream(self.campaign()):
            record = self.store.provenance(step)
            if record:
                kinds.setdefault(step.kind, []).append(record["cost"])
        return [
            f"{kind:10s} {len(costs):4d} steps  {sum(c['cpu_s'] for c in costs) / 60:8.1f} core min"
            f"  at most {max(c['peak_memory_MB'] for c in costs):6.0f} MB"
            for kind, costs in kinds.items()
        ]

    def get(self, step: Step) -> Path:
        """Return the folder of a verified result; compute it and what it needs if missing."""
        if not self.store.is_current(step):
            self.fill([step])
        folder = self.store.checked(step)
        is_new = step.folder_name not in self.used
        self.used[step.folder_name] = str(self.store.digest(step))
        if self._announce and is_new:
            print(f"loaded: {step.kind} {step.name} ({_summary(step)})")
        return folder

    def has(self, step: Step) -> bool:
        """Whether a result is stored and current, so that `get` would compute nothing."""
        return self.store.is_current(step)

    def read(self, step: Step, file: str) -> Any:
        """Return the content of a JSON file of a result."""
        return json.loads((self.get(step) / file).read_text())

    def frames(self, name: str) -> list[Atoms]:
        """Return the labelled frames of a block or test set."""
        return self.frames_of(self.block(name))

    def frames_of(self, step: Step) -> list[Atoms]:
        """Return the frames of a result; none if every label failed."""
        file = self.get(step) / FRAMES
        return fr.read(file, labelled=step.kind in LABELLED) if file.exists() else []

    def trajectory(self, liquid: Step) -> Trajectory:
        """Return the trajectory of a liquid."""
        return read_trajectory(self.get(liquid))

    def predicted(self, evaluated: Step) -> dict[str, Any]:
        """Return what a model says of labelled frames.

        Returns
        -------
        dict
            ``frames`` (with labels), and the model's ``energy_eV`` (n_frames,), ``forces_eV_A``
            (a list of (n_atoms, 3)) and ``stress_eV_A3`` (n_frames, 6) of them.
        """
        frames = self.frames_of(evaluated.inputs["frames"])
        with np.load(self.get(evaluated) / "predictions.npz") as file:
            said = dict(file)
        ends = np.cumsum([len(frame) for frame in frames])
        forces = np.split(said["forces_eV_A"].reshape(-1, 3), ends[:-1]) if frames else []
        return said | {"frames": frames, "forces_eV_A": forces}

    def each(self, steps: Sequence[Step], read: Callable[[Step], T]) -> dict[str, T]:
        """Return ``read(step)`` by name for several results, announced in a line per kind."""
        missing = [step for step in steps if not self.store.is_current(step)]
        if missing:
            self.fill(missing)
        new = [step for step in steps if step.folder_name not in self.used]
        announce, self._announce = self._announce, False
        try:
            found = {step.name: read(step) for step in steps}
        finally:
            self._announce = announce
        for kind in dict.fromkeys(step.kind for step in new) if announce else ():
            print(f"loaded: {_summary_of([step for step in new if step.kind == kind])}")
        return found

    def cost(self, step: Step) -> dict[str, float] | None:
        """Return what a stored result cost (``cpu_s``, ``wall_s``, ``peak_memory_MB``), if any."""
        record = self.store.provenance(step)
        return record and record["cost"]

    def save(self, figure: Figure, name: str, **parameters: Any) -> None:
        """Write a figure with its origin; `parameters` are those of the notebook."""
        figures.save(
            figure,
            name,
            notebook=self._notebook,
            parameters={"profile": self.profile.name, **parameters},
            inputs=self.used,
        )

    def colophon(self) -> None:
        """Print the versions of the packages and the hashes of the results that were used."""
        for package in PACKAGES:
            print(f"{package:18s} {metadata.version(package)}")
        for name, digest in sorted(self.used.items()):
            print(f"{digest[:12]}  {name}")


def _label_s(n_atoms: float) -> float:
    """Estimate of the seconds for a periodic GFN2-xTB label on one core."""
    return 6.0 * (n_atoms / 80) ** 1.5


def _n_atoms(composition: dict[str, int]) -> int:
    return sum(count * _size(name) for name, count in composition.items())


@cache
def _size(name: str) -> int:
    return rdkit_molecule(name).GetNumAtoms()


def _part(text: str) -> tuple[str, str]:
    """Split ``classical.50`` into the block and the number of its frames ('' for all)."""
    name, _, size = text.partition(".")
    if "." in text and not (size.isdecimal() and int(size)):
        raise ValueError(f"set {text!r}; allowed is the name of a block, or NAME.FRAMES")
    return name, size


def _machine(model: Step) -> dict[str, Any]:
    """What is needed to load a model."""
    return {name: model.params[name] for name in ("architecture", "device", "precision")}


def _summary(step: Step) -> str:
    """The parameters of a step in a few words."""
    return ", ".join(f"{k} {v}" for k, v in _plain(step).items()) or f"{len(step.inputs)} parts"


def _summary_of(steps: Sequence[Step]) -> str:
    """Number and kind of several steps, with the values their parameters take."""
    values: dict[str, dict[str, None]] = {}
    for step in steps:
        for name, value in _plain(step).items():
            values.setdefault(name, {})[str(value)] = None
    known = ", ".join(f"{name} {'/'.join(taken)}" for name, taken in values.items())
    return f"{len(steps)} x {steps[0].kind}" + (f" ({known})" if known else "")


def _plain(step: Step) -> dict[str, Any]:
    """The parameters of a step that can be said in a word."""
    plain = {k: v for k, v in step.params.items() if isinstance(v, (str, int, float))}
    if "dynamics" in step.params:
        d = step.params["dynamics"]
        plain |= {"ps": d["n_steps"] * d["timestep_fs"] / 1e3, "K": d["temperature_K"]}
        if "pressure_bar" in d:  # else at constant volume
            plain["bar"] = d["pressure_bar"]
        plain["seed"] = d["seed"]
    return plain
