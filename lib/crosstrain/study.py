"""The study: the plan of a profile, and access to the results of its steps.

`Study` knows every step (a block's labels, a model, a liquid, ...) without computing anything.
`Study.get` returns a step's folder, computing what is missing first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from ase import Atoms

from crosstrain import (
    paths,
    plan_foundation,
    plan_published,
    plan_reference,
    plan_trials,
    plan_unseen,
)
from crosstrain.data import frames as fr
from crosstrain.data import profiles, published
from crosstrain.data.profiles import HOTTEST_K, OF_THE_STUDY, Block, Profile, State
from crosstrain.plan import Plan
from crosstrain.plan_published import CLUSTERS, DFT
from crosstrain.plan_published import DFT_LABELS as DFT_LABELS  # notebooks want it too
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step, Store, StoreError, upstream
from crosstrain.run.versions import PACKAGES, versions
from crosstrain.simulate.dynamics import DENSITY_LIMITS_G_CM3
from crosstrain.simulate.trajectory import Trajectory, read_trajectory
from crosstrain.steps import FRAMES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
LABELLED = ("set", "relabel", "published")


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
    return Store(root, paths.runs() / "scratch" / _scratch_name(root))


def _scratch_name(root: Path) -> str:
    """Return a name that follows from the store alone: who shares results shares locks, too."""
    place, runs = root.resolve(), paths.runs().resolve()
    if place.is_relative_to(runs):
        place = Path("runs", place.relative_to(runs))
    elif place.is_relative_to(paths.root()):
        place = place.relative_to(paths.root())
    return str(place).strip("/").replace("/", "-")


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
        If a molecule is not known or supported, a number is out of range, or there is no such
        option.
    """
    for name, (low, high), most in (
        ("density_g_cm3", density_g_cm3, DENSITY_LIMITS_G_CM3[1]),
        ("temperature_K", temperature_K, HOTTEST_K),
    ):
        if not 0 < low <= high <= most:
            said = f"{name} {low:g} to {high:g}"
            raise ValueError(f"{said}; allowed are values above 0, rising, up to {most:g}")
    if frames < 1:
        raise ValueError(f"frames {frames}; allowed are 1 or more")
    if not re.fullmatch(profiles.NAME, set_name):
        raise ValueError(f"set_name {set_name!r}; allowed are letters, digits and _")
    options |= {"temperature_K": temperature_K, "density_g_cm3": density_g_cm3}
    options["compositions"] = [dict(composition) for composition in compositions]
    if kind in ("packed", "molecules"):
        options["molecules"] = sorted({name for box in compositions for name in box})
        options.setdefault("conformers", 20)
    if kind == "molecules":
        del options["temperature_K"], options["density_g_cm3"], options["compositions"]
    base = profiles.load(profile) if isinstance(profile, str) else profile
    block = Block(kind=kind, frames=frames, seed=seed, options=options)
    profiles.check_options(set_name, block)
    changes = {"store": "runs/own/data", "blocks": {set_name: block}, "tests": {}}
    without = dict.fromkeys((*OF_THE_STUDY, "iteration"))  # whose sets have names, too
    study = Study(base.model_copy(update=without | changes))
    study.get(study.block(set_name))
    return study


