"""What models cost to train and to run: measured by ``make bench``, for the plan of a campaign."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import nnls

from crosstrain import paths

FILE = paths.PROFILES.parent / "costs.json"


class Scaling(NamedTuple):
    """``seconds = constant + linear * atoms + quadratic * atoms ** 2``, and where it was measured.

    The constant is what every call costs, the linear term the model itself; the quadratic one is
    for what looks at all pairs, such as a search for neighbours.

    Attributes
    ----------
    constant, linear, quadratic : float
        Seconds on one core; none is below 0.
    smallest, largest : float
        Atoms of the smallest and the largest box that was measured.
    """

    constant: float
    linear: float
    quadratic: float
    smallest: float
    largest: float

    def at(self, atoms: float) -> float:
        """Return the seconds for a number of atoms."""
        return self.constant + self.linear * atoms + self.quadratic * atoms**2

    def __str__(self) -> str:
        return (
            f"{self.at(100):.3g} core s at 100 atoms, {self.at(400):.3g} at 400 "
            f"(measured from {self.smallest:.0f} to {self.largest:.0f} atoms)"
        )


def scaling(atoms: ArrayLike, seconds: ArrayLike) -> Scaling:
    """Fit a cost to sizes, by least squares of the relative deviations.

    Parameters
    ----------
    atoms, seconds : array_like, shape (n,)

    Raises
    ------
    ValueError
        If there are fewer than three sizes, or a value is not above 0.
    """
    atoms, seconds = np.asarray(atoms, dtype=float), np.asarray(seconds, dtype=float)
    if len(set(atoms)) < 3 or not (atoms > 0).all() or not (seconds > 0).all():
        raise ValueError(
            f"atoms {atoms.tolist()}, seconds {seconds.tolist()}; allowed are three sizes or more, "
            "all values above 0"
        )
    largest = atoms.max()
    terms = np.vander(atoms / largest, 3, increasing=True)
    found, _ = nnls(terms / seconds[:, None], np.ones_like(seconds))
    coefficients = found / largest ** np.arange(3)
    return Scaling(*map(float, coefficients), float(atoms.min()), float(largest))


def measured(path: Path = FILE) -> list[dict[str, Any]]:
    """Return the measurements: architecture, settings, machine and seconds by number of atoms."""
    return json.loads(path.read_text()) if path.is_file() else []


def of_model(
    architecture: str, settings: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> dict[str, Scaling]:
    """Return the cost of a ``frame`` in training and of a ``step`` of dynamics, where measured.

    An entry is of these settings if all that it names have the same value: it leaves out those
    that say how long to train.
    """
    entry = _entry(architecture, settings, entries)
    return {
        what: scaling(*zip(*entry[f"core_s_per_{what}"], strict=True))
        for what in ("frame", "step")
        if f"core_s_per_{what}" in entry
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
