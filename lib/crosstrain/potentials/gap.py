"""GAP (Bartók et al., Phys. Rev. Lett. 2010, 104, 136403) through quippy: a kernel, no network.

The energy of an atom is a sum over kernels between its surroundings and a few of those in the
training set, the sparse points: distances of pairs, and SOAP power spectra (Bartók et al., Phys.
Rev. B 2013, 87, 184115), compressed to one radial and one element index (``nu_R``, ``nu_S``; Darby
et al., npj Comput. Mater. 2022, 8, 166). The weights solve one linear system, so there are no
epochs: a fit sees each frame once and ends by itself.

QUIP is free for academic use only (GAP's part is under the Academic Software Licence).
"""

from __future__ import annotations

import ctypes
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io import write
from ase.stress import voigt_6_to_full_3x3_stress
from pydantic import BaseModel, ConfigDict, Field

from crosstrain.data import frames as fr
from crosstrain.data.reference import VACUUM_A, in_box
from crosstrain.measure.errors import rms
from crosstrain.paths import write_atomically
from crosstrain.potentials.protocol import LearningPoint, TrainingError

LABEL = "GAP"
VERSION = 1
MODEL_FILE = "gap.xml"
ON_CPU_ONLY = True
IS_LARGE = True  # the sparse points are written out as text
IS_SIZED_ONCE = True  # `sized` takes a share of what there is, so twice is too little
SECONDS_PER_ATOM = (5e-3, 1.5e-3)
TRAINING, CURVE = "training.xyz", "validation.json"


class Settings(BaseModel):
    """Hyperparameters; names follow gap_fit, and a ``sigma`` is the noise expected of a label."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cutoff: float = Field(4.5, gt=1, le=2 * VACUUM_A, description="of both kernels / Å")
    cutoff_transition_width: float = Field(1.0, gt=0, description="Å")
    n_max: int = Field(8, ge=1, description="radial functions of SOAP")
    l_max: int = Field(4, ge=0, description="spherical harmonics of SOAP")
    atom_sigma: float = Field(0.4, gt=0, description="width of an atom in SOAP / Å")
    zeta: int = Field(2, ge=1, description="power of the SOAP kernel")
    delta: float = Field(1.0, gt=0, description="of SOAP / eV")
    n_sparse: int = Field(500, ge=1, description="sparse points of SOAP for each element")
    pair_delta: float = Field(5.0, gt=0, description="of the pair kernel / eV")
    pair_theta: float = Field(0.6, gt=0, description="its length scale / Å")
    pair_n_sparse: int = Field(20, ge=1, description="its sparse points for each pair of elements")
    energy_sigma: float = Field(1e-3, gt=0, description="eV, times √N for N atoms")
    force_sigma: float = Field(0.05, gt=0, description="eV/Å")
    virial_sigma: float = Field(0.02, gt=0, description="eV, times √N for N atoms")


def train(
    training: Sequence[Atoms],
    validation: Sequence[Atoms],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    atom_energies: Mapping[str, float],
    device: str,
    precision: str,
) -> Path:
    """Fit a model, on the processor and in double precision whatever is asked for.

    A fit is one step: after an interruption it begins anew, and ends with the same model. The
    `seed` draws the sparse points. See `crosstrain.potentials.protocol.Architecture.train`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # a folder of its own, so that what is left of an interrupted fit is not in the way
    with tempfile.TemporaryDirectory(dir=folder) as place:
        write(Path(place) / TRAINING, [_with_labels(f) for f in training], format="extxyz")
        command = [_program(), *_arguments(settings, seed, atom_energies)]
        done = subprocess.run(
            command, cwd=place, capture_output=True, text=True, preexec_fn=_end_with_parent
        )
        fitted, target = Path(place) / MODEL_FILE, folder / MODEL_FILE
        if done.returncode or not fitted.is_file():
            said = " ".join((done.stderr or done.stdout)[-400:].split())
            raise TrainingError(f"gap_fit stopped with code {done.returncode}: {said}")
        _check_labels(training, done.stdout)
        text = fitted.read_text()
        name = text[1 : text.index(">")]  # holds the time, and equal fits shall leave equal files
        fitted.write_text(text.replace(name, "GAP"))
        curve = json.dumps(_validated(fitted, validation, len(training)).to_json())
        write_atomically(folder / CURVE, curve.encode())
        fitted.replace(target)
    return target


