"""Frames that a user brings: what is wrong with them, and the same frames in the project's form.

An extended XYZ file says nothing of its units, and a wrong one still trains. So the labels are
held against each other and against what any molecule of H, C and O obeys:

- the nearest atom of a hydrogen is about 1.09 Å away: the unit of length;
- the force along a C-H bond falls by about 31 eV/Å per Å of stretch: unit and sign of forces;
- the virial is largely that of the atoms within their molecules, ``-V σ ≈ Σ (x - X) F`` with X the
  centre of the molecule, and what is left of the pressure grows with density: unit and sign of
  stress;
- between two frames that are close, ``dE = V σ:ε - F·u`` with ε the strain and u the displacement
  beyond it (a rigid volume scan is the case ``dE = -P dV``): energy and stress against forces;
- molecules are bound by some 6 eV per atom, and soft degrees of freedom take up energy as forces
  grow: unit of energy.

Each needs frames in which it can be seen. Where it cannot, a note says "not checked".
"""

from __future__ import annotations

import gzip
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import spearmanr

from crosstrain.build import boxes
from crosstrain.build import molecules as mol
from crosstrain.data import frames as fr
from crosstrain.data.frames import ENERGY, FORCES, STRESS, BadFrames
from crosstrain.measure.molecules import centres_of_mass, unwrap_molecules

if TYPE_CHECKING:
    from rdkit.Chem import Mol

Floats = NDArray[np.float64]

KEYS = {"energy": ENERGY, "forces": FORCES, "stress": STRESS, "virial": None}
# Names under which files tell the level of theory.
LEVEL_TAGS = ("method", "level_of_theory", "level", "theory", "functional", "xc")

# What one of a unit is in the project's unit.
LENGTHS = {"Å": 1.0, "nm": 10.0, "bohr": units.Bohr}
ENERGIES = {
    "eV": 1.0,
    "Hartree": units.Hartree,
    "Rydberg": units.Rydberg,
    "kcal/mol": units.kcal / units.mol,
    "kJ/mol": units.kJ / units.mol,
    "meV": 1e-3,
}
FORCE_UNITS = {
    "eV/Å": 1.0,
    "Hartree/bohr": units.Hartree / units.Bohr,
    "Hartree/Å or Rydberg/bohr": units.Hartree,
    "kcal/mol/Å": units.kcal / units.mol,
    "kJ/mol/Å": units.kJ / units.mol,
    "kJ/mol/nm or meV/Å": 1e-3,
    "eV/nm": 0.1,
}
STRESSES = {
    "eV/Å³": 1.0,
    "GPa": units.GPa,
    "kbar": 0.1 * units.GPa,
    "bar": 1e-4 * units.GPa,
    "Hartree/bohr³": units.Hartree / units.Bohr**3,
}

# Measured on published DFT and GFN2-xTB sets, 300 to 1200 K, and on packed boxes (24 to 34).
CH_STIFFNESS_EV_A2 = 30.0
# The same sets: 0.004 to 0.015 eV of energy for each (eV/Å)² of squared forces.
ENERGY_PER_SQUARED_FORCE = 0.008
BINDING_EV = 6.0  # per atom
LARGEST_GAP_EV = 0.5  # per atom; our choice: energies of published sets scatter by 0.04 to 0.10
SAME_A = 1e-3  # two frames are the same structure
FEWEST = 8  # frames, bonds or degrees of freedom from which a trend is read


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


