"""Profiles: every size, budget and hyperparameter of a run, one readable YAML file each."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from crosstrain import paths
from crosstrain.build.boxes import edge_A
from crosstrain.build.sets import options_of
from crosstrain.data.reference import METHODS


class ProfileError(ValueError):
    """A profile is unknown or wrong; the message names the setting and what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _each_once(values: list[int]) -> list[int]:
    if len(set(values)) < len(values):
        raise ValueError("allowed is each number once")
    return values


def _rising(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("allowed are a low and a high end")
    return ends


def _not_free(cost: tuple[float, float]) -> tuple[float, float]:
    if not sum(cost) > 0:
        raise ValueError("allowed are two numbers from 0 on, not both 0")
    return cost


Whole = Annotated[int, Field(ge=1, strict=True)]
Positive = Annotated[float, Field(gt=0, strict=True)]
NotNegative = Annotated[float, Field(ge=0, strict=True)]
Range = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
Cost = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_not_free)]
Counts = Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(min_length=1)]
Seed = Annotated[int, Field(ge=0)]
Seeds = Annotated[list[Seed], AfterValidator(_each_once)]
NAME = r"^[A-Za-z0-9_]+$"  # of a block; + and . join and cut sets, - parts the name of a model
Name = Annotated[str, StringConstraints(pattern=NAME)]
INPUTS = ("atoms", "validation")  # of a training, beside the blocks of its set
GENERATION = "_g"  # dp_iterated_g2: the first two generations of dp_iterated
OWN_OPTIONS = ("file", "sha256", "molecules", "atoms_per_frame")


class Compute(_Part):
    """Where and how the work runs."""

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "float64"] = "float32"
    engine: str = Field(
        "local", description="serial, local, slurm, slurm_gpu, or a Python file with a Parsl config"
    )
    workers: int = Field(2, ge=1)
    threads: int = Field(1, ge=1, description="threads of each worker")

    @property
    def at_once(self) -> int:
        """How many steps run at a time."""
        return 1 if self.engine == "serial" else self.workers


class Block(_Part):
    """A block of labelled frames."""

    kind: Literal["packed", "classical", "scan", "molecules", "iterated", "own"]
    frames: int = Field(ge=1)
    seed: Seed
    options: dict[str, Any] = {}
    purpose: str = Field("", description="a sentence for its data card")


class _Options(_Part):
    """What the options of all kinds of blocks may be; each kind has some, given or not."""

    compositions: list[Counts] = None
    molecules: list[str] = None
    conformers: Whole = None
    temperature_K: Range = None
    density_g_cm3: Range = None
    duration_ps: Positive = None
    timestep_fs: Positive = None
    displacement_A: NotNegative = None
    source: str = None
    points: Whole = None
    every: Whole = None
    file: str = None
    sha256: str = None
    atoms_per_frame: Positive = None


class Budget(_Part):
    """The same computing time for every training, whatever its set."""

    core_s: float = Field(gt=0, description="seconds of one core")
    frame_cost_s: dict[str, Cost] = Field(
        description="of each architecture: seconds for a frame, and more for each of its atoms"
    )


class Candidate(_Part):
    """Hyperparameters that might be chosen."""

    settings: dict[str, Any]
    frame_cost_s: Cost = Field(description="as in the budget")


class Search(_Part):
    """Hyperparameters to choose from, each trained once with the budget."""

    set: str
    seed: Seed
    candidates: dict[str, dict[str, Candidate]] = Field(description="by architecture and name")


class Training(_Part):
    """How models are trained."""

    sets: list[str] = Field(description="blocks joined by +, for example classical+scan")
    seeds: Seeds = Field(min_length=1)
    rows: list[str] = Field([], description="of the transfer matrix (the training sets)")
    names: dict[Annotated[str, Field(pattern="^[a-z][a-z_]*$")], str] = Field(
        {}, description="short names of joined blocks, for wherever a set is named"
    )
    shipped: list[str] | None = Field(
        None, description="sets whose model files are kept when results are shipped (the sets)"
    )
    validate_every: int = Field(10, ge=2, description="every nth frame validates")
    budget: Budget | None = Field(None, description="without one, as the settings say")
    architectures: dict[str, dict[str, Any]]
    search: Search | None = None

    def blocks_of(self, sets: str) -> list[str]:
        """Return the blocks of a training set; a short name stands for several."""
        known = self.names
        return [block for part in sets.split("+") for block in known.get(part, part).split("+")]


