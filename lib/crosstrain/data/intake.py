"""Frames that a user brings: what is wrong with them, and the same frames in the project's form.

Structures and labels are checked here, one by one and together; which molecules they hold in
`crosstrain.data.intake_molecules`, units and signs in `crosstrain.data.intake_units`.
"""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import inf
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from crosstrain.build import molecules as mol
from crosstrain.data import frames as fr
from crosstrain.data.frames import ENERGY, FORCES, STRESS, BadFrames
from crosstrain.data.intake_findings import Findings
from crosstrain.data.intake_molecules import check_molecules, key_of
from crosstrain.data.intake_units import check_energy_gap, check_length_unit, check_units

Floats = NDArray[np.float64]

KEYS = {"energy": ENERGY, "forces": FORCES, "stress": STRESS, "virial": None}
KEPT_ARRAYS = {"numbers", "positions", "molecule"}  # of each frame, with the labels
# Names under which files tell the level of theory.
LEVEL_TAGS = ("method", "level_of_theory", "level", "theory", "functional", "xc")
SAME_A = 1e-3  # two frames are the same structure


class Intake(NamedTuple):
    """What came of a file.

    Attributes
    ----------
    frames
        Those without a problem of their own, in the form of `crosstrain.data.frames`.
    atom_energies_eV
        Energies of the isolated atoms in the file; these are not among the frames.
    problems
        What must be put right, one line each: file, frames (counted from 0), fault, remedy.
    notes
        What could not be checked or is not known.
    """

    frames: list[Atoms]
    atom_energies_eV: dict[str, float]
    problems: list[str]
    notes: list[str]


def read(path: Path, **options: Any) -> Intake:
    """Read a file of labelled frames and refuse it if anything is wrong.

    Parameters
    ----------
    path : Path
    **options
        Those of `examine`.

    Raises
    ------
    BadFrames
        With all problems, a line each.
    ValueError
        If an option is not allowed.
    """
    intake = examine(path, **options)
    if intake.problems:
        raise BadFrames("\n".join(intake.problems))
    return intake


def examine(
    path: Path,
    *,
    keys: Mapping[str, str] | None = None,
    periodic: bool | None = None,
    method: str | None = None,
    molecules: Sequence[str] | None = None,
    also: Sequence[str] = (),
    elements: Sequence[str] = mol.ELEMENTS,
    leave_out: bool = False,
    labelled: bool = True,
) -> Intake:
    """Read a file of labelled frames and list all that is wrong with it.

    Parameters
    ----------
    path : Path
        An extended XYZ file, optionally gzipped; energies in eV, lengths in Å.
    keys : mapping of str to str, optional
        Where the labels are, if not under the project's own names: the file's name for
        ``"energy"``, ``"forces"`` and ``"stress"`` (eV/Å³, the sign of ASE) or ``"virial"`` (eV,
        positive under compression: ``-V σ``). Never guessed.
    periodic : bool, optional
        Whether frames must be periodic, or must not be; default: either.
    method : str, optional
        Level of theory, set on frames that do not tell theirs.
    molecules : sequence of str, optional
        Names or SMILES of all molecules that may occur; default: the known ones, and whatever
        most frames have.
    also : sequence of str
        Names or SMILES of molecules that may occur besides.
    elements : sequence of str
        Allowed elements.
    leave_out : bool
        Leave out frames with problems of their own, as long as any is left: then these are notes.
    labelled : bool
        Whether labels are wanted. If not, none is read or kept, and frames may be without.

    Raises
    ------
    BadFrames
        If there is no such file.
    ValueError
        If `keys`, `molecules` or `also` is not as described.
    """
    keys = _checked_keys(keys or {})
    known = {key_of(name): mol.label(name) for name in [*(molecules or mol.NAMED), *also]}
    findings = Findings(Path(path).name)
    raw = _parse(Path(path), findings)
    atoms_eV: dict[str, float] = {}
    sound: dict[int, Atoms] = {}
    for number, given in enumerate(raw):
        try:
            _check_geometry(given, periodic, elements)
            frame = _relabelled(given, keys) if labelled else _bare(given, keys)
        except ValueError as error:
            findings.add(str(error), number)
            continue
        if len(frame) > 1:
            sound[number] = frame
        elif labelled:
            _take_atom(frame, number, atoms_eV, findings)
    _note_dropped(raw, keys, findings)
    if not sound and not findings.found:
        findings.add("holds no frame with molecules; give a file that does")
    check_molecules(sound, known, molecules is None, findings)
    _check_duplicates(sound, findings)
    if labelled and sound:
        _check_levels(sound, method, findings)
        check_units(sound, atoms_eV, findings)
    bad = {number for numbers in findings.found.values() for number in numbers}
    good = [frame for number, frame in sound.items() if number not in bad]
    if leave_out and good:
        findings.leave_out()
    return Intake(good, atoms_eV, findings.lines(), findings.notes)


