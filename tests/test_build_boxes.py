"""Boxes: density, tolerance across the boundary, and checks against built cases."""

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from crosstrain.build.boxes import (
    clashes,
    composition_counts,
    density_g_cm3,
    intact,
    mixture,
    ordered,
    pack,
    scaled,
    threaded,
    whole,
)
from crosstrain.build.molecules import bonds_by_distance, conformers, molecule


@pytest.fixture(scope="module")
def ensembles():
    return {name: conformers(name, n=20, seed=0) for name in ("EC", "EMC")}


@pytest.fixture(scope="module")
def liquid(ensembles):
    parts = mixture({"EC": 2, "EMC": 4}, seed=1, ensembles=ensembles)
    return pack(parts, density_g_cm3=1.1, seed=1)


def nearest_between_molecules(frame):
    """Brute force over 27 images of whole molecules, shape-independent of the code under test."""
    positions, species = frame.positions, frame.arrays["molecule"]
    smallest = np.inf
    for shift in np.ndindex(3, 3, 3):
        image = positions + (np.array(shift) - 1) @ frame.cell.array
        distances = np.linalg.norm(positions[:, None] - image, axis=-1)
        if shift == (1, 1, 1):
            distances[species[:, None] == species] = np.inf
        smallest = min(smallest, distances.min())
    return smallest


def inner_distances(frame):
    """Distances within each molecule, atoms as they stand."""
    species = frame.arrays["molecule"]
    distances = np.linalg.norm(frame.positions[:, None] - frame.positions, axis=-1)
    return distances[species[:, None] == species]


def two_rings(distance):
    """Two square rings of carbon in a cubic box, each through the other if `distance` is 0."""
    flat = np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], dtype=float)
    upright = np.array([[1, 0, 1], [-1, 0, 1], [-1, 0, -1], [1, 0, -1]]) * np.sqrt(0.5)
    upright += (1.1 + distance, 0.1, 0)
    frame = Atoms("C8", np.concatenate([flat, upright]), cell=[10.0] * 3, pbc=True)
    ring = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    frame.info["bonds"] = np.concatenate([ring, ring + 4])
    frame.arrays["molecule"] = np.repeat([0, 1], 4)
    return frame


def test_mixture_counts_and_conformers(ensembles):
    parts = mixture({"EC": 2, "EMC": 30}, seed=0, ensembles=ensembles)
    assert [part.info["composition"] for part in parts] == ["EC:1"] * 2 + ["EMC:1"] * 30
    assert len({part.positions.tobytes() for part in parts[2:]}) > 4
    again = mixture({"EC": 2, "EMC": 30}, seed=0, ensembles=ensembles)
    assert all(a == b for a, b in zip(parts, again, strict=True))


@pytest.mark.parametrize("counts", [{}, {"EC": 0}, {"EC": -1, "EMC": 2}])
def test_mixture_refuses(counts):
    with pytest.raises(ValueError, match="counts="):
        mixture(counts, seed=0)


def test_molecules_lie_in_the_order_of_the_composition_however_they_are_named():
    # by name "CCO" would come before "DME", by label "ethanol" after it
    for counts in ({"CCO": 1, "DME": 2}, {"DME": 2, "CCO": 1}, {"ethanol": 1, "COCCOC": 2}):
        parts = mixture(counts, seed=0)
        assert [part.info["composition"] for part in parts] == ["DME:1", "DME:1", "ethanol:1"]
        frame = pack(parts, density_g_cm3=0.3, seed=0)
        assert frame.info["composition"] == "DME:2 ethanol:1"
    assert ordered({"EMC": 4, "EC": 2}) == [("EC", 2), ("EMC", 4)]


def test_composition_counts():
    assert composition_counts("EC:2 EMC:4") == {"EC": 2, "EMC": 4}
    assert composition_counts("C1CC1:3") == {"C1CC1": 3}
    with pytest.raises(ValueError, match="EC 2"):
        composition_counts("EC 2")


def test_density_of_a_known_crystal():
    # diamond: 8 atoms of 12.011 amu in a cube of 3.567 Å, 3.515 g/cm³
    cell = Atoms("C8", cell=[3.567] * 3, pbc=True)
    assert density_g_cm3(cell) == pytest.approx(3.516, abs=0.002)


