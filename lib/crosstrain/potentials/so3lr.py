"""SO3LR (Kabylda et al., J. Am. Chem. Soc. 2025, doi 10.1021/jacs.5c09558): pretrained.

An equivariant network for short range with physical terms for long range, for molecules. Its
weights come inside the package so3krates-torch. To train it is to fine-tune it, with the package's
own trainer, which learns from energies and forces: stress is predicted, never learnt.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from pydantic import BaseModel, ConfigDict, Field

from crosstrain.data import frames as fr
from crosstrain.potentials.protocol import (
    LearningPoint,
    Pretrained,
    TrainingError,
    archive_fault,
    checked_weights,
    packaged_weights,
    whole_checkpoints,
    without_repeats,
)

LABEL = "SO3LR"
VERSION = 1
MODEL_FILE = "so3lr.pt"
file_fault = archive_fault
SECONDS_PER_ATOM = (1.9e-3, 9e-4)
PRETRAINED = {
    "so3lr": Pretrained(
        label="SO3LR",
        level_of_theory="PBE0+MBD",
        file=partial(
            packaged_weights,
            "so3krates_torch",
            "pretrained/so3lr/so3lr.model",
            "so3krates-torch==0.2.1",
        ),
    )
}
# As the package's own calculator of the published model has it.
LONG_RANGE = {"r_max_lr": 12.0, "dispersion_energy_cutoff_lr_damping": 2.0}
BASE = "base.model"


class Settings(BaseModel):
    """How it is fine-tuned; names follow so3krates-torch. Energies are weighted per atom squared.

    The learning rate falls to a hundredth along a cosine.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Literal["so3lr"] = "so3lr"
    base_sha256: str = Field("", description="hash of the weights it starts from, if known")
    finetune_choice: Literal["naive", "last_layer", "mlp", "qkv"] = "naive"
    num_epochs: int = Field(60, ge=1)
    batch_size: int = Field(4, ge=1)
    lr: float = Field(5e-4, gt=0)
    energy_weight: float = Field(100.0, ge=0)
    forces_weight: float = Field(100.0, ge=0)
    clip_grad: float = Field(10.0, gt=0)


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
    """Fine-tune the published model; an interrupted training in the same `folder` is continued.

    Its energies are first shifted, element by element, to the zero of the labels: by the smallest
    shifts that fit the training frames best. `atom_energies` are not used for that, because
    energies of atomisation differ between levels of theory.
    See `crosstrain.potentials.protocol.Architecture.train`.
    """
    from so3krates_torch.cli.run_train import run_training
    from so3krates_torch.config import TrainConfig

    weights, _ = checked_weights(PRETRAINED[settings.base], settings.base_sha256)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in (("training", training), ("validation", validation)):
        for number, frame in enumerate(frames):  # the trainer would pass over a missing label
            try:
                fr.check(frame, labelled=True)
            except ValueError as error:
                raise TrainingError(f"{name} frame {number}: {error}") from None
        fr.write(folder / f"{name}.xyz", frames)
    try:
        with _as_it_was(), contextlib.chdir(folder):
            if not Path(BASE).is_file():
                _write_shifted(weights, training, Path(BASE), device, precision)
            whole_checkpoints(Path("checkpoints").glob("*.pt"))
            config = _config(settings, seed, device, precision)
            run_training(TrainConfig.model_validate(config).model_dump())
            _write_weights(Path("model.model"), weights, Path(MODEL_FILE), device, precision)
    except Exception as error:
        raise TrainingError(f"so3krates-torch stopped: {error}") from error
    return folder / MODEL_FILE


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what the trainer does to the whole process: all loggers, torch's default precision."""
    import torch

    root, loggers = logging.getLogger(), logging.Logger.manager.loggerDict
    before = root.handlers[:], root.level, dict(loggers), torch.get_default_dtype()
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        loggers.update(before[2])
        torch.set_default_dtype(before[3])


def _write_weights(trained: Path, weights: Path, target: Path, device: str, precision: str) -> None:
    """Write a trained model as the published one is: without the last batch, which stays in it."""
    import torch

    clean = calculator(weights, device=device, precision=precision).models[0]
    clean.load_state_dict(torch.load(trained, map_location=device, weights_only=False).state_dict())
    torch.save(clean, target)


def _write_shifted(
    weights: Path, training: Sequence[Atoms], target: Path, device: str, precision: str
) -> None:
    """Write the model with its energies at the zero of the labels, shifted for each element."""
    import torch

    published = calculator(weights, device=device, precision=precision)
    differences = [
        frame.info[fr.ENERGY] - published.get_potential_energy(frame) for frame in training
    ]
    numbers = np.unique(np.concatenate([frame.numbers for frame in training]))
    counts = [[np.sum(frame.numbers == z) for z in numbers] for frame in training]
    shifts, *_ = np.linalg.lstsq(np.array(counts, dtype=float), np.array(differences), rcond=None)
    model = published.models[0]
    of_element = model.atomic_energy_output_block.energy_shifts.data
    of_element[numbers - 1] += torch.as_tensor(shifts).to(of_element)  # from hydrogen, 0, on
    torch.save(model, target.with_suffix(".part"))
    target.with_suffix(".part").replace(target)


def _config(settings: Settings, seed: int, device: str, precision: str) -> dict[str, Any]:
    chosen = settings.model_dump(exclude={"base", "base_sha256"})
    return {
        "GENERAL": {"name_exp": "model", "default_dtype": precision, "seed": seed},
        # required, but only the cutoffs are read: the rest is the published model's
        "ARCHITECTURE": {"degrees": [1, 2, 3, 4], "r_max": 4.5, **LONG_RANGE},
        "TRAINING": chosen
        | {
            "path_to_train_data": "training.xyz",
            "path_to_val_data": "validation.xyz",
            "pretrained_model": BASE,
            "valid_batch_size": settings.batch_size,
            "scheduler": "cosine_annealing",
            "scheduler_args": {"eta_min": settings.lr / 100},
            "amsgrad": True,
            "patience": settings.num_epochs,
        },
        "MISC": {"device": device, "error_table": "PerAtomRMSE"},
    }


def calculator(model: Path, *, device: str, precision: str) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    Parameters
    ----------
    model : Path
        A file of weights, a pickle: only that of the package, or of the project itself.
    device, precision : str
        ``cpu`` or ``cuda``; ``float32`` or ``float64``.
    """
    from importlib.metadata import version

    from so3krates_torch.calculator.so3 import TorchkratesCalculator

    loaded = TorchkratesCalculator(
        model_paths=[model],
        compute_stress=True,
        device=device,
        default_dtype=precision,
        **LONG_RANGE,
    )
    loaded.engine = f"so3krates-torch {version('so3krates-torch')}"
    return loaded


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees: all of them, every epoch."""
    return settings.num_epochs * n_training


def sized(settings: Settings, n_samples: int, n_training: int) -> Settings:
    """Return the settings for a training that sees about `n_samples` frames."""
    return settings.model_copy(update={"num_epochs": max(1, round(n_samples / n_training))})


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors that were reported during training."""
    lines = map(json.loads, (folder / "logs" / "model_valid.txt").read_text().splitlines())
    return without_repeats(
        LearningPoint((e["epoch"] + 1) * n_training, e["rmse_e_per_atom"], e["rmse_f"])
        for e in lines
        if e["epoch"] is not None  # before the training
    )
