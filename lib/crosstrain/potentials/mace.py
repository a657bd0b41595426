"""MACE (Batatia et al., NeurIPS 2022): equivariant message passing.

Trained through mace-torch, evaluated through Symmetrix where that works.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from pydantic import BaseModel, ConfigDict, Field, model_validator

from crosstrain import paths
from crosstrain.data import frames as fr
from crosstrain.potentials.protocol import (
    LearningPoint,
    TrainingError,
    archive_fault,
    fastest,
    whole_checkpoints,
    without_repeats,
)

LABEL = "MACE"
VERSION = 1
MODEL_FILE = "mace.model"
file_fault = archive_fault
SECONDS_PER_ATOM = (1.1e-3, 6.0e-4)
# The radial functions become splines; with 1024 points forces are right to about 1e-6 eV/Å.
SPLINE_POINTS = 1024
REPLAY_HEAD = "pt_head"  # of mace-torch, where a published model is fine-tuned with replay


class Settings(BaseModel):
    """Hyperparameters; names follow mace-torch. Energies are weighted per atom squared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["MACE", "ScaleShiftMACE"] = "ScaleShiftMACE"
    r_max: float = Field(4.5, gt=1, description="cutoff / Å")
    num_channels: int = Field(16, ge=1)
    max_L: int = Field(0, ge=0, le=3)
    max_ell: int = Field(3, ge=0)
    correlation: int = Field(3, ge=1)
    num_interactions: int = Field(2, ge=1)
    max_num_epochs: int = Field(120, ge=1)
    batch_size: int = Field(5, ge=1)
    lr: float = Field(0.01, gt=0)
    ema_decay: float = Field(0.99, gt=0, lt=1)
    energy_weight: float = Field(1.0, ge=0)
    forces_weight: float = Field(100.0, ge=0)
    stress_weight: float = Field(1.0, ge=0)
    start_stage_two: int = Field(90, ge=1, description="epoch at which the weights change")
    stage_two_lr: float = Field(0.001, gt=0)
    stage_two_energy_weight: float = Field(1000.0, ge=0)
    stage_two_forces_weight: float = Field(100.0, ge=0)
    stage_two_stress_weight: float = Field(100.0, ge=0)
    patience: int = Field(2048, ge=1)
    eval_interval: int = Field(5, ge=1)

    @model_validator(mode="after")
    def _has_two_stages(self) -> Settings:
        if self.start_stage_two >= self.max_num_epochs:
            raise ValueError(
                f"start_stage_two {self.start_stage_two}; allowed is less than max_num_epochs "
                f"({self.max_num_epochs})"
            )
        return self


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
    """Train a model; an interrupted training in the same `folder` is continued.

    See `crosstrain.potentials.protocol.Architecture.train`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {"train_file": training, "valid_file": validation}
    for name, frames in files.items():
        fr.write(folder / f"{name}.extxyz", frames)
    arguments = _arguments(settings, seed, atom_energies, device, precision)
    run_trainer(arguments, folder)
    check_counts(folder, training)
    model = folder / "model_stagetwo.model"
    if not model.is_file():
        raise TrainingError(f"MACE left no model; the end of its log: {_log(folder)[-500:]}")
    target = folder / MODEL_FILE
    shutil.copyfile(model, target)
    return target


def _arguments(
    settings: Settings,
    seed: int,
    atom_energies: Mapping[str, float],
    device: str,
    precision: str,
) -> list[str]:
    from ase.data import atomic_numbers

    # mace-torch keeps a model of stage two only if it is evaluated there
    n_epochs_of_stage_two = settings.max_num_epochs - settings.start_stage_two
    e0s = {atomic_numbers[element]: energy for element, energy in atom_energies.items()}
    options: dict[str, Any] = settings.model_dump() | {
        "name": "model",
        "seed": seed,
        "train_file": "train_file.extxyz",
        "valid_file": "valid_file.extxyz",
        "energy_key": fr.ENERGY,
        "forces_key": fr.FORCES,
        "stress_key": fr.STRESS,
        "E0s": e0s,
        "loss": "stress",  # the default loss ignores the stress
        "compute_stress": True,
        "error_table": "PerAtomRMSEstressvirials",
        "eval_interval": min(settings.eval_interval, n_epochs_of_stage_two),
        "valid_batch_size": settings.batch_size,
        "device": device,
        "default_dtype": precision,
        "work_dir": ".",
        "plot": False,
    }
    flags = ["--ema", "--amsgrad", "--stage_two", "--restart_latest"]
    return flags + [f"--{name}={value}" for name, value in options.items()]


def run_trainer(arguments: list[str], folder: Path) -> None:
    """Run mace-torch's trainer in a folder; it goes on from the last whole checkpoint there."""
    from mace import tools
    from mace.cli.run_train import run

    whole_checkpoints((folder / "checkpoints").glob("*.pt"))
    argv, sys.argv = sys.argv, ["mace_run_train"]
    try:
        with contextlib.chdir(folder):
            run(tools.build_default_arg_parser().parse_args(arguments))
    except (Exception, SystemExit) as error:
        raise TrainingError(f"MACE stopped: {error}") from error
    finally:
        sys.argv = argv
        logging.getLogger().handlers.clear()  # mace leaves handlers on its own log file


def _log(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted((folder / "logs").glob("*.log")))


