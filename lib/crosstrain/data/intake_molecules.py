"""Which molecules the frames of a file hold, by their bonds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from crosstrain.build import molecules as mol
from crosstrain.data.intake_findings import FEWEST, Findings

if TYPE_CHECKING:
    from rdkit.Chem import Mol

NAME_IT = " or name it: --molecule SMILES, or also=['SMILES', ...]"


def check_molecules(
    frames: dict[int, Atoms], known: dict[str, str], learn: bool, findings: Findings
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
        label = components(frame)
        given = frame.arrays.setdefault("molecule", label)
        if (
            len(set(zip(given, label, strict=True))) != len(set(given))
            or len(set(given)) <= label.max()
        ):
            findings.add("molecule indices do not fit the bonds; correct or remove them", number)
            continue
        frame.arrays["molecule"] = np.unique(given, return_inverse=True)[1]  # they may begin at 1
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
            frame, label = frames[number], components(frames[number])
            formulas = {frame[label == k].get_chemical_formula() for k in strange}
            findings.add(
                f"a molecule {', '.join(sorted(formulas))} that is none of "
                f"{', '.join(sorted(set(known.values())))}: broken, or not expected; leave the "
                f"frame out{NAME_IT if learn else ''}",
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


def components(frame: Atoms) -> NDArray[np.int64]:
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


def key_of(name: str) -> str:
    """Text that is the same for the same molecule, given its name or SMILES."""
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
    members = np.flatnonzero(components(frame) == found[number].index(key))
    bonds = np.asarray(frame.info["bonds"], dtype=int).reshape(-1, 2)
    inner = np.searchsorted(members, bonds[np.isin(bonds[:, 0], members)])
    graph = _bare(frame.symbols[members], inner.tolist())
    try:
        with rdBase.BlockLogs():
            rdDetermineBonds.DetermineBondOrders(graph, charge=0, embedChiral=False)
            return mol.label(Chem.MolToSmiles(Chem.RemoveHs(graph)))
    except ValueError:
        return None
