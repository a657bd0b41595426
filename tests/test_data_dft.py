"""Errors by block, who wins, and whether the labels change it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from ase.units import bar
from crosstrain.data import dft, published
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Split

SPLIT = Split(train=[0, 2], validate_on=[3], test=[1, 4])


def frame(block: int, number: int = 0) -> Atoms:
    atoms = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=[8.0] * 3, pbc=True)
    atoms.arrays["molecule"] = np.zeros(3, dtype=int)
    atoms.arrays[FORCES] = np.random.default_rng(block).normal(size=(3, 3))
    atoms.info |= {"bonds": np.array([[0, 1], [0, 2]]), "block": block, "seed": str(number)}
    atoms.info |= {"temperature_K": 300.0, ENERGY: -1.0, STRESS: np.zeros(6)}
    return atoms


def predicted(factor: float) -> dict:
    frames = [frame(block) for block in range(6)]
    return {
        "frames": frames,
        "forces_eV_A": [(1 + factor) * f.arrays[FORCES] for f in frames],
        "stress_eV_A3": np.full((6, 6), -2e3 * bar),
    }


def test_errors_are_those_of_each_block_of_the_split():
    table = dft.block_errors(predicted(0.1), SPLIT)
    assert table["block"].tolist() == [0, 1, 2, 3, 4]  # 5 is in no part
    assert table["role"].tolist() == ["train", "test", "train", "validate", "test"]
    assert table["total"].to_numpy() == pytest.approx(10.0)
    assert table["vibration"].to_numpy() == pytest.approx(10.0)
    assert table["pressure_kbar"].to_numpy() == pytest.approx(2.0)
    fig, ax = plt.subplots()
    dft.by_block(ax, {"MACE": table}, "total", {"MACE": "red"})
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "white"]
    assert sum(len(line.get_xdata()) for line in hollow) == 3
    plt.close(fig)


def test_the_one_with_smaller_errors_wins():
    small, large = (dft.block_errors(predicted(f), SPLIT) for f in (0.1, 0.2))
    ratios = dft.log_ratios(large, small, "total")
    assert ratios == pytest.approx(np.log([2, 2]))
    effect = dft.mean_effect([*ratios, 0.6, 0.8], rng=np.random.default_rng(0))
    assert dft.winner(effect, "large", "small") == "small"
    effect = dft.mean_effect([-1.0, 1.1], rng=np.random.default_rng(0))
    assert dft.winner(effect, "large", "small").startswith("undecided (the interval holds zero")
    other = dft.block_errors(predicted(0.1), Split(train=[0], validate_on=[3], test=[1]))
    with pytest.raises(ValueError, match="allowed are the same"):
        dft.log_ratios(small, other, "total")


@pytest.mark.parametrize(
    ("winners", "said"),
    [
        (["MACE", "DP"], "supported"),
        (["MACE", "MACE"], "not supported"),
        (["MACE", "undecided (x)"], "undecided: no clear winner for every kind of labels"),
    ],
)
def test_labels_change_the_winner_only_if_there_are_two(winners, said):
    assert str(dft.winner_changes(winners, ["MACE", "DP"])) == said


def test_only_whole_runs_have_a_density():
    value = {"value": 0.9, "error": 0.01, "n_effective": 5.04}
    seen = {"status": "completed", "reason": "", "time_ps": 5.0, "density_g_cm3": value}
    assert dft.density_row(seen)["density / g cm⁻³"] == "0.900 ± 0.010"
    died = dft.density_row(seen | {"status": "unstable", "reason": "boil-off"})
    assert (died["ended"], died["density / g cm⁻³"]) == ("boil-off", "-")


def test_labels_of_another_method_replace_those_of_the_file():
    frames = [frame(0, number) for number in (0, 20)]
    labels = {
        "number": np.array([20]),
        "energy_eV": np.array([-7.0]),
        "forces_eV_A": np.ones((1, 3, 3)),
        "stress_eV_A3": np.full((1, 6), 0.5),
        "method": np.array("GFN2-xTB"),
    }
    (found,) = published.with_labels(frames, [labels])  # frame 0 could not be labelled
    assert (found.info["seed"], found.info[ENERGY], found.info["method"]) == ("20", -7, "GFN2-xTB")
    assert (found.arrays[FORCES] == 1).all()
    assert frames[1].info[ENERGY] == -1.0


def test_densities_are_known_near_two_temperatures():
    assert dft.known_density(300)[0] == 1.0948
    assert dft.known_density(500)[0] == 0.924
    assert dft.known_density(400) is None
