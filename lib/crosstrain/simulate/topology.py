"""Formed and broken bonds of a molecular liquid, judged against its known graph.

The covalent graph of a liquid is known from its building, so a frame is compared with that graph
and never given a new one of its own. Each pair of elements has two cutoffs: a bond of the graph
counts as *broken* beyond the wider one, a pair outside the graph as *formed* below the narrower
one. Between the two a pair keeps the state it had (hysteresis), and a change becomes an event only
after it has lasted for a persistence time, so that a hot vibration raises no alarm.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import ArrayLike, NDArray

BOND_CUTOFFS_A: dict[tuple[str, str], tuple[float, float]] = {
    ("H", "H"): (1.00, 1.30),
    ("C", "H"): (1.40, 1.70),
    ("H", "O"): (1.20, 1.50),
    ("C", "C"): (1.75, 2.20),
    ("C", "O"): (1.70, 2.10),
    ("O", "O"): (1.60, 2.00),
}
"""(formed below, broken above) in Å, by alphabetical pair of elements.

In liquid EC/EMC from 300 to 1200 K the bonds stay below 1.31 (C-H), 1.64 (C-O) and 1.74 Å (C-C),
and other pairs above 1.25 (H-H), 1.46 (H-O), 1.70 (C-H), 1.92 (C-C, O-O) and 1.98 Å (C-O). The
wider cutoff is also below every usual 1-3 distance, so that a passing contact is soon forgotten.
"""

# Pairs that the table lacks: multiples of the sum of the covalent radii.
_FORMED_RADII, _BROKEN_RADII = 1.2, 1.5


@dataclass(frozen=True)
class BondEvent:
    """One bond that formed or broke.

    Attributes
    ----------
    kind
        ``"formed"`` or ``"broken"``.
    atoms
        Indices of the two atoms, the smaller first.
    time_ps
        When the change began (ps), not when its persistence was confirmed.
    distance_A
        Distance of the pair when it was confirmed (Å).
    """

    kind: Literal["formed", "broken"]
    atoms: tuple[int, int]
    time_ps: float
    distance_A: float


class BondMonitor:
    """Watch the bonds of a simulation, with hysteresis and persistence.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (n_atoms,).
    bonds
        The known graph, atom indices of shape (n_bonds, 2).
    persistence_ps
        A change becomes an event once it has lasted this long (ps); 0 reports it at once.

    Raises
    ------
    ValueError
        For a graph with atoms that do not exist, self-bonds or duplicates, or for a negative
        persistence time.
    """

    def __init__(
        self,
        numbers: ArrayLike,
        bonds: ArrayLike,
        *,
        persistence_ps: float,
    ) -> None:
        if not persistence_ps >= 0:
            raise ValueError(f"persistence_ps is {persistence_ps}, allowed: 0 or more")
        self.persistence_ps = persistence_ps
        numbers = np.asarray(numbers)
        self._pairs = np.stack(np.triu_indices(len(numbers), 1), axis=1)
        self._in_graph = _graph_mask(bonds, len(numbers))[tuple(self._pairs.T)]
        formed, broken = bond_cutoffs(numbers)
        self._formed_A = formed[tuple(self._pairs.T)]
        self._broken_A = broken[tuple(self._pairs.T)]
        self._since_ps = np.full(len(self._pairs), np.nan)  # nan: as the graph says
        self._reported = np.zeros(len(self._pairs), dtype=bool)

    def update(self, atoms: Atoms, *, time_ps: float) -> list[BondEvent]:
        """Look at the next frame.

        Parameters
        ----------
        atoms
            The frame, wrapped or not.
        time_ps
            Its time (ps), not before the previous one.

        Returns
        -------
        list of BondEvent
            Changes confirmed at this frame, the oldest first; each is reported once, and again
            only if it heals and recurs.
        """
        distances = _distances(atoms, self._pairs, self._broken_A.max(initial=0.0))
        below, above = distances < self._formed_A, distances > self._broken_A
        changed = np.where(self._in_graph, above, below)
        healed = np.where(self._in_graph, below, above)

        self._since_ps[healed] = np.nan
        self._reported[healed] = False
        self._since_ps[changed & np.isnan(self._since_ps)] = time_ps
        # The slack absorbs the rounding of times such as 3 * 0.1.
        lasting = time_ps - self._since_ps >= self.persistence_ps - 1e-9
        confirmed = np.flatnonzero(lasting & ~self._reported)
        self._reported[confirmed] = True
        return sorted(
            (self._event(pair, distances[pair]) for pair in confirmed),
            key=lambda event: (event.time_ps, event.atoms),
        )

    def state(self) -> list[tuple[int, float, bool]]:
        """Everything the monitor remembers, as plain numbers for a checkpoint."""
        return [
            (int(pair), float(self._since_ps[pair]), bool(self._reported[pair]))
            for pair in np.flatnonzero(~np.isnan(self._since_ps))
        ]

    def restore(self, state: Iterable[Sequence]) -> None:
        """Return to what `state` gave."""
        self._since_ps[:], self._reported[:] = np.nan, False
        for pair, since_ps, reported in state:
            self._since_ps[pair], self._reported[pair] = since_ps, reported

    def _event(self, pair: int, distance: float) -> BondEvent:
        i, j = self._pairs[pair]
        return BondEvent(
            kind="broken" if self._in_graph[pair] else "formed",
            atoms=(int(i), int(j)),
            time_ps=float(self._since_ps[pair]),
            distance_A=float(distance),
        )


def bond_cutoffs(numbers: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cutoffs of every pair of atoms.

    Pairs that `BOND_CUTOFFS_A` lacks get 1.2 and 1.5 times the sum of the covalent radii, which is
    no guide for metals and ions.

    Parameters
    ----------
    numbers
        Atomic numbers, shape (n_atoms,).

    Returns
    -------
    formed_below_A, broken_above_A
        Each of shape (n_atoms, n_atoms), in Å.
    """
    radii_sum = covalent_radii[:, None] + covalent_radii
    formed, broken = _FORMED_RADII * radii_sum, _BROKEN_RADII * radii_sum
    for (first, second), (formed_A, broken_A) in BOND_CUTOFFS_A.items():
        a, b = atomic_numbers[first], atomic_numbers[second]
        formed[a, b] = formed[b, a] = formed_A
        broken[a, b] = broken[b, a] = broken_A
    grid = np.ix_(np.asarray(numbers), np.asarray(numbers))
    return formed[grid], broken[grid]


