"""How sets of structures differ: a map of frames, novelty and overlap of atomic environments.

Everything rests on the descriptors of QUESTS, which know no model: the sorted, damped inverse
distances of an atom to its nearest neighbours and among them, in 1/Å. They do not tell the elements
of the neighbours apart, so only atoms of one element are compared with each other.

References
----------
D. Schwalbe-Koda et al., Nat. Commun. 2025, 16, 4014 (doi 10.1038/s41467-025-59232-0).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from ase import Atoms
from scipy.spatial import cKDTree

from crosstrain.measure.molecules import Floats, Ints

NEIGHBOURS = 32
CUTOFF_A = 5.0
BANDWIDTH = 0.04
"""Width of the kernel, 1/Å. At the 0.015 of QUESTS no atom of a hot molecular liquid overlaps even
with an independent set of the same kind; at 0.04 and 1000 atoms of each element, two halves of a
set of packed EC/EMC boxes overlap by 0.6 to 0.8."""
_COVERED = 1e-5  # of QUESTS: largest dH that counts as overlap; the exact 0 is lost to rounding
_BATCH = 1000  # rows and columns of a kernel matrix held at once (the default needs gigabytes)


@dataclass(frozen=True)
class Environments:
    """Descriptors of the surroundings of all atoms of some frames.

    Attributes
    ----------
    values
        Shape (n_atoms, 2 * neighbours - 1), 1/Å.
    numbers
        Atomic number of each atom, shape (n_atoms,).
    frame
        Which frame each atom belongs to, shape (n_atoms,).
    """

    values: Floats
    numbers: Ints
    frame: Ints

    def of_element(self, number: int) -> Floats:
        """Descriptors of the atoms of one element, shape (n_atoms_of_element, n_features)."""
        return self.values[self.numbers == number]


class Novelty(NamedTuple):
    """Distance of a frame's atoms to the nearest known environment, 1/Å, both (n_frames,)."""

    mean: Floats
    largest: Floats


class Embedding(NamedTuple):
    """Two-dimensional map of frames.

    Attributes
    ----------
    coordinates
        Shape (n_frames, 2) for each set, without unit, centred on the mean of all frames.
    explained_variance
        Share of the variance along each of the two axes, shape (2,).
    """

    coordinates: dict[str, Floats]
    explained_variance: Floats


def descriptors(
    frames: Sequence[Atoms], *, neighbours: int = NEIGHBOURS, cutoff_A: float = CUTOFF_A
) -> Environments:
    """Describe the surroundings of every atom.

    Invariant to rotation, translation, order of atoms, wrapping, and repetition of the cell.

    Parameters
    ----------
    frames
        Periodic along all axes (with a right-handed cell), or along none.
    neighbours
        How many nearest neighbours count; fewer are filled up with zeros.
    cutoff_A
        Distance at which a neighbour's weight reaches zero.

    Returns
    -------
    Environments

    Raises
    ------
    ValueError
        If there are no frames, or one is periodic along some axes only, has a cell without volume
        or positions that are not finite.
    """
    if not len(frames):
        raise ValueError("frames is empty, allowed is at least one")
    for i, atoms in enumerate(frames):
        _check_frame(i, atoms)
    frames = [_right_handed(atoms) for atoms in frames]
    # compiles on first use, where it warns of a harmless cast
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*unsafe cast from uint64")
        from quests.descriptor import get_descriptors

        values = get_descriptors(frames, k=neighbours, cutoff=cutoff_A)
    return Environments(
        values,
        np.concatenate([atoms.numbers for atoms in frames]),
        np.repeat(np.arange(len(frames)), [len(atoms) for atoms in frames]),
    )


def frame_means(
    environments: Environments,
    elements: Sequence[int] | None = None,
    *,
    may_lack: bool = False,
) -> Floats:
    """Mean descriptor of each frame, element by element.

    Parameters
    ----------
    environments
        Of whole frames.
    elements
        Atomic numbers, each in every frame; by default all that occur. The share of an element in
        a frame has no weight, so compositions differ by their structure alone.
    may_lack
        Whether a frame may lack an element; its part is then zero.

    Returns
    -------
    ndarray
        Shape (n_frames, n_elements * n_features), 1/Å.

    Raises
    ------
    ValueError
        If a frame lacks an element and may not.
    """
    n_frames = environments.frame.max() + 1
    means = []
    for element in np.unique(environments.numbers) if elements is None else elements:
        mine = environments.numbers == element
        count = np.bincount(environments.frame[mine], minlength=n_frames)
        if not (may_lack or count.all()):
            raise ValueError(f"frame {np.argmin(count)} has no atom of atomic number {element}")
        total = np.zeros((n_frames, environments.values.shape[1]))
        np.add.at(total, environments.frame[mine], environments.values[mine])
        means.append(total / np.maximum(count, 1)[:, None])
    return np.concatenate(means, axis=1)


def embed(sets: Mapping[str, Environments]) -> Embedding:
    """Map all frames of some sets to a plane: principal components of the mean descriptors.

    Features are scaled to unit variance over all frames (a constant one stays zero). The sign of an
    axis is such that its largest loading is positive.

    Parameters
    ----------
    sets
        Environments of each set by its name; all frames hold the same elements.

    Returns
    -------
    Embedding

    Raises
    ------
    ValueError
        If there are fewer than 3 frames, they do not differ, or a frame lacks an element.
    """
    elements = np.unique(np.concatenate([e.numbers for e in sets.values()]))
    features = [frame_means(e, elements) for e in sets.values()]
    x = np.concatenate(features)
    if len(x) < 3:
        raise ValueError(f"sets has {len(x)} frames in all, allowed are at least 3")
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    varies = spread > 1e-9  # 1/Å: less is rounding
    if np.sum(varies) < 2:
        raise ValueError("all frames of sets are equal (or nearly), there is nothing to map")
    x = x[:, varies] / spread[varies]
    _, singular, axes = np.linalg.svd(x, full_matrices=False)
    axes = axes[:2] * np.sign(axes[np.arange(2), np.abs(axes[:2]).argmax(axis=1)])[:, None]
    starts = np.cumsum([len(f) for f in features])[:-1]
    return Embedding(
        dict(zip(sets, np.split(x @ axes.T, starts), strict=True)),
        singular[:2] ** 2 / np.sum(singular**2),
    )