class Study(Plan):
    """A plan with a store: all steps of a profile, and access to their results.

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
        super().__init__(profile)
        self.store = store_of(self.profile)
        self.used: dict[str, str] = {}
        self._announce = announce
        self._notebook = notebook

    # --- what there is, beside frames and models: functions of a plan, a module for each part ---

    evaluated = staticmethod(plan_trials.evaluated)
    tested = plan_trials.tested
    start = plan_trials.start
    liquid = plan_trials.liquid
    liquids = plan_trials.liquids
    states_of = plan_trials.states_of
    observed = plan_trials.observed
    relabelled = plan_trials.relabelled
    diffused = plan_trials.diffused
    judged = plan_trials.judged
    results = plan_trials.results
    enlarged = plan_trials.enlarged
    longer = plan_trials.longer

    unseen_models = plan_unseen.unseen_models
    unseen_run = plan_unseen.unseen_run

    pretrained = plan_foundation.pretrained
    fine_tuned = plan_foundation.fine_tuned
    foundation_models = plan_foundation.foundation_models
    bespoke_models = plan_foundation.bespoke_models
    compared_runs = plan_foundation.compared_runs
    level_of_theory = plan_foundation.level_of_theory
    compared = plan_foundation.compared

    reference = plan_reference.reference

    stand_in = plan_published.stand_in
    clusters = staticmethod(plan_published.clusters)
    dft_frames = plan_published.dft_frames
    dft_model = plan_published.dft_model
    dft_models = plan_published.dft_models
    dft_longer = plan_published.dft_longer
    dft_run = plan_published.dft_run
    dft_runs = plan_published.dft_runs
    dft_longer_runs = plan_published.dft_longer_runs

    # --- the campaign -------------------------------------------------------------------------

    def campaign(self) -> list[Step]:
        """Every step whose result the notebooks show, in the order of work."""
        steps = self.sets()
        for candidates in self.searched().values():
            steps += candidates.values()
        for model in self.models():
            steps += self.results(model)
        steps += [step for boxes in self.enlarged().values() for box in boxes for step in box]
        for model in self.longer().values():
            steps += self.judged(model, self.liquids(model, self.profile.longer_training.state))
        if third := self.third():
            steps += [step for model in third.models() for step in third.results(model)]
        steps += self.compared() + self.generalised() + self.dft_campaign()
        return steps + [self.reference(state) for state in self.profile.liquid.states]

    def known(self) -> list[Step]:
        """Every step of the campaign, and of those of the profiles that extend this one.

        What is stored of these while they are computed is shipped as the rest is. Inputs first.
        """
        later = [Study(name, announce=False) for name in profiles.extending(self.profile.name)]
        return upstream(step for study in (self, *later) for step in study.campaign())

    def sets(self) -> list[Step]:
        """All labelled blocks and test sets, and what labels cost."""
        blocks = [self.block(name) for name in (*self.profile.blocks, *self.profile.tests)]
        compared = self._at_hand(self._stand_in(), DFT)
        return [*blocks, self.atoms(), self.label_cost(), *compared]

    def _stand_in(self) -> list[Step]:
        stand_in = self.stand_in()
        return [stand_in] if stand_in else []

    def generalised(self) -> list[Step]:
        """What models are judged by on unseen molecules: runs, forces, published clusters."""
        return plan_unseen.unseen_results(self) + self._at_hand(self._on_clusters(), CLUSTERS)

    def _on_clusters(self) -> list[Step]:
        return [self.evaluated(model, self.clusters()) for model in self.unseen_models()]

    def dft_campaign(self) -> list[Step]:
        """All results on the published DFT set that are stored, or can be had from it here."""
        return self._at_hand(plan_published.dft_results(self), DFT)

    def left_out(self) -> list[str]:
        """Say what the campaign lacks because a file is not at hand, a line each."""
        of_dft = [*self._stand_in(), *plan_published.dft_results(self)]
        said = []
        for file, steps in ((DFT, of_dft), (CLUSTERS, self._on_clusters())):
            n_left = len(steps) - len(self._at_hand(steps, file))
            if n_left:
                said.append(f"{n_left} results on {file} are left out: it is not at hand")
        _, lacking = self.foundation_models() if self.profile.foundation else ({}, {})
        return said + [f"{name}: {reason}" for name, reason in lacking.items()]

    def _at_hand(self, steps: Sequence[Step], file: str) -> list[Step]:
        """Return those steps that are stored; all, if the published file they need is here."""
        missing = [step for step in steps if not self._is_stored(step)]
        if missing:
            try:
                published.path(file, download=False)
            except published.NotAvailable:
                return [step for step in steps if step not in missing]
        return list(steps)

    def _is_stored(self, step: Step) -> bool:
        try:
            return self.has(step)
        except StoreError:  # a damaged record: who computes or checks the step tells
            return True

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

    def third(self) -> Study | None:
        """The study of the architecture beside the profile's own, if it has one."""
        profile, asked = self.profile, self.profile.third
        if asked is None:
            return None
        at = profile.liquid.states[asked.state]
        briefly = {"replicas": at.replicas[:1], "diffusion_ps": None, "sets": None}
        trained = {"architectures": {asked.architecture: asked.settings}, "seeds": asked.seeds}
        trained |= {"sets": asked.sets, "rows": asked.sets, "search": None}
        states = {asked.state: at.model_copy(update=briefly)}
        changes = dict.fromkeys(OF_THE_STUDY) | {
            "training": profile.training.model_copy(update=trained),
            "liquid": profile.liquid.model_copy(update={"states": states}),
            "dynamics": profile.dynamics.model_copy(update={"duration_ps": asked.duration_ps}),
        }
        study = Study(
            profile.model_copy(update=changes), notebook=self._notebook, announce=self._announce
        )
        study.block = self.block  # iterated ones are made by the architectures of this study
        study.used = self.used  # what is read there, too, its figures are made from
        return study

    def shown(self, sets: str) -> list[Step]:
        """The models of a training set that a notebook may show without surprise.

        All, if the profile asks for the set; else those that are stored with all their results.
        """
        return self.models([sets]) if sets in self.profile.training.sets else self.complete(sets)

    def complete(self, sets: str) -> list[Step]:
        """The models of a training set that are stored with all their results."""
        models = self.models([sets])
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
            f"{kind:15s} {len(costs):4d} steps  {sum(c['cpu_s'] for c in costs) / 60:8.1f} core min"
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

    def model_file(self, model: Step) -> Path:
        """Return the file of a trained model.

        Raises
        ------
        FileNotFoundError
            If it was left out when its results were shipped.
        """
        folder = self.get(model)
        if left_out := self.store.left_out(model):
            raise FileNotFoundError(
                f"{model.room}/{folder.name}/{left_out[0]} is not shipped, to keep the repository "
                "light; delete that folder, and 'crosstrain study', with the profile the model is "
                "of, trains it again and computes anew what a different file changes"
            )
        return folder / potentials.architecture(model.params["architecture"]).MODEL_FILE

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
        """Write a figure with its origin; `parameters` are those of the notebook.

        Inputs that are scratch are left out: the results that were made from them name them.
        """
        from crosstrain.data import figures

        kept = {path.name for path in self.store.root.glob("*/*")}
        figures.save(
            figure,
            name,
            notebook=self._notebook,
            parameters={"profile": self.profile.name, **parameters},
            inputs={name: digest for name, digest in self.used.items() if name in kept},
        )

    def colophon(self) -> None:
        """Print the versions of the packages and the hashes of the results that were used."""
        for package in PACKAGES:
            print(f"{package:18s} {versions().get(package, 'not installed')}")
        for name, digest in sorted(self.used.items()):
            print(f"{digest[:12]}  {name}")


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
