"""The plan of a profile: its steps and how they hang together, from frames to trained models.

Nothing is computed here and nothing is read from the store. What models are then put through is
declared in `crosstrain.plan_trials`, what the reference liquid is had from in `plan_reference`, and
what only some profiles ask for in `plan_unseen`, `plan_foundation` and `plan_published`. Their
functions take a `Plan`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from crosstrain.build.molecules import rdkit_molecule
from crosstrain.data import costs, profiles
from crosstrain.data.profiles import GENERATION, Block, Candidate, Profile, part_of_set
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step
from crosstrain.simulate import selection
from crosstrain.steps import KINDS

ELEMENTS = ["C", "H", "O"]


class Plan:
    """The steps of a profile that make labelled frames and models.

    Parameters
    ----------
    profile : str or Profile
        Name of a profile, path of a profile file, or a profile.
    """

    def __init__(self, profile: str | Profile = "laptop") -> None:
        self.profile = profiles.load(profile) if isinstance(profile, str) else profile
        self.measured = costs.measured()
        self._blocks: dict[str, Step] = {}

    # --- labelled frames ----------------------------------------------------------------------

    def atoms(self) -> Step:
        """Isolated atoms of the elements by the reference method."""
        params = {"method": self.profile.reference.method, "elements": ELEMENTS}
        return declared("atoms", "isolated", params, estimate_s=5)

    def label_cost(self) -> Step:
        """What a label costs, for boxes of growing size."""
        params = {
            "method": self.profile.reference.method,
            "composition": {"EC": 1, "EMC": 1},
            "multiples": self.profile.reference.cost_multiples,
            "density_g_cm3": 1.0,
            "seed": 1,
        }
        estimate_s = sum(
            label_estimate_s(25 * times) for times in self.profile.reference.cost_multiples
        )
        return declared("label_cost", "boxes", params, estimate_s=5 + estimate_s)

    def block(self, name: str) -> Step:
        """A labelled block or test set, by name.

        Raises
        ------
        ValueError
            If the profile has none of that name.
        """
        if name not in self._blocks:  # a generation needs all before it, again and again
            is_iterated = self.is_iterated(name)
            self._blocks[name] = self._iterated(name) if is_iterated else self._built(name)
        return self._blocks[name]

    def _built(self, name: str) -> Step:
        block, size = self.recipe(name), self.profile.reference.frames_per_piece
        for molecule in block.options.get("molecules", ()):
            size_of(molecule)  # refuses what is no molecule before anything is computed
        method = {"method": self.profile.reference.method}
        parts = {}
        for start in range(0, block.frames, size):
            numbers = [start, min(start + size, block.frames)]
            part = f"{start // size:03d}"
            frames = self._frames(f"{name}-{part}", block, numbers)
            label_s = label_estimate_s(self.atoms_per_frame(block)) * (numbers[1] - numbers[0])
            parts[f"part{part}"] = declared(
                "label", frames.name, method, {"frames": frames}, estimate_s=label_s
            )
        about = {"kind": block.kind, "frames": block.frames, "seed": block.seed} | method
        return declared("set", name, about, parts)

    def recipe(self, name: str) -> Block:
        """Return how a block is built; of an iterated one, its size."""
        if self.is_iterated(name):
            iteration, (block, _, last) = self.profile.iteration, name.partition(GENERATION)
            generations = int(last or iteration.generations)
            n_frames = iteration.frames * generations
            options = {
                "compositions": iteration.compositions,
                "architecture": iteration.blocks[block],
                "start": iteration.start,
                "generations": generations,
                "committee": iteration.seeds,
                "temperature_K": iteration.temperature_K,
                "density_g_cm3": iteration.density_g_cm3,
            }
            return Block(
                kind="iterated", frames=n_frames, seed=0, options=options, purpose=iteration.purpose
            )
        known = self.profile.blocks | self.profile.tests | self.unseen_blocks()
        if name not in known:
            raise ValueError(f"set {name!r}; the profile has {', '.join(known)}")
        return known[name]

    def _frames(self, name: str, block: Block, numbers: list[int]) -> Step:
        options = dict(block.options)
        inputs = {"source": self.block(options.pop("source"))} if "source" in options else {}
        params = {"kind": block.kind, "seed": block.seed, "options": options, "numbers": numbers}
        params["method"] = self.profile.reference.method
        return declared("build", name, params, inputs, estimate_s=20 + numbers[1] - numbers[0])

    def atoms_per_frame(self, block: Block) -> float:
        """The mean number of atoms of the frames of a block."""
        if "source" in block.options:
            return self.atoms_per_frame(self.recipe(block.options["source"]))
        if "atoms_per_frame" in block.options:  # frames of one's own
            return block.options["atoms_per_frame"]
        each = block.options.get("compositions") or [{m: 1} for m in block.options["molecules"]]
        return sum(map(atoms_in, each)) / len(each)

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
                    "compositions": [self.pure(molecule)],
                    "temperature_K": [temperature_K, temperature_K],
                    "density_g_cm3": [density, density],
                },
            )
            for molecule, density in unseen.densities_g_cm3.items()
        }

    def pure(self, molecule: str) -> dict[str, int]:
        """The composition of the pure liquid of an unseen molecule."""
        return {molecule: max(1, round(self.profile.unseen.atoms / size_of(molecule)))}

    # --- iteration ----------------------------------------------------------------------------

    def is_iterated(self, name: str) -> bool:
        """Whether a block is, or is the first generations of one, that models choose."""
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
        n_known = self.recipe(iteration.start).frames
        if n_known < selection.FEWEST:
            raise ValueError(
                f"iteration.start {iteration.start!r} has {n_known} frames; allowed are "
                f"{selection.FEWEST} or more"
            )
        generations = range(1, 1 + (int(last) if last else iteration.generations))
        method = {"method": self.profile.reference.method}
        parts = {
            f"part{g:03d}": declared(
                "label",
                f"{block}_g{g}",
                method,
                {"frames": self.generation(block, g)},
                estimate_s=iteration.frames * label_estimate_s(80),
            )
            for g in generations
        }
        about = {"kind": "iterated", "frames": iteration.frames * len(parts), "seed": 0} | method
        return declared("set", name, about, parts)

    def committee(self, block: str, generation: int) -> list[Step]:
        """The models that explore for a generation: trained on all generations before it."""
        iteration = self.profile.iteration
        architecture = iteration.blocks[block]
        if generation == 1:
            return [self.model(architecture, iteration.start, seed) for seed in iteration.seeds]
        sets = f"{iteration.start}+{block}{GENERATION}{generation - 1}"
        settings = self.profile.training.architectures[architecture]
        return [
            self.trained(architecture, settings, sets, seed, kind="member", core_s=iteration.core_s)
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
            params = machine(members[0]) | {
                "name": f"{block}_g{generation}_r{run}",
                "start": start._asdict() | {"seed": 1000 * generation + run},
                "dynamics": settings,
            }
            inputs = {f"member{i}": model for i, model in enumerate(members)}
            seconds = 2e-4 * atoms_in(dict(start.composition)) * settings["n_steps"]
            steps.append(declared("explore", params["name"], params, inputs, seconds + 60))
        return steps

    def generation(self, block: str, generation: int) -> Step:
        """The frames chosen by a committee, and what became of all candidates."""
        iteration, members = self.profile.iteration, self.committee(block, generation)
        known = {"known000": self.block(iteration.start)}
        if generation > 1:
            known["known001"] = self.block(f"{block}{GENERATION}{generation - 1}")
        inputs = {f"run{i:03d}": step for i, step in enumerate(self.explored(block, generation))}
        inputs |= known | {f"member{i}": model for i, model in enumerate(members)}
        params = machine(members[0]) | {
            "frames": iteration.frames,
            "allow_broken": iteration.allow_broken,
        }
        return declared("select", f"{block}_g{generation}", params, inputs, estimate_s=60)

    # --- models -------------------------------------------------------------------------------

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
        return self.trained(architecture, known[architecture], sets, seed)

    def trained(
        self,
        architecture: str,
        settings: Mapping[str, Any],
        sets: str,
        seed: int,
        *,
        kind: str = "train",
        tag: str = "",
        core_s: float | None = None,
        frame_cost_s: tuple[float, float] | None = None,
    ) -> Step:
        """A model with settings of its own.

        Parameters
        ----------
        architecture, sets, seed
            As for `model`.
        settings : mapping
            Of the architecture; scaled to the budget, if the profile has one.
        kind : str
            ``train``, or ``member`` for a model that only chooses frames and is not shipped.
        tag : str
            Added to its name.
        core_s, frame_cost_s : float, tuple of float, optional
            Instead of those of the budget.

        Raises
        ------
        ValueError
            If there is no such set, it is smaller than asked for, or the budget knows no cost.
        crosstrain.potentials.protocol.WeightsNotFound
            If it trains a published model further, and a file that this reads is not here.
        """
        training, compute = self.profile.training, self.profile.compute
        module = potentials.architecture(architecture)
        chosen = potentials.with_hashes(architecture, potentials.settings(architecture, settings))
        parts = [part_of_set(part) for part in self.blocks_of(sets)]
        first_frames = {name: int(size) for name, size in parts if size}
        if len(dict(parts)) < len(parts):
            raise ValueError(f"sets {sets!r}: a block is there twice")
        if core_s and not training.budget:
            raise ValueError(f"profile {self.profile.name!r}: core_s needs training.budget")
        counts = dict(zip(dict(parts), self.sizes(sets).values(), strict=True))
        for name, count in counts.items():
            if count > self.recipe(name).frames:
                raise ValueError(f"sets {sets!r}: {name} has {self.recipe(name).frames} frames")
        n_frames = sum(counts.values())
        n_atoms = sum(n * self.atoms_per_frame(self.recipe(b)) for b, n in counts.items())
        is_open = any(map(self.is_iterated, counts))  # its size is not known yet
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
            if not (is_open and getattr(module, "IS_SIZED_ONCE", False)):
                chosen = module.sized(chosen, n_samples, n_training)
        params = {
            "architecture": architecture,
            "architecture_version": module.VERSION,
            "settings": chosen.model_dump(),
            "seed": seed,
            "validate_every": training.validate_every,
            "device": self.device(architecture),
            "precision": compute.precision,
        }
        if n_samples and is_open:
            params["samples"] = n_samples  # the training sizes itself
        if first_frames:
            params["first_frames"] = first_frames
        seconds = self.model_s("frame", architecture, chosen.model_dump(), n_atoms / n_frames)
        return declared(
            kind,
            f"{architecture}-{self.set_name(sets)}{tag}-s{seed}",
            params,
            {name: self.block(name) for name in counts} | {"atoms": self.atoms()},
            estimate_s=module.samples(chosen, n_frames) * seconds,
            is_scratch=getattr(module, "IS_LARGE", False),
        )

    def blocks_of(self, sets: str) -> list[str]:
        """Return the blocks of a training set; a short name of the profile stands for several."""
        return self.profile.training.blocks_of(sets)

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
        """Whether the profile has all blocks of a training set, as large as it asks for."""
        names = [part_of_set(block)[0] for block in self.blocks_of(sets)]
        if not all(self.is_iterated(name) or name in self.profile.blocks for name in names):
            return False
        counts = self.sizes(sets).items()
        return all(n <= self.recipe(part_of_set(part)[0]).frames for part, n in counts)

    def sizes(self, sets: str) -> dict[str, int]:
        """Return the number of frames of each part of a training set.

        Of an iterated block it is that asked for; fewer may have been worth a label.
        """
        parts = {part: part_of_set(part) for part in self.blocks_of(sets)}
        return {
            part: int(size) if size else self.recipe(name).frames
            for part, (name, size) in parts.items()
        }

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
        tried = self.trained(
            architecture,
            candidate.settings,
            search.set,
            search.seed,
            tag=f"-try_{name}",
            frame_cost_s=candidate.frame_cost_s,
        )
        chosen = self.model(architecture, search.set, search.seed)
        return chosen if chosen.key == tried.key else tried

    def given_model(self, name: str, file: Path, architecture: str, digest: str) -> Step:
        """A model file under a name; `digest` is its SHA-256."""
        params = {
            "architecture": architecture,
            "device": self.device(architecture),
            "precision": self.profile.compute.precision,
            "file": str(file),
            "sha256": digest,
            "seed": 0,
        }
        return declared("given", name, params)

    def device(self, architecture: str) -> str:
        """Where models of an architecture compute: on the profile's device, if they can use it."""
        module = potentials.architecture(architecture)
        return "cpu" if getattr(module, "ON_CPU_ONLY", False) else self.profile.compute.device

    def model_s(
        self, what: str, architecture: str, settings: Mapping[str, Any], n_atoms: float
    ) -> float:
        """Estimate of the seconds of a training frame or a step of dynamics on one core."""
        cost = costs.of_model(architecture, settings, self.measured).get(what)
        if cost:
            return cost.at(n_atoms)
        each = potentials.architecture(architecture).SECONDS_PER_ATOM
        return each[0 if what == "frame" else 1] * n_atoms


