"""The picture of a report: one file for each model, liquid and state."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from crosstrain import report
from crosstrain.data.profiles import State
from crosstrain.study import Study

SEEN = {"planned_ps": 1.0, "rdf": {}}


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Draw the picture of a model file, without what would have to be computed for it."""
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path))
    run = SimpleNamespace(thermo={"time_ps": np.zeros(1)})
    monkeypatch.setattr(Study, "read", lambda *_: SEEN)
    monkeypatch.setattr(Study, "trajectory", lambda *_: run)
    monkeypatch.setattr(report.summaries, "densities_g_cm3", lambda _: np.zeros(1))
    monkeypatch.setattr(report.judge, "mean_rdf", lambda *_: None)
    for name in ("density_trace", "survivals"):
        monkeypatch.setattr(report.plots, name, lambda *_, **__: None)
    base = Study("smoke", announce=False)

    def picture(digest="0", composition=None, temperature_K=300.0):
        state = State(temperature_K=temperature_K, pressure_bar=1.0)
        study = base.with_liquid(composition or {"EC": 2}, state)
        model = study.given_model("mine", Path("mine.model"), "mace", digest)
        return report.picture(base, study, model)

    return picture


def test_another_model_liquid_or_state_has_another_picture(draw, tmp_path):
    changes = [{}, {"digest": "1"}, {"composition": {"EC": 3}}, {"temperature_K": 400.0}]
    files = [draw(**change) for change in changes]
    assert len(set(files)) == len(files)
    assert draw() == files[0]
    assert sorted(files) == sorted((tmp_path / "own").iterdir())  # and nothing half written
    assert all(file.name.startswith("score-mine-") and file.suffix == ".png" for file in files)
