import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from crosstrain.build.boxes import pack
from crosstrain.build.molecules import molecule as molecule_of
from crosstrain.iterate import choose
from crosstrain.measure.overlap import (
    Environments,
    descriptors,
    embed,
    frame_means,
    novelty,
    overlap,
    overlap_matrix,
)


def liquid(seed, *, displacement_A=0.05, spacing_A=5.0):
    """Eight dimethyl ethers on a lattice, turned at random and displaced."""
    rng = np.random.default_rng(seed)
    box = Atoms(cell=[2 * spacing_A] * 3, pbc=True)
    for corner in np.ndindex(2, 2, 2):
        ether = molecule("CH3OCH3")
        ether.euler_rotate(*rng.uniform(0, 360, 3))
        ether.translate(spacing_A * np.array(corner) - ether.get_center_of_mass())
        box += ether
    box.positions += displacement_A * rng.normal(size=box.positions.shape)
    return box


def only(frame, **settings):
    return descriptors([frame], **settings)


def test_a_dimer_by_hand():
    """One neighbour at r: (1 - (r/rc)²)² / r, and nothing else."""
    expected = np.zeros((2, 63))
    expected[:, 0] = (1 - (1.2 / 5) ** 2) ** 2 / 1.2
    found = only(Atoms("CO", [[0, 0, 0], [0, 0, 1.2]]))
    np.testing.assert_allclose(found.values, expected, atol=1e-9)
    assert found.numbers.tolist() == [6, 8]
    assert only(Atoms("CO", [[0, 0, 0], [0, 0, 5.1]])).values == pytest.approx(0)
    assert only(Atoms("CO", [[0, 0, 0], [0, 0, 3]]), neighbours=4, cutoff_A=4).values.shape[1] == 7


def test_invariance():
    frame = liquid(0)
    truth = only(frame).values
    rng = np.random.default_rng(1)

    moved = frame.copy()
    moved.translate([3.1, -7.3, 22.2])
    wrapped = moved.copy()
    wrapped.wrap()
    turned = frame.copy()
    turned.rotate(37, (1, 2, 3), rotate_cell=True)
    for other in (moved, wrapped, turned):
        np.testing.assert_allclose(only(other).values, truth, atol=1e-6)

    order = rng.permutation(len(frame))
    np.testing.assert_allclose(only(frame[order]).values, truth[order], atol=1e-6)
    repeated = only(frame.repeat((2, 1, 2))).values.reshape(4, *truth.shape)
    np.testing.assert_allclose(repeated, np.broadcast_to(truth, repeated.shape), atol=1e-6)
    small = bulk("Cu", "fcc", a=3.6)  # far smaller than the cutoff; two whole shells: 12 + 6
    one = only(small, neighbours=18).values
    crystal = only(small.repeat(4), neighbours=18).values
    np.testing.assert_allclose(crystal, np.broadcast_to(one, crystal.shape), 1e-6)


def test_frame_means_by_element():
    frames = [liquid(0), liquid(1)[:45]]
    found = descriptors(frames)
    means = frame_means(found)
    assert means.shape == (2, 3 * 63)
    second = only(frames[1])
    np.testing.assert_allclose(means[1, 63:126], second.of_element(6).mean(axis=0))
    np.testing.assert_allclose(frame_means(found, elements=[8]), means[:, 126:])
    with pytest.raises(ValueError, match="frame 1 has no atom of atomic number 8"):
        frame_means(descriptors([molecule("CH3OCH3"), molecule("CH4")]))


def test_the_part_of_an_element_that_a_frame_may_lack_is_zero():
    ether, methane = molecule("CH3OCH3"), molecule("CH4")
    means = frame_means(descriptors([ether, methane]), may_lack=True)
    assert not means[1, 126:].any()
    np.testing.assert_allclose(means[:1], frame_means(only(ether)))
    np.testing.assert_allclose(means[1:, :126], frame_means(only(methane)))


def test_a_committee_chooses_among_boxes_that_lack_an_element():
    boxes = [
        pack([molecule_of(name, 1)] * 2, density_g_cm3=0.5, seed=seed)
        for name, seed in (("CCCCCC", 1), ("CCCCCC", 2), ("ethanol", 1), ("ethanol", 2))
    ]
    known = boxes[:1] * 20
    found = choose(boxes, np.full(4, 0.3), known, np.full(20, 0.2), n=3, allow_broken=False)
    assert found.chosen[0] in (2, 3)  # far from hexane, which has no oxygen
    assert sorted(found.chosen) == [1, 2, 3]  # the first is known


def test_novelty_is_zero_for_the_known_and_rises_with_displacement():
    frames = [liquid(seed) for seed in range(4)]
    known = descriptors(frames)
    assert np.all(novelty(descriptors(frames[2:]), known).largest == 0)
    levels = [0.02, 0.1, 0.2, 0.4]
    moved = []
    for level in levels:
        frame = frames[0].copy()
        frame.rattle(level, seed=5)
        moved.append(frame)
    found = novelty(descriptors(moved), known)
    assert np.all(np.diff(found.mean) > 0) and np.all(np.diff(found.largest) > 0)
    assert np.all(found.largest > found.mean)
    distances = np.linalg.norm(only(moved[0]).values - only(frames[0]).values, axis=1)
    assert found.mean[0] <= distances.mean() + 1e-12
    assert np.isinf(novelty(only(molecule("NH3")), known).largest[0])


def test_novelty_by_hand():
    known = Environments(np.array([[0.0, 0], [3, 4]]), np.array([1, 8]), np.array([0, 0]))
    new = Environments(
        np.array([[0.0, 1], [0, 0], [3, 2]]), np.array([1, 8, 1]), np.array([0, 0, 1])
    )
    found = novelty(new, known)
    np.testing.assert_allclose(found.mean, [3.0, np.sqrt(13)])
    np.testing.assert_allclose(found.largest, [5.0, np.sqrt(13)])


