"""Trajectories on disk: recorded in chunks, merged at the end, checked on reading.

A trajectory is one ``trajectory.npz``. Equal runs give files of equal bytes. Every file is written
aside, synchronised and moved into place, so that a reader finds the old file or the new one, whole.
"""

import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

TRAJECTORY = "trajectory.npz"
THERMO_COLUMNS = (
    "time_ps",
    "potential_energy_eV",
    "temperature_K",
    "volume_A3",
    "pressure_bar",
)

# What reading a damaged npz file can raise; the last two where a flag of the archive is altered.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
)
POSITIONS = {"positions"}
RECORDS = POSITIONS | {"time_ps", "cells", "thermo"}  # arrays of a chunk
CONSTANT = {"numbers", "masses", "pbc"}  # what a trajectory has beside them
OPTIONAL = {"molecule", "bonds", "composition"}
PACKED = {"first", "moves"}  # of a packed trajectory instead of positions, both in steps
STEP_A = 1e-3


class Damaged(ValueError):
    """Files of a run cannot be read; without its folder the run can begin again."""


@dataclass(frozen=True)
class Trajectory:
    """A finished trajectory.

    Attributes
    ----------
    reference
        Atoms with numbers, masses, periodicity, and where known ``arrays["molecule"]``,
        ``info["bonds"]`` and ``info["composition"]``, at the first frame.
    positions
        Å, float32, shape (n_frames, n_atoms, 3), never wrapped.
    cells
        Å, shape (n_frames, 3, 3).
    time_ps
        Shape (n_frames,). Evenly spaced, but for the last frame of a run that was not completed.
    thermo
        Columns `THERMO_COLUMNS`, each of shape (n_rows,). The pressure includes the kinetic part
        and is NaN under NVT if the calculator has no stress.
    """

    reference: Atoms
    positions: NDArray[np.float32]
    cells: NDArray[np.float64]
    time_ps: NDArray[np.float64]
    thermo: dict[str, NDArray[np.float64]]

    def frames(self, indices: Iterable[int] | None = None) -> list[Atoms]:
        """Frames as Atoms (all of them by default), with ``info["time_ps"]``."""
        frames = []
        for index in range(len(self.time_ps)) if indices is None else indices:
            atoms = self.reference.copy()
            atoms.set_cell(self.cells[index])
            atoms.positions = self.positions[index]
            atoms.info["time_ps"] = float(self.time_ps[index])
            frames.append(atoms)
        return frames


def read_trajectory(folder: str | os.PathLike[str]) -> Trajectory:
    """Read the trajectory of a run that has ended.

    Parameters
    ----------
    folder
        Folder of the run.

    Returns
    -------
    Trajectory
        Positions, cells, times and thermodynamic table.

    Raises
    ------
    FileNotFoundError
        If no run has ended there.
    Damaged
        If the file is damaged or truncated, or holds a non-finite number.
    """
    path = Path(folder) / TRAJECTORY
    if not path.exists():
        raise FileNotFoundError(f"folder {folder} holds no {TRAJECTORY}: has its run ended?")
    data = read_npz(path, (RECORDS - POSITIONS) | CONSTANT, optional=OPTIONAL | POSITIONS | PACKED)
    try:
        if not data.keys() > POSITIONS:
            data["positions"] = _unpacked(data)
        _check(data)
    except ValueError as error:
        raise Damaged(f"trajectory {path} cannot be used: {error}") from error
    thermo = dict(zip(THERMO_COLUMNS, data["thermo"].T, strict=True))
    return Trajectory(_reference(data), data["positions"], data["cells"], data["time_ps"], thermo)


def write_trajectory(path: Path, atoms: Atoms, records: dict[str, NDArray]) -> None:
    """Write the records of a run, with what of `atoms` does not change along it.

    Parameters
    ----------
    path
        File to write.
    atoms
        Gives numbers, masses, periodicity, and if present ``arrays["molecule"]``,
        ``info["bonds"]`` and ``info["composition"]``.
    records
        As `Recorder.merged` gives them.
    """
    optional = {
        "molecule": atoms.arrays.get("molecule"),
        "bonds": atoms.info.get("bonds"),
        "composition": atoms.info.get("composition"),
    }
    write_npz(
        path,
        compress=True,
        numbers=atoms.numbers,
        masses=atoms.get_masses(),
        pbc=atoms.pbc,
        **{name: np.asarray(value) for name, value in optional.items() if value is not None},
        **records,
    )


def pack_trajectory(source: Path, target: Path) -> None:
    """Copy a trajectory with its positions rounded to 0.001 Å, in a third of the room.

    The first frame and the moves from frame to frame are kept, as whole numbers of 0.001 Å, which
    is far below what any observable sees. `read_trajectory` reads either.

    Parameters
    ----------
    source, target
        Files.
    """
    data = read_npz(source, RECORDS | CONSTANT, optional=OPTIONAL)
    steps = np.rint(data.pop("positions").astype(float) / STEP_A).astype(np.int64)
    moves = np.diff(steps, axis=0)
    if np.abs(moves).max(initial=0) <= np.iinfo(np.int16).max:  # else something has flown away
        moves = moves.astype(np.int16)
    write_npz(target, compress=True, first=steps[:1], moves=moves, **data)