class _Findings:
    """Problems by message, so that one fault of many frames is one line."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: dict[str, list[int]] = {}
        self.notes: list[str] = []

    def add(self, message: str, *numbers: int) -> None:
        self.found.setdefault(message, []).extend(numbers)

    def not_checked(self, what: str, why: str) -> None:
        self.notes.append(f"{self.file}: {what} not checked: {why}")

    def lines(self) -> list[str]:
        return [self._line(message, numbers) for message, numbers in self.found.items()]

    def leave_out(self) -> None:
        """Make notes of the problems that are of single frames."""
        of_frames = {message: numbers for message, numbers in self.found.items() if numbers}
        for message, numbers in of_frames.items():
            self.notes.append(f"left out: {self._line(message, numbers)}")
            del self.found[message]

    def _line(self, message: str, numbers: Sequence[int]) -> str:
        return f"{self.file}{_where(numbers)}: {message}"


def _where(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f", frame{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{more}"


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
    elements: Sequence[str] = mol.ELEMENTS,
    leave_out: bool = False,
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
    elements : sequence of str
        Allowed elements.
    leave_out : bool
        Leave out frames with problems of their own, as long as any is left: then these are notes.

    Raises
    ------
    BadFrames
        If there is no such file.
    ValueError
        If `keys` or `molecules` is not as described.
    """
    keys = _checked_keys(keys or {})
    known = {_key_of(name): mol.label(name) for name in molecules or mol.NAMED}
    findings = _Findings(Path(path).name)
    raw = _parse(Path(path), findings)
    atoms_eV: dict[str, float] = {}
    sound: dict[int, Atoms] = {}
    for number, given in enumerate(raw):
        try:
            _check_geometry(given, periodic, elements)
            frame = _relabelled(given, keys)
        except ValueError as error:
            findings.add(str(error), number)
            continue
        if len(frame) == 1:
            _take_atom(frame, number, atoms_eV, findings)
        else:
            sound[number] = frame
    if not sound and not findings.found:
        findings.add("holds no frame with molecules; give a file that does")
    _check_levels(sound, method, findings)
    _check_molecules(sound, known, molecules is None, findings)
    _check_duplicates(sound, findings)
    _check_units(sound, atoms_eV, findings)
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


def _parse(path: Path, findings: _Findings) -> list[Atoms]:
    """Frames up to the first that cannot be read."""
    if not path.is_file():
        raise BadFrames(f"{path.name}: no such file")
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
        findings.add(f"{error}; the file is cut off or damaged here: get it again", len(frames))
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
    if np.isfinite(frame.positions).all() and np.isfinite(frame.cell.array).all():
        _check_length_unit(frame)
    try:
        fr.check(frame)
    except ValueError as error:
        raise ValueError(f"{error}; leave the frame out or build it again") from None


def _check_length_unit(frame: Atoms) -> None:
    nearest = _hydrogen_distance(frame)
    if nearest is None or 0.85 < nearest < 1.45:
        return
    unit = _nearest_unit(nearest / 1.09, LENGTHS)
    if unit != "Å":
        raise ValueError(
            f"hydrogens have their nearest atoms at {1.09 / LENGTHS[unit]:.2g} instead of 1.09: "
            f"positions look like {unit}; convert positions and cell to Å"
        )


def _hydrogen_distance(frame: Atoms) -> float | None:
    """Median distance from a hydrogen to its nearest atom; None if there is none in reach."""
    hydrogens = np.flatnonzero(frame.numbers == 1)
    for cutoff in (0.3, 1.5, 3.0):  # a wide one first would take for ever on a box in nm
        first, distance = neighbor_list("id", frame, cutoff)
        nearest = np.full(len(frame), np.inf)
        np.minimum.at(nearest, first, distance)
        middle = np.median(nearest[hydrogens]) if len(hydrogens) else np.inf
        if np.isfinite(middle):
            return float(middle)
    return None


def _relabelled(given: Atoms, keys: Mapping[str, str]) -> Atoms:
    """The frame with its labels under the project's names."""
    present = {**given.info, **given.arrays, **(given.calc.results if given.calc else {})}
    is_atom = len(given) == 1
    wanted = ["energy"] if is_atom else [k for k in keys if k in ("energy", "forces")]
    if given.pbc.all() and not is_atom:
        wanted = list(keys)
    labels = {label: _value(label, keys[label], present) for label in wanted}
    frame = Atoms(given.numbers, given.positions, cell=given.cell, pbc=given.pbc)
    frame.info = {k: v for k, v in given.info.items() if k not in set(keys.values())}
    if "molecule" in given.arrays:
        frame.arrays["molecule"] = given.arrays["molecule"].astype(int)
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


