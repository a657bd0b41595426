import numpy as np
import pytest
from ase.build import molecule as build_molecule
from crosstrain.measure.observables import (
    density_g_cm3,
    element_rdf,
    mean_squared_displacement,
    radial_distribution,
    self_diffusion,
    yeh_hummer_correction,
)
from scipy.spatial.transform import Rotation

TRICLINIC = np.array([[9.0, 0.0, 0.0], [3.0, 8.0, 0.0], [-2.0, 2.5, 8.5]])


def test_density_of_water():
    # 1 mol (18.015 g) in 18.015 cm³.
    masses = np.tile(build_molecule("H2O").get_masses(), 10)
    volume = 10 * 18.015 / 6.02214076e23 * 1e24
    np.testing.assert_allclose(density_g_cm3(masses, [volume, volume / 2]), [1, 2], rtol=1e-6)
    with pytest.raises(ValueError, match="volume has the minimum 0"):
        density_g_cm3(masses, [volume, 0.0])


def molecular_gas(rng, n_frames, n_mol=5):
    """Rigid molecules placed and turned at random in cells that change: an ideal gas."""
    one = build_molecule("CH3OH")
    cells = TRICLINIC * rng.uniform(1.0, 1.15, (n_frames, 1, 1))
    centres = rng.random((n_frames, n_mol, 3)) @ cells
    turns = Rotation.random(n_frames * n_mol, random_state=rng).as_matrix()
    shape = turns.reshape(n_frames, n_mol, 1, 3, 3) @ one.positions[..., None]
    x = (centres[:, :, None] + shape[..., 0]).reshape(n_frames, -1, 3)
    molecule = np.repeat(np.arange(n_mol), len(one))
    return x, cells, molecule, one.get_chemical_symbols() * n_mol


@pytest.mark.parametrize("pair", [("O", "O"), ("O", "H"), ("C", "O")])
def test_ideal_gas_of_few_molecules_is_one(pair):
    x, cells, molecule, symbols = molecular_gas(np.random.default_rng(0), 4000)
    r, g = element_rdf(x, cells, molecule, symbols, pair=pair, n_bins=8)
    assert r.shape == (8,) and g.shape == (4000, 8)
    mean, error = g.mean(axis=0), g.std(axis=0) / np.sqrt(len(g))
    z = (mean - 1) / error
    assert np.abs(z).max() < 3.5
    assert np.sum(z**2) < 22  # χ² of 8 bins, 0.5 %
    assert error[1:].max() < 0.12 and error[-1] < 0.025


def brute_force_rdf(x, cell, molecule, a, b, edges):
    """Every pair once, over all 125 images around."""
    n = np.arange(-2, 3)
    images = np.stack(np.meshgrid(n, n, n), axis=-1).reshape(-1, 3) @ cell
    pairs = [
        (i, j)
        for i in range(len(x))
        for j in range(i)
        if molecule[i] != molecule[j] and ((a[i] and b[j]) or (a[j] and b[i]))
    ]
    distances = np.concatenate([np.linalg.norm(x[j] - x[i] + images, axis=1) for i, j in pairs])
    shell = 4 / 3 * np.pi * np.diff(edges**3)
    return np.histogram(distances, edges)[0] * np.linalg.det(cell) / (len(pairs) * shell)


@pytest.mark.parametrize("other", ["O", "H", "all"])
def test_equals_brute_force_over_images_whatever_the_wrapping(other):
    rng = np.random.default_rng(2)
    x, cells, molecule, symbols = molecular_gas(rng, 3)
    a = np.array(symbols) == "H"
    b = np.full(a.shape, True) if other == "all" else np.array(symbols) == other
    r, g = radial_distribution(x, cells, molecule, group_a=a, group_b=b, n_bins=20)
    edges = np.linspace(0, r[-1] + r[0], 21)
    for i in range(3):
        expected = brute_force_rdf(x[i], cells[i], molecule, a, b, edges)
        assert expected.max() > 0
        np.testing.assert_allclose(g[i], expected, atol=1e-6)
    jumps = rng.integers(-3, 4, x.shape) @ cells
    wrapped = radial_distribution(x + jumps, cells, molecule, group_a=a, group_b=b, n_bins=20).g
    np.testing.assert_allclose(wrapped, g, atol=1e-6)


