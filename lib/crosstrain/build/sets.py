"""The kinds of training configuration, each a function that returns unlabelled frames.

A block is an endless sequence: frame number `n` of a seed is the same whichever other frames are
asked for, so blocks can be built in parts, and a longer block begins with the shorter one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from crosstrain.build import boxes, molecules
from crosstrain.build.classical import classical_md

Composition = Mapping[str, int]
MAX_DRAWS = 30
GOLDEN_RATIO = 0.6180339887498949


@dataclass(frozen=True)
class Conformer:
    """A relaxed conformer with its normal modes.

    Attributes
    ----------
    atoms : Atoms
        At a minimum of the reference method.
    frequencies_cm1 : ndarray, shape (n_modes,)
    modes : ndarray, shape (n_modes, n_atoms, 3)
        As `crosstrain.build.molecules.normal_modes` returns them.
    """

    atoms: Atoms
    frequencies_cm1: NDArray[np.float64]
    modes: NDArray[np.float64]

    def displaced(self, temperature_K: float, rng: np.random.Generator) -> Atoms:
        """Return the molecule displaced along its normal modes at a temperature."""
        moved = self.atoms.copy()
        moved.positions += molecules.thermal_displacement(
            self.frequencies_cm1, self.modes, temperature_K=temperature_K, rng=rng
        )
        return moved


def ensemble(name: str, *, most: int, seed: int, calculator: Calculator) -> list[Conformer]:
    """Return up to `most` distinct conformers of a molecule, relaxed, with normal modes.

    Parameters
    ----------
    name : str
        A name of `molecules.NAMED` or a SMILES string.
    most : int
        Largest number of conformers.
    seed : int
    calculator : Calculator
        The reference method.
    """
    found = []
    for start in molecules.conformers(name, n=most, seed=seed):
        relaxed = molecules.relax(start, calculator)
        found.append(Conformer(relaxed, *molecules.normal_modes(relaxed, calculator)))
    return found


def packed(
    *,
    numbers: Sequence[int],
    seed: int,
    compositions: Sequence[Composition],
    ensembles: Mapping[str, Sequence[Conformer]],
    density_g_cm3: tuple[float, float],
    temperature_K: tuple[float, float],
) -> list[Atoms]:
    """Return boxes of randomly packed, thermally displaced conformers: no dynamics at all.

    Parameters
    ----------
    numbers : sequence of int
        Which frames of the block.
    seed : int
    compositions : sequence of mapping
        Molecules of a box; the frames take them in turn.
    ensembles : mapping of str to sequence of Conformer
        For each molecule that occurs.
    density_g_cm3, temperature_K : tuple of float
        Low and high end; each frame draws uniformly (one temperature for all its molecules).
    """

    def draw(number: int, rng: np.random.Generator) -> Atoms:
        temperature = rng.uniform(*temperature_K)
        parts = [
            ensembles[name][rng.integers(len(ensembles[name]))].displaced(temperature, rng)
            for name, count in boxes.ordered(compositions[number % len(compositions)])
            for _ in range(count)
        ]
        density = rng.uniform(*density_g_cm3)
        box = boxes.pack(parts, density_g_cm3=density, seed=int(rng.integers(2**31)))
        box.info["temperature_K"] = round(temperature, 1)
        return box

    return _sound_frames(numbers, seed, draw)


def isolated(
    *,
    numbers: Sequence[int],
    seed: int,
    ensembles: Mapping[str, Sequence[Conformer]],
    displacement_A: float = 0.05,
) -> list[Atoms]:
    """Return isolated molecules far from equilibrium: bonds, angles and torsions changed.

    Parameters
    ----------
    numbers : sequence of int
        Which frames of the block.
    seed : int
    ensembles : mapping of str to sequence of Conformer
        The frames take the molecules in turn.
    displacement_A : float
        Random displacement on top, standard deviation.
    """
    names = list(ensembles)

    def draw(number: int, rng: np.random.Generator) -> Atoms:
        pool = ensembles[names[number % len(names)]]
        start = pool[rng.integers(len(pool))].atoms
        return molecules.distorted(start, rng=rng, displacement_A=displacement_A)

    return _sound_frames(numbers, seed, draw)


def classical(
    *,
    numbers: Sequence[int],
    seed: int,
    compositions: Sequence[Composition],
    temperature_K: tuple[float, float],
    density_g_cm3: tuple[float, float],
    duration_ps: float = 7.0,
    timestep_fs: float = 1.0,
) -> list[Atoms]:
    """Return snapshots of classical dynamics (MMFF94), hot and dense going together.

    Each frame is the last of a run of its own, from a box packed anew. Temperature and density
    rise together from their low to their high ends, evenly over the frames; the density is then
    moved by up to a tenth of its range.

    Parameters
    ----------
    numbers : sequence of int
        Which frames of the block.
    seed : int
    compositions : sequence of mapping
        Molecules of a box; the frames take them in turn.
    temperature_K, density_g_cm3 : tuple of float
        Low and high end.
    duration_ps, timestep_fs : float
        Of each run.
    """
    n_steps = round(duration_ps * 1e3 / timestep_fs)

    def draw(number: int, rng: np.random.Generator) -> Atoms:
        along = ((number + 0.5) * GOLDEN_RATIO) % 1.0  # fills the range evenly for any number
        composition = compositions[number % len(compositions)]
        parts = boxes.mixture(composition, seed=int(rng.integers(2**31)))
        low, high = density_g_cm3
        density = low + (high - low) * np.clip(along + rng.uniform(-0.1, 0.1), 0, 1)
        start = boxes.pack(parts, density_g_cm3=min(density, 1.0), seed=int(rng.integers(2**31)))
        temperature = temperature_K[0] + (temperature_K[1] - temperature_K[0]) * along
        (last,) = classical_md(
            start,
            temperature_K=temperature,
            density_g_cm3=density,
            n_steps=n_steps,
            save_every=n_steps,
            timestep_fs=timestep_fs,
            seed=int(rng.integers(2**31)),
        )
        last.info["temperature_K"] = round(temperature, 1)
        return last

    return _sound_frames(numbers, seed, draw)


def scan(
    *,
    numbers: Sequence[int],
    seed: int,
    source: Sequence[Atoms],
    points: int,
    every: int = 1,
    density_g_cm3: tuple[float, float],
) -> list[Atoms]:
    """Return volume scans of liquid frames: molecules move with the cell, rigid.

    Parameters
    ----------
    numbers : sequence of int
        Which frames of the block.
    seed : int
    source : sequence of Atoms
        Frames to scan.
    every : int
        Every this many of them is scanned.
    points : int
        Densities of each source frame.
    density_g_cm3 : tuple of float
        Low and high end; drawn uniformly, and again where molecules would touch.
    """

    def draw(number: int, rng: np.random.Generator) -> Atoms:
        frame = source[number // points * every % len(source)]
        moved = boxes.scaled(frame, rng.uniform(*density_g_cm3))
        moved.info["source"] = frame.info["seed"]
        return moved

    return _sound_frames(numbers, seed, draw)


BUILDERS = {"packed": packed, "classical": classical, "scan": scan, "molecules": isolated}


def options_of(kind: str) -> dict[str, bool]:
    """Return the options of a block of a kind, and whether each has to be given.

    Instead of ensembles, which the reference method makes, molecules and a number of conformers.
    """
    parameters = inspect.signature(BUILDERS[kind]).parameters
    found = {name: about.default is about.empty for name, about in parameters.items()}
    del found["numbers"], found["seed"]
    if found.pop("ensembles", False):
        found |= {"molecules": True, "conformers": True}
    return found


def _sound_frames(
    numbers: Sequence[int], seed: int, draw: Callable[[int, np.random.Generator], Atoms]
) -> list[Atoms]:
    """Draw each frame until it is sound, from a random stream of its own, and name it."""
    frames = []
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        frame = _sound_frame(lambda n=number, stream=rng: draw(n, stream), f"{seed}/{number}")
        frame.info["seed"] = f"{seed}/{number}"
        frames.append(frame)
    return frames


def _sound_frame(draw: Callable[[], Atoms], name: str) -> Atoms:
    reason = "molecules broken or interlocked"
    for _ in range(MAX_DRAWS):
        try:
            frame = draw()
        except RuntimeError as error:  # a box that cannot be packed or relaxed
            reason = str(error)
            continue
        if is_sound(frame):
            return frame
    raise RuntimeError(f"frame {name}: no sound one in {MAX_DRAWS} draws; the last: {reason}")


def is_sound(frame: Atoms) -> bool:
    """Return whether molecules are intact, no closer than bonded atoms, and not interlocked."""
    return molecules.intact(frame) and not len(boxes.threaded(frame))