class Iteration(_Part):
    """Active learning: blocks that a committee of models chooses, generation by generation."""

    start: str = Field(description="block that the first committee is trained on")
    blocks: dict[Name, str] = Field(description="architecture that makes each block")
    generations: int = Field(ge=1)
    frames: int = Field(ge=1, description="chosen in each generation, at most")
    seeds: Seeds = Field(min_length=2, description="of the committee's members")
    core_s: float | None = Field(None, gt=0, description="of each training after the first")
    runs: int = Field(ge=1, description="exploring runs of each generation")
    compositions: list[Counts] = Field(min_length=1)
    temperature_K: Range
    density_g_cm3: Range
    duration_ps: float = Field(gt=0)
    timestep_fs: float = Field(1.0, gt=0, le=2)
    save_every_fs: float = Field(gt=0)
    allow_broken: bool = Field(False, description="whether broken molecules may be trained on")
    purpose: str = ""

    @field_validator("start")
    @classmethod
    def _start_is_one_block(cls, start: str) -> str:
        if not re.fullmatch(NAME, start):
            raise ValueError("allowed is the name of one block")
        return start

    @property
    def sizes(self) -> dict[str, int]:
        """Most frames of each block, and of its first generations."""
        parts = {f"{GENERATION}{g}": g for g in range(1, self.generations + 1)}
        parts = {"": self.generations} | parts
        return {f"{b}{part}": n * self.frames for b in self.blocks for part, n in parts.items()}


HOTTEST_K = 10_000.0  # any molecule is gone there; more is a slip
MOST_BAR = 1e6  # a hundred GPa


class State(_Part):
    """A thermodynamic state."""

    temperature_K: float = Field(gt=0, le=HOTTEST_K)
    pressure_bar: float = Field(ge=-MOST_BAR, le=MOST_BAR)
    replicas: Seeds = Field([1], min_length=1)
    diffusion_ps: float | None = Field(
        None, gt=0, description="run at constant volume after the first replica; none without"
    )
    sets: list[str] | None = Field(
        None, description="training sets whose models are run here and diffuse (all)"
    )
    reference_models: dict[str, Seeds] | None = Field(
        None,
        min_length=1,
        description="fine-tuned models, such as so3lr-classical-s1, and which of their replicas "
        "sample the reference liquid, so that none of the matrix is judged by its own (all of the "
        "matrix)",
    )


class RadialDistributions(_Part):
    """Which intermolecular radial distribution functions are compared."""

    pairs: list[Annotated[str, Field(pattern="^[HCO]-[HCO]$")]] = Field(
        description="pairs of elements, for example O-H"
    )
    r_max_A: float = Field(
        gt=0, description="at most half the box, also where a run makes it denser than its start"
    )
    n_bins: int = Field(ge=2)


class Liquid(_Part):
    """The liquid on which models are judged."""

    composition: Counts
    states: dict[Name, State]
    start_density_g_cm3: float = Field(gt=0)
    start_ps: float = Field(gt=0, description="classical dynamics before the model takes over")
    reference_sets: list[str] | None = Field(
        None, description="whose models sample the reference liquid (all training sets)"
    )
    rdf: RadialDistributions


class LargerBox(_Part):
    """The same liquid in a larger box, which tells whether the size matters."""

    times: int = Field(ge=2, description="as many molecules of each kind")
    state: str
    sets: list[str] = Field(description="training sets whose models, of the first seed, are run")


class LongerTraining(_Part):
    """The same models with more computing time, which tells whether the budget starves them."""

    times: float = Field(gt=1, description="as much time as the budget has")
    sets: dict[str, list[str]] = Field(
        min_length=1, description="architectures to train longer, by training set"
    )
    seed: Seed
    state: str


class Dynamics(_Part):
    """Molecular dynamics of the liquid."""

    timestep_fs: float = Field(gt=0, le=2)
    duration_ps: float = Field(gt=0)
    save_every_fs: float = Field(gt=0)
    relabelled_frames: int = Field(ge=2, description="frames of each run given to the reference")