def novelty(candidate: Environments, known: Environments) -> Novelty:
    """How far the atoms of each frame are from anything known.

    Parameters
    ----------
    candidate
        Of whole frames.
    known
        Environments to compare with, element by element.

    Returns
    -------
    Novelty
        Mean and largest, over the atoms of each candidate frame, of the Euclidean distance to the
        nearest known environment of the same element, 1/Å: 0 for a known frame, infinite where
        the element itself is unknown. It falls slowly with the number of known atoms, so compare
        known sets of equal size.

    Notes
    -----
    QUESTS uses its dH instead; beyond a few bandwidths that underflows to infinity.
    """
    distance = np.full(len(candidate.values), np.inf)
    for element in np.intersect1d(candidate.numbers, known.numbers):
        tree = cKDTree(known.of_element(element))
        distance[candidate.numbers == element] = tree.query(candidate.of_element(element))[0]
    count = np.bincount(candidate.frame)
    largest = np.zeros(len(count))
    np.maximum.at(largest, candidate.frame, distance)
    return Novelty(np.bincount(candidate.frame, weights=distance) / count, largest)


def overlap(one: Environments, other: Environments, *, bandwidth: float = BANDWIDTH) -> float:
    r"""Share of the atoms of one set that the other covers.

    An atom is covered if its differential entropy with respect to the atoms of its element in the
    other set,

    .. math:: dH(x|Y) = -\log \sum_{y \in Y} \exp(-|x - y|^2 / 2h^2),

    is not above 0. It is not symmetric, and grows with the size of the other set
    (`overlap_matrix` compares at equal sizes).

    Parameters
    ----------
    one, other
        The two sets.
    bandwidth
        h, 1/Å.

    Returns
    -------
    float
        In [0, 1]; 1 for a set and itself.

    Raises
    ------
    ValueError
        If the bandwidth is not above 0.
    """
    if not bandwidth > 0:
        raise ValueError(f"bandwidth is {bandwidth}, allowed are values above 0 (1/Å)")
    from quests.entropy import delta_entropy

    covered = 0
    for element in np.intersect1d(one.numbers, other.numbers):
        x, y = one.of_element(element), other.of_element(element)
        with np.errstate(divide="ignore"):  # far from everything: the sum underflows, dH is inf
            covered += np.sum(delta_entropy(x, y, h=bandwidth, batch_size=_BATCH) < _COVERED)
    return float(covered / len(one.values))


def overlap_matrix(
    sets: Mapping[str, Environments],
    *,
    rng: np.random.Generator,
    atoms_per_element: int = 1000,
    bandwidth: float = BANDWIDTH,
) -> Floats:
    """Overlap of every set with every other, at equal numbers of atoms.

    Parameters
    ----------
    sets
        Environments of each set by its name.
    rng
        Source of the random choice of atoms.
    atoms_per_element
        Each set is reduced to this many atoms of each element, or to what the smallest set has;
        elements then count alike.
    bandwidth
        As in `overlap`.

    Returns
    -------
    ndarray
        Shape (n_sets, n_sets) in the order of the sets: the share of the row's atoms that the
        column covers; 1 on the diagonal.

    Raises
    ------
    ValueError
        If the sets do not hold the same elements, or a setting is not above 0.
    """
    if atoms_per_element < 1:
        raise ValueError(f"atoms_per_element is {atoms_per_element}, allowed are values from 1")
    counts = {}
    for name, environments in sets.items():
        elements, counts[name] = np.unique(environments.numbers, return_counts=True)
        first = np.unique(next(iter(sets.values())).numbers)
        if not np.array_equal(elements, first):
            raise ValueError(
                f"sets[{name!r}] holds the atomic numbers {elements}, allowed are those of the "
                f"first set, {first}"
            )
    sizes = np.minimum(np.min(list(counts.values()), axis=0), atoms_per_element)
    parts = [
        _some_of_each(e, dict(zip(np.unique(e.numbers), sizes, strict=True)), rng)
        for e in sets.values()
    ]
    return np.array([[overlap(a, b, bandwidth=bandwidth) for b in parts] for a in parts])


def _some_of_each(
    environments: Environments, sizes: Mapping[int, int], rng: np.random.Generator
) -> Environments:
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(environments.numbers == element), size, replace=False)
            for element, size in sizes.items()
        ]
    )
    return Environments(
        environments.values[chosen], environments.numbers[chosen], environments.frame[chosen]
    )


def _check_frame(index: int, atoms: Atoms) -> None:
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        raise ValueError(f"frames[{index}] has no atoms, or positions that are not finite")
    if atoms.pbc.any() and not atoms.pbc.all():
        raise ValueError(f"frames[{index}] has pbc {atoms.pbc}, allowed are all axes or none")
    if atoms.pbc.all() and not atoms.cell.volume > 0:
        raise ValueError(f"frames[{index}] has a cell without volume")


def _right_handed(atoms: Atoms) -> Atoms:
    """QUESTS looks for no images in a left-handed cell; its vectors turned round span the same."""
    if not atoms.pbc.all() or atoms.cell.handedness > 0:
        return atoms
    turned = atoms.copy()
    turned.set_cell(-atoms.cell.array)
    return turned
