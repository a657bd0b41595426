import numpy as np
import pytest
from crosstrain.measure.molecules import (
    centres_of_mass,
    smallest_width,
    sum_over_molecules,
    unwrap_molecules,
)

TRICLINIC = np.array([[9.0, 0.0, 0.0], [3.0, 8.0, 0.0], [-2.0, 2.5, 8.5]])


def chains(rng, n_frames=4, n_chains=3, length=12):
    """Zigzag chains of 1.5 Å bonds, longer than the box, whole, at random places."""
    steps = rng.normal(size=(n_frames, n_chains, length - 1, 3)) + np.array([1.5, 0.5, 0.2])
    steps *= 1.5 / np.linalg.norm(steps, axis=-1, keepdims=True)
    start = rng.uniform(0, 9, (n_frames, n_chains, 1, 3))
    whole = np.concatenate([start, start + np.cumsum(steps, axis=2)], axis=2)
    molecule = np.repeat(np.arange(n_chains), length)
    first = np.arange(n_chains * length).reshape(n_chains, length)
    bonds = np.stack([first[:, :-1].ravel(), first[:, 1:].ravel()], axis=1)
    return whole.reshape(n_frames, -1, 3), molecule, bonds


def wrap(positions, cell):
    return (positions @ np.linalg.inv(cell)) % 1.0 @ cell


def bond_vectors(x, bonds):
    return x[..., bonds[:, 1], :] - x[..., bonds[:, 0], :]


@pytest.mark.parametrize("cell", [np.eye(3) * 8.0, TRICLINIC])
def test_unwrap_restores_chains_longer_than_the_box(cell):
    whole, molecule, bonds = chains(np.random.default_rng(0))
    assert np.ptp(whole[0, :12], axis=0).max() > 8.0
    wrapped = wrap(whole, cell)
    assert np.linalg.norm(bond_vectors(wrapped, bonds), axis=-1).max() > 4.0
    got = unwrap_molecules(wrapped, cell, molecule, bonds)
    np.testing.assert_allclose(bond_vectors(got, bonds), bond_vectors(whole, bonds), atol=1e-10)
    np.testing.assert_array_equal(got[:, ::12], wrapped[:, ::12])
    shifts = (got - wrapped) @ np.linalg.inv(cell)
    np.testing.assert_allclose(shifts, np.round(shifts), atol=1e-10)


def test_unwrap_is_independent_of_atom_order_and_takes_a_cell_per_frame():
    rng = np.random.default_rng(1)
    whole, molecule, bonds = chains(rng)
    cells = TRICLINIC * rng.uniform(0.95, 1.1, (len(whole), 1, 1))
    wrapped = wrap(whole, cells)
    order = rng.permutation(molecule.size)
    rank = np.argsort(order)
    got = unwrap_molecules(wrapped[:, order], cells, molecule[order], rank[bonds][:, ::-1])
    expected = bond_vectors(whole, bonds)
    np.testing.assert_allclose(bond_vectors(got[:, rank], bonds), expected, atol=1e-10)
    for frame in range(len(whole)):
        single = unwrap_molecules(wrapped[frame], cells[frame], molecule, bonds)
        np.testing.assert_allclose(bond_vectors(single, bonds), expected[frame], atol=1e-10)


def test_unwrap_leaves_directions_without_period_alone():
    x = np.array([[0.1, 0.1, 0.1], [7.9, 0.1, 1.1]])
    cell = np.diag([8.0, 8.0, 0.0])
    got = unwrap_molecules(x, cell, [0, 0], [[0, 1]], pbc=[True, True, False])
    np.testing.assert_allclose(got[1], [-0.1, 0.1, 1.1])
    free = unwrap_molecules(x, np.zeros((3, 3)), [0, 0], [[0, 1]], pbc=False)
    np.testing.assert_array_equal(free, x)
    atoms = unwrap_molecules(x, cell, [0, 1], np.empty((0, 2), int), pbc=[True, True, False])
    np.testing.assert_array_equal(atoms, x)


def test_unwrap_refuses_what_is_ambiguous_or_wrong():
    x = np.array([[0.0, 0.0, 0.0], [3.9, 3.9, 0.0], [1.0, 0.0, 0.0]])
    cell = np.eye(3) * 8.0
    with pytest.raises(ValueError, match=r"bonds \[0, 1\] is 5.52 Å long"):
        unwrap_molecules(x, cell, [0, 0, 1], [[0, 1]])
    with pytest.raises(ValueError, match=r"of frame 1 is 5\.52"):
        unwrap_molecules(np.stack([x * 0.1, x]), cell, [0, 0, 1], [[0, 1]])
    with pytest.raises(ValueError, match="does not connect molecule 0"):
        unwrap_molecules(x, cell, [0, 0, 1], np.empty((0, 2), int))
    with pytest.raises(ValueError, match="joins two molecules"):
        unwrap_molecules(x, cell, [0, 0, 1], [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="bonds names atom 3"):
        unwrap_molecules(x, cell, [0, 0, 1], [[0, 3]])
    with pytest.raises(ValueError, match="without gap"):
        unwrap_molecules(x, cell, [0, 0, 2], [[0, 1]])
    with pytest.raises(ValueError, match="cell has shape"):
        unwrap_molecules(x, np.ones(3), [0, 0, 1], [[0, 1]])
    with pytest.raises(ValueError, match="no volume"):
        unwrap_molecules(x, np.zeros((3, 3)), [0, 0, 1], [[0, 1]])
    with pytest.raises(ValueError, match=r"positions\[0, 1\] is not finite"):
        unwrap_molecules(np.full((3, 3), [0, np.nan, 0]), cell, [0, 0, 1], [[0, 1]])


def test_sums_and_centres_do_not_need_contiguous_molecules():
    molecule = np.array([1, 0, 1, 2, 0])
    values = np.arange(30.0).reshape(2, 5, 3)
    expected = np.stack([values[:, molecule == k].sum(axis=1) for k in range(3)], axis=1)
    np.testing.assert_allclose(sum_over_molecules(values, molecule), expected)
    masses = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    centre = (values[:, 0] * 1 + values[:, 2] * 3) / 4
    np.testing.assert_allclose(centres_of_mass(values, masses, molecule)[:, 1], centre)
    with pytest.raises(ValueError, match="masses has the minimum 0"):
        centres_of_mass(values, masses - 1, molecule)


def test_smallest_width_of_a_skewed_cell():
    cell = np.array([[4.0, 0.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 9.0]])
    assert smallest_width(cell) == pytest.approx(4.0 / np.sqrt(2.0))