def declared(
    kind: str,
    name: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, Step] | None = None,
    estimate_s: float = 1.0,
    *,
    is_scratch: bool = False,
) -> Step:
    """Return a step of a kind, with the version that this kind has now.

    Its name is given for people, and may hold a SMILES: what no folder can be named after is left
    out of it.
    """
    # through JSON, so that a step is the same whether its profile gave lists or tuples
    plain = json.loads(json.dumps(params))
    plain_name = re.sub(r"[^A-Za-z0-9._+-]", "_", name)
    return Step(kind, plain_name, plain, inputs or {}, KINDS[kind].version, estimate_s, is_scratch)


def label_estimate_s(n_atoms: float) -> float:
    """Estimate of the seconds for a periodic GFN2-xTB label on one core."""
    return 6.0 * (n_atoms / 80) ** 1.5


def atoms_in(composition: Mapping[str, int]) -> int:
    """Return the number of atoms of some molecules."""
    return sum(count * size_of(name) for name, count in composition.items())


@cache
def size_of(name: str) -> int:
    """Return the number of atoms of a molecule, by name or SMILES."""
    return rdkit_molecule(name).GetNumAtoms()


def set_of(model_name: str) -> str:
    """Return the training set in the name of a model, such as ``packed`` of ``mace-packed-s1``."""
    return model_name.split("-")[1]


def machine(model: Step) -> dict[str, Any]:
    """What is needed to load a model."""
    return {name: model.params[name] for name in ("architecture", "device", "precision")}
