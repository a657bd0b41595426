"""Data cards: what they say is what the frames hold."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import bar
from crosstrain.data import cards
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Block

BLOCK = Block(kind="scan", frames=2, seed=4, options={"points": 5}, purpose="To test cards.")


def frame(edge_A: float) -> Atoms:
    atoms = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=[edge_A] * 3, pbc=True)
    atoms.info |= {"composition": "O:1", "temperature_K": 100 * edge_A, ENERGY: -3 * edge_A}
    atoms.info[STRESS] = np.array([-1, -1, -1, 0, 0, 0]) * edge_A * 1e3 * bar
    atoms.arrays[FORCES] = np.diag([3.0, 4.0, 0.0])
    return atoms


def test_contents_are_ranges_with_units():
    said = cards.contents([frame(4.0), frame(5.0)])
    mass_g_cm3 = 18.015 * 1.66053907
    assert said["frames"] == "2 (2 periodic)"
    assert said["atoms per frame"] == "3"
    assert said["temperature of preparation / K"] == "400 to 500"
    assert said["density / g cm⁻³"] == f"{mass_g_cm3 / 125:.3f} to {mass_g_cm3 / 64:.3f}"
    assert said["energy / eV per atom"] == "-5.000 to -4.000"
    assert said["pressure of the frozen frame / kbar"] == "4.0 to 5.0"
    assert said["force on an atom / eV Å⁻¹"] == "0.00 to 4.00"
    assert said["force RMS per component / eV Å⁻¹"] == f"{np.sqrt(25 / 9):.2f}"


def test_isolated_molecules_have_no_density_and_no_pressure():
    isolated = frame(4.0)
    isolated.pbc = False
    said = cards.contents([isolated])
    assert said["frames"] == "1 (0 periodic)"
    assert not [heading for heading in said if "density" in heading or "pressure" in heading]


def test_an_iterated_set_that_found_nothing_new_has_a_card():
    assert cards.contents([]) == {"frames": "0"}
    text = cards.card("none", BLOCK, [], [], method="GFN2-xTB", folder="data/sets/set-none-0")
    assert "| frames | 0 |" in text


@pytest.mark.parametrize("failures", [[], [{"frame": "4/7", "reason": "SCF did not converge"}]])
def test_a_card_tells_recipe_level_of_theory_and_failures(failures):
    text = cards.card(
        "thin", BLOCK, [frame(4.0)], failures, method="GFN2-xTB", folder="data/sets/set-thin-0"
    )
    assert text.startswith("# thin\n\nTo test cards.\n")
    assert "| level of theory | GFN2-xTB |" in text
    assert "kind scan, seed 4, points 5" in text
    assert "REF_forces: eV/Å" in text
    assert "| licence | MIT |" in text
    expected = "1 (frame 4/7: SCF did not converge)" if failures else "0"
    assert f"| labels that failed | {expected} |" in text