@pytest.mark.parametrize("density", [0.4, 1.0, 1.3, 1.45])
def test_packed_box(density, ensembles):
    parts = mixture({"EC": 2, "EMC": 4}, seed=2, ensembles=ensembles)
    frame = pack(parts, density_g_cm3=density, seed=2)
    assert density_g_cm3(frame) == pytest.approx(density, rel=1e-9)
    assert frame.info["composition"] == "EC:2 EMC:4"
    assert frame.info["tolerance_A"] >= 1.85
    assert nearest_between_molecules(frame) >= frame.info["tolerance_A"]
    assert intact(frame)
    assert not len(threaded(frame))
    expected = np.concatenate([part.get_all_distances().ravel() for part in parts])
    assert inner_distances(frame) == pytest.approx(expected, abs=1e-5)  # rigid


def test_packs_molecules_as_long_as_the_box():
    parts = [molecule("DEC", 0)] * 5
    frame = pack(parts, density_g_cm3=1.3, seed=3)
    assert parts[0].get_all_distances().max() > frame.cell[0, 0] - 1
    assert nearest_between_molecules(frame) >= 1.85


def test_packing_repeats_with_the_seed(liquid, ensembles):
    parts = mixture({"EC": 2, "EMC": 4}, seed=1, ensembles=ensembles)
    assert np.array_equal(pack(parts, density_g_cm3=1.1, seed=1).positions, liquid.positions)
    assert not np.allclose(pack(parts, density_g_cm3=1.1, seed=2).positions, liquid.positions)


def test_packing_forgets_the_walls():
    # the centres are uniform over the period, while walls keep them out of the outer fifth
    parts = [molecule("EMC", 0)] * 4
    fractions = []
    for seed in range(12):
        frame = pack(parts, density_g_cm3=0.4, seed=seed, sweeps=200)
        centres = [
            frame[frame.arrays["molecule"] == k].positions.mean(axis=0) for k in range(len(parts))
        ]
        fractions.append(np.array(centres) / frame.cell[0, 0] % 1)
    outer = np.abs(np.ravel(fractions) - 0.5) > 0.4
    assert 0.1 < outer.mean() < 0.3  # 0.2 if uniform, 144 coordinates


