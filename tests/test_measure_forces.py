import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as build_molecule
from ase.calculators.lj import LennardJones
from ase.io import read
from ase.neighborlist import natural_cutoffs, neighbor_list
from crosstrain.measure.forces import split_forces, split_stress
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

CELL = np.array([[11.0, 0.0, 0.0], [2.0, 10.0, 0.0], [-1.5, 1.0, 12.0]])
NAMES = ("CO2", "H2O", "CH3CH2OH", "C2H2", "O", "N2")


def mixture(rng):
    """Whole molecules, linear, bent and floppy, and an atom, at random in a triclinic cell."""
    box, molecule, bonds = Atoms(), [], []
    for k, name in enumerate(NAMES):
        one = Atoms("O") if name == "O" else build_molecule(name)
        i, j = neighbor_list("ij", one, natural_cutoffs(one, mult=1.2))
        bonds += [(a + len(box), b + len(box)) for a, b in zip(i, j, strict=True) if a < b]
        molecule += [k] * len(one)
        one.positions = Rotation.random(random_state=k).apply(one.positions)
        one.positions += rng.uniform(0, 11, 3)
        box += one
    box.set_cell(CELL)
    box.pbc = True
    return box, np.array(molecule), np.array(bonds)


@pytest.fixture
def case():
    rng = np.random.default_rng(5)
    atoms, molecule, bonds = mixture(rng)
    return atoms, molecule, bonds, rng.normal(size=(len(atoms), 3))


def project_out(positions, forces, masses):
    """Rigid-body part of one molecule's forces from mass-weighted orthonormal modes."""
    root = np.sqrt(masses)[:, None]
    r = positions - np.average(positions, axis=0, weights=masses)
    modes = [root * e for e in np.eye(3)]
    modes += [root * np.cross(e, r) for e in np.eye(3)]
    u, s, _ = np.linalg.svd(np.array([mode.ravel() for mode in modes]).T, full_matrices=False)
    u = u[:, s > 1e-6 * s[0]]
    rigid = u @ (u.T @ (forces / root).ravel())
    return rigid.reshape(-1, 3) * root


def test_split_equals_projection_on_rigid_body_modes(case):
    atoms, molecule, _, forces = case
    masses = atoms.get_masses()
    split = split_forces(atoms.positions, forces, masses, molecule)
    for k, name in enumerate(NAMES):
        m = molecule == k
        rigid = project_out(atoms.positions[m], forces[m], masses[m])
        np.testing.assert_allclose(split.intermolecular[m], rigid, atol=1e-10, err_msg=name)
    single = molecule == NAMES.index("O")
    np.testing.assert_array_equal(split.translation[single], forces[single])
    np.testing.assert_array_equal(split.rotation[single], 0.0)


def test_sum_and_no_net_force_or_torque_is_left(case):
    atoms, molecule, _, forces = case
    split = split_forces(atoms.positions, forces, atoms.get_masses(), molecule)
    np.testing.assert_allclose(split.total, forces, atol=1e-10)
    for k in range(len(NAMES)):
        m = molecule == k
        r = atoms.positions[m] - atoms[m].get_center_of_mass()
        for part in (split.rotation, split.vibration):
            assert np.abs(part[m].sum(axis=0)).max() < 1e-10
        assert np.abs(np.cross(r, split.translation[m]).sum(axis=0)).max() < 1e-10
        assert np.abs(np.cross(r, split.vibration[m]).sum(axis=0)).max() < 1e-10


def test_pure_motions_land_in_their_component():
    co2 = build_molecule("CO2")
    masses, zero = co2.get_masses(), np.zeros(3, dtype=int)
    stretch = np.array([[0, 0, 0], [0, 0, 1.0], [0, 0, -1.0]])
    split = split_forces(co2.positions, stretch, masses, zero)
    np.testing.assert_allclose(split.vibration, stretch, atol=1e-12)
    water = build_molecule("H2O")
    masses = water.get_masses()[:, None]
    r = water.positions - water.get_center_of_mass()
    spin = masses * np.cross([0.3, -0.2, 0.5], r)
    push = masses * np.array([0.1, 0.2, 0.3])
    split = split_forces(water.positions, spin + push, masses[:, 0], zero)
    np.testing.assert_allclose(split.rotation, spin, atol=1e-12)
    np.testing.assert_allclose(split.translation, push, atol=1e-12)


def test_invariant_to_order_wrapping_and_rotation_and_frames_are_independent(case):
    atoms, molecule, bonds, forces = case
    rng = np.random.default_rng(6)
    masses = atoms.get_masses()
    reference = split_forces(atoms.positions, forces, masses, molecule)

    jumps = rng.integers(-2, 3, (50, len(atoms), 3)) @ CELL
    cells = np.broadcast_to(CELL, (50, 3, 3))
    many = split_forces(
        atoms.positions + jumps,
        np.broadcast_to(forces, jumps.shape),
        masses,
        molecule,
        cell=cells,
        bonds=bonds,
    )
    order = rng.permutation(len(atoms))
    shuffled = split_forces(
        (atoms.positions + jumps[0])[order],
        forces[order],
        masses[order],
        molecule[order],
        cell=CELL,
        bonds=np.argsort(order)[bonds],
    )
    turn = Rotation.random(random_state=1).as_matrix()
    turned = split_forces(
        (atoms.positions + jumps[0]) @ turn.T,
        forces @ turn.T,
        masses,
        molecule,
        cell=CELL @ turn.T,
        bonds=bonds,
    )
    for expected, a, b, c in zip(reference, many, shuffled, turned, strict=True):
        np.testing.assert_allclose(a, np.broadcast_to(expected, a.shape), atol=1e-10)
        np.testing.assert_allclose(b, expected[order], atol=1e-10)
        np.testing.assert_allclose(c, expected @ turn.T, atol=1e-10)


