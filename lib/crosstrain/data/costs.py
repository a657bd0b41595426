"""What models cost to train and to run: measured by ``make bench``, for the plan of a campaign."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crosstrain import paths

FILE = paths.PROFILES.parent / "costs.json"


class PowerLaw(NamedTuple):
    """``seconds = prefactor * atoms ** exponent``, and where it was measured.

    Attributes
    ----------
    prefactor : float
        Seconds on one core.
    exponent : float
    smallest, largest : float
        Atoms of the smallest and the largest box that was measured.
    """

    prefactor: float
    exponent: float
    smallest: float
    largest: float

    def at(self, atoms: float) -> float:
        """Return the seconds for a number of atoms."""
        return self.prefactor * atoms**self.exponent

    def __str__(self) -> str:
        return (
            f"{self.at(100):.3g} core s at 100 atoms, ~ atoms^{self.exponent:.2f} "
            f"(measured from {self.smallest:.0f} to {self.largest:.0f} atoms)"
        )


def power_law(atoms: ArrayLike, seconds: ArrayLike) -> PowerLaw:
    """Fit a power law by least squares in the logarithms.

    Parameters
    ----------
    atoms, seconds : array_like, shape (n,)

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or a value is not above 0.
    """
    atoms, seconds = np.asarray(atoms, dtype=float), np.asarray(seconds, dtype=float)
    if len(set(atoms)) < 2 or not (atoms > 0).all() or not (seconds > 0).all():
        raise ValueError(
            f"atoms {atoms.tolist()}, seconds {seconds.tolist()}; allowed are two sizes or more, "
            "all values above 0"
        )
    exponent, log_prefactor = np.polyfit(np.log(atoms), np.log(seconds), 1)
    return PowerLaw(float(np.exp(log_prefactor)), float(exponent), atoms.min(), atoms.max())


def measured(path: Path = FILE) -> list[dict[str, Any]]:
    """Return the measurements: architecture, settings, machine and seconds by number of atoms."""
    return json.loads(path.read_text()) if path.is_file() else []


def of_model(
    architecture: str, settings: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> dict[str, PowerLaw]:
    """Return the cost of a ``frame`` in training and of a ``step`` of dynamics, if measured.

    An entry is of these settings if all that it names have the same value: it leaves out those
    that say how long to train.
    """
    entry = _entry(architecture, settings, entries)
    return {
        what: power_law(*zip(*entry[f"core_s_per_{what}"], strict=True))
        for what in ("frame", "step")
        if entry
    }


def model_bytes(
    architecture: str, settings: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> int | None:
    """Return the size of the file of a model, if measured; as `of_model`."""
    return _entry(architecture, settings, entries).get("model_bytes")


def _entry(
    architecture: str, settings: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> Mapping[str, Any]:
    chosen = json.loads(json.dumps(dict(settings)))
    for entry in entries:
        names = entry["settings"]
        if entry["architecture"] == architecture and all(
            chosen.get(name) == value for name, value in names.items()
        ):
            return entry
    return {}