class Third(_Part):
    """An architecture beside those of the study: tried on some rows, one short run each."""

    architecture: str
    settings: dict[str, Any] = Field({}, description="hyperparameters, scaled to the budget")
    sets: list[str] = Field(min_length=1, description="training sets")
    seeds: Seeds = Field(min_length=1)
    state: str = Field(description="of the liquid's states")
    duration_ps: float = Field(gt=0)


class ZeroShot(_Part):
    """How a published model is run as it is."""

    duration_ps: float = Field(gt=0, description="of its liquid at each state")


class Tuned(Candidate):
    """How a published model is trained further."""

    architecture: str | None = Field(None, description="default: the name")


class FineTuning(_Part):
    """Published models trained further, beside bespoke ones on the same frames."""

    variants: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")], Tuned] = Field(
        description="by a name of their own"
    )
    seed: Seed
    sizes: list[str] = Field(description="growing parts of a block, for the learning curves")
    sets: list[str] = Field([], description="further training sets, for the transfer matrix")
    states: list[str] = Field(description="where all these models are run")

    @property
    def architectures(self) -> dict[str, str]:
        """The architecture of each variant."""
        return {name: chosen.architecture or name for name, chosen in self.variants.items()}


class Foundation(_Part):
    """Models that others have trained on much more."""

    models: dict[str, ZeroShot]
    fine_tuning: FineTuning | None = None


class Unseen(_Part):
    """Pure liquids of molecules that no model was trained on, beside those of known ones."""

    known: dict[str, Positive] = Field(
        min_length=1, description="trained on: starting density, g/cm³, of each pure liquid"
    )
    shape: dict[str, Positive] = Field(min_length=1, description="a small change of shape")
    chemistry: dict[str, Positive] = Field(min_length=1, description="other functional groups")
    atoms: int = Field(ge=1, description="of a box, about")
    state: str = Field(description="of the liquid's states")
    duration_ps: float = Field(gt=0)
    save_every_fs: float = Field(gt=0)
    frames: int = Field(ge=1, description="labelled classical snapshots of each liquid")
    seed: Seed = Field(description="of these snapshots")
    sets: list[str] = Field(description="training sets whose models are tried")
    seeds: Seeds = Field(min_length=1, description="of these models")

    @property
    def groups(self) -> dict[str, str]:
        """The group of each molecule, known ones first."""
        groups = {"known": self.known, "shape": self.shape, "chemistry": self.chemistry}
        return {molecule: name for name, members in groups.items() for molecule in members}

    @property
    def densities_g_cm3(self) -> dict[str, float]:
        """The starting density of each molecule's liquid."""
        return {**self.known, **self.shape, **self.chemistry}


class Split(_Part):
    """Blocks of the published DFT set, never divided within a block."""

    train: list[int] = Field(min_length=1)
    validate_on: list[int] = Field(min_length=1)
    test: list[int] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_block_once(self) -> Split:
        blocks = [*self.train, *self.validate_on, *self.test]
        if len(set(blocks)) < len(blocks) or not set(blocks) <= set(range(10)):
            raise ValueError(f"blocks {blocks}; allowed are 0 to 9, each once")
        return self


class OneLiquid(_Part):
    """A liquid at a state, run once with each model."""

    composition: Counts
    temperature_K: float = Field(gt=0)
    pressure_bar: float
    start_density_g_cm3: float = Field(gt=0)
    duration_ps: float = Field(gt=0)
    save_every_fs: float = Field(gt=0)
    labels: list[Literal["dft", "reference"]] = Field(
        ["dft", "reference"], description="whose models are run"
    )


