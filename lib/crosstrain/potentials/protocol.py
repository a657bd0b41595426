"""What an architecture offers. One module in this folder is one architecture.

To add one, write a module with the names below; nothing else in the library changes. Its file
name is its name on the command line and in profiles. ``notebooks/add_an_architecture.md`` walks
through one. A module whose models come from others names them in ``PRETRAINED``; one that cannot be
trained here has the names of `Potential` only.
"""

from __future__ import annotations

import logging
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import BaseModel, ValidationError

from crosstrain import paths

# What reading a damaged archive can raise.
UNREADABLE_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
# How far two engines may differ: eV per atom, eV/Å, eV/Å³. Far below a model's errors.
AGREEMENT = {"energy": 1e-4, "forces": 5e-4, "stress": 5e-6}
RECORD = "pretrained.json"  # beside the weights of a published model: which one it is


class TrainingError(RuntimeError):
    """A training did not end with a usable model; the message gives the reason."""


class WeightsNotFound(RuntimeError):
    """The weights of a published model are not here; the message says how to provide them."""


@dataclass(frozen=True)
class Pretrained:
    """A model that others have trained and published.

    Attributes
    ----------
    label : str
        Name for people.
    level_of_theory : str
        Of the labels that it was trained on.
    file : callable
        Returns the file of its weights, or raises `WeightsNotFound`.
    sha256 : str
        Of the published file; empty where it comes inside a package.
    """

    label: str
    level_of_theory: str
    file: Callable[[], Path]
    sha256: str = ""


@dataclass(frozen=True)
class LearningPoint:
    """Validation errors at one moment of a training.

    Attributes
    ----------
    samples : int
        Frames seen so far, repeats counted.
    energy_rmse_eV_atom, forces_rmse_eV_A : float
        Root mean square errors on the validation frames.
    """

    samples: int
    energy_rmse_eV_atom: float
    forces_rmse_eV_A: float

    def to_json(self) -> dict[str, float]:
        """Return the point as a plain dictionary."""
        return asdict(self)


def without_repeats(points: Iterable[LearningPoint]) -> list[LearningPoint]:
    """Return one point per moment, the last: a continued training reports some again."""
    return list({point.samples: point for point in points}.values())


def refuse_diverged(last: LearningPoint) -> None:
    """Raise `TrainingError` if the last errors of a training are not finite."""
    if not np.isfinite([last.energy_rmse_eV_atom, last.forces_rmse_eV_A]).all():
        raise TrainingError(f"the training diverged: errors after {last.samples} frames are NaN")


class Potential(Protocol):
    """The names that every module in this folder defines."""

    LABEL: str
    """Name for people."""
    MODEL_FILE: str
    """File name of a model; its suffix is that of no other architecture."""
    SECONDS_PER_ATOM: tuple[float, float]
    """Cost of a training frame and of a dynamics step, per atom on one core: for estimates only."""

    def file_fault(self, file: Path) -> str:
        """Return what is wrong with a file that a user gives, without loading it; '' if nothing is.

        Models that are archives of torch share `archive_fault`.
        """

    def calculator(self, model: Path, *, device: str, precision: str) -> Calculator:
        """Return an ASE calculator with energy, forces and stress.

        Its attribute ``engine`` names the program that evaluates the model.
        """