def _value(label: str, key: str, present: Mapping[str, object]) -> Floats:
    if key not in present:
        alike = [name for name in present if _may_be(label, name)]
        hint = ", or ".join(
            f"keys={{'{'virial' if 'virial' in name.lower() else label}': {name!r}}}"
            for name in alike
        )
        raise ValueError(
            f"no {label} under {key!r}; "
            + (f"if it is what is meant, say {hint}" if hint else "nothing there looks like it")
        )
    try:
        return np.asarray(present[key], dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{key!r} is not numbers; write the {label} there") from None


def _may_be(label: str, name: str) -> bool:
    stems = {"stress": ("stress", "virial"), "virial": ("virial",)}
    return any(stem in name.lower() for stem in stems.get(label, (label.rstrip("s").rstrip("y"),)))


def _voigt(label: str, value: Floats) -> Floats:
    if value.size == 9:
        return full_3x3_to_voigt_6_stress(value.reshape(3, 3))
    if value.shape == (6,):
        return value
    raise ValueError(f"{label} has shape {value.shape}; allowed are 6 (Voigt) or 9 numbers")


def _take_atom(frame: Atoms, number: int, energies: dict[str, float], findings: _Findings) -> None:
    element, energy = str(frame.symbols[0]), frame.info[ENERGY]
    if np.ndim(energy) or not np.isfinite(energy):
        findings.add("energy of an isolated atom is not one finite number; correct it", number)
    elif abs(energies.setdefault(element, energy) - energy) > 1e-3:
        findings.add(
            f"isolated {element} at {energy:.3f} eV, before {energies[element]:.3f} eV; keep one",
            number,
        )


# --- the frames together ------------------------------------------------------------------------


def _check_levels(frames: dict[int, Atoms], method: str | None, findings: _Findings) -> None:
    """One level of theory by what the frames say and by their energies; set it where missing."""
    said: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, frame in frames.items():
        for tag in LEVEL_TAGS:
            if tag in frame.info:
                said[tag, str(frame.info[tag])].append(number)
        frame.info.setdefault("method", method)
        if frame.info["method"] is None:
            del frame.info["method"]
    for tag in {tag for tag, _ in said}:
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
        findings.notes.append(f"{findings.file}: level of theory not known; give method='...'")
    _check_energy_gap(frames, findings)


def _check_energy_gap(frames: dict[int, Atoms], findings: _Findings) -> None:
    """Energies linear in the composition leave no gap within one level of theory."""
    counts = _counts([frame.get_chemical_symbols() for frame in frames.values()])
    if len(frames) < counts.shape[1] + FEWEST:
        findings.not_checked("levels of theory by their energies", "too few frames")
        return
    energies = np.array([frame.info[ENERGY] for frame in frames.values()])
    per_atom = _beside(counts, energies) / counts.sum(axis=1)
    order = np.argsort(per_atom)
    steps = np.diff(per_atom[order])
    at = int(np.argmax(steps))
    if steps[at] > LARGEST_GAP_EV:
        low, high = order[: at + 1], order[at + 1 :]
        fewer = low if len(low) <= len(high) else high
        findings.add(
            f"energies lie {steps[at]:.2f} eV/atom from those of the other frames, whatever the "
            "composition: another level of theory, unit or zero of energy; keep one",
            *sorted(np.array(list(frames))[fewer].tolist()),
        )


def _counts(lists: Sequence[Sequence[str]]) -> Floats:
    """How often each kind occurs in each list, shape (n_lists, n_kinds)."""
    kinds = sorted({kind for items in lists for kind in items})
    tallies = [Counter(items) for items in lists]
    return np.array([[tally[kind] for kind in kinds] for tally in tallies], dtype=float).reshape(
        len(lists), len(kinds)
    )


def _beside(counts: Floats, values: Floats) -> Floats:
    """What remains of values after the best linear fit to the counts."""
    return values - counts @ np.linalg.lstsq(counts, values, rcond=None)[0]


def _check_duplicates(frames: dict[int, Atoms], findings: _Findings) -> None:
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


# --- molecules ----------------------------------------------------------------------------------


def _check_molecules(
    frames: dict[int, Atoms], known: dict[str, str], learn: bool, findings: _Findings
) -> None:
    """Compare or assign bonds, and assign molecules and composition where missing."""
    found: dict[int, list[str]] = {}
    for number, frame in frames.items():
        if "bonds" in frame.info and not mol.intact(frame):
            findings.add(
                "bonds differ from info['bonds']: a molecule is broken or two have joined; leave "
                "the frame out",
                number,
            )
            continue
        frame.info.setdefault("bonds", mol.bonds_by_distance(frame))
        label = _components(frame)
        given = frame.arrays.setdefault("molecule", label)
        if (
            len(set(zip(given, label, strict=True))) != len(set(given))
            or len(set(given)) <= label.max()
        ):
            findings.add("molecule indices do not fit the bonds; correct or remove them", number)
            continue
        found[number] = [_key(frame, label == k) for k in range(label.max() + 1)]
    usual = Counter(key for keys in found.values() for key in set(keys))
    if learn and len(frames) >= FEWEST:
        for key in [k for k, n in usual.items() if k not in known and n > len(frames) / 2]:
            name = _name(frames, found, key)
            if name:
                known[key] = name
    for number, keys in found.items():
        strange = [k for k, key in enumerate(keys) if key not in known]
        if strange:
            frame, label = frames[number], _components(frames[number])
            formulas = {frame[label == k].get_chemical_formula() for k in strange}
            findings.add(
                f"a molecule {', '.join(sorted(formulas))} that is none of "
                f"{', '.join(sorted(set(known.values())))}: broken, or not expected; leave the "
                "frame out or name it, molecules=['SMILES', ...]",
                number,
            )
            continue
        tally = Counter(known[key] for key in keys)
        composition = " ".join(f"{name}:{tally[name]}" for name in sorted(tally))
        given = frames[number].info.setdefault("composition", composition)
        if given != composition:
            findings.add(
                f"composition is {given!r}, the bonds say {composition!r}; correct it", number
            )


def _components(frame: Atoms) -> NDArray[np.int64]:
    """Number of the molecule of each atom by the frame's bonds, in the order of first atoms."""
    first, second = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(frame),) * 2)
    labels = connected_components(graph, directed=False)[1]
    return np.unique(labels, return_index=True)[1].argsort().argsort()[labels].astype(int)