class PublishedData(_Part):
    """Models of the published DFT frames, with their labels and with those of the reference."""

    every: int = Field(1, ge=1, le=20, description="every nth frame of each block")
    splits: dict[Name, Split]
    sizes: list[int] = Field(
        [], description="training frames of the first split, for learning curves on DFT labels"
    )
    seed: Seed
    core_s: float | None = Field(None, gt=0, description="of each training; needs a budget")
    longer_times: float | None = Field(
        None, gt=1, description="as much time for one more training of DFT labels; needs core_s"
    )
    liquid_split: str = Field(description="whose models are run")
    liquids: dict[Name, OneLiquid]

    @model_validator(mode="after")
    def _liquid_split_is_known(self) -> PublishedData:
        if self.liquid_split not in self.splits:
            raise ValueError(
                f"liquid_split: {self.liquid_split!r}; allowed are {', '.join(self.splits)}"
            )
        return self

    @model_validator(mode="after")
    def _longer_than_what_is_known(self) -> PublishedData:
        if self.longer_times is not None and self.core_s is None:
            raise ValueError("longer_times: needs core_s, the time that it is a multiple of")
        return self


class Reference(_Part):
    """The reference method."""

    method: Literal[METHODS] = "GFN2-xTB"
    frames_per_piece: int = Field(10, ge=1, description="frames of one labelling process")
    stand_in_every: int | None = Field(
        None, ge=1, description="every nth published DFT frame is compared with the method"
    )
    cost_multiples: list[int] = Field(
        [1, 2], description="boxes whose labels are timed: n(EC + EMC)"
    )