def test_equals_freud_for_points_without_molecules():
    import freud

    rng = np.random.default_rng(7)
    x, cells = rng.random((20, 60, 3)) * 9.0, np.eye(3) * 9.0
    everything = np.ones(60, dtype=bool)
    g = radial_distribution(
        x, cells, np.arange(60), group_a=everything, group_b=everything, n_bins=40, r_max=4.0
    ).g
    theirs = freud.density.RDF(40, 4.0, normalization_mode="finite_size")
    for frame in x:
        theirs.compute((freud.box.Box.cube(9.0), frame), reset=False)
    np.testing.assert_allclose(g.mean(axis=0), theirs.rdf, rtol=1e-3)


def test_simple_cubic_lattice_has_six_neighbours():
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(1, -1, 3)
    everything = np.ones(125, dtype=bool)
    r, g = radial_distribution(
        grid, np.eye(3) * 5, np.arange(125), group_a=everything, group_b=everything, n_bins=50
    )
    width = r[1] - r[0]
    shell = 4 / 3 * np.pi * ((r + width / 2) ** 3 - (r - width / 2) ** 3)
    neighbours = np.cumsum(g[0] * shell * 124 / 125)
    assert neighbours[r < 1.2][-1] == pytest.approx(6)
    assert neighbours[r < 1.6][-1] == pytest.approx(18)


def test_rdf_bad_input():
    x, cells, molecule, symbols = molecular_gas(np.random.default_rng(3), 4)
    with pytest.raises(ValueError, match=r"r_max is 6.0 Å.*\(frame "):
        element_rdf(x, cells, molecule, symbols, pair=("O", "H"), r_max=6.0)
    with pytest.raises(ValueError, match=r"pair names \['N'\]"):
        element_rdf(x, cells, molecule, symbols, pair=("O", "N"))
    with pytest.raises(ValueError, match="cells has shape"):
        element_rdf(x, cells[:2], molecule, symbols, pair=("O", "H"))
    with pytest.raises(ValueError, match="points has shape"):
        element_rdf(x[0], cells[0], molecule, symbols, pair=("O", "H"))
    mask = np.zeros(len(molecule), dtype=bool)
    mask[:3] = True
    with pytest.raises(ValueError, match="no pair of different molecules"):
        radial_distribution(x, cells, molecule, group_a=mask, group_b=mask)
    with pytest.raises(ValueError, match="group_b has type int64"):
        radial_distribution(x, cells, molecule, group_a=mask, group_b=np.arange(3))
    with pytest.raises(ValueError, match="n_bins is 0"):
        element_rdf(x, cells, molecule, symbols, pair=("O", "H"), n_bins=0)


def test_msd_equals_its_definition_and_ignores_drift():
    rng = np.random.default_rng(4)
    x = np.cumsum(rng.normal(size=(60, 4, 3)), axis=0) + 1e3
    masses = np.array([1.0, 2.0, 3.0, 4.0])
    relative = x - np.average(x, axis=1, weights=masses)[:, None]
    expected = [
        np.mean(np.sum((relative[lag:] - relative[: 60 - lag]) ** 2, axis=-1), axis=0)
        for lag in range(60)
    ]
    got = mean_squared_displacement(x, masses)
    np.testing.assert_allclose(got, expected, atol=1e-8)
    drift = np.cumsum(rng.normal(size=(60, 1, 3)), axis=0) * 5
    np.testing.assert_allclose(mean_squared_displacement(x + drift, masses), got, atol=1e-8)


D_TRUE = 1e-5  # cm²/s


def brownian(rng, n_frames, n_mol, interval_fs):
    sigma = np.sqrt(2 * D_TRUE * 10 * interval_fs)  # 1 cm²/s = 10 Å²/fs
    return np.cumsum(sigma * rng.normal(size=(n_frames, n_mol, 3)), axis=0)


