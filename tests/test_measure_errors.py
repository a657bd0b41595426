import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as build_molecule
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import GPa
from crosstrain.measure.errors import (
    element_counts,
    energy_errors,
    force_errors,
    frame_force_rmse,
    split_frame_forces,
    stress_errors,
    stress_split_errors,
    worst_frames,
)


def frame(names, rng):
    atoms, molecule, bonds = Atoms(), [], []
    for k, name in enumerate(names):
        one = build_molecule(name)
        bonds += [(len(atoms), len(atoms) + i) for i in range(1, len(one))]  # atom 0 is central
        molecule += [k] * len(one)
        one.positions += rng.uniform(0, 9, 3)
        atoms += one
    atoms.set_cell([9.0, 9.5, 10.0])
    atoms.pbc = True
    atoms.wrap()
    atoms.arrays["molecule"] = np.array(molecule)
    atoms.info["bonds"] = np.array(bonds)
    return atoms


@pytest.fixture
def frames():
    rng = np.random.default_rng(0)
    kinds = [("H2O", "CO2"), ("CH4",), ("H2O", "CO2"), ("CO2", "CH4", "H2O")]
    return [frame(names, rng) for names in kinds]


def test_force_errors_of_a_known_error(frames):
    rng = np.random.default_rng(1)
    reference = [rng.normal(size=(len(a), 3)) for a in frames]
    exact = force_errors(frames, reference, reference)
    assert all(error == (0.0, 0.0) for error in exact.values())
    # A push of each molecule as a whole is an error of translation only.
    predicted = [f + 0.01 * a.get_masses()[:, None] for f, a in zip(reference, frames, strict=True)]
    errors = force_errors(frames, reference, predicted)
    masses = np.concatenate([a.get_masses() for a in frames])
    assert errors["translation"].rmse == pytest.approx(0.01 * np.sqrt(np.mean(masses**2)))
    assert errors["total"].rmse == pytest.approx(errors["translation"].rmse)
    assert errors["intermolecular"].rmse == pytest.approx(errors["translation"].rmse)
    assert max(errors["vibration"].rmse, errors["rotation"].rmse) < 1e-10
    size = np.sqrt(np.mean(np.concatenate(reference) ** 2))
    assert errors["total"].relative == pytest.approx(errors["total"].rmse / size)


def test_relative_error_is_that_of_the_component(frames):
    rng = np.random.default_rng(2)
    reference = [rng.normal(size=(len(a), 3)) for a in frames]
    scaled = [1.1 * f for f in reference]
    for error in force_errors(frames, reference, scaled).values():
        assert error.relative == pytest.approx(0.1)


def test_split_keeps_the_order_of_mixed_topologies(frames):
    forces = [np.full((len(a), 3), float(k)) for k, a in enumerate(frames)]
    for k, split in enumerate(split_frame_forces(frames, forces)):
        np.testing.assert_allclose(split.total, forces[k], atol=1e-12)
        np.testing.assert_allclose(split.translation.sum(axis=0), forces[k].sum(axis=0))


def test_energy_offset_is_removed_even_if_compositions_do_not_determine_it():
    rng = np.random.default_rng(3)
    # EC (C3H4O3) and EMC (C4H8O3): two compositions for three elements.
    n = rng.integers(1, 6, (300, 2))
    counts = n @ np.array([[4, 3, 3], [8, 4, 3]])
    noise = 0.002 * rng.normal(size=300) * counts.sum(axis=1)
    reference = rng.normal(size=300)
    errors = energy_errors(reference, reference + counts @ [0.1, -0.2, 0.3] + noise, counts)
    assert errors.rmse > 0.05
    assert errors.rmse_offset_removed == pytest.approx(0.002, rel=0.1)
    recovered = counts @ errors.element_offsets - counts @ [0.1, -0.2, 0.3]
    assert np.abs(recovered / counts.sum(axis=1)).max() < 1e-3
    mean_square = np.mean(
        [
            energy_errors(np.zeros(4), noise[i : i + 4], counts[i : i + 4]).rmse_offset_removed ** 2
            for i in range(0, 300, 4)
            if np.linalg.matrix_rank(counts[i : i + 4]) == 2
        ]
    )
    assert np.sqrt(mean_square) == pytest.approx(0.002, rel=0.15)  # four frames are no easier
    few = energy_errors([0.0, 1.0], [0.0, 1.5], [[4, 3, 3], [8, 4, 3]])
    assert np.isnan(few.rmse_offset_removed)


