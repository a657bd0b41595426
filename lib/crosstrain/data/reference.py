"""Reference labels: energy, forces and stress of a frame by a quantum-mechanical method.

GFN2-xTB (Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652) through tblite is
the embedded reference. Labelling must run in a process of its own that has not loaded torch,
with ``OMP_NUM_THREADS`` set: the two share an OpenMP runtime and disturb each other.

PBE-D3 (Perdew, Burke, Ernzerhof, Phys. Rev. Lett. 1996, 77, 3865, with D3 and Becke-Johnson
damping, Grimme, Ehrlich, Goerigk, J. Comput. Chem. 2011, 32, 1456) is there for those who have
CP2K, a program that pip does not install; `cp2k_input` has all settings.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.cp2k import CP2K
from ase.config import cfg

from crosstrain.data.frames import ENERGY, FORCES, STRESS

METHODS = ("GFN2-xTB", "GFN1-xTB", "PBE-D3")
# Ground-state spin multiplicities of the isolated atoms.
MULTIPLICITY = {"H": 2, "C": 3, "O": 3}
# Empty space on each side of a molecule in its box: its density has vanished there.
VACUUM_A = 5.0


class LabelError(RuntimeError):
    """The reference calculation of a frame failed; the message gives the reason."""


def calculator(method: str, multiplicity: int | None = None) -> Calculator:
    """Return an ASE calculator of a reference method.

    Raises
    ------
    FileNotFoundError
        If the method needs CP2K and there is none.
    ValueError
        If `method` is not one of `METHODS`.
    """
    if method not in METHODS:
        raise ValueError(f"reference method {method!r}; allowed are {', '.join(METHODS)}")
    if method == "PBE-D3":
        return _Cp2k(multiplicity)
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
    FileNotFoundError
        If the method needs CP2K and there is none.
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
    except (MemoryError, OSError):  # of the machine, not of the frame
        raise
    except Exception as error:  # tblite raises its own types for failed cycles
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise LabelError(f"{method} failed: {said[0]}") from error
    values = [labelled.info[ENERGY], labelled.arrays[FORCES], labelled.info.get(STRESS, 0.0)]
    if not all(np.isfinite(value).all() for value in values):
        raise LabelError(f"{method} returned a label that is not finite")
    labelled.info["method"] = method
    return labelled


def isolated_atom_energies(elements: Iterable[str], method: str) -> dict[str, float]:
    """Return the energy (eV) of each isolated atom in its ground state."""
    return {e: label(Atoms(e), method).info[ENERGY] for e in sorted(set(elements))}


# --- PBE-D3 through CP2K ------------------------------------------------------------------------

_CP2K_INPUT = """\
&GLOBAL
  PROJECT {project}
  PRINT_LEVEL LOW
&END GLOBAL
&FORCE_EVAL
  METHOD QUICKSTEP
  STRESS_TENSOR {stress}
  &DFT
    BASIS_SET_FILE_NAME BASIS_MOLOPT
    POTENTIAL_FILE_NAME GTH_POTENTIALS
    UKS {open_shell}
    MULTIPLICITY {multiplicity}
    &MGRID
      CUTOFF [Ry] 600
      REL_CUTOFF [Ry] 60
    &END MGRID
    &QS
      EPS_DEFAULT 1.0E-12
    &END QS
    &SCF
      EPS_SCF 1.0E-6
      MAX_SCF 30
      &OT
        PRECONDITIONER FULL_SINGLE_INVERSE
        MINIMIZER DIIS
      &END OT
      &OUTER_SCF
        EPS_SCF 1.0E-6
        MAX_SCF 10
      &END OUTER_SCF
      &PRINT
        &RESTART OFF
        &END RESTART
      &END PRINT
    &END SCF
    &POISSON
      PERIODIC {periodic}
      POISSON_SOLVER {solver}
    &END POISSON
    &XC
      &XC_FUNCTIONAL PBE
      &END XC_FUNCTIONAL
      &VDW_POTENTIAL
        POTENTIAL_TYPE PAIR_POTENTIAL
        &PAIR_POTENTIAL
          TYPE DFTD3(BJ)
          PARAMETER_FILE_NAME dftd3.dat
          REFERENCE_FUNCTIONAL PBE
          R_CUTOFF [angstrom] 15
        &END PAIR_POTENTIAL
      &END VDW_POTENTIAL
    &END XC
  &END DFT
  &SUBSYS
    &CELL
      PERIODIC {periodic}
{cell}
    &END CELL
    &COORD
{coordinates}
    &END COORD
{kinds}
  &END SUBSYS
