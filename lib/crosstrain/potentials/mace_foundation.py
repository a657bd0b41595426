"""MACE models that others have trained: MACE-MP-0, with and without D3, and MACE-OFF23.

Batatia et al., arXiv:2401.00096; Kovács et al., J. Am. Chem. Soc. 2025, 147, 17598. Their weights
are too large to come with a package: they are taken from the folder named in
``CROSSTRAIN_WEIGHTS``, or from where mace-torch keeps what it has downloaded. Those of MACE-OFF23
are under the Academic Software License. To train one is to fine-tune it with mace-torch's own
trainer, where asked with a second head that replays other frames, so that less is forgotten.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.io import iread
from pydantic import BaseModel, ConfigDict, Field

from crosstrain import paths
from crosstrain.data import frames as fr
from crosstrain.potentials import mace
from crosstrain.potentials.protocol import (
    RECORD,
    LearningPoint,
    Pretrained,
    TrainingError,
    WeightsNotFound,
    archive_fault,
    checked_weights,
)

LABEL = "MACE foundation"
VERSION = 1
MODEL_FILE = "mace.foundation"
file_fault = archive_fault
SECONDS_PER_ATOM = (1e-2, 4e-3)
MP_SMALL = "2023-12-10-mace-128-L0_energy_epoch-249.model"
MP_SMALL_SHA256 = "2ddb079cee0e131eaaf6912ba581b394551ead283e95c99cfe78c605d10b5736"
OFF_SMALL = "MACE-OFF23_small.model"
OFF_SMALL_SHA256 = "165cce4cfec5a34b9c64d4ebf95de15d71106bb584b7291c8470f0749977c46f"
D3 = "mace_mp_0_d3"


def _find(name: str, download: str) -> Path:
    """Return a file of weights by its published name, also as mace-torch shortens it."""
    short = "".join(c for c in name if c.isalnum() or c == "_")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mace"
    folders = [folder for folder in (paths.weights(), cache) if folder]
    for file in (folder / known for folder in folders for known in (name, short)):
        if file.is_file():
            return file
    raise WeightsNotFound(
        f"weights not found (put {name} into the folder named in CROSSTRAIN_WEIGHTS, or download "
        f'it once with: python -c "from mace.calculators import *; {download}")'
    )


_mp = partial(_find, MP_SMALL, "mace_mp('small')")
PRETRAINED = {
    "mace_mp_0": Pretrained("MACE-MP-0 small", "PBE, PBE+U (MPtrj)", _mp, MP_SMALL_SHA256),
    D3: Pretrained("MACE-MP-0 small + D3", "PBE, PBE+U (MPtrj), D3(BJ)", _mp, MP_SMALL_SHA256),
    "mace_off23": Pretrained(
        "MACE-OFF23 small",
        "ωB97M-D3(BJ)/def2-TZVPPD (SPICE)",
        partial(_find, OFF_SMALL, "mace_off('small')"),
        OFF_SMALL_SHA256,
    ),
}


VALIDATION_SHARE = 0.1  # of the frames to replay, as mace-torch puts them aside by default
LEAST_RATIO = 0.1
"""Of frames to those replayed, below which mace-torch repeats the former."""


class Settings(BaseModel):
    """How one is fine-tuned; most names follow mace-torch, and its shape is the published one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Literal["mace_mp_0", "mace_off23"] = "mace_off23"
    base_sha256: str = Field("", description="hash of the weights it starts from, if known")
    max_num_epochs: int = Field(30, ge=1)
    batch_size: int = Field(4, ge=1)
    lr: float = Field(1e-4, gt=0)
    ema_decay: float = Field(0.99, gt=0, lt=1)
    energy_weight: float = Field(1.0, ge=0)
    forces_weight: float = Field(10.0, ge=0)
    stress_weight: float = Field(1.0, ge=0)
    replay_file: str = Field(
        "", description="frames of a second head, in the folder of weights; none without"
    )
    replay_sha256: str = Field("", description="hash of this file, if known")
    replay_labels: Literal["own", "model"] = Field(
        "own", description="of these frames: those in the file, or what the published model says"
    )
    replay_weight: float = Field(1.0, gt=0)


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
    """Fine-tune a published model; an interrupted training in the same `folder` is continued.

    The energies of its atoms are estimated by mace-torch from the training frames, so that the
    model starts at the zero of the labels; `atom_energies` are not used.
    See `crosstrain.potentials.protocol.Architecture.train`.

    Raises
    ------
    WeightsNotFound
        If the published weights, or the frames to replay, are not here.
    """
    weights, _ = checked_weights(PRETRAINED[settings.base], settings.base_sha256)
    folder.mkdir(parents=True, exist_ok=True)
    for name, frames in (("train_file", training), ("valid_file", validation)):
        fr.write(folder / f"{name}.extxyz", frames)
    mace.run_trainer(_arguments(settings, weights, seed, device, precision), folder)
    mace.check_counts(folder, training, heads=2 if settings.replay_file else 1)
    model = folder / "model.model"
    if not model.is_file():
        raise TrainingError("MACE left no model")
    target = folder / MODEL_FILE
    shutil.copyfile(model, target)
    return target


