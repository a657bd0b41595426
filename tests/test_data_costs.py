"""Costs: the fit against a known law, and which measurements are of which model."""

import json

import numpy as np
import pytest
from crosstrain.data import costs
from crosstrain.potentials import protocol

ENTRY = {
    "architecture": "mace",
    "settings": {"num_channels": 128, "max_L": 1},
    "core_s_per_frame": [[25, 1.0], [50, 2.0], [100, 4.0]],
    "core_s_per_step": [[25, 0.5], [50, 2.0], [100, 8.0]],
}


def test_the_terms_of_a_cost_are_found_and_go_on():
    atoms = np.array([20, 40, 80, 160])
    cost = costs.scaling(atoms, 5e-3 + 2e-4 * atoms + 3e-6 * atoms**2)
    assert cost[:3] == pytest.approx((5e-3, 2e-4, 3e-6))
    assert cost.at(640) == pytest.approx(5e-3 + 2e-4 * 640 + 3e-6 * 640**2)
    assert str(cost) == "0.055 core s at 100 atoms, 0.565 at 400 (measured from 20 to 160 atoms)"


def test_a_cost_between_linear_and_quadratic_is_followed_and_no_term_is_negative():
    atoms = np.array([25, 50, 100, 200, 400])
    cost = costs.scaling(atoms, 3e-3 * atoms**1.4)
    assert min(cost) >= 0
    assert [cost.at(n) for n in atoms] == pytest.approx(3e-3 * atoms**1.4, rel=0.2)
    falling = costs.scaling([10, 20, 40], [3.0, 2.0, 1.0])
    assert min(falling) >= 0


@pytest.mark.parametrize(
    ("atoms", "seconds"),
    [([1, 3], [1, 2]), ([2, 2, 3], [1, 1, 1]), ([1, 2, 3], [1, 2, 0]), ([0, 2, 3], [1, 1, 1])],
)
def test_sizes_that_say_nothing_of_others(atoms, seconds):
    with pytest.raises(ValueError, match="allowed are three sizes or more"):
        costs.scaling(atoms, seconds)


def test_a_measurement_is_of_the_settings_that_it_names():
    asked = {"num_channels": 128, "max_L": 1, "max_num_epochs": 1600}
    found = costs.of_model("mace", asked, [ENTRY])
    assert found["frame"].at(200) == pytest.approx(8)
    assert found["step"].at(200) == pytest.approx(32)
    assert costs.of_model("mace", asked | {"max_L": 0}, [ENTRY]) == {}
    assert costs.of_model("deep_potential", asked, [ENTRY]) == {}
    assert costs.of_model("mace", asked, []) == {}
    assert costs.model_bytes("mace", asked, [ENTRY | {"model_bytes": 7}]) == 7
    assert costs.model_bytes("mace", asked, [ENTRY]) is None
    assert costs.model_bytes("mace", asked, []) is None


def test_measurements_that_are_shipped_are_of_settings_that_exist(tmp_path):
    assert costs.measured(tmp_path / "none.json") == []
    assert costs.measured()
    for entry in costs.measured():
        assert entry["machine"] and len(entry["core_s_per_step"]) >= 3
        json.dumps(entry)
        if name := entry["settings"].get("name"):  # a published model
            assert protocol.pretrained()[name] == entry["architecture"]
            continue
        known = protocol.settings(entry["architecture"], {}).model_dump()
        assert entry["settings"].keys() <= known.keys()
        assert entry["model_bytes"] > 10_000
