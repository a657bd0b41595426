"""Costs: the fit against a known law, and which measurements are of which model."""

import json

import numpy as np
import pytest
from crosstrain.data import costs
from crosstrain.potentials import protocol

ENTRY = {
    "architecture": "mace",
    "settings": {"num_channels": 128, "max_L": 1},
    "core_s_per_frame": [[25, 1.0], [100, 4.0]],
    "core_s_per_step": [[25, 0.5], [100, 8.0]],
}


def test_a_power_law_is_found_and_goes_on():
    atoms = np.array([20, 40, 80, 160])
    law = costs.power_law(atoms, 3e-3 * atoms**1.7)
    assert (law.prefactor, law.exponent) == pytest.approx((3e-3, 1.7))
    assert law.at(640) == pytest.approx(3e-3 * 640**1.7)
    assert str(law).endswith("~ atoms^1.70 (measured from 20 to 160 atoms)")


@pytest.mark.parametrize(
    ("atoms", "seconds"), [([1], [1]), ([2, 2], [1, 1]), ([1, 2], [1, 0]), ([0, 2], [1, 1])]
)
def test_what_is_no_power_law(atoms, seconds):
    with pytest.raises(ValueError, match="allowed are two sizes or more"):
        costs.power_law(atoms, seconds)


def test_a_measurement_is_of_the_settings_that_it_names():
    asked = {"num_channels": 128, "max_L": 1, "max_num_epochs": 1600}
    laws = costs.of_model("mace", asked, [ENTRY])
    assert laws["frame"].exponent == pytest.approx(1)
    assert laws["step"].exponent == pytest.approx(2)
    assert laws["step"].at(200) == pytest.approx(32)
    assert costs.of_model("mace", asked | {"max_L": 0}, [ENTRY]) == {}
    assert costs.of_model("deep_potential", asked, [ENTRY]) == {}
    assert costs.of_model("mace", asked, []) == {}
    assert costs.model_bytes("mace", asked, [ENTRY | {"model_bytes": 7}]) == 7
    assert costs.model_bytes("mace", asked, [ENTRY]) is None
    assert costs.model_bytes("mace", asked, []) is None


def test_measurements_that_are_shipped_are_of_settings_that_exist(tmp_path):
    assert costs.measured(tmp_path / "none.json") == []
    for entry in costs.measured():
        known = protocol.settings(entry["architecture"], {}).model_dump()
        assert entry["settings"].keys() <= known.keys()
        assert entry["machine"]
        assert entry["model_bytes"] > 10_000
        json.dumps(entry)
