"""Unseen molecules: where they break is found in the molecule, and the claim follows its rule."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from crosstrain.build import boxes
from crosstrain.build.molecules import molecule
from crosstrain.data import summaries, unseen
from crosstrain.data.frames import FORCES
from crosstrain.measure.errors import split_frame_forces
from crosstrain.measure.verdicts import rank_correlation
from crosstrain.simulate.topology import BondEvent, describe_event
from crosstrain.simulate.trajectory import Trajectory
from matplotlib.colors import to_rgb
from matplotlib.text import Text

GROUPS = {"EC": "known", "EMC": "known", "DMC": "shape", "PC": "shape"}
GROUPS |= {"VC": "chemistry", "DME": "chemistry"}
STAYS = {"known": [1.0, 1.0], "shape": [1.0, 1.0, 1.0], "chemistry": [1.0, 1.0, 1.0]}


def judge(**groups):
    found = STAYS | groups
    return unseen.generalisation(found, margin=0.1)


@pytest.mark.parametrize(
    ("groups", "kept", "lost", "claim"),
    [
        ({}, "undecided", "undecided", "undecided"),
        ({"shape": [0.9, 0.8, 1.0]}, "undecided", "undecided", "undecided"),
        ({"chemistry": [0.98, 0.97, 0.99]}, "supported", "not supported", "not supported"),
        ({"chemistry": [0.2, 0.1, 0.3]}, "supported", "supported", "supported"),
        ({"chemistry": [0.2, 0.9, 1.0]}, "supported", "undecided", "undecided"),
        ({"shape": [0.1, 0.2, 0.1]}, "not supported", "undecided", "not supported"),
        ({"shape": [0.5, 1.0, 1.0], "chemistry": [0.0, 0.0, 0.0]}, "undecided", "supported",
         "undecided"),
        ({"chemistry": [0.95, 0.95, 0.95]}, "supported", "not supported", "not supported"),
    ],
)  # fmt: skip
def test_the_claim_needs_both_parts(groups, kept, lost, claim):
    found = judge(**groups)
    assert [f.verdict.value for f in (found.kept, found.lost, found.claim)] == [kept, lost, claim]


def test_the_end_of_the_planned_time_is_a_ceiling():
    nothing_died = judge()
    assert str(nothing_died.claim) == "undecided: every run reached the end"
    assert nothing_died.kept.reason == nothing_died.lost.reason == "every run reached the end"
    one_shape_died = judge(shape=[0.1, 0.2, 0.1])
    assert str(one_shape_died.lost) == "undecided: every run reached the end"
    assert judge(chemistry=[1.0, 1.0, 0.2]).kept.reason != "every run reached the end"


def test_without_living_known_liquids_nothing_is_decided():
    found = judge(known=[0.5, 1.0], chemistry=[0.0, 0.0])
    assert str(found.claim) == "undecided: the known liquids live 0.75 of the planned time"
    assert found.survival["chemistry"] == 0


def test_a_single_molecule_decides_nothing():
    assert "fewer than two molecules" in judge(shape=[1.0], chemistry=[0.1, 0.2]).kept.reason
    assert "fewer than two molecules" in judge(known=[1.0], chemistry=[0.1]).claim.reason


def test_wrong_groups_are_named():
    with pytest.raises(ValueError, match="nothing for 'shape'"):
        judge(shape=[])
    with pytest.raises(ValueError, match="margin is 1"):
        unseen.generalisation(STAYS, margin=1)


def liquid_of_two_ethanol() -> Atoms:
    parts = [molecule("ethanol", seed=1), molecule("ethanol", seed=2)]
    return boxes.pack(parts, density_g_cm3=0.1, seed=1)


def test_the_bond_that_ended_a_run_by_its_place_in_the_molecule():
    atoms = liquid_of_two_ethanol()
    bonds, n = atoms.info["bonds"], len(atoms) // 2

    def change(kind, i, j):
        said = describe_event(BondEvent(kind, (i, j), 0.3, 2.0), atoms, bonds)
        return unseen.first_change(said, atoms)

    assert change("broken", n + 2, 2 * n - 1) == ("broken", (2, n - 1))
    assert change("formed", n + 2, 2) == ("formed between two", (2, 2))
    assert change("formed", n, n + 2) == ("formed within one", (0, 2))
    assert unseen.first_change("density 0.29 g/cm³ below 0.3", atoms) is None
    assert unseen.in_words("ethanol", {("broken", (2, n - 1)): 2}) == "O2-H8 broken (2)"
    assert unseen.in_words("ethanol", {}) == "-"
    ended = {("broken", (0, 1)): 1, "boiled off": 2}
    assert unseen.in_words("ethanol", ended) == "boiled off (2), C0-C1 broken (1)"


def test_the_bond_of_a_blow_up_is_the_one_whose_length_changed_most():
    atoms = liquid_of_two_ethanol()
    n = len(atoms) // 2
    last = atoms.copy()
    last.positions[2 * n - 1] += 0.8 * (last.positions[2 * n - 1] - last.positions[n + 2])
    last.positions += last.cell.sum(axis=0)  # by a whole cell, which is no change
    positions = np.array([atoms.positions, last.positions], dtype=np.float32)
    track = Trajectory(atoms, positions, np.array(2 * [atoms.cell.array]), np.zeros(2), {})
    assert unseen.blown_up_at(track) == (unseen.BLOW_UP, (2, n - 1))
    found = {(unseen.BLOW_UP, (2, n - 1)): 3}
    assert unseen.in_words("ethanol", found) == "O2-H8 at a temperature blow-up (3)"


def test_drawing_holds_the_colours_of_what_changed():
    fig, axes = plt.subplots(1, 2)
    unseen.drawing(axes[0], "ethanol", {})
    unseen.drawing(axes[1], "ethanol", {("broken", (0, 1)): 3, ("formed between two", (2, 2)): 1})
    plain, marked = (np.asarray(ax.images[0].get_array())[..., :3] for ax in axes)
    red = np.array(to_rgb(unseen.BROKEN_COLOUR))
    assert not (np.abs(plain - red).max(axis=-1) < 0.02).any()
    assert (np.abs(marked - red).max(axis=-1) < 0.02).any()
    unseen.drawing(axes[0], "ethanol", {(unseen.BLOW_UP, (2, 8)): 1})
    violet = np.array(to_rgb(unseen.BLOWN_UP_COLOUR))
    blown = np.asarray(axes[0].images[-1].get_array())[..., :3]
    assert (np.abs(blown - violet).max(axis=-1) < 0.02).any()
    plt.close(fig)


def cluster(composition, energy) -> Atoms:
    atoms = Atoms("H", [[0, 0, 0]])
    atoms.info |= {"composition": composition, "energy": energy}
    return atoms


def test_pure_clusters_are_found_and_taken_out():
    frames = [cluster("EC:2", 1.0), cluster("EC:1 VC:1", 2.0), cluster("EC:1", 3.0)]
    assert unseen.pure_clusters(frames) == {"EC": [0, 2]}
    said = {
        "frames": frames,
        "forces_eV_A": [np.full((1, 3), k) for k in range(3)],
        "energy_eV": np.arange(3.0),
        "stress_eV_A3": np.zeros((3, 6)),
    }
    part = unseen.part_of(said, [0, 2])
    assert part["frames"] == [frames[0], frames[2]]
    assert part["energy_eV"].tolist() == [0, 2]
    assert part["forces_eV_A"][1][0, 0] == 2


def water(composition, n_molecules, force) -> Atoms:
    """Return water molecules far apart, each pulled by a force of opposite sign to the next."""
    one = ase_molecule("H2O")
    atoms = Atoms()
    for k in range(n_molecules):
        atoms += Atoms(one.symbols, one.positions + np.array([10.0 * k, 0, 0]))
    index = np.repeat(np.arange(n_molecules), 3)
    atoms.arrays["molecule"] = index
    atoms.arrays[FORCES] = np.where(index % 2, -force, force)[:, None] * [[1.0, 0, 0]]
    bonds = [(3 * k, 3 * k + i) for k in range(n_molecules) for i in (1, 2)]
    atoms.info |= {"composition": composition, "bonds": np.array(bonds)}
    return atoms


def test_errors_between_molecules_come_from_clusters_and_are_not_relative():
    frames = [water("X:1", 1, 0.0), water("X:2", 2, 0.01), water("Y:1", 1, 0.0)]
    said = {
        "frames": frames,
        "forces_eV_A": [frame.arrays[FORCES] + [0.0, 0.0, 0.03] for frame in frames],
        "energy_eV": np.zeros(3),
        "stress_eV_A3": np.zeros((3, 6)),
    }
    one, other = unseen.cluster_errors(said)
    assert (one["molecule"], one["clusters"], one["single molecules"]) == ("X", 1, 1)
    truth, wrong = (
        split_frame_forces([frames[1]], [forces])[0].intermolecular
        for forces in (frames[1].arrays[FORCES], np.full((6, 3), [0.0, 0.0, 0.03]))
    )
    assert one["reference"] == pytest.approx(1e3 * np.sqrt(np.mean(truth**2)))
    assert one["intermolecular"] == pytest.approx(1e3 * np.sqrt(np.mean(wrong**2)))
    assert (other["clusters"], other["single molecules"]) == (0, 1)
    assert np.isnan([other["intermolecular"], other["reference"]]).all()


def test_parts_stand_below_each_other_and_molecules_in_their_order():
    table = pd.DataFrame(
        [("b", "DMC", 1.0, 5.0), ("b", "DMC", 3.0, 5.0), ("a", "EC", 4.0, np.nan)],
        columns=["model", "molecule", "turn", "stretch"],
    )
    found = unseen.by_part(table, ["turn", "stretch"], ["model"], ["EC", "VC", "DMC"])
    assert list(found.columns) == ["EC", "DMC"]
    assert list(found.index) == [("turn", "b"), ("turn", "a"), ("stretch", "b"), ("stretch", "a")]
    assert found.loc[("turn", "b"), "DMC"] == 2 and found.loc[("turn", "a"), "EC"] == 4
    assert np.isnan(found.loc[("stretch", "a"), "EC"])


@pytest.fixture
def table():
    rows = [("DMC", 10.0), ("DMC", 20.0), ("VC", np.nan), ("PC", 40.0)]
    return pd.DataFrame(rows, columns=["molecule", "error"]).assign(architecture="MACE")


def test_means_are_drawn_by_molecule_and_against_distance(table):
    fig, axes = plt.subplots(1, 2)
    both = {"PC": "shape", "DMC": "shape"}
    unseen.by_molecule(axes[0], table, "error", both, {"MACE": "red"})
    assert axes[0].lines[0].get_ydata().tolist() == [40.0, 15.0]
    assert {line.get_marker() for line in axes[0].lines[1:]} == {unseen.GROUP_MARKERS["shape"]}
    assert not axes[0].collections
    with_errors = table.assign(**{f"error{unseen.SPREAD}": 2.0})
    unseen.by_molecule(axes[0], with_errors, "error", both, {"MACE": "red"})
    (bars,) = (np.array(lines.get_segments()) for lines in axes[0].collections)
    assert bars[0, :, 1].tolist() == [38.0, 42.0]
    distance = {"DMC": 0.1, "VC": 0.2, "PC": 0.3}
    groups = {"DMC": "shape", "VC": "chemistry", "PC": "shape"}
    unseen.against_distance(
        axes[1], distance, table, "error", groups=groups, colours={"MACE": "red"}
    )
    points = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in axes[1].lines)
    assert points == [(0.1, 15.0), (0.3, 40.0)]  # VC has no value
    assert [text.get_text() for text in axes[1].texts] == ["DMC", "VC", "PC"]
    rank = unseen.rank_with_distance(distance, table, "error", rng=np.random.default_rng(0))
    assert (rank.value, rank.n_points) == (pytest.approx(1.0), 2)
    plt.close(fig)


def test_who_lives_on_wrong_forces_is_counted_and_drawn():
    rows = [("DMC", 10.0, 1.0), ("VC", 90.0, 1.0), ("VC", 90.0, 0.2)]
    table = pd.DataFrame(rows, columns=["molecule", "total", "lived"]).assign(architecture="DP")
    other = table[:1].assign(architecture="MACE")
    counted = unseen.lived_in_spite(pd.concat([table, other]), 50)
    assert counted.loc["DP"].tolist() == ["1 of 1 runs", "1 of 2 runs"]
    assert counted.loc["MACE"].tolist() == ["1 of 1 runs", "-"]
    assert [*counted] == ["error up to 50 %", "error above 50 %"]
    fig, ax = plt.subplots()
    groups = {"DMC": "shape", "VC": "chemistry"}
    unseen.lived_by_error(ax, table, groups=groups, colours={"DP": "blue"})
    drawn = [(line.get_marker(), *line.get_xydata()[0]) for line in ax.lines]
    shape, chemistry = (unseen.GROUP_MARKERS[group] for group in groups.values())
    assert drawn == [(shape, 10, 1), (chemistry, 90, 1), (chemistry, 90, 0.2)]
    plt.close(fig)


def test_the_liquid_that_moved_farthest_is_named():
    rows = [("one", "DP", "DMC", 1.2), ("two", "DP", "DMC", 0.5), ("two", "MACE", "VC", np.nan)]
    columns = ["training set", "architecture", "molecule", "density_g_cm3"]
    lived = pd.DataFrame(rows, columns=columns)
    said = unseen.farthest(lived, {"DMC": 0.8, "VC": 1.0})
    assert said.endswith("DMC by DP on two, 0.50 g/cm³ from 0.8, a factor of 0.62")
    assert unseen.farthest(lived[2:], {"VC": 1.0}) == "no liquid has a density"


def labelled_liquid(n_frames):
    frames = [water("X:2", 2, 0.5) for _ in range(n_frames)]
    rng = np.random.default_rng(0)
    return {
        "frames": frames,
        "forces_eV_A": [f.arrays[FORCES] + rng.normal(0, 0.1, (6, 3)) for f in frames],
        "energy_eV": np.zeros(n_frames),
        "stress_eV_A3": np.zeros((n_frames, 6)),
    }


def test_force_errors_have_standard_errors_where_frames_are_enough():
    many, few = (unseen.errors_with_spread(labelled_liquid(n)) for n in (12, 2))
    said = labelled_liquid(12)
    total = summaries.force_errors(said["frames"], said)["total"]
    assert many["total"] == pytest.approx(100 * total.relative)
    assert 0 < many["total ±"] < 0.3 * many["total"]
    assert few["total"] > 0 and np.isnan(few["total ±"])
    share = 100 * many["total ±"] / many["total"]
    said = unseen.spread_in_words(pd.DataFrame([many, few]), ["total"])
    assert said.startswith(f"standard errors: {share:.0f} % of the error in the middle")
    said = unseen.spread_in_words(pd.DataFrame([few]), ["total"])
    assert said == "too few frames for standard errors"
    assert np.isnan(unseen.errors_with_spread({"frames": []})["total"])


def test_names_of_molecules_at_one_distance_do_not_lie_on_each_other(table):
    fig, ax = plt.subplots()
    distance = {"DMC": 0.2, "EC": 0.1001, "EMC": 0.1, "PC": 0.1002}
    groups = dict.fromkeys(distance, "shape")
    unseen.against_distance(ax, distance, table, "error", groups=groups, colours={"MACE": "red"})
    assert [text.get_text() for text in ax.texts] == ["EMC", "EC", "PC", "DMC"]
    fig.canvas.draw()  # places them
    extents = [Text.get_window_extent(text) for text in ax.texts]  # of the words alone
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(extents))
    assert ax.texts[0].xy[0] == 0.1 and ax.texts[2].xy[0] == 0.1002  # the threads lead home
    plt.close(fig)


def test_architectures_do_not_hide_each_other():
    rows = [("DMC", name, 1.0) for name in ("MACE", "DP")] + [("PC", "DP", 1.0)]
    lived = pd.DataFrame(rows, columns=["molecule", "architecture", "lived"])
    fig, ax = plt.subplots()
    options = {"groups": GROUPS, "colours": {"DP": "blue", "MACE": "red"}}
    unseen.against_distance(ax, {"DMC": 0.1, "PC": 0.2}, lived, "lived", **options)
    at = {(line.get_color(), round(line.get_xdata()[0], 4)) for line in ax.lines}
    assert at == {("blue", 0.0991), ("red", 0.1009), ("blue", 0.1991)}
    plt.close(fig)


def test_the_legend_names_architectures_by_colour_and_groups_by_marker():
    fig = plt.figure(layout="constrained")
    unseen.legend(fig, {"DP": "blue"})
    first, *rest = fig.legends[0].legend_handles
    assert first.get_label() == "DP" and first.get_facecolor()[:3] == to_rgb("blue")
    assert [line.get_marker() for line in rest] == [*unseen.GROUP_MARKERS.values()]
    plt.close(fig)


def test_rank_correlations_in_a_table():
    x, rng = np.arange(6), np.random.default_rng(0)
    perfect = rank_correlation(x, x, rng=rng)
    none = rank_correlation(x, np.ones(6), rng=rng)
    ranks = {("classical", "DP"): {"error": perfect, "survival": none}}
    row = unseen.rank_table(ranks).loc[("classical", "DP")]
    assert (row["error: rank"], row["survival: rank"], row["survival: p"]) == ("1.00", "-", "-")
    assert row["error: p"] == f"{perfect.p_value:.2g}"
    # what has no value has no p value
    assert unseen.below(ranks, 0.95) == "1 of 1 p values below 0.05"


def runs_of(training_set, lived_by_group, architecture="DP"):
    rows = [(training_set, architecture, m, lived_by_group[g]) for m, g in GROUPS.items()]
    return pd.DataFrame(rows, columns=["training set", "architecture", "molecule", "lived"])


def test_only_sets_that_hold_the_known_liquids_are_pooled():
    good = {"known": 1.0, "shape": 1.0, "chemistry": 0.2}
    tables = [
        runs_of("one", good),
        runs_of("two", good | {"chemistry": 0.4}),
        runs_of("bad", {"known": 0.89, "shape": 0.0, "chemistry": 0.0}),
        runs_of("one", good, "MACE"),
        runs_of("bad", dict.fromkeys(good, 0.1), "GAP"),
    ]
    judged, passed = unseen.judge_models(pd.concat(tables), GROUPS, margin=0.1)
    assert passed == {"DP": ["one", "two"], "MACE": ["one"]}
    pooled = {key for key in judged if key[0] == unseen.POOLED}
    assert pooled == {(unseen.POOLED, "DP")}  # one set alone is no pool
    assert judged[unseen.POOLED, "DP"].survival == pytest.approx(good | {"chemistry": 0.3})
    assert judged["bad", "DP"].claim.reason == "the known liquids live 0.89 of the planned time"


def test_no_labelled_frame_is_no_error():
    assert np.isnan(list(unseen.errors_with_spread({"frames": []}).values())).all()


def test_the_claim_in_a_table():
    row = unseen.claim_table({"MACE": judge(chemistry=[0.2, 0.1, 0.3])}).loc["MACE"]
    assert (row["S(chemistry)"], row["claim"]) == (0.2, "supported")
    assert row["kept"] == "+0.10 (no error), supported: all molecules of a group alike"
    effect = judge(chemistry=[0.2, 0.1, 0.3]).lost_by
    interval = f"{effect.lower:+.2f} to {effect.upper:+.2f}"
    assert row["lost"] == f"+0.70 ({interval}), supported" and 0 < effect.lower < 0.7
    assert judge().in_words("kept") == "undecided: every run reached the end"