# --- one frame ----------------------------------------------------------------------------------


def _checked_keys(keys: Mapping[str, str]) -> dict[str, str]:
    """The file's name of each label."""
    foreign = sorted(set(keys) - set(KEYS))
    if foreign or {"stress", "virial"} <= set(keys):
        raise ValueError(
            f"keys={dict(keys)}: allowed are names for energy, forces and one of stress, virial"
        )
    last = "virial" if "virial" in keys else "stress"
    return {label: keys.get(label) or KEYS[label] for label in ("energy", "forces", last)}


def _parse(path: Path, findings: Findings) -> list[Atoms]:
    """Frames up to the first that cannot be read."""
    if not path.is_file():
        raise BadFrames(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    frames: list[Atoms] = []
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
        findings.add(f"not a whole text file ({error}); get it again")
        return frames
    try:
        for frame in fr.parsed(text):
            frames.append(frame)
    except (OSError, ValueError, KeyError, IndexError) as error:
        findings.add(f"{error}; correct the frame or get the file again", len(frames))
    return frames


def _check_geometry(frame: Atoms, periodic: bool | None, elements: Sequence[str]) -> None:
    """Raise `ValueError` if the structure itself is at fault."""
    foreign = sorted(set(frame.symbols) - set(elements))
    if foreign:
        raise ValueError(
            f"element {', '.join(foreign)}; allowed are {', '.join(elements)}: leave these frames "
            "out or allow the element"
        )
    if frame.pbc.any() and not frame.pbc.all():
        raise ValueError(
            f"pbc {frame.pbc.tolist()}: periodic in part; write pbc='T T T' or 'F F F'"
        )
    if len(frame) > 1 and periodic is not None and frame.pbc.all() != periodic:
        have, want = ("periodic", "not") if frame.pbc.all() else ("not periodic", "periodic")
        raise ValueError(
            f"{have}, but frames must be {want}{' periodic' * (want == 'not')}; leave it out, or "
            "add its Lattice and pbc if they were lost"
        )
    is_finite = np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all()
    if is_finite and fr.has_volume(frame):  # else no distance means anything
        check_length_unit(frame)
    try:
        fr.check(frame)
    except ValueError as error:
        raise ValueError(f"{error}; leave the frame out or build it again") from None
    prepared_at = frame.info.get("temperature_K", 0.0)
    if not isinstance(prepared_at, Real) or not 0 <= prepared_at < inf:
        raise ValueError(
            f"temperature_K is {prepared_at!r}; allowed is one number, 0 or more: correct or "
            "remove it"
        )


def _relabelled(given: Atoms, keys: Mapping[str, str]) -> Atoms:
    """The frame with its labels under the project's names."""
    present = {**given.info, **given.arrays, **(given.calc.results if given.calc else {})}
    is_atom = len(given) == 1
    wanted = ["energy"] if is_atom else [k for k in keys if k in ("energy", "forces")]
    if given.pbc.all() and not is_atom:
        wanted = list(keys)
    if missing := [label for label in wanted if keys[label] not in present]:
        raise ValueError(_missing(missing, keys, present))
    labels = {label: _value(label, keys[label], present) for label in wanted}
    frame = _bare(given, keys)
    shape = labels["energy"].shape
    frame.info[ENERGY] = float(labels["energy"]) if shape == () else labels["energy"]
    if is_atom:
        return frame
    frame.arrays[FORCES] = labels["forces"]
    if "virial" in labels:
        frame.info[STRESS] = -_voigt("virial", labels["virial"]) / given.get_volume()
    elif "stress" in labels:
        frame.info[STRESS] = _voigt("stress", labels["stress"])
    try:
        fr.check(frame, labelled=True)
    except ValueError as error:
        raise ValueError(f"{error}; label the frame again or leave it out") from None
    return frame


def _bare(given: Atoms, keys: Mapping[str, str]) -> Atoms:
    """The frame without its labels."""
    frame = Atoms(given.numbers, given.positions, cell=given.cell, pbc=given.pbc)
    frame.info = {k: v for k, v in given.info.items() if k not in set(keys.values())}
    if "molecule" in given.arrays:
        frame.arrays["molecule"] = given.arrays["molecule"].astype(int)
    return frame


def _missing(labels: Sequence[str], keys: Mapping[str, str], present: Mapping[str, object]) -> str:
    """Which labels are not there, and which names may be theirs."""
    said = ", ".join(f"no {label} under {keys[label]!r}" for label in labels)
    alike = {label: [name for name in present if _may_be(label, name)] for label in labels}
    options = [
        " or ".join(f"--key {_kind(label, name)}={name}" for name in names)
        for label, names in alike.items()
        if names
    ]
    if not options:
        return f"{said}; nothing there looks like it"
    first = {_kind(label, names[0]): names[0] for label, names in alike.items() if names}
    nothing = "".join(f"; nothing looks like {label}" for label in labels if not alike[label])
    return f"{said}; if it is what is meant, say {' '.join(options)} (keys={first}){nothing}"


def _kind(label: str, name: str) -> str:
    """What a name that may be that of a label holds."""
    return "virial" if "virial" in name.lower() else label


def _value(label: str, key: str, present: Mapping[str, object]) -> Floats:
    try:
        return np.asarray(present[key], dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{key!r} is not numbers; write the {label} there") from None


def _note_dropped(raw: Sequence[Atoms], keys: Mapping[str, str], findings: Findings) -> None:
    """Note what each frame has, beside labels, that the project's form has no place for."""
    there = {name for f in raw for name in (*f.arrays, *(f.calc.results if f.calc else ()))}
    if dropped := sorted(there - KEPT_ARRAYS - set(keys.values())):
        findings.notes.append(f"{findings.file}: not kept: {', '.join(dropped)}")


def _may_be(label: str, name: str) -> bool:
    stems = {"stress": ("stress", "virial"), "virial": ("virial",)}
    return any(stem in name.lower() for stem in stems.get(label, (label.rstrip("s").rstrip("y"),)))


def _voigt(label: str, value: Floats) -> Floats:
    if value.size == 9:
        return full_3x3_to_voigt_6_stress(value.reshape(3, 3))
    if value.shape == (6,):
        return value
    raise ValueError(f"{label} has shape {value.shape}; allowed are 6 (Voigt) or 9 numbers")


def _take_atom(frame: Atoms, number: int, energies: dict[str, float], findings: Findings) -> None:
    element, energy = str(frame.symbols[0]), frame.info[ENERGY]
    if np.ndim(energy) or not np.isfinite(energy):
        findings.add("energy of an isolated atom is not one finite number; correct it", number)
    elif abs(energies.setdefault(element, energy) - energy) > 1e-3:
        findings.add(
            f"isolated {element} at {energy:.3f} eV, before {energies[element]:.3f} eV; keep one",
            number,
        )


# --- the frames together ------------------------------------------------------------------------


def _check_levels(frames: dict[int, Atoms], method: str | None, findings: Findings) -> None:
    """One level of theory by what the frames say and by their energies; set it where missing."""
    said: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, frame in frames.items():
        for tag in LEVEL_TAGS:
            if tag in frame.info:
                said[tag, str(frame.info[tag])].append(number)
        frame.info.setdefault("method", method)
        if frame.info["method"] is None:
            del frame.info["method"]
    for tag in dict.fromkeys(tag for tag, _ in said):
        values = {value: numbers for (name, value), numbers in said.items() if name == tag}
        if len(values) > 1:
            rarest = min(values, key=lambda value: len(values[value]))
            findings.add(
                f"{tag} is {rarest!r}, elsewhere {', '.join(sorted(set(values) - {rarest}))}: "
                "levels of theory are mixed; keep one",
                *values[rarest],
            )
        elif tag == "method" and method and set(values) != {method}:
            findings.add(f"method is {next(iter(values))!r}, not {method!r}; say which is right")
    if frames and not all("method" in frame.info for frame in frames.values()):
        findings.notes.append(
            f"{findings.file}: level of theory not known; give --method, or method='...'"
        )
    check_energy_gap(frames, findings)


def _check_duplicates(frames: dict[int, Atoms], findings: Findings) -> None:
    """Structures with the same distances from two atoms to all, wherever they are in the box."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for number, frame in frames.items():
        groups[frame.numbers.tobytes() + bytes(frame.pbc)].append(number)
    for numbers in groups.values():
        prints = [_fingerprint(frames[number]) for number in numbers]
        for i, j in sorted(cKDTree(prints).query_pairs(SAME_A, p=np.inf)):
            findings.add(f"the same structure as frame {numbers[i]}; keep one", numbers[j])


def _fingerprint(frame: Atoms) -> Floats:
    everyone = np.arange(len(frame))
    rows = [frame.get_distances(k, everyone, mic=bool(frame.pbc.any())) for k in (0, 1)]
    return np.concatenate([*rows, frame.cell.cellpar()[:3] if frame.pbc.any() else []])
