"""Foundation models beside bespoke ones: what is said of theory, of missing runs, and verdicts."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from ase import Atoms
from crosstrain.data import figures, foundation
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Foundation
from crosstrain.measure.score import LiquidScore, Term
from crosstrain.measure.statistics import Estimate
from crosstrain.plan import Plan
from crosstrain.plan_foundation import compared_runs, fine_tuned, pretrained


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


def error(value, spread=0.1) -> Estimate:
    return Estimate(value, spread, 5)


def score(value, lower, upper) -> LiquidScore:
    term = Term(0.0, 0.01, 5.0, 0.02, 1.0, value, lower, upper)
    terms = {} if np.isnan(value) else {"density": term}
    return LiquidScore(value, lower, upper, 1.0, np.nan, value, 1, terms)


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
    found = foundation.errors(said)
    assert foundation.RAW_ENERGY not in found
    assert found["energy, offset removed / meV atom⁻¹"].value == pytest.approx(0, abs=1e-6)
    row = foundation.error_row(found, frames, "PBE0+MBD")
    assert row[foundation.FORCE] == "0"
    assert row["frames"] == "3"
    assert row[foundation.THEORY] == "differs: model PBE0+MBD, labels GFN2-xTB"
    same = foundation.error_row(found, frames, "GFN2-xTB")
    assert same[foundation.THEORY] == foundation.SAME_THEORY
    assert foundation.errors(said | {"frames": []}) == {}
    assert foundation.error_row({}, [], "PBE0+MBD") == {"frames": "0"}


def test_models_that_were_not_run_are_rows_without_numbers():
    missing = {"mace_off23": "not run: weights not found (put them there)"}
    plain = foundation.table({"so3lr": {"x": 3, "without any": "-"}}, missing)
    assert plain.loc["mace_off23"].tolist() == [missing["mace_off23"], "-"]
    assert plain.loc["so3lr"].tolist() == ["run", 3]
    paired = foundation.table({("so3lr", "hot"): {"x": 1.0}}, missing)
    assert paired.loc[("mace_off23", "-"), "x"] == "-"
    assert foundation.table({}, missing).loc["mace_off23", "status"] == missing["mace_off23"]


def test_a_figure_names_what_is_not_in_it():
    fig, _ = plt.subplots(figsize=(12, 4))
    why = "not run: weights not found"
    foundation.footnote(fig, {"mace_off23": why, "mace_mp_0": why})
    missing = f"mace_off23; mace_mp_0: {why}, see the table of the models"
    assert fig.get_supxlabel() == f"{foundation.MIXED}\n{missing}"
    foundation.footnote(fig, {"gap": "not run", "mace_off23": why}, starred=False)
    each = ("gap: not run", f"mace_off23: {why}")
    said = "\n".join(f"{one}, see the table of the models" for one in each)
    assert fig.get_supxlabel() == said
    foundation.footnote(fig, {})
    assert fig.get_supxlabel() == foundation.MIXED
    plt.close(fig)


@pytest.mark.parametrize("width_in", [4, 6.4, 14])
def test_a_footnote_is_not_clipped(width_in):
    fig, _ = plt.subplots(figsize=(width_in, 4))
    foundation.footnote(fig, {f"a_published_model_{n}": "not run" for n in range(9)})
    reach = fig._supxlabel.get_window_extent(fig.canvas.get_renderer())
    assert reach.x0 >= 0 and reach.x1 <= fig.bbox.width
    plt.close(fig)


def test_models_of_one_architecture_can_be_told_apart_by_price():
    _, ax = plt.subplots()
    points = {
        "so3lr *": ("so3lr", "", 0.07, error(50.0)),
        "so3lr-classical-s1": ("so3lr", "classical", 0.07, error(49.0)),
        "gap": ("gap", "classical", np.nan, error(40.0)),
        "mace": ("mace", "classical", 0.01, error(9.0)),
        "mace_mp_0": ("mace_foundation", "", 0.03, error(30.0)),
        "mace_off23-classical-s1": ("mace_foundation", "classical", 0.03, error(20.0)),
        "mace_off23_replay-classical-s1": ("mace_foundation", "classical", 0.03, error(21.0)),
    }
    foundation.price(ax, points)
    marked = {drawn.get_label(): drawn.lines[0] for drawn in ax.containers}
    assert list(marked) == [name for name in points if name != "gap"]
    published, tuned, mace, other, *both_ways = marked.values()
    assert len({line.get_marker() for line in (other, *both_ways)}) == 3
    assert published.get_color() == tuned.get_color() != mace.get_color()
    assert tuned.get_marker() == mace.get_marker() == figures.set_marker("classical")
    assert len({published.get_marker(), tuned.get_marker(), other.get_marker()}) == 3
    assert ax.get_title(loc="left") == "time of a step not measured: gap"
    plt.close("all")


def test_models_without_a_score_are_hollow_below_the_axis():
    fig, ax = plt.subplots()
    none = score(np.nan, np.nan, np.nan)
    style = {"architecture": "so3lr", "label": "SO3LR", "marker": "s"}
    foundation.score_curve(ax, [25, 50], [none, score(0.5, 0.4, 0.6)], **style)
    (hollow,) = [line for line in ax.lines if line.get_fillstyle() == "none"]
    assert (hollow.get_xdata()[0], hollow.get_ydata()[0]) == (25, -0.1)
    plt.close(fig)


def test_scores_of_one_size_stand_side_by_side_and_sizes_are_numbered():
    fig, ax = plt.subplots()
    for name, beside in (("mace", 0.0), ("so3lr", 0.04)):
        style = {"architecture": name, "label": name, "marker": "s", "beside": beside}
        foundation.score_curve(ax, [25, 150], [score(0.5, 0.4, 0.6)] * 2, **style)
    foundation.size_axis(ax, [150, 25, 25])
    places = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert places["mace"] == [25, 150]
    assert places["so3lr"] == pytest.approx([26, 156])
    fig.canvas.draw()
    assert [text.get_text() for text in ax.get_xticklabels()] == ["25", "150"]
    assert not ax.get_xticklabels(minor=True)
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
    curve = {25: error(90.0), 50: error(70.0), 150: error(60.0)}
    assert foundation.enough(curve, 75.0) == "50: 70.00 ± 0.10"
    assert foundation.enough(curve, 90.0) == "25, the fewest tried: 90.00 ± 0.10"
    assert foundation.enough(curve, 10.0) == "none of up to 150"


def test_models_by_size_are_read_by_the_name_of_their_step():
    steps = {
        "mace_off23-classical-s1": "mace_foundation-classical-mace_off23-s1",
        "mace_off23-classical.25-s1": "mace_foundation-classical.25-mace_off23-s1",
        "mace-classical-s1": "mace-classical-s1",
        "mace-packed-s1": "mace-packed-s1",
    }
    records = {step: {"n_training": 137, "n_validation": 13} for step in steps.values()}
    records[steps["mace_off23-classical.25-s1"]] = {"n_training": 23, "n_validation": 2}
    found = foundation.by_size(steps, records, ["classical.25", "classical"])
    assert {way: list(sized.items()) for way, sized in found.items()} == {
        "mace_off23": [(25, "mace_off23-classical.25-s1"), (150, "mace_off23-classical-s1")],
        "mace": [(150, "mace-classical-s1")],
    }


def test_all_models_are_judged_by_every_replica():
    plan = Plan("laptop")
    foundation_of_study = Foundation(
        models={"chgnet": {"duration_ps": 1}},
        fine_tuning={
            "variants": {"so3lr": {"settings": {}, "frame_cost_s": [0, 1]}},
            "seed": 1,
            "sizes": ["classical"],
            "states": ["hot"],
        },
    )
    plan.profile = plan.profile.model_copy(update={"foundation": foundation_of_study})
    replicas = {name: len(at.replicas) for name, at in plan.profile.liquid.states.items()}
    assert max(replicas.values()) > 1

    def n_runs(model):
        return {state: len(each) for state, each in compared_runs(plan, model).items()}

    assert n_runs(plan.model("mace", "classical", 1)) == replicas
    assert n_runs(pretrained(plan, "chgnet")) == replicas
    assert n_runs(fine_tuned(plan, "so3lr", "classical")) == {"hot": replicas["hot"]}


def test_each_row_has_its_control():
    rows = ["b", "b.25", "packed", "b+more", "b+more.100", "b+made", "b+scan+molecules"]
    kinds = {"base": "b", "control": "b+more", "iterated_control": "b+more.100"}
    found = foundation.controls(rows, iterated=["made"], **kinds)
    assert found == {"b+made": "b+more.100", "b+scan+molecules": "b+more"}


def test_a_gain_over_the_control_is_positive_if_better():
    mine, other = score(0.8, 0.7, 0.9), score(0.5, 0.4, 0.6)
    gained = foundation.against_control("more", error(10.0, 0.52), mine, other)
    assert list(gained.values()) == ["more", "10.00 ± 0.52", "+0.30, better"]
    lost = foundation.against_control("more", error(-10.0, 0.52), other, mine)
    assert list(lost.values()) == ["more", "-10.00 ± 0.52", "-0.30, worse"]

    def by_score(other):
        return foundation.against_control("more", error(1.0), mine, other)[foundation.GAIN_SCORE]

    assert by_score(score(0.5, 0.4, 0.75)) == "+0.30, undecided"
    assert by_score(score(np.nan, np.nan, np.nan)) == "no score"
    missing = foundation.against_control("more", None, mine, None)
    assert list(missing.values()) == ["more", "not run", "not run"]
    assert set(foundation.against_control("", None, mine, None).values()) == {"-"}


def test_a_gain_is_that_of_the_same_frames():
    frames = [labelled(n_waters=2) for _ in range(10)]
    sizes = np.linspace(0.5, 2, len(frames))  # some frames are harder, for any model

    def said(scale):
        noise = np.random.default_rng(1).normal(size=(len(frames), 6, 3))
        return {
            "frames": frames,
            "energy_eV": np.array([f.info[ENERGY] for f in frames]),
            "forces_eV_A": [
                f.arrays[FORCES] + scale * size * n
                for f, size, n in zip(frames, sizes, noise, strict=True)
            ],
            "stress_eV_A3": np.array([f.info[STRESS] for f in frames]),
        }

    one, other = said(0.08), said(0.1)  # the same noise, a fifth smaller
    alone = foundation.errors(other)[foundation.INTER]
    gained = foundation.gain(one, other)
    assert gained.value == pytest.approx(0.2 * alone.value)
    assert gained.error == pytest.approx(0.2 * alone.error)
    assert foundation.gain(other, one).value == pytest.approx(-gained.value)


def test_which_sets_help_both_kinds_of_model():
    numbers = {("a", "x"): 1, ("a", "y"): -2, ("b", "x"): -0.1, ("b", "y"): 0.1, ("c", "x"): 3}
    gains = {key: error(value) for key, value in numbers.items()}
    assert foundation.which_gain(gains, "x", "y") == (
        "a: x gains (1.00 ± 0.10), y loses (-2.00 ± 0.10); "
        "b: x unclear (-0.10 ± 0.10), y unclear (0.10 ± 0.10)"
    )
    assert foundation.which_gain(gains, "x", "z") == "not run"


def test_a_verdict_needs_intervals_apart():
    rivals = {"mace": score(0.8, 0.7, 0.9), "dp": score(0.2, 0.1, 0.3)}
    worse = foundation.verdict(score(0.5, 0.4, 0.6), rivals)
    assert worse.startswith("worse: score 0.50 (0.40 to 0.60)")
    assert "score 0.80 (0.70 to 0.90)" in worse
    assert worse.endswith("of mace, the best of 2 bespoke models")
    assert foundation.verdict(score(0.97, 0.95, 1), rivals).startswith("better")
    assert foundation.verdict(score(0.5, 0.4, 0.75), rivals).startswith("undecided")
    lucky = {"mace": score(0.9, 0.03, 1.0)}
    assert foundation.verdict(score(0.1, 0.05, 0.2), lucky).startswith("undecided")
    dead = score(0.0, 0.0, 0.0)
    assert foundation.verdict(dead, {"mace": dead}).startswith("undecided")
    none = score(np.nan, np.nan, np.nan)
    assert foundation.verdict(none, rivals).startswith("undecided: no trusted reference")
    assert foundation.verdict(score(0.5, 0.4, 0.6), {"dp": none}).startswith("undecided")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["worse: a", "worse: b", "undecided: c"], "supported: worse in 2 and better in 0 of 3"),
        (["worse: a", "better: b"], "supported in part: worse in 1 and better in 1 of 2"),
        (["better: a", "undecided: b"], "not supported: worse in 0 and better in 1 of 2"),
        (["undecided: a", "undecided: b"], "undecided: none of 2 comparisons"),
        ([], "undecided: none of 0"),
    ],
)
def test_the_claim_counts_what_is_clear(words, said):
    assert foundation.claim(dict(enumerate(words))).startswith(said)
