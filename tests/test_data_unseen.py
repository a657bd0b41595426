"""Unseen molecules: where they break is found in the molecule, and the claim follows its rule."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from crosstrain.build import boxes
from crosstrain.build.molecules import molecule
from crosstrain.data import unseen
from crosstrain.simulate.topology import BondEvent, describe_event
from matplotlib.text import Text

STAYS = {"known": [1.0, 1.0], "shape": [1.0, 1.0, 1.0], "chemistry": [1.0, 1.0, 1.0]}


def judge(**groups):
    found = STAYS | groups
    return unseen.generalisation(found, margin=0.1, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("groups", "kept", "lost", "claim"),
    [
        ({}, "supported", "not supported", "not supported"),
        ({"chemistry": [0.2, 0.1, 0.3]}, "supported", "supported", "supported"),
        ({"chemistry": [0.2, 0.9, 1.0]}, "supported", "undecided", "undecided"),
        ({"shape": [0.1, 0.2, 0.1]}, "not supported", "not supported", "not supported"),
        ({"shape": [0.5, 1.0, 1.0], "chemistry": [0.0, 0.0, 0.0]}, "undecided", "supported",
         "undecided"),
        ({"chemistry": [0.95, 0.95, 0.95]}, "supported", "not supported", "not supported"),
    ],
)  # fmt: skip
def test_the_claim_needs_both_parts(groups, kept, lost, claim):
    found = judge(**groups)
    assert [f.verdict.value for f in (found.kept, found.lost, found.claim)] == [kept, lost, claim]


def test_without_living_known_liquids_nothing_is_decided():
    found = judge(known=[0.5, 1.0], chemistry=[0.0, 0.0])
    assert str(found.claim) == "undecided: the known liquids live 0.75 of the planned time"
    assert found.survival["chemistry"] == 0


def test_a_single_molecule_decides_nothing():
    assert "fewer than two molecules" in judge(shape=[1.0]).kept.reason
    assert "fewer than two molecules" in judge(known=[1.0], chemistry=[0.1]).claim.reason


def test_wrong_groups_are_named():
    with pytest.raises(ValueError, match="nothing for 'shape'"):
        judge(shape=[])
    with pytest.raises(ValueError, match="margin is 1"):
        unseen.generalisation(STAYS, margin=1, rng=np.random.default_rng(0))


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
    assert unseen.in_words("ethanol", {}) == "none"


def test_drawing_holds_the_colours_of_what_changed():
    fig, axes = plt.subplots(1, 2)
    unseen.drawing(axes[0], "ethanol", {})
    unseen.drawing(axes[1], "ethanol", {("broken", (0, 1)): 3, ("formed between two", (2, 2)): 1})
    plain, marked = (np.asarray(ax.images[0].get_array())[..., :3] for ax in axes)
    red = np.array([0xCC, 0x33, 0x11]) / 255
    assert not (np.abs(plain - red).max(axis=-1) < 0.02).any()
    assert (np.abs(marked - red).max(axis=-1) < 0.02).any()
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


@pytest.fixture
def table():
    rows = [("DMC", 10.0), ("DMC", 20.0), ("VC", np.nan), ("PC", 40.0)]
    return pd.DataFrame(rows, columns=["molecule", "error"]).assign(architecture="MACE")


def test_means_are_drawn_by_molecule_and_against_distance(table):
    fig, axes = plt.subplots(1, 2)
    unseen.by_molecule(axes[0], table, "error", ["PC", "DMC"], {"MACE": "red"})
    assert axes[0].lines[0].get_ydata().tolist() == [40.0, 15.0]
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


def test_no_labelled_frame_is_no_error():
    assert np.isnan(unseen.relative_errors({"frames": []})["total"])


def test_the_claim_in_a_table():
    row = unseen.claim_table({"MACE": judge(chemistry=[0.2, 0.1, 0.3])}).loc["MACE"]
    assert (row["S(chemistry)"], row["claim"]) == (0.2, "supported")