def test_overlap_limits():
    dense = descriptors([liquid(seed) for seed in range(3)])
    thin = descriptors([liquid(seed, spacing_A=9.0, displacement_A=0.3) for seed in range(3)])
    assert overlap(dense, dense) == 1.0
    assert overlap(dense, thin) == 0.0
    assert overlap(thin, dense) == 0.0
    half = descriptors([liquid(0), liquid(5, spacing_A=9.0, displacement_A=0.3)])
    assert overlap(half, dense) == 0.5
    assert overlap(dense, thin, bandwidth=10.0) == 1.0
    assert overlap(only(molecule("NH3")), descriptors([molecule("H2O")])) == 0.0


def test_overlap_is_one_where_the_kernels_sum_to_one():
    """Two known atoms at distance d: covered if 2 exp(-d²/2h²) >= 1, d <= h √(2 ln 2)."""
    known = Environments(np.zeros((2, 2)), np.ones(2, int), np.zeros(2, int))
    reach = 0.04 * np.sqrt(2 * np.log(2))
    atoms = Environments(
        reach * np.array([[0.99, 0], [0, 1.01]]), np.ones(2, int), np.zeros(2, int)
    )
    assert overlap(atoms, known, bandwidth=0.04) == 0.5


def test_overlap_matrix_at_equal_sizes():
    sets = {
        "many": descriptors([liquid(seed) for seed in range(6)]),
        "few": descriptors([liquid(seed) for seed in range(10, 12)]),
        "thin": descriptors([liquid(0, spacing_A=9.0, displacement_A=0.3)]),
    }
    found = [
        overlap_matrix(sets, rng=np.random.default_rng(0), atoms_per_element=n) for n in (8, 50, 50)
    ]
    assert np.array_equal(found[1], found[2])
    for matrix in found:
        assert np.array_equal(np.diag(matrix), np.ones(3))
        assert np.all(matrix[2, :2] == 0) and np.all(matrix[:2, 2] == 0)
    # 'many' loses the advantage of its size: two like sets cover each other about equally
    pair = {name: sets[name] for name in ("many", "few")}
    like = overlap_matrix(pair, rng=np.random.default_rng(1), atoms_per_element=10**6)
    assert 0.05 < like[0, 1] < 0.95
    assert like[0, 1] == pytest.approx(like[1, 0], abs=0.2)
    assert overlap(sets["few"], sets["many"]) > like[1, 0]


def test_embedding_of_a_line():
    """Frames along one direction in descriptor space fall on the first axis, in order."""
    steps = np.arange(6.0)

    def along(values):
        features = np.stack([2 * values, -values, 0 * values], axis=1)
        return Environments(features, np.full(len(values), 6), np.arange(len(values)))

    found = embed({"a": along(steps[:4]), "b": along(steps[4:])})
    np.testing.assert_allclose(found.explained_variance, [1, 0], atol=1e-12)
    first = np.concatenate([found.coordinates["a"], found.coordinates["b"]])[:, 0]
    expected = np.sqrt(2) * (steps - 2.5) / steps.std()
    np.testing.assert_allclose(np.abs(first), np.abs(expected))
    assert np.all(np.diff(first) > 0) or np.all(np.diff(first) < 0)


def test_embedding_of_frames():
    sets = {
        "dense": descriptors([liquid(seed) for seed in range(5)]),
        "thin": descriptors([liquid(seed, spacing_A=9.0) for seed in range(3)]),
    }
    found = embed(sets)
    assert found.coordinates["dense"].shape == (5, 2) and found.coordinates["thin"].shape == (3, 2)
    assert 0 < found.explained_variance[1] < found.explained_variance[0] < 1
    x = {name: c[:, 0] for name, c in found.coordinates.items()}
    assert x["dense"].max() < x["thin"].min() or x["dense"].min() > x["thin"].max()
    swapped = embed(dict(reversed(sets.items())))
    for name, coordinates in found.coordinates.items():
        np.testing.assert_allclose(swapped.coordinates[name], coordinates, atol=1e-8)


def test_a_left_handed_cell_holds_the_same_liquid():
    frame = liquid(0)
    mirrored = frame.copy()
    mirrored.set_cell(frame.cell[[1, 0, 2]])
    assert mirrored.cell.handedness == -1
    same = descriptors([mirrored]).values
    np.testing.assert_allclose(same, descriptors([frame]).values, rtol=1e-10)


def test_bad_input():
    frame = liquid(0)
    slab, flat, broken = frame.copy(), frame.copy(), frame.copy()
    slab.pbc = (True, True, False)
    flat.set_cell(frame.cell[[0, 0, 2]])
    broken.positions[3] = np.nan
    for frames, message in (
        ([], "empty"),
        ([frame, slab], r"frames\[1\] has pbc"),
        ([flat], "without volume"),
        ([broken], "finite"),
    ):
        with pytest.raises(ValueError, match=message):
            descriptors(frames)
    one = only(frame)
    with pytest.raises(ValueError, match="1 frames in all"):
        embed({"one": one})
    with pytest.raises(ValueError, match="equal"):
        embed({name: one for name in "abc"})
    with pytest.raises(ValueError, match="bandwidth is 0"):
        overlap(one, one, bandwidth=0)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="atoms_per_element is 0"):
        overlap_matrix({"one": one}, rng=rng, atoms_per_element=0)
    with pytest.raises(ValueError, match=r"sets\['b'\] holds"):
        overlap_matrix({"a": one, "b": only(molecule("H2O"))}, rng=rng)
