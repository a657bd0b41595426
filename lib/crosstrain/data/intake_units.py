"""Units and signs of the frames of a file, which says nothing of them.

A wrong unit still trains. So the labels are held against each other and against what any molecule
of H, C and O obeys:

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

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from ase import Atoms, units
from ase.geometry import find_mic
from ase.neighborlist import neighbor_list
from ase.stress import full_3x3_to_voigt_6_stress, voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from crosstrain.build import boxes
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.intake_findings import FEWEST, Findings
from crosstrain.data.intake_molecules import components
from crosstrain.measure.molecules import centres_of_mass, unwrap_molecules

Floats = NDArray[np.float64]

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
# How far it may be off: the shipped sets, and each fifth frame of them, have 0.3 to 3.2 times that.
ENERGY_PER_SQUARED_FORCE_WITHIN = 3.5
LEAST_STRETCH_A = 0.003  # standard deviation of C-H bonds from which a stiffness is read
# C-H bonds from which one frame is judged alone: with 16 and more, frames of the shipped sets have
# correlations of -0.74 and stronger and 0.5 to 1.3 times the stiffness; with 8, 0.3 to 1.7 times.
ENOUGH_FOR_A_FRAME = 12
BINDING_EV = 6.0  # per atom
LARGEST_GAP_EV = 0.5  # per atom; our choice: energies of published sets scatter by 0.04 to 0.10


def check_length_unit(frame: Atoms) -> None:
    """Raise `ValueError` if hydrogens have their nearest atoms where another unit puts them."""
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


def check_energy_gap(frames: dict[int, Atoms], findings: Findings) -> None:
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


def check_units(
    frames: dict[int, Atoms], atoms_eV: Mapping[str, float], findings: Findings
) -> None:
    """Check units and signs, forces first: energies and stresses are held against them."""
    stretches = {number: _stretches(frames[number]) for number in _intact(frames, findings)}
    _find_odd_forces(stretches, findings)
    numbers = _intact(frames, findings)
    if not _forces_hold([stretches[number] for number in numbers], findings):
        findings.not_checked("units of energy and stress", "the forces are in doubt")
        return
    intact = [frames[number] for number in numbers]
    periodic = [frame for frame in intact if STRESS in frame.info]
    from_pairs = pair_factors(intact)
    _check_energy(intact, atoms_eV, from_pairs, findings)
    if periodic:
        _check_stress(periodic, from_pairs, findings)


def _nearest_unit(factor: float, allowed: Mapping[str, float]) -> str:
    """The unit that makes numbers `factor` times what they would be in the project's unit."""
    return _possible_units(factor, allowed, 1.0)[0]


def _possible_units(factor: float, allowed: Mapping[str, float], within: float) -> list[str]:
    """The nearest unit, then all others that the factor fits if it is known to within another."""
    off = {unit: abs(np.log(factor * value)) for unit, value in allowed.items()}
    nearest, *others = sorted(off, key=off.__getitem__)
    return [nearest, *(unit for unit in others if off[unit] < np.log(within))]


def _intact(frames: Mapping[int, Atoms], findings: Findings) -> list[int]:
    """Numbers of the frames of which nothing bad is known so far."""
    bad = {number for numbers in findings.found.values() for number in numbers}
    return [number for number in frames if number not in bad]


def _stretches(frame: Atoms) -> Floats:
    """Length of each C-H bond (Å) and the force on its H along it (eV/Å), shape (2, n_bonds)."""
    bonds = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2)
    bonds = np.take_along_axis(bonds, frame.numbers[bonds].argsort(axis=1), axis=1)
    h, c = bonds[(frame.numbers[bonds] == [1, 6]).all(axis=1)].T
    if not len(h):
        return np.zeros((2, 0))
    apart = frame.positions[h] - frame.positions[c]
    vectors, lengths = find_mic(apart, frame.cell, frame.pbc)
    return np.array([lengths, (frame.arrays[FORCES][h] * vectors).sum(axis=1) / lengths])


def _find_odd_forces(stretches: Mapping[int, Floats], findings: Findings) -> None:
    """Frames whose forces are wrong by themselves, where those of most are right."""
    faults = {
        number: _fault_of_forces(*bonds)
        for number, bonds in stretches.items()
        if bonds.shape[1] >= ENOUGH_FOR_A_FRAME and bonds[0].std() >= LEAST_STRETCH_A
    }
    odd = {number: fault for number, fault in faults.items() if fault}
    if 2 * len(odd) < len(faults):
        for number, fault in odd.items():
            findings.add(
                f"forces {fault}, unlike those of the other frames; correct them or leave these "
                "frames out",
                number,
            )


def _fault_of_forces(stretch: Floats, along: Floats) -> str:
    """What is wrong with the forces of a frame by its C-H bonds; '' if nothing is."""
    slope, r = _slope(stretch, along)
    if abs(r) < 0.4:
        return "do not follow the stretch of the C-H bonds"
    if slope > 0:
        return "drive C-H bonds away from their length (wrong sign)"
    unit = _nearest_unit(-slope / CH_STIFFNESS_EV_A2, FORCE_UNITS)
    return "" if unit == "eV/Å" else f"look like {unit} by the stiffness of the C-H bonds"


def _forces_hold(stretches: Sequence[Floats], findings: Findings) -> bool:
    """Stiffness of the C-H bonds of all frames together."""
    stretch, along = np.hstack([np.zeros((2, 0)), *stretches])
    slope, r = _slope(stretch, along)
    if len(stretch) < FEWEST or np.std(stretch) < LEAST_STRETCH_A:
        findings.not_checked("unit and sign of forces", "no stretched C-H bonds to judge by")
        return True
    if abs(r) < 0.7:
        findings.not_checked(
            "unit and sign of forces", "they do not follow the stretch of C-H bonds"
        )
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


def pair_factors(frames: Sequence[Atoms]) -> tuple[float | None, float | None]:
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
    findings: Findings,
) -> None:
    """By close frames, else by isolated atoms, else by how energies grow with forces."""
    factor, how, within = from_pairs[0], "change between close frames", 1.0
    if factor is None:
        factor, how = _binding(frames, atoms_eV), "binding energy of the atoms"
    if factor is None:
        factor, how = _warming(frames), "growth with the size of the forces"
        within = ENERGY_PER_SQUARED_FORCE_WITHIN
    if factor is None:
        findings.not_checked(
            "unit of energy", "no close frames, isolated atoms or range of temperatures"
        )
        return
    nearest, *others = _possible_units(abs(factor), ENERGIES, within)
    if factor < 0 or nearest != "eV":
        guess = f"energies look like {' or '.join([nearest, *others])}"
        guess += ", which cannot be told apart by it" if others else ""
        guess = "the sign is wrong" if factor < 0 else guess
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


def _formulas(frame: Atoms) -> list[str]:
    label = frame.arrays["molecule"]
    return [frame[label == k].get_chemical_formula() for k in np.unique(label)]


def _check_stress(
    frames: Sequence[Atoms],
    from_pairs: tuple[float | None, float | None],
    findings: Findings,
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
            "convert it to eV/Å³ in the sign of ASE, or say --key virial=NAME if it is one"
        )


def _virial_within(frame: Atoms) -> Floats:
    """Virial of the atoms about the centres of their molecules, eV, Voigt order, shape (6,)."""
    label = components(frame)
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
    from scipy.stats import spearmanr  # a second to load

    order = float(spearmanr(densities, pressures).statistic)
    return order if abs(order) > 0.6 else None