def test_single_precision_linear_molecules_do_not_spin(case):
    atoms, molecule, _, forces = case
    masses = atoms.get_masses()
    rounded = atoms.positions.astype(np.float32)
    a = split_forces(rounded, forces, masses, molecule)
    b = split_forces(atoms.positions, forces, masses, molecule)
    np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-4)


def rigid_strain(atoms, molecule, strain):
    """Centres of mass move with the cell, molecules keep their shape and orientation."""
    strained = atoms.copy()
    strained.set_cell(atoms.cell.array @ (np.eye(3) + strain))
    for k in np.unique(molecule):
        m = molecule == k
        strained.positions[m] += atoms[m].get_center_of_mass() @ strain
    return strained


def test_molecular_stress_is_the_derivative_by_a_rigid_molecule_strain(case):
    atoms, molecule, bonds, _ = case

    def energy(frame):
        frame.calc = LennardJones(sigma=1.2, epsilon=0.02, rc=5.0, smooth=True)
        return frame.get_potential_energy()

    step = 1e-5
    expected = np.empty(6)
    for voigt, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        strain = np.zeros((3, 3))
        strain[i, j] += step / 2
        strain[j, i] += step / 2
        ends = [energy(rigid_strain(atoms, molecule, sign * strain)) for sign in (1, -1)]
        expected[voigt] = (ends[0] - ends[1]) / (2 * step) / atoms.get_volume()

    energy(atoms)
    wrapped = atoms.copy()
    wrapped.wrap()
    split = split_stress(
        atoms.get_stress(),
        wrapped.positions,
        atoms.get_forces(),
        atoms.get_masses(),
        molecule,
        cell=atoms.cell.array,
        bonds=bonds,
    )
    np.testing.assert_allclose(split.molecular, expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(split.molecular + split.internal, atoms.get_stress(), atol=1e-15)
    mixed = np.random.default_rng(3).permutation(len(atoms))
    again = split_stress(
        atoms.get_stress(),
        wrapped.positions[mixed],
        atoms.get_forces()[mixed],
        atoms.get_masses()[mixed],
        molecule[mixed],
        cell=atoms.cell.array,
        bonds=np.argsort(mixed)[bonds],
    )
    np.testing.assert_allclose(again.internal, split.internal, atol=1e-12)
    assert np.abs(split.internal).max() > 10 * np.abs(split.molecular).max()


def test_turning_molecules_make_no_pressure(case):
    """The rotational part of the forces has no share in the trace of the virial."""
    atoms, molecule, bonds, forces = case
    where = {"cell": CELL, "bonds": bonds}
    parts = split_forces(atoms.positions, forces, atoms.get_masses(), molecule, **where)
    arguments = (atoms.positions, parts.rotation, atoms.get_masses(), molecule)
    internal = split_stress(np.zeros(6), *arguments, **where).internal
    np.testing.assert_allclose(internal[:3].sum(), 0, atol=1e-12)
    assert np.abs(internal).max() > 1e-6


def test_bad_input(case):
    atoms, molecule, bonds, forces = case
    x, masses = atoms.positions, atoms.get_masses()
    with pytest.raises(ValueError, match="bonds is None"):
        split_forces(x, forces, masses, molecule, cell=CELL)
    with pytest.raises(ValueError, match="positions has shape"):
        split_forces(x[:-1], forces, masses, molecule)
    with pytest.raises(ValueError, match=r"masses has shape \(3,\)"):
        split_forces(x, forces, masses[:3], molecule)
    with pytest.raises(ValueError, match=r"forces.* is not finite"):
        split_forces(x, forces * np.nan, masses, molecule)
    with pytest.raises(ValueError, match="molecule has shape"):
        split_forces(x, forces, masses, molecule[:-1])
    with pytest.raises(ValueError, match=r"stress has shape \(3, 3\)"):
        split_stress(np.eye(3), x, forces, masses, molecule, cell=CELL, bonds=bonds)


def test_published_liquid(published_file):
    frames = [a for a in read(published_file("ECEMC.xyz"), ":") if len(a) == 160]
    assert len(frames) == 200
    first = frames[0]
    i, j = neighbor_list("ij", first, natural_cutoffs(first, mult=1.15))
    bonds = np.stack([i, j], axis=1)[i < j]
    n_mol, molecule = connected_components(coo_array((np.ones(i.size), (i, j)), shape=(160, 160)))
    assert n_mol == 12
    forces = np.array([a.get_forces() for a in frames])
    masses = first.get_masses()
    split = split_forces(
        [a.positions for a in frames],
        forces,
        masses,
        molecule,
        cell=[a.cell.array for a in frames],
        bonds=bonds,
    )
    assert np.abs(split.total - forces).max() < 1e-10
    sizes = [np.sqrt(np.mean(part**2)) for part in split]
    # Vibration carries nearly all of the force of a hot molecular liquid.
    assert sizes[2] > 0.95 * np.sqrt(np.mean(forces**2)) > 5 * max(sizes[:2])