class Architecture(Potential, Protocol):
    """The names that a module also defines if its models can be trained, or fine-tuned."""

    VERSION: int
    """Raised when the same settings would train another model."""
    Settings: type[BaseModel]
    """Hyperparameters with their defaults; an unknown or impossible one is refused.

    A module whose models are over 4 MiB also says ``IS_LARGE = True``: they are not shipped, and
    trained again where they are needed. One that cannot use a GPU says ``ON_CPU_ONLY = True``. One
    whose models have weights in the sense of a network also has ``n_weights(model: Path) -> int``,
    how many numbers a training fits. One whose `sized` takes a share of the settings says
    ``IS_SIZED_ONCE = True``: a set of unknown size is then not sized twice. One that reads further
    files has ``hashes_of_files(settings) -> dict``, the settings that hold their hashes.
    """

    def samples(self, settings: Any, n_training: int) -> int:
        """Return how many frames a training sees, repeats counted."""

    def sized(self, settings: Any, n_samples: int, n_training: int) -> Any:
        """Return the settings for a training that sees about `n_samples` frames."""

    def train(
        self,
        training: Sequence[Atoms],
        validation: Sequence[Atoms],
        settings: Any,
        *,
        seed: int,
        folder: Path,
        atom_energies: Mapping[str, float],
        device: str,
        precision: str,
    ) -> Path:
        """Train a model and return its file.

        Parameters
        ----------
        training, validation : sequence of Atoms
            Labelled frames.
        settings : Settings
            Hyperparameters.
        seed : int
            Of the initial weights and the order of the frames.
        folder : Path
            For everything the trainer writes. An interrupted training is continued from there.
        atom_energies : mapping of str to float
            Energy (eV) of each isolated atom by the reference method.
        device, precision : str
            ``cpu`` or ``cuda``; ``float32`` or ``float64``.

        Raises
        ------
        TrainingError
            If the trainer fails or did not see the labels it was given.
        """

    def learning_curve(self, folder: Path, settings: Any, n_training: int) -> list[LearningPoint]:
        """Return the validation errors recorded in the training folder."""


def whole_checkpoints(files: Iterable[Path]) -> list[Path]:
    """Return those files of torch that are as they were written, and delete the others.

    They are archives with a checksum of every member, which torch does not look at: it would go on
    from altered weights.
    """
    whole = []
    for file in files:
        if fault := archive_fault(file):
            print(f"damaged checkpoint deleted: {file.name}: {fault}", file=sys.stderr)
            file.unlink()
        else:
            whole.append(file)
    return whole


def archive_fault(file: Path) -> str:
    """Return what is wrong with an archive of torch, without loading it; '' if nothing is."""
    try:
        with zipfile.ZipFile(file) as archive:
            altered = archive.testzip()
    except UNREADABLE_ARCHIVE as error:
        return f"no archive of torch, or cut off ({error})"
    return f"altered since it was written (in {altered})" if altered else ""


def fastest(load: Callable[[], Calculator], otherwise: Calculator, what: str) -> Calculator:
    """Return a calculator of a faster engine if it agrees with a slower one, and else that one.

    Parameters
    ----------
    load : callable
        Returns the faster one; whatever it raises, the model can be used without it.
    otherwise : Calculator
        The slower one. If it is returned, its attribute ``engine`` says why.
    what : str
        Name of the faster engine.
    """
    try:
        fast = load()
        _check_agreement(fast, otherwise)
    except Exception as error:
        logging.getLogger(__name__).warning("no %s: %s", what, error)
        otherwise.engine += f" (no {what}: {_in_a_line(error)})"
        return otherwise
    return fast


def _check_agreement(fast: Calculator, slow: Calculator) -> None:
    """Compare on two deformed molecules of methyl formate (H, C, O) in a small periodic box."""
    from ase.build import molecule

    frame = molecule("HCOOCH3", cell=[4.5, 5.0, 6.0], pbc=True)
    frame.center()
    frame *= (2, 1, 1)
    frame.rattle(0.05, seed=0)
    difference = {
        "energy": abs(fast.get_potential_energy(frame) - slow.get_potential_energy(frame))
        / len(frame),
        "forces": np.abs(fast.get_forces(frame) - slow.get_forces(frame)).max(),
        "stress": np.abs(fast.get_stress(frame) - slow.get_stress(frame)).max(),
    }
    for name, allowed in AGREEMENT.items():
        if not difference[name] <= allowed:
            raise ValueError(f"{name} differs by {difference[name]:.1e}, allowed is {allowed:.0e}")


