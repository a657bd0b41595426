"""What an architecture offers. One module in this folder is one architecture.

To add one, write a module with the names below; nothing else in the library changes. Its file
name is its name on the command line and in profiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import BaseModel, ValidationError


class TrainingError(RuntimeError):
    """A training did not end with a usable model; the message gives the reason."""


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


class Architecture(Protocol):
    """The names a module in this folder defines."""

    LABEL: str
    """Name for people."""
    VERSION: int
    """Raised when the same settings would train another model."""
    MODEL_FILE: str
    """File name of a trained model."""
    SECONDS_PER_ATOM: tuple[float, float]
    """Cost of a training frame and of a dynamics step, per atom on one core: for estimates only."""
    Settings: type[BaseModel]
    """Hyperparameters with their defaults; an unknown or impossible one is refused."""

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

    def calculator(self, model: Path, *, device: str, precision: str) -> Calculator:
        """Return an ASE calculator with energy, forces and stress.

        Its attribute ``engine`` names the program that evaluates the model.
        """

    def learning_curve(self, folder: Path, settings: Any, n_training: int) -> list[LearningPoint]:
        """Return the validation errors recorded in the training folder."""


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


def settings(name: str, values: Mapping[str, Any]) -> BaseModel:
    """Return checked hyperparameters of an architecture.

    Raises
    ------
    ValueError
        If a name is unknown or a value impossible.
    """
    model = architecture(name).Settings
    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        allowed = ", ".join(model.model_fields)
        raise ValueError(
            f"{name} setting {place!r} = {first['input']!r}: {first['msg']}; allowed are {allowed}"
        ) from None