@pytest.mark.parametrize(
    "bad",
    [
        {"density_g_cm3": 0.0},
        {"tolerance_A": 1.8},
        {"min_tolerance_A": 1.5},
        {"seed": -1},
        {"sweeps": -1},
    ],
)
def test_pack_checks_its_arguments(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        pack([molecule("O", 0)], **{"density_g_cm3": 0.5, "seed": 0, **bad})


def test_pack_says_when_it_is_impossible():
    with pytest.raises(RuntimeError, match=r"density_g_cm3=5.*min_tolerance_A=2.0"):
        pack([molecule("O", 0)] * 3, density_g_cm3=5.0, seed=0, min_tolerance_A=2.0)
    with pytest.raises(ValueError, match="molecules=0"):
        pack([], density_g_cm3=1.0, seed=0)


def test_whole_undoes_wrapping_in_any_atom_order(liquid):
    wrapped = liquid.copy()
    wrapped.wrap()
    assert inner_distances(wrapped).max() > inner_distances(liquid).max() + 1
    assert inner_distances(whole(wrapped)) == pytest.approx(inner_distances(liquid), abs=1e-9)
    order = np.random.default_rng(0).permutation(len(liquid))
    mixed = wrapped[order]
    mixed.info["bonds"] = np.argsort(order)[liquid.info["bonds"]]
    expected = np.sort(inner_distances(liquid))
    assert np.sort(inner_distances(whole(mixed))) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("density", [0.2, 1.1, 1.5])
def test_scaled_moves_rigid_molecules_with_the_cell(liquid, density):
    wrapped = liquid.copy()
    wrapped.wrap()
    moved = scaled(wrapped, density)
    factor = moved.cell[0, 0] / liquid.cell[0, 0]
    assert density_g_cm3(moved) == pytest.approx(density, rel=1e-12)
    assert inner_distances(moved) == pytest.approx(inner_distances(liquid), abs=1e-9)
    before, after = (
        np.array([f[f.arrays["molecule"] == k].get_center_of_mass() for k in range(6)])
        for f in (whole(wrapped), moved)
    )
    assert after == pytest.approx(factor * before)
    assert moved.info["composition"] == liquid.info["composition"]


def test_scaled_checks_its_density(liquid):
    with pytest.raises(ValueError, match="density_g_cm3=-1"):
        scaled(liquid, -1.0)


def test_clashes_across_the_boundary_and_with_the_own_image():
    # a dimer of length 1 in a cell of 2.5: its image is 1.5 away, its partner 1 (and no clash)
    dimer = Atoms("H2", [[0, 0, 0], [0, 0, 1.0]], cell=[10, 10, 2.5], pbc=True)
    dimer.info["bonds"] = np.array([[0, 1]])
    dimer.arrays["molecule"] = np.array([0, 0])
    assert len(clashes(dimer, min_distance_A=1.4)) == 0
    assert clashes(dimer, min_distance_A=1.6).tolist() == [[0, 1]]
    assert clashes(dimer, min_distance_A=2.6).tolist() == [[0, 0], [0, 1], [1, 1]]
    pair = Atoms("H2", [[0, 0, 0.2], [0, 0, 9.5]], cell=[10] * 3, pbc=True)
    pair.info["bonds"] = np.zeros((0, 2), dtype=int)
    pair.arrays["molecule"] = np.array([0, 1])
    assert len(clashes(pair, min_distance_A=0.6)) == 0
    assert clashes(pair, min_distance_A=0.8).tolist() == [[0, 1]]


def test_clashes_agree_with_brute_force(liquid):
    nearest = nearest_between_molecules(liquid)
    assert len(clashes(liquid, min_distance_A=nearest - 1e-6)) == 0
    assert len(clashes(liquid, min_distance_A=nearest + 1e-6)) == 1


def test_intact_in_a_box(liquid):
    wrapped = liquid.copy()
    wrapped.wrap()
    assert intact(wrapped)
    pressed = whole(liquid)
    shift = liquid.positions[-1] - liquid.positions[0] + np.array([0, 0, 0.8])
    pressed.positions[liquid.arrays["molecule"] == 0] += shift
    assert not intact(pressed)


@pytest.mark.parametrize("shift", [(0, 0, 0), (9.7, 9.9, 10.2)])
def test_interlocked_rings_are_found_wherever_the_box_begins(shift):
    linked, apart = two_rings(0.0), two_rings(1.5)
    for frame in (linked, apart):
        frame.positions += shift
        frame.wrap()
    assert threaded(linked).tolist() == [[0, 1], [5, 6]]
    assert threaded(apart).tolist() == []


def test_a_bond_through_a_ring_is_found_and_one_beside_it_is_not():
    ring = molecule("EC", 0)
    corners = ring.positions[[1, 2, 3, 4, 5]]
    centre = corners.mean(axis=0)
    normal = np.linalg.svd(corners - centre)[2][2]
    aside = corners[0] - centre

    def with_dimer(middle):
        frame = ring + Atoms("C2", [middle - 0.7 * normal, middle + 0.7 * normal])
        frame.cell, frame.pbc = [12.0] * 3, True
        frame.info["bonds"] = np.vstack([ring.info["bonds"], [[10, 11]]])
        frame.arrays["molecule"] = np.array([0] * 10 + [1] * 2)
        return threaded(frame).tolist()

    assert with_dimer(centre) == [[10, 11]]
    assert with_dimer(centre + 0.8 * aside) == [[10, 11]]
    assert with_dimer(centre + 1.4 * aside) == []
    assert with_dimer(centre + 1.0 * normal) == []


def test_published_frames_are_intact_liquids(published_file):
    for frame in read(published_file("ECEMC.xyz"), "3::10"):
        frame.info["bonds"] = bonds_by_distance(frame)
        assert len(frame.info["bonds"]) == 4 * 10 + 8 * 14  # EC has a ring, EMC has none
        assert len(threaded(frame)) == 0