def _key(frame: Atoms, inside: NDArray[np.bool_]) -> str:
    members = np.flatnonzero(inside)
    bonds = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2)
    inner = np.searchsorted(members, bonds[inside[bonds[:, 0]]])
    symbols = tuple(frame.symbols[members])
    return _canonical(symbols, tuple(map(tuple, inner.tolist())))


def _key_of(name: str) -> str:
    built = mol.rdkit_molecule(name)
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in built.GetBonds()]
    return _canonical(tuple(atom.GetSymbol() for atom in built.GetAtoms()), tuple(bonds))


@lru_cache(maxsize=4096)
def _canonical(symbols: tuple[str, ...], bonds: tuple[tuple[int, int], ...]) -> str:
    """Text that is the same for the same graph of elements, whatever the order of atoms."""
    from rdkit import Chem

    return Chem.MolToSmiles(_bare(symbols, bonds))


def _bare(symbols: Iterable[str], bonds: Iterable[tuple[int, int]]) -> Mol:
    """The graph without bond orders."""
    from rdkit import Chem

    graph = Chem.RWMol()
    for symbol in symbols:
        atom = Chem.Atom(symbol)
        atom.SetNoImplicit(True)
        graph.AddAtom(atom)
    for i, j in bonds:
        graph.AddBond(i, j, Chem.BondType.SINGLE)
    bare = graph.GetMol()
    bare.UpdatePropertyCache(strict=False)
    Chem.FastFindRings(bare)
    return bare


