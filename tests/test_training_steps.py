"""What a training may not leave behind: a diverged model, or one from a damaged checkpoint."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from crosstrain import steps
from crosstrain.data import frames as fr
from crosstrain.potentials import protocol
from crosstrain.potentials.protocol import LearningPoint, TrainingError
from pydantic import BaseModel

FRAMES = Path(__file__).parent / "data" / "frames.extxyz.gz"


def stand_in(*curve):
    """An architecture whose trainings end at once, with a learning curve."""

    def train(training, validation, settings, *, folder, **_):
        (folder / "model").write_text("weights")
        return folder / "model"

    return SimpleNamespace(
        MODEL_FILE="stand_in.model",
        Settings=type("Settings", (BaseModel,), {}),
        train=train,
        learning_curve=lambda *_: [LearningPoint(*point) for point in curve],
    )


@pytest.mark.parametrize("lost", [(np.nan, 0.1), (1e-3, np.nan), (np.inf, np.inf)])
def test_a_diverged_training_leaves_no_model(tmp_path, monkeypatch, lost):
    folders = {name: tmp_path / name for name in ("out", "work", "atoms", "classical")}
    for folder in folders.values():
        folder.mkdir()
    (folders["classical"] / steps.FRAMES).write_bytes(FRAMES.read_bytes())
    (folders["atoms"] / "energies_eV.json").write_text("{}")
    inputs = {name: folders[name] for name in ("atoms", "classical")}
    params = {"architecture": "new", "settings": {}, "seed": 1, "validate_every": 6}
    params |= {"device": "cpu", "precision": "float32"}

    def train(*curve):
        monkeypatch.setattr(protocol, "architecture", lambda _: stand_in(*curve))
        steps.KINDS["train"].function(params, inputs, folders["out"], folders["work"])

    with pytest.raises(TrainingError, match=r"^the training diverged: errors after 20 frames are"):
        train((10, 1e-3, 0.1), (20, *lost))
    assert not list(folders["out"].iterdir())
    train((10, *lost), (20, 1e-3, 0.1))  # it found its way back
    summary = json.loads((folders["out"] / "training.json").read_text())
    assert summary["learning_curve"][-1] == LearningPoint(20, 1e-3, 0.1).to_json()


def test_fine_tuning_of_so3lr_does_not_go_on_from_a_damaged_checkpoint(
    tmp_path, monkeypatch, capsys
):
    import torch
    from crosstrain.potentials import so3lr
    from so3krates_torch.cli import run_train

    seen = []

    def run_training(config):
        place = Path(config["GENERAL"]["checkpoints_dir"])
        seen.extend(file.name for file in place.glob("*.pt"))
        raise RuntimeError("far enough")

    monkeypatch.setattr(run_train, "run_training", run_training)
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (tmp_path / so3lr.BASE).write_text("")
    for name in ("whole_epoch-1.pt", "flipped_epoch-2.pt"):
        torch.save({"weights": torch.ones(99)}, checkpoints / name)
    content = bytearray((checkpoints / name).read_bytes())
    place = content.index(torch.ones(9).numpy().tobytes())
    content[place] ^= 1
    (checkpoints / name).write_bytes(content)
    frames = fr.read(FRAMES)
    with pytest.raises(TrainingError, match="far enough"):
        so3lr.train(
            frames[:4],
            frames[4:6],
            so3lr.Settings(),
            seed=1,
            folder=tmp_path,
            atom_energies={},
            device="cpu",
            precision="float32",
        )
    assert seen == ["whole_epoch-1.pt"]
    assert "damaged checkpoint deleted: flipped_epoch-2.pt" in capsys.readouterr().err