def test_element_counts(frames):
    counts = element_counts(frames)
    np.testing.assert_array_equal(counts[0], [2, 1, 3])  # H, C, O
    assert counts.sum() == sum(len(a) for a in frames)


def test_stress_error_and_pressure_bias():
    reference = np.zeros((4, 6))
    reference[:, 3] = 0.01
    predicted = reference.copy()
    predicted[:, :3] -= 0.1 * GPa  # more pressure: ASE's stress is negative under compression
    errors = stress_errors(reference, predicted)
    assert errors.pressure_bias_bar == pytest.approx(1000.0)
    assert errors.pressure_rmse_bar == pytest.approx(1000.0)
    assert errors.rmse == pytest.approx(0.1 * GPa / np.sqrt(2))
    assert errors.relative == pytest.approx(errors.rmse / (0.01 / np.sqrt(6)))


def test_stress_error_lands_in_the_part_that_makes_it(frames):
    rng = np.random.default_rng(1)
    forces = [rng.normal(size=(len(a), 3)) for a in frames]
    stress = rng.normal(size=(4, 6))

    # Each molecule is pushed as a whole, as by wrong forces between molecules.
    pushed = [f + 0.1 * a.get_masses()[:, None] for f, a in zip(forces, frames, strict=True)]
    errors = stress_split_errors(frames, forces=(forces, pushed), stress=(stress, stress + 0.2))
    assert errors["internal"].rmse == pytest.approx(0.0, abs=1e-12)
    assert errors["molecular"].rmse == pytest.approx(0.2)
    assert errors["total"].rmse == pytest.approx(0.2)
    assert errors["total"].relative == pytest.approx(0.2 / np.sqrt(np.mean(stress**2)))

    # A bond of each frame is too stiff, which pulls at its ends and makes a stress of its own.
    pulled, wrong = [f.copy() for f in forces], stress.copy()
    for a, f, s in zip(frames, pulled, wrong, strict=True):
        i, j = a.info["bonds"][0]
        bond = a.get_distance(i, j, mic=True, vector=True)
        f[i] += 3.0 * bond
        f[j] -= 3.0 * bond
        s += full_3x3_to_voigt_6_stress(3.0 * np.outer(bond, bond)) / a.get_volume()
    errors = stress_split_errors(frames, forces=(forces, pulled), stress=(stress, wrong))
    assert errors["molecular"].rmse == pytest.approx(0.0, abs=1e-12)
    assert errors["internal"].rmse == pytest.approx(errors["total"].rmse)
    assert errors["total"].rmse > 1e-4


def test_worst_frames_put_what_is_not_finite_first():
    reference = [np.zeros((2, 3)), np.zeros((5, 3)), np.zeros((1, 3))]
    predicted = [np.ones((2, 3)), np.full((5, 3), np.nan), np.full((1, 3), 2.0)]
    error = frame_force_rmse(reference, predicted)
    np.testing.assert_array_equal(error, [1.0, np.inf, 2.0])
    np.testing.assert_array_equal(worst_frames(error, 2), [1, 2])
    np.testing.assert_array_equal(worst_frames([-3.0, np.nan, 1.0]), [1, 0, 2])


def test_bad_input(frames):
    forces = [np.zeros((len(a), 3)) for a in frames]
    with pytest.raises(ValueError, match="predicted has 3 entries"):
        force_errors(frames, forces, forces[:3])
    with pytest.raises(ValueError, match=r"forces\[1\] has shape"):
        split_frame_forces(frames, [forces[0], forces[0], forces[2], forces[3]])
    with pytest.raises(ValueError, match="not finite"):
        energy_errors([0.0, np.nan], [0.0, 1.0], [[1], [1]])
    with pytest.raises(ValueError, match="counts has shape"):
        energy_errors([0.0, 1.0], [0.0, 1.0], [[1]])
    with pytest.raises(ValueError, match=r"\(n_frames, 6\)"):
        stress_errors(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="predicted forces has 3 entries"):
        stress_split_errors(frames, forces=(forces, forces[:3]), stress=(np.ones((4, 6)),) * 2)
    with pytest.raises(ValueError, match="stress has shape"):
        stress_split_errors(frames, forces=(forces, forces), stress=(np.ones((4, 3)),) * 2)
    frames[2].pbc = [True, True, False]
    with pytest.raises(ValueError, match="not fully periodic"):
        stress_split_errors(frames, forces=(forces, forces), stress=(np.ones((4, 6)),) * 2)
    bare = frames[0].copy()
    del bare.arrays["molecule"]
    with pytest.raises(ValueError, match="without molecule"):
        split_frame_forces([bare], forces[:1])