def _name(frames: dict[int, Atoms], found: dict[int, list[str]], key: str) -> str | None:
    """SMILES of a molecule not known by name; None if its graph is no closed-shell molecule."""
    from rdkit import Chem, rdBase
    from rdkit.Chem import rdDetermineBonds

    number = next(n for n, keys in found.items() if key in keys)
    frame = frames[number]
    members = np.flatnonzero(_components(frame) == found[number].index(key))
    bonds = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2)
    inner = np.searchsorted(members, bonds[np.isin(bonds[:, 0], members)])
    graph = _bare(frame.symbols[members], inner.tolist())
    try:
        with rdBase.BlockLogs():
            rdDetermineBonds.DetermineBondOrders(graph, charge=0, embedChiral=False)
            return mol.label(Chem.MolToSmiles(Chem.RemoveHs(graph)))
    except ValueError:
        return None


# --- units --------------------------------------------------------------------------------------


def _check_units(
    frames: dict[int, Atoms], atoms_eV: Mapping[str, float], findings: _Findings
) -> None:
    """Forces first: energies and stresses are held against them."""
    bad = {number for numbers in findings.found.values() for number in numbers}
    intact = [frame for number, frame in frames.items() if number not in bad]
    if not _forces_hold(intact, findings):
        findings.not_checked("units of energy and stress", "the forces are in doubt")
        return
    periodic = [frame for frame in intact if STRESS in frame.info]
    from_pairs = _pair_factors(intact)
    _check_energy(intact, atoms_eV, from_pairs, findings)
    if periodic:
        _check_stress(periodic, from_pairs, findings)


def _nearest_unit(factor: float, allowed: Mapping[str, float]) -> str:
    """The unit that makes numbers `factor` times what they would be in the project's unit."""
    return min(allowed, key=lambda unit: abs(np.log(factor * allowed[unit])))


def _forces_hold(frames: Sequence[Atoms], findings: _Findings) -> bool:
    """Stiffness of C-H bonds."""
    stretch, along = [], []
    for frame in frames:
        bonds = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2)
        bonds = np.take_along_axis(bonds, frame.numbers[bonds].argsort(axis=1), axis=1)
        h, c = bonds[(frame.numbers[bonds] == [1, 6]).all(axis=1)].T
        if len(h):
            apart = frame.positions[h] - frame.positions[c]
            vectors, lengths = find_mic(apart, frame.cell, frame.pbc)
            stretch.extend(lengths)
            along.extend((frame.arrays[FORCES][h] * vectors).sum(axis=1) / lengths)
    slope, r = _slope(stretch, along)
    if len(stretch) < FEWEST or np.std(stretch) < 0.003 or abs(r) < 0.7:
        findings.not_checked("unit and sign of forces", "no stretched C-H bonds to judge by")
        return True
    if slope > 0:
        findings.add(
            "forces drive C-H bonds away from their length: their sign is wrong (gradients?); "
            "change the sign"
        )
        return False
    unit = _nearest_unit(-slope / CH_STIFFNESS_EV_A2, FORCE_UNITS)
    if unit != "eV/Å":
        findings.add(
            f"C-H bonds would have a stiffness of {-slope:.3g} eV/Å², not about "
            f"{CH_STIFFNESS_EV_A2:.0f}: forces look like {unit}; convert them to eV/Å"
        )
    return unit == "eV/Å"


def _slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope of a straight line and correlation; zeros where there is none."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < 2 or not np.ptp(x) or not np.ptp(y):
        return 0.0, 0.0
    r = float(np.corrcoef(x, y)[0, 1])
    return float(r * y.std() / x.std()), r