def bond_events(atoms: Atoms, bonds: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Compare one frame with the known graph, without memory.

    Parameters
    ----------
    atoms
        The frame, wrapped or not.
    bonds
        The known graph, atom indices of shape (n_bonds, 2).

    Returns
    -------
    formed, broken
        Pairs of atom indices, of shape (n_formed, 2) and (n_broken, 2).

    Raises
    ------
    ValueError
        As `BondMonitor`, or if a periodic box is too narrow for the minimum image.
    """
    monitor = BondMonitor(atoms.numbers, bonds, persistence_ps=0.0)
    events = monitor.update(atoms, time_ps=0.0)
    formed = [event.atoms for event in events if event.kind == "formed"]
    broken = [event.atoms for event in events if event.kind == "broken"]
    return np.array(formed, dtype=int).reshape(-1, 2), np.array(broken, dtype=int).reshape(-1, 2)


_EVENT = re.compile(r"bond [A-Z][a-z]?(\d+)-[A-Z][a-z]?(\d+) .*?\b(broken|formed) at ")


def describe_event(event: BondEvent, atoms: Atoms, bonds: ArrayLike) -> str:
    """Say in words what happened.

    Parameters
    ----------
    event
        The event.
    atoms
        Any frame of the system. ``arrays["molecule"]`` is used if present, and
        ``info["composition"]`` for names if it lists the molecules in their order; otherwise a
        molecule is called by its formula.
    bonds
        The known graph, atom indices of shape (n_bonds, 2).

    Returns
    -------
    str
        Such as ``"bond C3-O4 of molecule 2 (EC) broken at 1.200 ps (2.14 Å): ring opened"``; atoms
        and molecules are counted from 0.
    """
    i, j = event.atoms
    pair = f"{atoms.symbols[i]}{i}-{atoms.symbols[j]}{j}"
    when = f"{event.kind} at {event.time_ps:.3f} ps ({event.distance_A:.2f} Å)"
    owners = list(dict.fromkeys(_molecule_label(atoms, index) for index in event.atoms))
    if event.kind == "formed":
        place = " between " if len(owners) == 2 else " within "
        return f"bond {pair}{place if owners[0] else ''}{' and '.join(owners)} {when}"
    consequence = "ring opened" if _in_ring(event.atoms, bonds, len(atoms)) else "molecule split"
    return f"bond {pair}{' of ' if owners[0] else ''}{owners[0]} {when}: {consequence}"


def read_event(text: str) -> tuple[str, tuple[int, int]] | None:
    """Return kind and atoms of an event that `describe_event` put in words; None of other text."""
    found = _EVENT.match(text)
    return found and (found[3], (int(found[1]), int(found[2])))


def _graph_mask(bonds: ArrayLike, n_atoms: int) -> NDArray[np.bool_]:
    """Symmetric adjacency matrix of the known graph, after checking it."""
    bonds = np.asarray(bonds, dtype=int).reshape(-1, 2)
    if bonds.size and (bonds.min() < 0 or bonds.max() >= n_atoms):
        raise ValueError(
            f"bonds name atoms {bonds.min()} to {bonds.max()}, allowed: 0 to {n_atoms - 1}"
        )
    mask = np.zeros((n_atoms, n_atoms), dtype=bool)
    mask[bonds[:, 0], bonds[:, 1]] = mask[bonds[:, 1], bonds[:, 0]] = True
    if mask.diagonal().any():
        raise ValueError(f"bonds join atoms {np.flatnonzero(mask.diagonal())} to themselves")
    if mask.sum() != 2 * len(bonds):
        raise ValueError("bonds list a pair twice, allowed: each pair once")
    return mask


def _distances(atoms: Atoms, pairs: NDArray[np.intp], longest_A: float) -> NDArray[np.float64]:
    """Minimum-image distances (Å), right wherever they are below `longest_A`.

    In a box wider than twice `longest_A` in each direction, rounding fractional coordinates finds
    the nearest image of every pair that is closer than `longest_A`, in a skewed cell as well.
    """
    cell = atoms.cell.complete().array
    to_fractional = np.linalg.inv(cell)
    widths = 1.0 / np.linalg.norm(to_fractional, axis=0)
    if (widths[atoms.pbc] < 2 * longest_A).any():
        raise ValueError(
            f"the periodic box is {widths[atoms.pbc].min():.2f} Å wide, "
            f"allowed: {2 * longest_A:.2f} Å (twice the longest bond cutoff) or more"
        )
    fractional = atoms.positions @ to_fractional
    separation = fractional[pairs[:, 1]] - fractional[pairs[:, 0]]
    separation -= np.rint(separation) * atoms.pbc
    return np.linalg.norm(separation @ cell, axis=1)


def _in_ring(bond: tuple[int, int], bonds: ArrayLike, n_atoms: int) -> bool:
    """Whether the two atoms stay connected in the known graph without their bond."""
    from scipy.sparse.csgraph import connected_components

    mask = _graph_mask(bonds, n_atoms)
    mask[bond] = mask[bond[::-1]] = False
    component = connected_components(mask, directed=False)[1]
    return bool(component[bond[0]] == component[bond[1]])


def _molecule_label(atoms: Atoms, index: int) -> str:
    """Such as ``"molecule 2 (EC)"``; empty where molecules are not known."""
    if "molecule" not in atoms.arrays:
        return ""
    molecule = int(atoms.arrays["molecule"][index])
    name = _molecule_names(atoms).get(molecule) or _formula(atoms, molecule)
    return f"molecule {molecule} ({name})"


def _formula(atoms: Atoms, molecule: int) -> str:
    return atoms.symbols[atoms.arrays["molecule"] == molecule].get_chemical_formula()


def _molecule_names(atoms: Atoms) -> dict[int, str]:
    """Names from ``info["composition"]`` ("EC:2 EMC:4"), if it fits the molecules in order."""
    try:
        parts = [part.rsplit(":", 1) for part in atoms.info["composition"].split()]
        names = [name for name, count in parts for _ in range(int(count))]
    except (KeyError, AttributeError, ValueError):
        return {}
    if len(names) != len(np.unique(atoms.arrays["molecule"])):
        return {}
    formulas: dict[str, set[str]] = {}
    for molecule, name in enumerate(names):
        formulas.setdefault(name, set()).add(_formula(atoms, molecule))
    fits = all(len(found) == 1 for found in formulas.values())
    return dict(enumerate(names)) if fits else {}
