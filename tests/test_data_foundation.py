"""Foundation models beside bespoke ones: what is said of theory, of missing runs, and verdicts."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from crosstrain.data import foundation
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.measure.score import LiquidScore


def labelled(method="GFN2-xTB", n_waters=1, energy_eV=-10.0) -> Atoms:
    water = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]
    positions = np.concatenate([np.add(water, [0, 0, 3.0 * k]) for k in range(n_waters)])
    atoms = Atoms("OH2" * n_waters, positions, cell=[9.0] * 3, pbc=True)
    bonds = [[3 * k, 3 * k + j] for k in range(n_waters) for j in (1, 2)]
    atoms.arrays["molecule"] = np.repeat(np.arange(n_waters), 3)
    atoms.arrays[FORCES] = np.random.default_rng(0).normal(size=(3 * n_waters, 3))
    atoms.info |= {
        "method": method,
        "bonds": np.array(bonds),
        ENERGY: energy_eV * n_waters,
        STRESS: np.full(6, 1e-3),
    }
    return atoms


def score(value, lower, upper) -> LiquidScore:
    return LiquidScore(value, lower, upper, 1.0, np.nan, value, 1, {})


def test_the_note_on_theory_names_both_sides_and_only_where_they_differ():
    assert foundation.theory_note("GFN2-xTB", "GFN2-xTB") == ""
    note = foundation.theory_note("PBE0+MBD", "GFN2-xTB")
    assert note == "differs: model PBE0+MBD, labels GFN2-xTB"
    assert foundation.marked("so3lr", note) == "so3lr *"
    assert foundation.marked("mace", "") == "mace"


def test_frames_state_one_method():
    assert foundation.method_of([labelled(), labelled()]) == "GFN2-xTB"
    with pytest.raises(ValueError, match=r"method of the frames is .*GFN2-xTB.*PBE"):
        foundation.method_of([labelled(), labelled("PBE")])
    with pytest.raises(ValueError, match="method of the frames is"):
        foundation.method_of([labelled("")])


def test_absolute_energies_of_two_theories_are_not_compared():
    frames = [labelled(n_waters=n) for n in (1, 2, 3)]
    said = {
        "frames": frames,
        "energy_eV": np.array([f.info[ENERGY] - 100.0 * len(f) for f in frames]),
        "forces_eV_A": [f.arrays[FORCES] for f in frames],
        "stress_eV_A3": np.array([f.info[STRESS] for f in frames]),
    }
    row = foundation.error_row(said, "PBE0+MBD")
    assert foundation.RAW_ENERGY not in row
    assert row["energy, offset removed / meV atom⁻¹"] == pytest.approx(0, abs=0.1)
    assert row[foundation.FORCE] == 0
    assert row[foundation.THEORY] == "differs: model PBE0+MBD, labels GFN2-xTB"
    assert foundation.error_row(said, "GFN2-xTB")[foundation.THEORY] == foundation.SAME_THEORY
    assert foundation.error_row(said | {"frames": []}, "PBE0+MBD") == {"frames": 0}


def test_models_that_were_not_run_are_rows_without_numbers():
    missing = {"mace_off23": "not run: weights not found (put them there)"}
    plain = foundation.table({"so3lr": {"x": 3}}, missing)
    assert plain.loc["mace_off23"].tolist() == [missing["mace_off23"], "-"]
    assert plain.loc["so3lr"].tolist() == ["run", 3]
    paired = foundation.table({("so3lr", "hot"): {"x": 1.0}}, missing)
    assert paired.loc[("mace_off23", "-"), "x"] == "-"
    assert foundation.table({}, missing).loc["mace_off23", "status"] == missing["mace_off23"]


def test_a_figure_names_what_is_not_in_it():
    fig, ax = plt.subplots()
    foundation.footnote(fig, dict.fromkeys(["mace_off23", "mace_mp_0"], "not run: no weights"))
    assert fig.get_supxlabel() == f"{foundation.MIXED}\nmace_off23, mace_mp_0: not run: no weights"
    foundation.price(ax, {"so3lr *": ("so3lr", 0.07, 50.0)})
    assert [text.get_text() for text in ax.texts] == ["so3lr *"]
    _, other = plt.subplots()
    foundation.price(other, {"so3lr": ("so3lr", 0.07, 50.0), "gap": ("gap", np.nan, 40.0)})
    assert [text.get_text() for text in other.texts] == ["so3lr"]
    assert other.get_title(loc="left") == "time of a step not measured: gap"
    foundation.footnote(fig, {})
    assert fig.get_supxlabel() == foundation.MIXED
    plt.close("all")


def test_models_without_a_score_are_hollow_below_the_axis():
    fig, ax = plt.subplots()
    none = score(np.nan, np.nan, np.nan)
    style = {"architecture": "so3lr", "label": "SO3LR"}
    foundation.score_curve(ax, [25, 50], [none, score(0.5, 0.4, 0.6)], **style)
    (hollow,) = [line for line in ax.lines if line.get_fillstyle() == "none"]
    assert (hollow.get_xdata()[0], hollow.get_ydata()[0]) == (25, -0.1)
    plt.close(fig)


def test_seconds_per_step():
    def step(architecture, **params):
        return {"architecture": architecture} | params

    per_atom = [[25, 0.25], [50, 0.5], [100, 1.0]]
    entries = [
        {"architecture": "so3lr", "settings": {"name": "so3lr"}, "core_s_per_step": per_atom},
        {"architecture": "mace", "settings": {"max_L": 0}, "core_s_per_step": per_atom},
    ]
    for model in (
        step("so3lr", name="so3lr"),
        step("so3lr", settings={"base": "so3lr", "lr": 1.0}),
        step("mace", settings={"max_L": 0}),
    ):
        assert foundation.seconds_per_step(model, 80, entries) == pytest.approx(0.8)
    for unknown in (step("so3lr", name="other"), step("mace", settings={"max_L": 1})):
        assert np.isnan(foundation.seconds_per_step(unknown, 80, entries))


def test_labels_saved():
    curve = {25: 90.0, 50: 70.0, 150: 60.0}
    assert foundation.frames_to_match(curve, 75.0) == 50
    assert foundation.frames_to_match(curve, 90.0) == 25
    assert foundation.frames_to_match(curve, 10.0) is None


def test_a_verdict_needs_intervals_apart():
    rivals = {"mace": score(0.8, 0.7, 0.9), "dp": score(0.2, 0.1, 0.3)}
    assert foundation.verdict(score(0.5, 0.4, 0.6), rivals).startswith("worse: score 0.50")
    assert foundation.verdict(score(0.5, 0.4, 0.75), rivals).startswith("alike")
    assert foundation.verdict(score(0.97, 0.95, 1), rivals).startswith("better")
    assert "of mace" in foundation.verdict(score(0.5, 0.4, 0.6), rivals)
    none = score(np.nan, np.nan, np.nan)
    assert foundation.verdict(none, rivals).startswith("open")
    assert foundation.verdict(score(0.5, 0.4, 0.6), {"dp": none}).startswith("open")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worse: a", "worse: b", "open: c"], "supported: worse .* in 2 of 2"),
        (["worse: a", "alike: b"], "supported in part: .* 1 of 2"),
        (["better: a"], "not supported: .* 0 of 1"),
        (["open: a"], "open: no foundation model"),
        ([], "open: "),
    ],
)
def test_the_claim_counts_what_could_be_decided(words, said):
    assert re.match(said, foundation.claim(dict(enumerate(words))))
