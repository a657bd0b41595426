"""The kinds of training configuration, each a function that returns unlabelled frames.

Every frame has a random stream of its own, seeded by the block's seed and its number, so a block
of 20 frames is the beginning of a block of 100.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from crosstrain.build import boxes, molecules

Composition = Mapping[str, int]
MAX_DRAWS = 30


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
    n_frames: int,
    seed: int,
    compositions: Sequence[Composition],
    ensembles: Mapping[str, Sequence[Conformer]],
    density_g_cm3: tuple[float, float],
    temperature_K: tuple[float, float],
) -> list[Atoms]:
    """Return boxes of randomly packed, thermally displaced conformers: no dynamics at all.

    Parameters
    ----------
    n_frames, seed : int
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
            for name, count in compositions[number % len(compositions)].items()
            for _ in range(count)
        ]
        density = rng.uniform(*density_g_cm3)
        return boxes.pack(parts, density_g_cm3=density, seed=int(rng.integers(2**31)))

    return _sound_frames(n_frames, seed, draw)


def isolated(
    *,
    n_frames: int,
    seed: int,
    ensembles: Mapping[str, Sequence[Conformer]],
    displacement_A: float = 0.05,
) -> list[Atoms]:
    """Return isolated molecules far from equilibrium: bonds, angles and torsions changed.

    Parameters
    ----------
    n_frames, seed : int
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

    return _sound_frames(n_frames, seed, draw)


def scan(
    *,
    n_frames: int,
    seed: int,
    liquid: Sequence[Atoms],
    density_g_cm3: tuple[float, float],
) -> list[Atoms]:
    """Return volume scans of liquid frames: molecules move with the cell, rigid.

    Parameters
    ----------
    n_frames, seed : int
    liquid : sequence of Atoms
        Frames to scan; each gives ``n_frames / len(liquid)`` densities.
    density_g_cm3 : tuple of float
        Low and high end; the densities of a frame divide it evenly, from a random offset.
    """
    points = int(np.ceil(n_frames / len(liquid)))
    low, high = density_g_cm3

    def draw(number: int, rng: np.random.Generator) -> Atoms:
        source, point = divmod(number, points)
        return boxes.scaled(liquid[source], low + (high - low) * (point + rng.uniform()) / points)

    return _sound_frames(n_frames, seed, draw)


def _sound_frames(
    n_frames: int, seed: int, draw: Callable[[int, np.random.Generator], Atoms]
) -> list[Atoms]:
    """Draw each frame until its molecules are intact, apart and not interlocked."""
    frames = []
    for number in range(n_frames):
        rng = np.random.default_rng([seed, number])
        for _ in range(MAX_DRAWS):
            frame = draw(number, rng)
            if is_sound(frame):
                break
        else:
            raise RuntimeError(f"frame {number}: no sound one in {MAX_DRAWS} draws")
        frame.info["seed"] = f"{seed}.{number}"
        frames.append(frame)
    return frames


def is_sound(frame: Atoms) -> bool:
    """Return whether molecules are intact, no closer than bonded atoms, and not interlocked."""
    return molecules.intact(frame) and not len(boxes.threaded(frame))
