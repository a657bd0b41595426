"""Data that others have published, taken as independent input: got by address, never shipped.

Magdău et al., npj Comput. Mater. 2023, 9, 146; files of the repository imagdau/Tutorials (MIT
licence), each at a fixed commit and with its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from ase import Atoms

from crosstrain import paths
from crosstrain.data import intake
from crosstrain.data.frames import ENERGY, FORCES, STRESS

_TUTORIALS = "https://raw.githubusercontent.com/imagdau/Tutorials"
# name: address, SHA-256
FILES = {
    "ECEMC.xyz": (
        f"{_TUTORIALS}/61e51503f8a50d038f774cc7c0efdc159c6157f5/data/ECEMC.xyz",
        "9fe208d0dcb5c909b5c7d811302ebf9d98487f3e92e668e35dfbdac456f20984",
    ),
    "solvent_xtb_train_200.xyz": (
        f"{_TUTORIALS}/3b7b691f60afdffc0cd66948e333883ae1689cd8/data/solvent_xtb_train_200.xyz",
        "e540bc7c026cfad063fc970406bb74c0f668007fc3c6d200801ecfd5f1ba600e",
    ),
}
# Not written in the file; the paper's own set has it.
DFT_METHOD = "PBE-D2 (CASTEP, likely)"
CLUSTER_FRAMES = 200
BLOCK_FRAMES = 20
DFT_COMPOSITION = {"EC": 4, "EMC": 8}


class NotAvailable(RuntimeError):
    """A published file is neither here nor to be had; the message says how to get it."""


def path(name: str, *, download: bool = True) -> Path:
    """Return a published file: from ``CROSSTRAIN_PUBLISHED``, the cache, or its address.

    Parameters
    ----------
    name : str
        A key of `FILES`.
    download : bool
        Whether to ask the network.

    Raises
    ------
    NotAvailable
        If the file is in neither place and cannot be downloaded.
    ValueError
        If `name` is not known, or a file is not the published one.
    """
    if name not in FILES:
        raise ValueError(f"published file {name!r}; allowed are {', '.join(FILES)}")
    address, sha256 = FILES[name]
    folder = paths.published()
    if folder and (folder / name).is_file():
        if pooch.file_hash(str(folder / name)) != sha256:
            raise ValueError(
                f"{name} in CROSSTRAIN_PUBLISHED is not the published file (SHA-256 {sha256}); "
                f"get it from {address}"
            )
        return folder / name
    cache = pooch.os_cache("crosstrain")
    cached = cache / name
    reason = "not asked to download"
    try:
        if download or (cached.is_file() and pooch.file_hash(str(cached)) == sha256):
            return Path(pooch.retrieve(address, f"sha256:{sha256}", fname=name, path=cache))
    except OSError as error:  # what requests raises without a network
        reason = type(error).__name__
    raise NotAvailable(
        f"skipped: published data not available: {name} ({reason}); set CROSSTRAIN_PUBLISHED to a "
        f"folder that has it, or download it once from {address} with: "
        f"python -c \"from crosstrain.data import published; published.path('{name}')\""
    )


def read(name: str, *, download: bool = True) -> list[Atoms]:
    """Return the labelled frames of a published file, in the project's form.

    Raises
    ------
    NotAvailable
        See `path`.
    ValueError
        If `name` is not known.
    """
    readers = {"ECEMC.xyz": read_dft, "solvent_xtb_train_200.xyz": read_clusters}
    if name not in readers:
        raise ValueError(f"published file {name!r}; allowed are {', '.join(readers)}")
    return readers[name](download=download)


def read_dft(*, download: bool = True) -> list[Atoms]:
    """Return 200 liquid frames of 4 EC and 8 EMC with DFT labels, in the project's form.

    ``info["block"]`` (0 to 9) is the part of the set: the first four at fixed volume from 300 K
    and 0.48 g/cm³ up, the others at varied volume from 500 to 1200 K; ``info["temperature_K"]``
    is there too. The level of theory, `DFT_METHOD`, is likely, not known.

    Raises
    ------
    NotAvailable
        See `path`.
    """
    frames = _dft(download).frames
    for number, frame in enumerate(frames):
        frame.info["block"] = number // BLOCK_FRAMES
        frame.info["temperature_K"] = float(frame.info.pop("temperature"))
        del frame.info["density"]  # of masses and cell, which are there
    return frames


def read_clusters(*, download: bool = True) -> list[Atoms]:
    """Return gas-phase clusters of six carbonates with GFN2-xTB labels, in the project's form.

    191 of 200: in the others a bond is stretched beyond the limits of
    `crosstrain.build.molecules`, so that their molecules are not what they are called.

    Raises
    ------
    NotAvailable
        See `path`.
    """
    frames = _clusters(download).frames
    for frame in frames:
        for tag in ("Nmols", "Comp"):  # what molecule and composition say
            del frame.info[tag]
    return frames


def with_labels(frames: Sequence[Atoms], labels: Sequence[Mapping[str, Any]]) -> list[Atoms]:
    """Return frames with labels of another method; without those that it could not label.

    Parameters
    ----------
    frames : sequence of Atoms
        With ``info["seed"]``, their number in the file.
    labels : sequence of mapping
        Parts with ``method``, and by frame ``number``, ``energy_eV``, ``forces_eV_A`` and
        ``stress_eV_A3``.
    """
    known = {str(number): (part, i) for part in labels for i, number in enumerate(part["number"])}
    found = []
    for frame in frames:
        if frame.info["seed"] not in known:
            continue
        part, i = known[frame.info["seed"]]
        copy = frame.copy()
        copy.info |= {
            ENERGY: float(part["energy_eV"][i]),
            STRESS: np.array(part["stress_eV_A3"][i]),
            "method": str(part["method"]),
        }
        copy.arrays[FORCES] = np.array(part["forces_eV_A"][i])
        found.append(copy)
    return found


def atom_energies_eV(name: str, *, download: bool = True) -> dict[str, float]:
    """Return the energies (eV) of the isolated atoms that a published file begins with."""
    readers = {"ECEMC.xyz": _dft, "solvent_xtb_train_200.xyz": _clusters}
    if name not in readers:
        raise ValueError(f"published file {name!r}; allowed are {', '.join(readers)}")
    return readers[name](download).atom_energies_eV


def _dft(download: bool) -> intake.Intake:
    return intake.read(
        path("ECEMC.xyz", download=download),
        keys={"energy": "energy", "forces": "forces", "virial": "virial"},
        method=DFT_METHOD,
        periodic=True,
        molecules=["EC", "EMC"],
    )


def _clusters(download: bool) -> intake.Intake:
    return intake.read(
        path("solvent_xtb_train_200.xyz", download=download),
        keys={"energy": "energy_xtb", "forces": "forces_xtb"},
        method="GFN2-xTB",
        periodic=False,
        molecules=["EC", "EMC", "DMC", "DEC", "PC", "VC"],
        leave_out=True,
    )