def _end_with_parent() -> None:
    """Have a fit ended when this process is gone, so that nothing runs on unseen (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _check_labels(training: Sequence[Atoms], said: str) -> None:
    """gap_fit passes over labels that it does not find, so those that it counts are compared."""
    n_periodic = sum(bool(frame.pbc.all()) for frame in training)
    given = {
        "energies": len(training),
        "forces": 3 * sum(map(len, training)),
        "virials": 6 * n_periodic,
    }
    counts = re.findall(r"Number of target (\w+) \(property name: \w+\) found: +(\d+)", said)
    read = {name: int(count) for name, count in counts if name in given}
    if read != given:
        raise TrainingError(f"gap_fit read labels {read}, but was given {given}")


def _program() -> str:
    from importlib.util import find_spec

    spec = find_spec("quippy")
    if spec is None or spec.origin is None:
        raise TrainingError("quippy is not installed: pip install quippy-ase")
    return str(Path(spec.origin).with_name("gap_fit"))


def _arguments(settings: Settings, seed: int, atom_energies: Mapping[str, float]) -> list[str]:
    s = settings
    reach = f"cutoff={s.cutoff} cutoff_transition_width={s.cutoff_transition_width} add_species=T"
    pairs = (
        f"distance_2b {reach} covariance_type=ARD_SE delta={s.pair_delta} "
        f"theta_uniform={s.pair_theta} sparse_method=uniform n_sparse={s.pair_n_sparse}"
    )
    # POLY: the default radial functions are worse with so few
    soap = (
        f"soap {reach} covariance_type=dot_product delta={s.delta} zeta={s.zeta} "
        f"n_max={s.n_max} l_max={s.l_max} atom_sigma={s.atom_sigma} radial_basis=POLY "
        f"nu_R=1 nu_S=1 sparse_method=cur_points n_sparse={s.n_sparse}"
    )
    energies = ":".join(f"{element}:{energy}" for element, energy in atom_energies.items())
    return [
        f"at_file={TRAINING}",
        f"gp_file={MODEL_FILE}",
        f"gap={{{pairs} : {soap}}}",
        f"e0={{{energies}}}",
        f"default_sigma={{{s.energy_sigma} {s.force_sigma} {s.virial_sigma} 0.0}}",
        "energy_parameter_name=gap_energy",
        "force_parameter_name=gap_force",
        "virial_parameter_name=gap_virial",
        "sparse_jitter=1e-8",
        "sparse_separate_file=F",
        "do_copy_at_file=F",
        f"rnd_seed={seed}",
    ]


def _with_labels(frame: Atoms) -> Atoms:
    """Return a copy for gap_fit: its names, virial = -stress V, and always in a cell."""
    copy = in_box(Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc))
    copy.info["gap_energy"] = frame.info[fr.ENERGY]
    copy.arrays["gap_force"] = frame.arrays[fr.FORCES]
    if frame.pbc.all():
        stress = voigt_6_to_full_3x3_stress(frame.info[fr.STRESS])
        copy.info["gap_virial"] = -frame.get_volume() * stress.ravel()  # gap_fit reads no matrix
    copy.pbc = True
    return copy


def file_fault(file: Path) -> str:
    """Return what is wrong with a file that a user gives; '' if nothing is."""
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, OSError) as error:
        return f"no XML, or cut off ({error})"
    return "" if root.find(".//gpSparse") is not None else "no model of gap_fit: it has no gpSparse"


def calculator(model: Path, *, device: str, precision: str) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    It runs on the processor and in double precision, whatever is asked for.
    """
    return _Gap(model)


class _Gap(Calculator):
    """QUIP's potential; a frame that is not periodic is put into a cell, which QUIP needs."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, model: Path) -> None:
        super().__init__()
        from importlib.metadata import version

        from quippy.potential import Potential

        self._potential = Potential(param_filename=str(model))
        self.engine = f"quippy-ase {version('quippy-ase')}"

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once: a second property costs a second evaluation otherwise."""
        super().calculate(atoms, properties, system_changes)
        frame = in_box(self.atoms)
        frame.pbc = True
        self._potential.calculate(frame, ["energy", "forces", "stress"])
        wanted = self.implemented_properties[: 4 if self.atoms.pbc.all() else 3]
        self.results = {name: self._potential.results[name] for name in wanted}


def _validated(model: Path, validation: Sequence[Atoms], n_training: int) -> LearningPoint:
    """Errors on the validation frames."""
    potential = _Gap(model)
    energies = [
        (potential.get_potential_energy(frame) - frame.info[fr.ENERGY]) / len(frame)
        for frame in validation
    ]
    forces = [potential.get_forces(frame) - frame.arrays[fr.FORCES] for frame in validation]
    return LearningPoint(n_training, rms(energies), rms(np.concatenate(forces)))


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees: each once."""
    return n_training


def sized(settings: Settings, n_samples: int, n_training: int) -> Settings:
    """Return the settings for a training that costs as much as `n_samples` frames.

    Where the budget does not reach for one pass, there are fewer sparse points in proportion; a
    larger budget is not used up.
    """
    share = min(1.0, n_samples / n_training)
    return settings.model_copy(update={"n_sparse": max(1, round(share * settings.n_sparse))})


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors: a single point, for there are no epochs."""
    return [LearningPoint(**json.loads((folder / CURVE).read_text()))]