&END FORCE_EVAL
"""
_CP2K_KIND = """\
    &KIND {element}
      BASIS_SET DZVP-MOLOPT-SR-GTH
      POTENTIAL GTH-PBE
    &END KIND"""


def cp2k_input(frame: Atoms, multiplicity: int | None = None, *, project: str = "cp2k") -> str:
    """Return the CP2K input for energy, forces and (if periodic) stress of a frame with PBE-D3.

    Gaussian and plane waves at the Γ point: DZVP-MOLOPT-SR-GTH, GTH pseudopotentials, 600 Ry (at
    400 Ry forces on oxygen are off by 0.1 eV/Å).

    Parameters
    ----------
    frame : Atoms
        Periodic in all directions, or in none: then put into a box of its own, see `in_box`,
        and computed without images of itself (wavelet Poisson solver).
    multiplicity : int, optional
        Default: a closed shell.
    project : str
        Beginning of the names of CP2K's own files.
    """
    frame = in_box(frame)
    periodic = frame.pbc.all()
    rows = [
        f"      {axis} {x:.12f} {y:.12f} {z:.12f}"
        for axis, (x, y, z) in zip("ABC", frame.cell, strict=True)
    ]
    places = zip(frame.symbols, frame.positions, strict=True)
    return _CP2K_INPUT.format(
        project=project,
        stress="ANALYTICAL" if periodic else "NONE",
        open_shell="TRUE" if (multiplicity or 1) > 1 else "FALSE",
        multiplicity=multiplicity or 1,
        periodic="XYZ" if periodic else "NONE",
        solver="PERIODIC" if periodic else "WAVELET",
        cell="\n".join(rows),
        coordinates="\n".join(f"      {s} {x:.12f} {y:.12f} {z:.12f}" for s, (x, y, z) in places),
        kinds="\n".join(
            _CP2K_KIND.format(element=element) for element in sorted(set(frame.symbols))
        ),
    )


def in_box(frame: Atoms) -> Atoms:
    """Return a copy; if not periodic, centred in a cube of whole Å with `VACUUM_A` on all sides."""
    boxed = frame.copy()
    if not frame.pbc.any():
        boxed.cell = np.full(3, np.ceil(np.ptp(frame.positions, axis=0).max() + 2 * VACUUM_A))
        boxed.center()
    return boxed


class _Cp2k(CP2K):
    """ASE's calculator with `cp2k_input` for input and a folder of its own for CP2K's files."""

    def __init__(self, multiplicity: int | None) -> None:
        command = CP2K.command or cfg.get("ASE_CP2K_COMMAND", "cp2k.psmp -s")
        program = shlex.split(command)[0]
        if shutil.which(program) is None:
            self._shell = None  # for the destructor
            raise FileNotFoundError(
                f"PBE-D3 needs the program CP2K, but there is no {program!r}: install it (for "
                "example 'apt-get install cp2k' or 'conda install -c conda-forge cp2k'), or set "
                "ASE_CP2K_COMMAND to what starts its shell, such as 'cp2k.psmp -s'"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="cp2k-")
        super().__init__(
            label=f"{self._folder.name}/cp2k", command=command, multiplicity=multiplicity
        )

    def _generate_input(self) -> str:
        return cp2k_input(self.atoms, self.parameters.multiplicity, project=self.label)

    def check_state(self, atoms: Atoms, tol: float = 1e-15) -> list[str]:
        return super().check_state(in_box(atoms), tol)

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        if "pbc" in system_changes and self._shell is not None:
            self._release_force_env()
        output = Path(f"{self.label}.out")
        try:
            super().calculate(in_box(atoms), properties, system_changes)
        except (AssertionError, BrokenPipeError):  # the shell of CP2K has ended
            raise RuntimeError(_reason(output)) from None
        if "SCF run NOT converged" in output.read_text():
            raise RuntimeError(_reason(output))


def _reason(output: Path) -> str:
    """Why CP2K gave up, from its own words."""
    text = output.read_text() if output.exists() else ""
    if "SCF run NOT converged" in text:
        return "SCF not converged"
    said = [line.strip(" *\\/|_") for line in text.splitlines() if "ABORT" in line]
    return f"CP2K ended early: {said[0] if said else 'it wrote no reason'}"
