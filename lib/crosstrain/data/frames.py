"""Frames on disk: labelled structures as extended XYZ that ``ase.io.read`` reads as it is.

A frame is an `ase.Atoms` with ``arrays["molecule"]`` (index of the molecule of each atom),
``info["bonds"]`` (the covalent graph, pairs of atom indices) and ``info["composition"]``
(for example ``"EC:2 EMC:4"``). A labelled frame also has ``info["REF_energy"]`` (eV),
``arrays["REF_forces"]`` (eV/Å) and, if periodic, ``info["REF_stress"]`` (eV/Å³, Voigt order
xx, yy, zz, yz, xz, xy, the sign of ASE: negative under compression).

The keys are not ASE's own ``energy`` and ``forces`` because ASE moves those into a calculator
on reading, where a trainer would silently not find them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from crosstrain.paths import write_atomically

ENERGY, FORCES, STRESS = "REF_energy", "REF_forces", "REF_stress"
SMALLEST_DISTANCE_A = 0.5


class BadFrames(ValueError):
    """A file of frames cannot be used; the message names the file, the frame and the remedy."""


def dumps(frames: Sequence[Atoms]) -> bytes:
    """Return frames as extended XYZ text.

    Only positions and the arrays that the project defines are kept, so the same frames give
    the same bytes whatever calculator they met.
    """
    plain = []
    for frame in frames:
        copy = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc)
        copy.info = {k: v for k, v in sorted(frame.info.items())}
        for name in ("molecule", FORCES):
            if name in frame.arrays:
                copy.set_array(name, frame.arrays[name])
        plain.append(copy)
    text = io.StringIO()
    ase.io.write(text, plain, format="extxyz")
    return text.getvalue().encode()


def write(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames atomically, gzipped if the name ends in ``.gz``; same frames, same bytes."""
    content = dumps(frames)
    if path.suffix == ".gz":
        content = gzip.compress(content, compresslevel=9, mtime=0)
    write_atomically(path, content)


def read(path: Path, *, labelled: bool = False) -> list[Atoms]:
    """Read and check all frames of a file.

    Parameters
    ----------
    path : Path
        An extended XYZ file, optionally gzipped.
    labelled : bool
        Whether energy, forces and (for periodic frames) stress must be there.

    Raises
    ------
    BadFrames
        If the file is missing, truncated or empty, or a frame fails `check`.
    """
    path = Path(path)
    if not path.is_file():
        raise BadFrames(f"{path.name}: no such file")
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        raise BadFrames(f"{path.name}: not a whole text file ({error})") from None
    frames: list[Atoms] = []
    try:
        for frame in parsed(text):
            check(frame, labelled=labelled)
            frames.append(frame)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise BadFrames(f"{path.name}, frame {len(frames)}: {error}") from None
    if not frames:
        raise BadFrames(f"{path.name}: holds no frame")
    return frames


def parsed(text: str) -> Iterator[Atoms]:
    """Parse frame by frame; ASE alone would stop at a blank line and accept a cut-off number."""
    lines = io.StringIO(text).readlines()
    while lines and lines[-1].isspace():
        lines.pop()
    start = 0
    while start < len(lines):
        n_atoms = _number_of_atoms(lines[start])
        end = start + n_atoms + 2
        if end > len(lines) or not lines[end - 1].endswith("\n"):
            raise ValueError(
                f"its {n_atoms} atoms are not all there: the file is cut off or damaged here"
            )
        if end < len(lines) and len(lines[end].split()) > 1:
            raise ValueError(
                f"its {n_atoms} atoms are followed by {lines[end].strip()[:40]!r}; allowed is the "
                "number of atoms of the next frame"
            )
        yield _parsed_one("".join(lines[start:end]))
        start = end


def _number_of_atoms(line: str) -> int:
    if line.strip().isdecimal() and len(line) < 20 and int(line) > 0:
        return int(line)
    raise ValueError(f"begins with {line.strip()[:40]!r}; allowed is its number of atoms")