def _arguments(
    settings: Settings, weights: Path, seed: int, device: str, precision: str
) -> list[str]:
    options: dict[str, Any] = settings.model_dump(
        exclude={"base", "base_sha256"} | {n for n in Settings.model_fields if "replay" in n}
    )
    options |= {
        "name": "model",
        "seed": seed,
        "foundation_model": weights,
        "multiheads_finetuning": bool(settings.replay_file),
        "train_file": "train_file.extxyz",
        "valid_file": "valid_file.extxyz",
        "energy_key": fr.ENERGY,
        "forces_key": fr.FORCES,
        "stress_key": fr.STRESS,
        "E0s": "estimated",
        "loss": "universal",
        "compute_stress": True,
        "error_table": "PerAtomRMSEstressvirials",
        "valid_batch_size": settings.batch_size,
        "eval_interval": 1,
        "device": device,
        "default_dtype": precision,
        "work_dir": ".",
        "plot": False,
    }
    if settings.replay_file:
        options |= {
            "pt_train_file": _replay_file(settings),
            "weight_pt_head": settings.replay_weight,
            "pseudolabel_replay": settings.replay_labels == "model",
            "pseudolabel_replay_compute_stress": settings.replay_labels == "model",
            "force_mh_ft_lr": True,
        }
    flags = ["--ema", "--amsgrad", "--restart_latest"]
    return flags + [f"--{name}={value}" for name, value in options.items()]


def hashes_of_files(settings: Settings) -> dict[str, str]:
    """Return the hash of the frames to replay, as the setting that holds it; none without.

    Raises
    ------
    WeightsNotFound
        If they are not here.
    """
    if not settings.replay_file:
        return {}
    return {"replay_sha256": paths.sha256(_replay_file(settings))}


def _replay_file(settings: Settings) -> Path:
    folder, name = paths.weights(), settings.replay_file
    if folder is None or not (folder / name).is_file():
        raise WeightsNotFound(
            f"frames to replay not found (put {name} into the folder named in CROSSTRAIN_WEIGHTS)"
        )
    found = paths.sha256(folder / name)
    if settings.replay_sha256 and found != settings.replay_sha256:
        raise ValueError(f"{name} has SHA-256 {found}; expected is {settings.replay_sha256}")
    return folder / name


def calculator(model: Path, *, device: str, precision: str) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    A published model is loaded by mace-torch's own loader, with torch-dftd for D3; a fine-tuned
    one as any other MACE model.

    Parameters
    ----------
    model : Path
        A file of weights, a pickle: only from where its owner trusts it, or of the project itself.
    device, precision : str
        ``cpu`` or ``cuda``; ``float32`` or ``float64``.
    """
    from importlib.metadata import version

    from mace.calculators import mace_mp

    record = model.with_name(RECORD)
    if not record.is_file():
        return mace.calculator(model, device=device, precision=precision)
    has_d3 = json.loads(record.read_text())["name"] == D3
    loaded = mace_mp(os.fspath(model), device, precision, dispersion=has_d3)
    loaded.engine = f"mace-torch {version('mace-torch')}"
    if has_d3:
        loaded.engine += f", torch-dftd {version('torch-dftd')}"
    return loaded


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees, replayed ones too.

    Raises
    ------
    WeightsNotFound
        If the frames to replay are not here.
    """
    return settings.max_num_epochs * _per_epoch(settings, n_training)


def _per_epoch(settings: Settings, n_training: int) -> int:
    """Frames of an epoch; mace-torch repeats its own where they are few beside replayed ones.

    Of those to replay, a tenth is put aside for validation.
    """
    if not settings.replay_file:
        return mace.per_epoch(settings, n_training)
    file = _replay_file(settings)
    try:
        n_replayed = sum(1 for _ in iread(file, format="extxyz"))
    except (OSError, ValueError, KeyError, IndexError) as error:
        said = f"frames to replay not found: {file} is no extended XYZ file ({error})"
        raise WeightsNotFound(said) from error
    n_replayed -= max(1, int(VALIDATION_SHARE * n_replayed))
    is_short = n_training < LEAST_RATIO * n_replayed
    n_more = n_training * int(LEAST_RATIO * n_replayed / n_training) if is_short else 0
    return mace.per_epoch(settings, n_training + n_more + n_replayed)


def sized(settings: Settings, n_samples: int, n_training: int) -> Settings:
    """Return the settings for a training that sees about `n_samples` frames."""
    if n_training < settings.batch_size:
        raise ValueError(f"{n_training} training frames; batch_size is {settings.batch_size}")
    epochs = max(1, round(n_samples / _per_epoch(settings, n_training)))
    return settings.model_copy(update={"max_num_epochs": epochs})


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors that were reported during training."""
    return mace.learning_curve(folder, settings, _per_epoch(settings, n_training))
