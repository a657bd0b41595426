"""Reference labels: energy, forces and stress of a frame by a quantum-mechanical method.

GFN2-xTB (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652) through tblite is
the embedded reference. Labelling must run in a process of its own that has not loaded torch,
with ``OMP_NUM_THREADS`` set: the two share an OpenMP runtime and disturb each other.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from crosstrain.data.frames import ENERGY, FORCES, STRESS

METHODS = ("GFN2-xTB", "GFN1-xTB")
# Ground-state spin multiplicities of the isolated atoms.
MULTIPLICITY = {"H": 2, "C": 3, "O": 3}


class LabelError(RuntimeError):
    """The reference calculation of a frame failed; the message gives the reason."""


def calculator(method: str, multiplicity: int | None = None) -> Calculator:
    """Return an ASE calculator of a reference method.

    Raises
    ------
    ValueError
        If `method` is not one of `METHODS`.
    """
    if method not in METHODS:
        raise ValueError(f"reference method {method!r}; allowed are {', '.join(METHODS)}")
    from tblite.ase import TBLite

    return TBLite(method=method, multiplicity=multiplicity, verbosity=0)


def label(frame: Atoms, method: str) -> Atoms:
    """Return a copy of a frame with labels (and ``info["method"]``).

    Parameters
    ----------
    frame : Atoms
        Periodic in all directions or in none; a single atom gets its ground-state spin.
    method : str
        One of `METHODS`.

    Raises
    ------
    LabelError
        If the self-consistent field does not converge or a label is not finite.
    ValueError
        If the method or an element is not supported, or the frame is periodic in part.
    """
    unknown = sorted(set(frame.get_chemical_symbols()) - set(MULTIPLICITY))
    if unknown:
        raise ValueError(f"element {unknown[0]}; allowed are {', '.join(MULTIPLICITY)}")
    if frame.pbc.any() and not frame.pbc.all():
        raise ValueError(f"pbc {frame.pbc.tolist()}; allowed are all or none")
    labelled = frame.copy()
    worked = frame.copy()
    multiplicity = MULTIPLICITY[frame.get_chemical_symbols()[0]] if len(frame) == 1 else None
    worked.calc = calculator(method, multiplicity)
    try:
        labelled.info[ENERGY] = float(worked.get_potential_energy())
        labelled.arrays[FORCES] = worked.get_forces()
        if frame.pbc.all():
            labelled.info[STRESS] = worked.get_stress()
    except Exception as error:  # tblite raises its own types for failed cycles
        raise LabelError(f"{method} failed: {str(error).strip().splitlines()[0]}") from error
    values = [labelled.info[ENERGY], labelled.arrays[FORCES], labelled.info.get(STRESS, 0.0)]
    if not all(np.isfinite(value).all() for value in values):
        raise LabelError(f"{method} returned a label that is not finite")
    labelled.info["method"] = method
    return labelled


def isolated_atom_energies(elements: Iterable[str], method: str) -> dict[str, float]:
    """Return the energy (eV) of each isolated atom in its ground state."""
    return {e: label(Atoms(e), method).info[ENERGY] for e in sorted(set(elements))}
