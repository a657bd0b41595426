"""Profiles: every size, budget and hyperparameter of a run, one readable YAML file each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from crosstrain import paths
from crosstrain.data.reference import METHODS


class ProfileError(ValueError):
    """A profile is unknown or wrong; the message names the setting and what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Counts = Annotated[dict[str, Annotated[int, Field(ge=1)]], Field(min_length=1)]


class Compute(_Part):
    """Where and how the work runs."""

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "float64"] = "float32"
    engine: str = Field(
        "local", description="serial, local, slurm, slurm_gpu, or a Python file with a Parsl config"
    )
    workers: int = Field(2, ge=1)
    threads: int = Field(1, ge=1, description="threads of each worker")


class Block(_Part):
    """A block of labelled frames."""

    kind: Literal["packed", "classical", "scan", "molecules", "iterated", "own"]
    frames: int = Field(ge=1)
    seed: int
    options: dict[str, Any] = {}
    purpose: str = Field("", description="a sentence for its data card")


class Budget(_Part):
    """The same computing time for every training, whatever its set."""

    core_s: float = Field(gt=0, description="seconds of one core")
    frame_cost_s: dict[str, tuple[float, float]] = Field(
        description="of each architecture: seconds for a frame, and more for each of its atoms"
    )


class Candidate(_Part):
    """Hyperparameters that might be chosen."""

    settings: dict[str, Any]
    frame_cost_s: tuple[float, float] = Field(description="as in the budget")


class Search(_Part):
    """Hyperparameters to choose from, each trained once with the budget."""

    set: str
    seed: int
    candidates: dict[str, dict[str, Candidate]] = Field(description="by architecture and name")


class Training(_Part):
    """How models are trained."""

    sets: list[str] = Field(description="blocks joined by +, for example classical+scan")
    seeds: list[int]
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


class Iteration(_Part):
    """Active learning: blocks that a committee of models chooses, generation by generation."""

    start: str = Field(description="block that the first committee is trained on")
    blocks: dict[str, str] = Field(description="architecture that makes each block")
    generations: int = Field(ge=1)
    frames: int = Field(ge=1, description="chosen in each generation, at most")
    seeds: list[int] = Field(min_length=2, description="of the committee's members")
    core_s: float | None = Field(None, gt=0, description="of each training after the first")
    runs: int = Field(ge=1, description="exploring runs of each generation")
    compositions: list[Counts] = Field(min_length=1)
    temperature_K: tuple[float, float]
    density_g_cm3: tuple[float, float]
    duration_ps: float = Field(gt=0)
    timestep_fs: float = Field(1.0, gt=0, le=2)
    save_every_fs: float = Field(gt=0)
    allow_broken: bool = Field(False, description="whether broken molecules may be trained on")
    purpose: str = ""


class State(_Part):
    """A thermodynamic state."""

    temperature_K: float = Field(gt=0)
    pressure_bar: float
    replicas: list[int] = Field([1], min_length=1)
    diffusion_ps: float | None = Field(
        None, gt=0, description="run at constant volume after the first replica; none without"
    )
    sets: list[str] | None = Field(
        None, description="training sets whose models are run here and diffuse (all)"
    )


class RadialDistributions(_Part):
    """Which intermolecular radial distribution functions are compared."""

    pairs: list[Annotated[str, Field(pattern="^[HCO]-[HCO]$")]] = Field(
        description="pairs of elements, for example O-H"
    )
    r_max_A: float = Field(gt=0, description="at most half the smallest box")
    n_bins: int = Field(ge=2)


class Liquid(_Part):
    """The liquid on which models are judged."""

    composition: Counts
    states: dict[str, State]
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
    seed: int
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
    seeds: list[int] = Field(min_length=1)
    state: str = Field(description="of the liquid's states")
    duration_ps: float = Field(gt=0)


class ZeroShot(_Part):
    """How a published model is run as it is."""

    duration_ps: float = Field(gt=0, description="of its liquid at each state, one replica")


class Tuned(Candidate):
    """How a published model is trained further."""

    architecture: str | None = Field(None, description="default: the name")


class FineTuning(_Part):
    """Published models trained further, beside bespoke ones on the same frames."""

    variants: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")], Tuned] = Field(
        description="by a name of their own"
    )
    seed: int
    sizes: list[str] = Field(description="growing parts of a block, for the learning curves")
    sets: list[str] = Field([], description="further training sets, for the transfer matrix")
    states: list[str] = Field(description="where all these models are run, one replica")

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

    known: dict[str, float] = Field(
        min_length=1, description="trained on: starting density, g/cm³, of each pure liquid"
    )
    shape: dict[str, float] = Field(min_length=1, description="small change of molecular shape")
    chemistry: dict[str, float] = Field(min_length=1, description="other functional chemistry")
    atoms: int = Field(ge=1, description="of a box, about")
    state: str = Field(description="of the liquid's states")
    duration_ps: float = Field(gt=0)
    save_every_fs: float = Field(gt=0)
    frames: int = Field(ge=1, description="labelled classical snapshots of each liquid")
    seed: int = Field(description="of these snapshots")
    sets: list[str] = Field(description="training sets whose models are tried")
    seeds: list[int] = Field(min_length=1, description="of these models")

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

    composition: dict[str, int]
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
    splits: dict[str, Split]
    sizes: list[int] = Field(
        [], description="training frames of the first split, for learning curves on DFT labels"
    )
    seed: int
    core_s: float | None = Field(None, gt=0, description="of each training; needs a budget")
    liquid_split: str = Field(description="whose models are run")
    liquids: dict[str, OneLiquid]

    @model_validator(mode="after")
    def _liquid_split_is_known(self) -> PublishedData:
        if self.liquid_split not in self.splits:
            raise ValueError(
                f"liquid_split: {self.liquid_split!r}; allowed are {', '.join(self.splits)}"
            )
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
    blocks: dict[str, Block]
    tests: dict[str, Block]
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
    def _states_are_known(self) -> Profile:
        for name in ("unseen", "larger_box", "longer_training", "third"):
            section = getattr(self, name)
            if section and section.state not in self.liquid.states:
                allowed = ", ".join(self.liquid.states)
                raise ValueError(f"{name}.state: {section.state!r}; allowed are {allowed}")
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
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole file"
        raise ProfileError(
            f"{path.name}: {place}: {first['msg']} (found {error_value(first)})"
        ) from None


def extending(name: str) -> list[str]:
    """Return the names of the shipped profiles that extend one."""
    return [other for other in names() if _read(_file(other)).get(EXTENDS) == name]


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


def error_value(error: Any) -> str:
    """Return the offending value of a pydantic error, shortened for a message."""
    text = repr(error.get("input"))
    return text if len(text) < 80 else text[:77] + "..."