class Profile(_Part):
    """All settings of a run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", description="also of a folder")
    purpose: str
    store: str = Field(description="folder of results, below the project's root")
    compute: Compute
    reference: Reference
    blocks: dict[Name, Block]
    tests: dict[Name, Block]
    training: Training
    iteration: Iteration | None = None
    liquid: Liquid
    dynamics: Dynamics
    larger_box: LargerBox | None = None
    longer_training: LongerTraining | None = None
    third: Third | None = None
    foundation: Foundation | None = None
    unseen: Unseen | None = None
    published: PublishedData | None = None

    @model_validator(mode="after")
    def _names_are_not_blocks(self) -> Profile:
        iterated = self.iteration.blocks if self.iteration else {}
        taken = self.training.names.keys() & (self.blocks.keys() | iterated.keys())
        if taken:
            raise ValueError(f"training.names: {', '.join(sorted(taken))} is the name of a block")
        return self

    @model_validator(mode="after")
    def _frames_are_saved_at_steps(self) -> Profile:
        step_fs = self.dynamics.timestep_fs
        saved = {"dynamics": (self.dynamics.save_every_fs, step_fs)}
        if self.iteration:
            saved["iteration"] = (self.iteration.save_every_fs, self.iteration.timestep_fs)
        if self.unseen:
            saved["unseen"] = (self.unseen.save_every_fs, step_fs)
        for name, liquid in (self.published.liquids if self.published else {}).items():
            saved[f"published.liquids.{name}"] = (liquid.save_every_fs, step_fs)
        for place, (every_fs, step_fs) in saved.items():
            n_steps = every_fs / step_fs
            if round(n_steps) < 1 or abs(n_steps - round(n_steps)) > 1e-6:
                raise ValueError(
                    f"{place}.save_every_fs: {every_fs:g}; allowed are multiples of the time step, "
                    f"{step_fs:g} fs"
                )
        return self

    @model_validator(mode="after")
    def _each_name_has_one_meaning(self) -> Profile:
        names = [*INPUTS, *self.blocks, *self.tests, *self._iterated()]
        names += [f"unseen_{molecule}" for molecule in (self.unseen.groups if self.unseen else ())]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"blocks, tests, iteration.blocks: {name!r} has two meanings; allowed are "
                    f"names unlike each other, the generations, {' and '.join(INPUTS)}"
                )
        return self

    @model_validator(mode="after")
    def _blocks_can_be_built(self) -> Profile:
        known: list[Block] = []
        for section in ("blocks", "tests"):
            for name, block in getattr(self, section).items():
                check_options(f"{section}.{name}", block)
                if any(_same_frames(block, other) for other in known):
                    raise ValueError(
                        f"{section}.{name}.seed: {block.seed}; allowed is one that no other block "
                        "or test of the same kind and options has"
                    )
                known.append(block)
        return self

    @model_validator(mode="after")
    def _sources_are_known(self) -> Profile:
        blocks = self.blocks | self.tests
        sources = {n: b.options["source"] for n, b in blocks.items() if "source" in b.options}
        known = [*blocks, *self._iterated()]
        for name, source in sources.items():
            if source not in known:
                raise ValueError(
                    f"source of {name}: set {source!r}; allowed are {', '.join(known)}"
                )
        if self.iteration:
            sources |= dict.fromkeys(self._iterated(), self.iteration.start)
        for name in sources:
            chain = [name]
            while chain[-1] in sources:
                chain.append(sources[chain[-1]])
                if chain[-1] in chain[:-1]:
                    raise ValueError(f"a block is made from itself: {' from '.join(chain)}")
        return self

    @model_validator(mode="after")
    def _states_are_known(self) -> Profile:
        sections = ("unseen", "larger_box", "longer_training", "third")
        found = {name: getattr(self, name) for name in sections}
        asked = {f"{name}.state": [at.state] for name, at in found.items() if at}
        if self.foundation and self.foundation.fine_tuning:
            asked["foundation.fine_tuning.states"] = self.foundation.fine_tuning.states
        for place, states in asked.items():
            for state in states:
                if state not in self.liquid.states:
                    allowed = ", ".join(self.liquid.states)
                    raise ValueError(f"{place}: {state!r}; allowed are {allowed}")
        return self

    @model_validator(mode="after")
    def _radial_distributions_fit_the_box(self) -> Profile:
        liquid = self.liquid
        half = edge_A(liquid.composition, liquid.start_density_g_cm3) / 2
        if liquid.rdf.r_max_A > half:
            raise ValueError(
                f"liquid.rdf.r_max_A: {liquid.rdf.r_max_A}; allowed is up to half the edge of the "
                f"box at start_density_g_cm3, {half:.2f}"
            )
        return self

    @model_validator(mode="after")
    def _sets_are_known(self) -> Profile:
        sizes = {name: block.frames for name, block in self.blocks.items()} | self._iterated()
        for place, named in self._sets().items():
            for block in (block for each in named for block in self.training.blocks_of(each)):
                name, size = part_of_set(block)
                if name not in sizes:
                    allowed = ", ".join([*sizes, *self.training.names])
                    raise ValueError(f"{place}: set {name!r}; allowed are {allowed}")
                if size and int(size) > sizes[name]:
                    raise ValueError(f"{place}: set {block!r}; {name} has {sizes[name]} frames")
        return self

    @model_validator(mode="after")
    def _longer_trainings_are_of_the_study(self) -> Profile:
        asked = self.longer_training.sets if self.longer_training else {}
        for sets, chosen in asked.items():
            if unknown := set(chosen) - self.training.architectures.keys():
                raise ValueError(
                    f"longer_training.sets: {sets}: {', '.join(sorted(unknown))} not trained here; "
                    f"allowed are {', '.join(self.training.architectures)}"
                )
        return self

    def _iterated(self) -> dict[str, int]:
        return self.iteration.sizes if self.iteration else {}

    def _sets(self) -> dict[str, Sequence[str]]:
        """The training sets that something is done with, by the setting that names them.

        Not the rows, which may be of blocks to come, and not those that are shipped.
        """
        named = {"training.sets": self.training.sets}
        if self.training.search:
            named["training.search.set"] = [self.training.search.set]
        named["liquid.reference_sets"] = self.liquid.reference_sets or []
        named |= {f"liquid.states.{n}.sets": at.sets or [] for n, at in self.liquid.states.items()}
        for name in ("larger_box", "longer_training", "third", "unseen"):
            if section := getattr(self, name):
                named[f"{name}.sets"] = list(section.sets)
        if self.foundation and self.foundation.fine_tuning:
            for name in ("sizes", "sets"):
                place = f"foundation.fine_tuning.{name}"
                named[place] = getattr(self.foundation.fine_tuning, name)
        return named


def check_options(place: str, block: Block) -> None:
    """Refuse what is no option of a kind of block, and a block that lacks one.

    Parameters
    ----------
    place : str
        Where the block is given, for the message.
    block : Block

    Raises
    ------
    ValueError
        With the option and those that are allowed.
    """
    if block.kind == "iterated":
        raise ValueError(f"{place}.kind: 'iterated'; such blocks are named in iteration.blocks")
    known = dict.fromkeys(OWN_OPTIONS, True) if block.kind == "own" else options_of(block.kind)
    for name in block.options:
        if name not in known:
            raise ValueError(f"{place}.options: {name!r}; allowed are {', '.join(known)}")
    for name, is_needed in known.items():
        if is_needed and block.options.get(name) in (None, []):
            raise ValueError(f"{place}.options: no {name}, which kind {block.kind!r} needs")
    try:
        _Options.model_validate(block.options)
    except ValidationError as error:
        raise ValueError(f"{place}.options.{first_fault(error)}") from None
    used = {name for box in block.options.get("compositions", []) for name in box}
    named = block.options.get("molecules", used)
    if lacking := sorted(used - set(named)):
        raise ValueError(
            f"{place}.options.molecules: no {', '.join(lacking)}, of which boxes are made"
        )


def _same_frames(one: Block, other: Block) -> bool:
    """Whether one of two blocks begins with the frames of the other."""
    return (one.kind, one.seed, one.options) == (other.kind, other.seed, other.options)


def part_of_set(text: str) -> tuple[str, str]:
    """Split ``classical.50`` into the block and the number of its frames ('' for all)."""
    name, _, size = text.partition(".")
    if "." in text and not (size.isdecimal() and int(size)):
        raise ValueError(f"set {text!r}; allowed is the name of a block, or NAME.FRAMES")
    return name, size


EXTENDS = "extends"  # in a file: the shipped profile whose settings it changes
OF_THE_STUDY = (
    "larger_box",
    "longer_training",
    "third",
    "foundation",
    "unseen",
    "published",
)
"""Sections that compare the study's own models; a profile of another liquid has none of them."""