def _in_a_line(error: Exception) -> str:
    """Return what an error says, or its type if that is long or names files of this machine."""
    text = " ".join(str(error).split())
    return text if 0 < len(text) < 200 and "/" not in text else type(error).__name__


def names() -> list[str]:
    """Return the names of the architectures, one per module of this folder."""
    package = import_module("crosstrain.potentials")
    return sorted(m.name for m in iter_modules(package.__path__) if m.name != "protocol")


def architecture(name: str) -> Architecture:
    """Return the module of an architecture.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in names():
        raise ValueError(f"architecture {name!r}; allowed are {', '.join(names())}")
    return import_module(f"crosstrain.potentials.{name}")  # type: ignore[return-value]


def pretrained() -> dict[str, str]:
    """Return the architecture of each published model, by the name of the model."""
    return {
        model: name for name in names() for model in getattr(architecture(name), "PRETRAINED", ())
    }


def published(model: str) -> Pretrained:
    """Return a published model by name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    known = pretrained()
    if model not in known:
        raise ValueError(f"pretrained model {model!r}; allowed are {', '.join(known)}")
    return architecture(known[model]).PRETRAINED[model]  # type: ignore[attr-defined]


def checked_weights(model: Pretrained, sha256: str | None = None) -> tuple[Path, str]:
    """Return the file of a published model's weights and its SHA-256.

    Parameters
    ----------
    model : Pretrained
    sha256 : str, optional
        What the hash must be; that of the published file by default.

    Raises
    ------
    WeightsNotFound
        If there is no such file, or one that only has its name.
    ValueError
        If it is another file than the one that is asked for by its hash.
    """
    path = model.file()
    found = paths.sha256(path)
    expected = sha256 or model.sha256
    if expected and found != expected:
        said = f"weights of {model.label}, {path}, have SHA-256 {found}; expected is {expected}"
        raise ValueError(said) if sha256 else WeightsNotFound(f"{said}: get the file again")
    return path, found


def packaged_weights(package: str, path: str, requirement: str) -> Path:
    """Return a file inside an installed package, without importing it.

    Raises
    ------
    WeightsNotFound
        If the package is not installed or lacks the file.
    """
    spec = find_spec(package)
    file = Path(spec.origin).parent / path if spec and spec.origin else None
    if file is None or not file.is_file():
        raise WeightsNotFound(f"weights not found (they come with 'pip install {requirement}')")
    return file


def settings(name: str, values: Mapping[str, Any]) -> BaseModel:
    """Return checked hyperparameters of an architecture.

    Raises
    ------
    ValueError
        If a name is unknown or a value impossible, or the architecture cannot be trained here.
    """
    model = getattr(architecture(name), "Settings", None)
    if model is None:
        raise ValueError(f"architecture {name!r} cannot be trained here, only evaluated")
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        if not place:  # settings that are impossible together
            raise ValueError(f"{name} settings: {first['msg']}") from None
        allowed = ", ".join(model.model_fields)
        raise ValueError(
            f"{name} setting {place!r} = {first['input']!r}: {first['msg']}; allowed are {allowed}"
        ) from None


def with_hashes(name: str, chosen: BaseModel) -> BaseModel:
    """Return settings with the hashes of the files that a training with them reads, if any.

    Parameters
    ----------
    name : str
        Of the architecture.
    chosen : BaseModel
        Its settings. Those that start from a published model say which: ``base``.

    Raises
    ------
    WeightsNotFound
        If a file is not here.
    ValueError
        If the weights have another hash than the settings name.
    """
    hashes = {}
    if base := getattr(chosen, "base", None):
        known = chosen.base_sha256 or None
        hashes["base_sha256"] = checked_weights(published(base), known)[1]
    if others := getattr(architecture(name), "hashes_of_files", None):
        hashes |= others(chosen)
    return chosen.model_copy(update=hashes)
