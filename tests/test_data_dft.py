"""Errors by block, who wins, and whether the labels change it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from ase.units import bar
from crosstrain.data import dft, published, summaries
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Split
from crosstrain.measure.statistics import Estimate, drift, mean_with_error
from scipy.signal import lfilter

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
    drawn = {line.get_fillstyle(): line.get_xdata().tolist() for line in ax.lines[1:]}
    assert drawn == {"none": [0, 2], "bottom": [3], "full": [1, 4]}
    plt.close(fig)


def test_the_one_with_smaller_errors_wins():
    small, large = (dft.block_errors(predicted(f), SPLIT) for f in (0.1, 0.2))
    ratios = dft.log_ratios(large, small, "total")
    assert ratios == pytest.approx(np.log([2, 2]))
    effect = dft.mean_effect([*ratios, 0.6, 0.8])
    assert dft.winner(effect, "large", "small") == "small"
    effect = dft.mean_effect([-1.0, 1.1])
    assert dft.winner(effect, "large", "small").startswith("undecided (the interval holds zero")
    other = dft.block_errors(predicted(0.1), Split(train=[0], validate_on=[3], test=[1]))
    with pytest.raises(ValueError, match="allowed are the same"):
        dft.log_ratios(small, other, "total")


def test_a_factor_is_a_geometric_mean_with_its_interval():
    ratios = np.log(4) + np.array([-0.1, 0.1])  # Student's t of 95 % and two values is 12.706
    said = dft.factor(ratios, dft.mean_effect(ratios))
    assert said == "4.00 (1.12 to 14.25) on 2 test blocks"
    assert dft.factor(ratios[:1], dft.mean_effect(ratios[:1])) == "3.62 on 1 test blocks"


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


# --- densities --------------------------------------------------------------------------------


def of_run(series, **changes) -> dict:
    estimate = mean_with_error(series[100:], discard=False)
    seen = {"status": "completed", "reason": "", "time_ps": 5.0, "equilibrated_ps": 1.0}
    return seen | {"density_g_cm3": estimate._asdict()} | changes


def settled(series, **changes):
    return dft.settled_density(of_run(series, **changes), TIME_PS, series)


TIME_PS = np.arange(500) * 0.01
NOISE = np.random.default_rng(1).normal(0.9, 0.02, 500)


def test_only_whole_runs_have_a_density():
    found = settled(NOISE)
    assert found.value == pytest.approx(0.9, abs=0.01)
    row = dft.density_row(of_run(NOISE), found, TIME_PS, NOISE)
    assert row["drift / g cm⁻³"] == summaries.plus_minus(*drift(NOISE[100:])[:2])
    assert row["density / g cm⁻³"] == summaries.plus_minus(found.value, found.error)
    assert row["independent samples"] == round(found.n_effective, 1) > 100
    early = {"status": "unstable", "reason": "boil-off"}
    assert settled(NOISE, **early) == "none, ended early"
    row = dft.density_row(of_run(NOISE, **early), "none, ended early", TIME_PS, NOISE)
    assert row["drift / g cm⁻³"] == "-"
    assert (row["ended"], row["density / g cm⁻³"]) == ("boil-off", "none, ended early")
    assert row["independent samples"] == "-"
    assert settled(NOISE, density_g_cm3=None) == "none, too short"


def test_a_density_that_drifts_has_not_settled():
    assert settled(NOISE + 0.1 * TIME_PS) == "not settled"
    assert settled(NOISE + np.where(TIME_PS < 3, 0, 0.02)) == "not settled"  # from 1 to 5 ps
    noise = 0.9 + 0.02 * lfilter([0.19**0.5], [1, -0.9], np.random.default_rng(46).normal(size=500))
    assert not isinstance(settled(noise), str)
    slow = (noise + 0.02 * TIME_PS)[100:]
    assert dft._halves_agree(slow) and not dft._is_level(slow)
    assert settled(noise + 0.02 * TIME_PS) == "not settled"
    # what comes before the averaged part does not matter
    assert not isinstance(settled(NOISE + np.where(TIME_PS < 1, 0.5, 0)), str)
    # halves too short for an error of their own
    last = {"equilibrated_ps": TIME_PS[-15]}
    assert settled(NOISE, **last) == "not settled"


def test_the_error_of_a_deviation_is_that_of_both():
    known = dft.Known(500.0, 0.92, 0.04, "the group's MACE", "PBE-D2", "")
    said = "+0.090 ± 0.050 from the group's MACE, PBE-D2: agrees"
    assert dft.deviation(Estimate(1.01, 0.03, 5.0), known) == said
    for value, verdict in ((1.03, "too dense"), (0.81, "too thin"), (0.83, "agrees")):
        assert dft.deviation(Estimate(value, 0.03, 5.0), known).endswith(f": {verdict}")
    assert str(known) == "0.92 ± 0.04 g/cm³: the group's MACE, PBE-D2, 500 K ()"


def test_densities_are_compared_with_those_of_the_same_labels():
    def values(*asked):
        return [known.density_g_cm3 for known in dft.known_densities(*asked)]

    assert values(300) == [1.0948, 1.129, 1.067, 1.041]
    assert values(300, published.DFT_METHOD) == [1.0948, 1.129, 1.067]
    assert values(300, "GFN2-xTB") == [1.0948]
    assert (values(500), values(500, "GFN2-xTB"), values(400)) == ([0.924], [], [])
    assert {known.who for known in dft.KNOWN_DENSITIES} == set(dft.LINES)


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
