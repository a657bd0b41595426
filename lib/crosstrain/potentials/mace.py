"""MACE (Batatia et al., NeurIPS 2022): equivariant message passing, through mace-torch."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import BaseModel, ConfigDict, Field

from crosstrain.data import frames as fr
from crosstrain.potentials.protocol import LearningPoint, TrainingError, without_repeats

LABEL = "MACE"
VERSION = 1
MODEL_FILE = "mace.model"
SECONDS_PER_ATOM = (1.1e-3, 6.0e-4)


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
    _run_trainer(arguments, folder)
    _check_counts(folder, training)
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
        "valid_batch_size": settings.batch_size,
        "device": device,
        "default_dtype": precision,
        "work_dir": ".",
        "plot": False,
    }
    flags = ["--ema", "--amsgrad", "--stage_two", "--restart_latest"]
    return flags + [f"--{name}={value}" for name, value in options.items()]


def _run_trainer(arguments: list[str], folder: Path) -> None:
    from mace import tools
    from mace.cli.run_train import run

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


def _check_counts(folder: Path, training: Sequence[Atoms]) -> None:
    """Compare what the trainer says it read with what it was given: labels can go unseen."""
    report = re.findall(r"Total Training set \[([^\]]*)\]", _log(folder))
    if not report:
        raise TrainingError("MACE did not report the labels of its training set")
    seen = dict(item.split(": ") for item in report[-1].split(", "))
    n_periodic = sum(bool(f.pbc.all()) for f in training)
    given = {"energy": len(training), "forces": len(training), "stress": n_periodic}
    if any(int(seen.get(name, 0)) != count for name, count in given.items()):
        raise TrainingError(f"MACE read labels {seen}, but was given {given}")


def calculator(model: Path, *, device: str, precision: str) -> Calculator:
    """Return an ASE calculator with energy, forces and stress."""
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=str(model), device=device, default_dtype=precision)


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees: whole batches, every epoch."""
    return settings.max_num_epochs * _per_epoch(settings, n_training)


def _per_epoch(settings: Settings, n_training: int) -> int:
    return n_training // settings.batch_size * settings.batch_size


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors that were reported during training."""
    lines = [
        json.loads(line)
        for path in sorted((folder / "results").glob("*_train.txt"))
        for line in path.read_text().splitlines()
    ]
    per_epoch = _per_epoch(settings, n_training)
    return without_repeats(
        LearningPoint((e["epoch"] + 1) * per_epoch, e["rmse_e_per_atom"], e["rmse_f"])
        for e in lines
        if e["mode"] == "eval" and e["epoch"] is not None
    )