def test_diffusion_of_brownian_motion_and_coverage_of_its_error():
    rng = np.random.default_rng(5)
    n_mol, inside, values, errors = 36, 0, [], []
    for _ in range(100):
        msd = mean_squared_displacement(brownian(rng, 400, n_mol, 100.0), np.ones(n_mol))
        d = self_diffusion(msd, frame_interval_fs=100.0, fit_window_fs=(500.0, 4000.0))
        truth = D_TRUE * (1 - 1 / n_mol)  # in the frame of the whole
        inside += abs(d.value - truth) < 2 * d.error
        values.append(d.value)
        errors.append(d.error)
    assert 89 <= inside <= 99
    assert np.mean(values) == pytest.approx(D_TRUE * (1 - 1 / n_mol), rel=0.01)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.2)


def test_a_harmonic_crystal_does_not_diffuse():
    """Each site of it is a damped oscillator: the displacement levels off at 6 kT/k, and D is 0."""
    rng, n_mol, n_frames = np.random.default_rng(2), 64, 4000
    variance, memory = 0.03, 0.8  # kT/k, Å²; of the position after a frame
    x = np.empty((n_frames, n_mol, 3))
    x[0] = rng.normal(0, np.sqrt(variance), (n_mol, 3))
    kicks = rng.normal(0, np.sqrt(variance * (1 - memory**2)), x.shape)
    for k in range(1, n_frames):
        x[k] = memory * x[k - 1] + kicks[k]
    sites = np.stack(np.meshgrid(*[4.0 * np.arange(4)] * 3), axis=-1).reshape(-1, 3)
    msd = mean_squared_displacement(sites + x, np.ones(n_mol))
    level = 6 * variance * (1 - 1 / n_mol)  # the drift of the whole is taken out
    assert msd[50:500].mean() == pytest.approx(level, rel=0.03)
    assert msd[1].mean() == pytest.approx(level * (1 - memory), rel=0.03)
    d = self_diffusion(msd, frame_interval_fs=10.0, fit_window_fs=(500.0, 5000.0))
    assert abs(d.value) < 1e-8  # a liquid has 1e-5 cm²/s


def test_diffusion_from_replicas():
    rng = np.random.default_rng(6)
    sets = [mean_squared_displacement(brownian(rng, 300, 12, 50.0), np.ones(12)) for _ in range(8)]
    window = {"frame_interval_fs": 50.0, "fit_window_fs": (250.0, 2000.0)}
    pooled = self_diffusion(sets, **window)
    each = np.array([self_diffusion(one, **window).value for one in sets])
    assert pooled.value == pytest.approx(each.mean())
    assert pooled.n_effective == 96
    assert 0.4 < pooled.error / (each.std(ddof=1) / np.sqrt(8)) < 2.5
    low, high = pooled.interval(0.99)
    assert low < D_TRUE * 11 / 12 < high


def test_diffusion_bad_input():
    msd = np.arange(50.0)[:, None] * np.ones(4)
    exact = self_diffusion(msd, frame_interval_fs=2.0, fit_window_fs=(10, 60))
    assert exact.value == pytest.approx(0.5 / 6 * 0.1)
    with pytest.raises(ValueError, match="fit_window_fs is"):
        self_diffusion(msd, frame_interval_fs=2.0, fit_window_fs=(10, 200))
    with pytest.raises(ValueError, match="fit_window_fs is"):
        self_diffusion(msd, frame_interval_fs=2.0, fit_window_fs=(10, 11))
    with pytest.raises(ValueError, match="1 molecules"):
        self_diffusion(msd[:, :1], frame_interval_fs=2.0, fit_window_fs=(10, 60))
    with pytest.raises(ValueError, match="frame_interval_fs is 0"):
        self_diffusion(msd, frame_interval_fs=0.0, fit_window_fs=(10, 60))


def test_yeh_hummer_of_water():
    # TIP3P at 298 K: η = 0.31 mPa s; L = 18.6 Å needs about 1.07e-5 cm²/s.
    by_hand = 2.837297 * 1.380649e-23 * 298 / (6 * np.pi * 0.31e-3 * 18.6e-10) * 1e4
    got = yeh_hummer_correction(temperature_K=298, viscosity_mPa_s=0.31, box_length=18.6)
    assert got == pytest.approx(by_hand) == pytest.approx(1.07e-5, rel=0.01)
    with pytest.raises(ValueError, match="viscosity_mPa_s is 0"):
        yeh_hummer_correction(temperature_K=298, viscosity_mPa_s=0.0, box_length=18.6)