def _pair_factors(frames: Sequence[Atoms]) -> tuple[float | None, float | None]:
    """How energies and stresses compare with forces along steps between close frames.

    Both are 1 if all is well, and None where no step shows it. A rigid scan has large works of
    forces and of stress that nearly cancel, so no free fit would tell them apart: of all units
    and both signs of stress, the one is taken that makes the sum of works explain the changes of
    energy between frames next to each other in the file or by volume.
    """
    groups: dict[bytes, list[Atoms]] = defaultdict(list)
    for frame in frames:
        groups[frame.numbers.tobytes() + bytes(frame.pbc)].append(frame)
    rows = []
    for group in groups.values():
        order = sorted(group, key=lambda f: f.get_volume()) if group[0].pbc.all() else []
        steps = [_step(*pair) for pair in [*pairwise(group), *pairwise(order)]]
        rows += [step for step in steps if step is not None]
    if len(rows) < 4:
        return None, None
    force, stress, change = np.array(rows).T
    fits = []
    for unit in [sign * value for value in STRESSES.values() for sign in (1, -1)]:
        work = force + unit * stress
        energy = float(work @ change / max(work @ work, 1e-12))
        left = ((change - energy * work) ** 2).sum() / max(change @ change, 1e-12)
        fits.append((left, energy, 1 / unit))
    good = sorted(fit for fit in fits if fit[0] < 0.05)
    if not good or np.abs(force).max() < 0.02:
        return None, None
    return good[0][1], good[0][2] if len(good) == 1 else None


def _step(a: Atoms, b: Atoms) -> tuple[float, float, float] | None:
    """Work of forces and of stress from one frame to a close one (midpoint), and the change."""
    change = b.cell.array - a.cell.array
    if a.pbc.all():
        middle = (a.cell.array + b.cell.array) / 2
        moved = b.get_scaled_positions(wrap=False) - a.get_scaled_positions(wrap=False)
        displacement = (moved - np.rint(moved)) @ middle
        strain = np.linalg.solve(middle, change)
    else:
        displacement, strain = b.positions - a.positions, np.zeros((3, 3))
    if np.abs(displacement).max() > 0.3 or np.abs(strain).max() > 0.1:
        return None
    force = -((a.arrays[FORCES] + b.arrays[FORCES]) / 2 * displacement).sum()
    stress = 0.0
    if STRESS in a.info and STRESS in b.info:
        both = [voigt_6_to_full_3x3_stress(f.info[STRESS]) * f.get_volume() for f in (a, b)]
        stress = ((both[0] + both[1]) / 2 * strain).sum()
    elif a.pbc.all() and np.abs(strain).max() > 1e-6:
        return None
    return float(force), float(stress), float(b.info[ENERGY] - a.info[ENERGY])


def _check_energy(
    frames: Sequence[Atoms],
    atoms_eV: Mapping[str, float],
    from_pairs: tuple[float | None, float | None],
    findings: _Findings,
) -> None:
    """By close frames, else by isolated atoms, else by how energies grow with forces."""
    factor, how = from_pairs[0], "change between close frames"
    if factor is None:
        factor, how = _binding(frames, atoms_eV), "binding energy of the atoms"
    if factor is None:
        factor, how = _warming(frames), "growth with the size of the forces"
    if factor is None:
        findings.not_checked(
            "unit of energy", "no close frames, isolated atoms or range of temperatures"
        )
        return
    unit = _nearest_unit(abs(factor), ENERGIES)
    if factor < 0 or unit != "eV":
        guess = "the sign is wrong" if factor < 0 else f"energies look like {unit}"
        findings.add(
            f"by their {how}, energies are {factor:.3g} times what the other labels say: {guess}; "
            "convert them to eV"
        )


def _binding(frames: Sequence[Atoms], atoms_eV: Mapping[str, float]) -> float | None:
    """Binding energy per atom over what it should be."""
    inside = [frame for frame in frames if set(frame.symbols) <= set(atoms_eV)]
    if not inside:
        return None
    bound = [
        (sum(atoms_eV[s] for s in frame.symbols) - frame.info[ENERGY]) / len(frame)
        for frame in inside
    ]
    return float(np.median(bound)) / BINDING_EV