def _parsed_one(text: str) -> Atoms:
    header = text.split("\n", 2)[1]
    if "Properties=" in header and "pos:R:3" not in header:
        raise ValueError("its Properties have no pos:R:3, the positions")
    try:
        frame = ase.io.read(io.StringIO(text), format="extxyz")
    except KeyError as error:  # of its table of elements
        raise ValueError(f"there is no element {error}") from None
    except Exception as error:  # ASE's reader raises whatever its parts do
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"not extended XYZ ({type(error).__name__}: {reason})") from None
    if "bonds" in frame.info:
        frame.info["bonds"] = _pairs(frame.info["bonds"], len(frame))
    return frame


def _pairs(bonds: object, n_atoms: int) -> NDArray[np.int64]:
    """Pairs of indices of atoms, shape (n_bonds, 2)."""
    try:
        pairs = np.asarray(bonds, dtype=int).reshape(-1, 2)
        if not pairs.size or (pairs.min() >= 0 and pairs.max() < n_atoms):
            return pairs
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"info['bonds'] must be pairs of indices of its atoms, 0 to {n_atoms - 1}")


def check(frame: Atoms, *, labelled: bool = False) -> None:
    """Raise `ValueError` if a frame is not physically and formally sound."""
    if not np.isfinite(frame.positions).all() or not np.isfinite(frame.cell.array).all():
        raise ValueError("positions or cell are not finite")
    if not has_volume(frame):
        raise ValueError("periodic, but the cell has no volume")
    if len(frame) > 1:
        shortest = _shortest_distance(frame)
        if shortest < SMALLEST_DISTANCE_A:
            raise ValueError(
                f"two atoms are {shortest:.2f} Å apart; at least {SMALLEST_DISTANCE_A} Å is allowed"
            )
    if labelled:
        _check_labels(frame)


def has_volume(frame: Atoms) -> bool:
    """Whether the cell of a frame has a volume, where it needs one."""
    return not frame.pbc.any() or (frame.cell.rank == 3 and frame.cell.volume > 0)


def _shortest_distance(frame: Atoms) -> float:
    """Return the shortest distance between atoms and their images, in Å; inf from 1 Å on."""
    from matscipy.neighbours import neighbour_list

    # Where a frame has no cell, any will do: only periodic directions have images.
    cell, pbc = frame.cell.complete(), frame.pbc
    distances = neighbour_list("d", positions=frame.positions, cell=cell, pbc=pbc, cutoff=1.0)
    return float(distances.min()) if len(distances) else np.inf


def _check_labels(frame: Atoms) -> None:
    labels = {ENERGY: frame.info.get(ENERGY), FORCES: frame.arrays.get(FORCES)}
    shapes = {ENERGY: (), FORCES: (len(frame), 3)}
    if frame.pbc.all():
        labels[STRESS], shapes[STRESS] = frame.info.get(STRESS), (6,)
    for key, value in labels.items():
        if value is None:
            present = sorted([*frame.info, *frame.arrays])
            raise ValueError(f"no label {key}; present are {', '.join(present)}")
        if np.shape(value) != shapes[key]:
            raise ValueError(f"{key} has shape {np.shape(value)}, not {shapes[key]}")
        if not np.isfinite(value).all():
            raise ValueError(f"{key} is not finite")


def split(frames: Sequence[Atoms], every: int) -> tuple[list[Atoms], list[Atoms]]:
    """Split frames into training and validation: every `every`-th frame validates.

    Raises
    ------
    ValueError
        If `every` is below 2.
    """
    if every < 2:
        raise ValueError(f"every={every}; allowed are 2 or more")
    validation = [f for i, f in enumerate(frames) if i % every == every - 1]
    training = [f for i, f in enumerate(frames) if i % every != every - 1]
    return training, validation