def names() -> list[str]:
    """Return the names of the profiles that come with the project."""
    return sorted(path.stem for path in paths.PROFILES.glob("*.yml"))


def load(name: str) -> Profile:
    """Return a profile by name, or from a YAML file of one's own.

    Raises
    ------
    ProfileError
        If there is none of that name, or a setting is unknown, missing or impossible.
    """
    path = _file(name)
    try:
        return Profile.model_validate(_values(path))
    except ValidationError as error:
        raise ProfileError(f"{path.name}: {first_fault(error)}") from None


def extending(name: str) -> list[str]:
    """Return the names of the shipped profiles that extend one."""
    return [other for other in names() if _read(_file(other)).get(EXTENDS) == name]


def settings_hash(name: str) -> str:
    """Return the SHA-256 hex digest of what a profile asks for, but for where it is computed."""
    values = _values(_file(name))
    values.pop("compute", None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _file(name: str) -> Path:
    path = Path(name) if name.endswith((".yml", ".yaml")) else paths.PROFILES / f"{name}.yml"
    if not path.is_file():
        raise ProfileError(
            f"profile {name!r}; allowed are {', '.join(names())}, or the path of a .yml file"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # also of a date that is none
        raise ProfileError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        found = str(values)[:60]
        raise ProfileError(f"{path.name}: the whole file: allowed are settings, found {found!r}")
    return values


def _values(path: Path) -> dict[str, Any]:
    """The settings of a file, over those of the shipped profile that it extends."""
    values = _read(path)
    if EXTENDS not in values:
        return values
    base = values.pop(EXTENDS)
    if base not in names() or EXTENDS in (settings := _read(_file(base))):
        allowed = [name for name in names() if EXTENDS not in _read(_file(name))]
        raise ProfileError(f"{path.name}: {EXTENDS}: {base!r}; allowed are {', '.join(allowed)}")
    return _over(settings, values)


def _over(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Settings with changes, section by section; what is no section is replaced."""
    known = {name: settings[name] for name in changes if isinstance(settings.get(name), dict)}
    return settings | {
        name: _over(known[name], value) if name in known and isinstance(value, dict) else value
        for name, value in changes.items()
    }


def first_fault(error: ValidationError) -> str:
    """Return the place, the fault and the value of the first of pydantic's errors, in a line."""
    first = error.errors()[0]
    place, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    if not place and first["type"] == "value_error":  # of settings beside each other: it names them
        return said
    return f"{place or 'as a whole'}: {said} (found {error_value(first)})"


def error_value(error: Any) -> str:
    """Return the offending value of a pydantic error, shortened for a message."""
    text = repr(error.get("input"))
    return text if len(text) < 80 else text[:77] + "..."