def is_packed(path: Path) -> bool:
    """Whether a trajectory file is packed."""
    with np.load(path) as file:
        return set(file.files) >= PACKED


def _unpacked(data: dict[str, NDArray]) -> NDArray[np.float32]:
    if amiss := PACKED - data.keys():
        raise ValueError(f"positions, or {' and '.join(sorted(amiss))}, missing")
    first, moves = (data.pop(name) for name in ("first", "moves"))
    if not (first.dtype.kind == moves.dtype.kind == "i"):
        raise ValueError(f"first and moves are {first.dtype} and {moves.dtype}, not whole numbers")
    steps = np.concatenate([first, moves]).cumsum(axis=0, dtype=np.int64)
    return (steps * STEP_A).astype(np.float32)


def _check(data: dict[str, NDArray]) -> None:
    n_frames, n_atoms = len(data["time_ps"]), len(data["numbers"])
    expected = {
        "time_ps": (n_frames,),
        "positions": (n_frames, n_atoms, 3),
        "cells": (n_frames, 3, 3),
        "masses": (n_atoms,),
        "thermo": (len(data["thermo"]), len(THERMO_COLUMNS)),
    }
    if n_frames == 0:
        raise ValueError("it holds no frames")
    for name, shape in expected.items():
        if data[name].shape != shape:
            raise ValueError(f"{name} is of shape {data[name].shape}, expected {shape}")
        # The pressure, last column, is not known of every calculator.
        numbers = data[name][:, :-1] if name == "thermo" else data[name]
        if not np.isfinite(numbers).all():
            raise ValueError(f"{name} holds a non-finite number")


def _reference(data: dict[str, NDArray]) -> Atoms:
    atoms = Atoms(data["numbers"], data["positions"][0], cell=data["cells"][0], pbc=data["pbc"])
    atoms.set_masses(data["masses"])
    if "molecule" in data:
        atoms.set_array("molecule", data["molecule"])
    if "bonds" in data:
        atoms.info["bonds"] = data["bonds"]
    if "composition" in data:
        atoms.info["composition"] = str(data["composition"])
    return atoms


@dataclass
class Recorder:
    """Frames and table rows: those since the last chunk in memory, the others on disk."""

    folder: Path
    n_atoms: int
    n_chunks: int = 0
    frames: list[tuple[float, NDArray, NDArray]] = field(default_factory=list)
    thermo: list[tuple[float, ...]] = field(default_factory=list)

    def chunk_paths(self) -> list[Path]:
        return [self.folder / f"chunk_{index:05d}.npz" for index in range(self.n_chunks)]

    def flush(self) -> None:
        """Move what is in memory to a new chunk."""
        self.n_chunks += 1
        write_npz(self.chunk_paths()[-1], compress=False, **self._in_memory())
        self.frames, self.thermo = [], []

    def on_disk(self) -> list[dict[str, NDArray]]:
        """The chunks; raises `Damaged` if one cannot be read."""
        return [read_npz(path, RECORDS) for path in self.chunk_paths()]

    def merged(self) -> dict[str, NDArray]:
        """All records of the run."""
        parts = [*self.on_disk(), self._in_memory()]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[-1]}

    def _in_memory(self) -> dict[str, NDArray]:
        times, positions, cells = zip(*self.frames, strict=True) if self.frames else ((), (), ())
        return {
            "time_ps": np.array(times, dtype=float),
            "positions": np.array(positions, dtype=np.float32).reshape(-1, self.n_atoms, 3),
            "cells": np.array(cells, dtype=float).reshape(-1, 3, 3),
            "thermo": np.array(self.thermo, dtype=float).reshape(-1, len(THERMO_COLUMNS)),
        }


def write_npz(path: Path, *, compress: bool, **arrays: NDArray) -> None:
    # numpy gives the members of the archive a fixed date, so equal arrays make equal bytes.
    save = np.savez_compressed if compress else np.savez
    write_whole(path, lambda file: save(file, **arrays))


def read_npz(
    path: Path, names: Collection[str], *, optional: Collection[str] = ()
) -> dict[str, NDArray]:
    """Return the arrays of a file; raise `Damaged` if it has not just these, or is not whole."""
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
    except UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise Damaged(f"{path} cannot be used: {reason}") from error
    if amiss := (set(names) ^ arrays.keys()) - set(optional):
        raise Damaged(f"{path} cannot be used: {', '.join(sorted(amiss))} missing or unknown")
    return arrays


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write aside, synchronise, and move into place."""
    aside = path.with_name(path.name + ".partial")
    with open(aside, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