def check_counts(folder: Path, training: Sequence[Atoms], heads: int = 1) -> None:
    """Compare what the trainer says it read with what it was given: labels can go unseen.

    With several `heads` the report on the first counts.
    """
    report = re.findall(r"Total Training set \[([^\]]*)\]", _log(folder))
    if len(report) < heads:
        raise TrainingError("MACE did not report the labels of its training set")
    seen = dict(item.split(": ") for item in report[-heads].split(", "))
    n_periodic = sum(bool(f.pbc.all()) for f in training)
    given = {"energy": len(training), "forces": len(training), "stress": n_periodic}
    if any(int(seen.get(name, 0)) != count for name, count in given.items()):
        raise TrainingError(f"MACE read labels {seen}, but was given {given}")


def calculator(
    model: Path, *, device: str, precision: str, engine: Literal["auto", "mace-torch"] = "auto"
) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    Its attribute ``engine`` names the code that evaluates the model. With ``"auto"`` that is
    Symmetrix (native, seven times as fast on 80 atoms) where it is installed, can evaluate
    this model, and agrees with mace-torch (`crosstrain.potentials.protocol.fastest`); and else
    mace-torch, with the reason. With either, equal configurations give equal forces, bit for bit.

    Symmetrix evaluates models with two interactions, ``max_ell`` 3 and ``correlation`` 3. It needs
    a C++ compiler, once for each shape of model (the weights do not matter): seconds for ``max_L``
    0, minutes above. The result is kept in `paths.runs`.

    Parameters
    ----------
    model : Path
        The ``.model`` file, a pickle: only of the project itself or of a registered hash.
    device, precision : str
        ``cpu`` or ``cuda``; ``float32`` or ``float64``.
    engine : str
        ``"mace-torch"`` leaves Symmetrix out.

    Raises
    ------
    ValueError
        If `engine` is neither.
    """
    from mace import __version__
    from mace.calculators import MACECalculator

    if engine not in ("auto", "mace-torch"):
        raise ValueError(f"engine {engine!r}; allowed are 'auto', 'mace-torch'")
    slow = MACECalculator(model_paths=str(model), device=device, default_dtype=precision)
    slow.engine = f"mace-torch {__version__}"
    if engine == "mace-torch":
        return slow

    def native() -> Calculator:
        if device != "cpu":
            raise ValueError(f"not for device {device}")
        return _Native(model, slow, precision)

    return fastest(native, slow, "Symmetrix")


class _Native(Calculator):
    """A MACE model in Symmetrix; frames that are not fully periodic are left to mace-torch.

    Neighbours are searched afresh at each call: Symmetrix's own list with a skin would make forces
    depend, in the last bits, on where the atoms have been.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, model: Path, otherwise: Calculator, precision: str) -> None:
        super().__init__()
        os.environ.setdefault("SYMMETRIX_JIT_CACHE", str(paths.runs() / "symmetrix"))
        os.environ.setdefault("OMP_PROC_BIND", "false")  # else Kokkos prints a warning
        # By itself it asks before every product of matrices which BLAS it has (100 µs each), and
        # goes on as it does with this: equal forces, bit for bit, in a fifth of the time.
        os.environ.setdefault("SYMMETRIX_HOST_WORKER_BLAS", "off")
        import symmetrix

        self._native = symmetrix.Symmetrix(
            str(model),
            dtype=precision,
            species=otherwise.models[0].atomic_numbers.tolist(),
            num_spline_points=SPLINE_POINTS,
            neighbor_skin=0.0,
        )
        self._otherwise = otherwise
        self.engine = f"symmetrix-xl {symmetrix.__version__}"

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate everything at once: a second property costs a second evaluation otherwise."""
        super().calculate(atoms, properties, system_changes)
        if self.atoms.pbc.all():
            engine, properties = self._native, ["energy", "forces", "stress"]
        else:
            engine = self._otherwise
        engine.calculate(self.atoms, properties, system_changes)
        self.results = {
            name: engine.results[name]
            for name in self.implemented_properties
            if name in engine.results
        }


def n_weights(model: Path) -> int:
    """Return how many numbers a training fits."""
    import torch

    with contextlib.redirect_stdout(io.StringIO()):  # mace prints what it lacks when it is imported
        loaded = torch.load(model, map_location="cpu", weights_only=False)
    return sum(weights.numel() for weights in loaded.parameters())


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees: whole batches, every epoch."""
    return settings.max_num_epochs * per_epoch(settings, n_training)


def per_epoch(settings: Any, n_training: int) -> int:
    """Return how many frames an epoch sees: whole batches."""
    if n_training < settings.batch_size:
        raise ValueError(f"{n_training} training frames; batch_size is {settings.batch_size}")
    return n_training // settings.batch_size * settings.batch_size


def sized(settings: Settings, n_samples: int, n_training: int) -> Settings:
    """Return the settings for a training that sees about `n_samples` frames.

    Stage two keeps its share of the epochs.
    """
    share = settings.start_stage_two / settings.max_num_epochs
    epochs = max(3, round(n_samples / per_epoch(settings, n_training)))
    start = min(max(1, round(share * epochs)), epochs - 1)
    update = {"max_num_epochs": epochs, "start_stage_two": start}
    return settings.model_copy(update=update)


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors that were reported during training."""
    lines = [
        json.loads(line)
        for path in sorted((folder / "results").glob("*_train.txt"))
        for line in path.read_text().splitlines()
    ]
    seen = per_epoch(settings, n_training)
    return without_repeats(
        LearningPoint((e["epoch"] + 1) * seen, e["rmse_e_per_atom"], e["rmse_f"])
        for e in lines
        if e["mode"] == "eval" and e["epoch"] is not None and e.get("head") != REPLAY_HEAD
    )