def _warming(frames: Sequence[Atoms]) -> float | None:
    """Energy per squared force, over what it is elsewhere; None without a clear trend."""
    if not frames:
        return None
    counts = _counts([_formulas(frame) for frame in frames])
    if len(frames) < np.linalg.matrix_rank(counts) + FEWEST:
        return None
    energies = _beside(counts, np.array([frame.info[ENERGY] for frame in frames]))
    squares = _beside(counts, np.array([(frame.arrays[FORCES] ** 2).sum() for frame in frames]))
    slope, r = _slope(squares, energies)
    return slope / ENERGY_PER_SQUARED_FORCE if r > 0.6 else None


def _formulas(frame: Atoms) -> list[str]:
    label = frame.arrays["molecule"]
    return [frame[label == k].get_chemical_formula() for k in np.unique(label)]


def _check_stress(
    frames: Sequence[Atoms],
    from_pairs: tuple[float | None, float | None],
    findings: _Findings,
) -> None:
    """Unit and sign: by close frames, else by the virial within molecules and the density."""
    volumes = np.array([frame.get_volume() for frame in frames])
    within = np.array([_virial_within(frame) for frame in frames])
    whole = -volumes[:, None] * np.array([frame.info[STRESS] for frame in frames])
    x, y = _without_pressure(within), _without_pressure(whole)
    size = float(np.sqrt(np.mean(y**2) / max(np.mean(x**2), 1e-12)))
    factor = from_pairs[1]
    if factor is None and len(frames) >= FEWEST:
        r = _slope(x.ravel(), y.ravel())[1]
        between = (whole - within)[:, :3].mean(axis=1) / volumes
        sign = r if abs(r) > 0.4 else _density_order(frames, between)
        factor = float(np.sign(sign)) * size if sign else None
    if factor is None:
        findings.not_checked("sign of stress", "no trend with forces or density to judge by")
    if np.sqrt(np.mean(x**2)) < 0.1:
        findings.not_checked("unit of stress", "forces within molecules are too small")
        return
    allowed = STRESSES | {"a virial (eV), not divided by the volume": 1 / np.median(volumes)}
    unit = _nearest_unit(abs(factor or size), allowed)
    faults = [f"looks like {unit}"] if unit != "eV/Å³" else []
    if factor is not None and factor < 0:
        faults.append("has the wrong sign (right is negative under compression)")
    if faults:
        findings.add(
            f"stress is {factor or size:.3g} times what the forces say: it {' and '.join(faults)}; "
            "convert it to eV/Å³ in the sign of ASE, or say keys={'virial': ...} if it is one"
        )


def _virial_within(frame: Atoms) -> Floats:
    """Virial of the atoms about the centres of their molecules, eV, Voigt order, shape (6,)."""
    label = _components(frame)
    whole = unwrap_molecules(frame.positions, frame.cell.array, label, frame.info["bonds"])
    centres = centres_of_mass(whole, frame.get_masses(), label)
    tensor = (whole - centres[label]).T @ frame.arrays[FORCES]
    return full_3x3_to_voigt_6_stress(tensor)


def _without_pressure(virials: Floats) -> Floats:
    """Their trace is the part that molecules in contact share; the rest is that of vibration."""
    return np.hstack([virials[:, :3] - virials[:, :3].mean(axis=1, keepdims=True), virials[:, 3:]])


def _density_order(frames: Sequence[Atoms], pressures: Floats) -> float | None:
    """Rank correlation of the pressure between molecules with density; None without a clear one."""
    densities = [boxes.density_g_cm3(frame) for frame in frames]
    if np.ptp(densities) < 0.05:
        return None
    order = float(spearmanr(densities, pressures).statistic)
    return order if abs(order) > 0.6 else None
