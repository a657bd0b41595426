import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from ase.units import kB
from crosstrain.measure.observables import density_g_cm3, radial_distribution
from crosstrain.measure.reweighting import combine_samplers, reweight
from crosstrain.measure.statistics import correlated_error, mean_with_error
from crosstrain.simulate.dynamics import run_dynamics
from crosstrain.simulate.trajectory import read_trajectory
from scipy import stats
from scipy.signal import lfilter

T = 350.0
KT = kB * T


def exponential(observable, delta_energy_eV, *, temperature_K=T):
    return reweight(observable, delta_energy_eV, temperature_K=temperature_K).exponential


def gaussian(observable, delta_energy_eV, *, temperature_K=T):
    return reweight(observable, delta_energy_eV, temperature_K=temperature_K).gaussian


def joint_normal(rng, n, *, sigma, correlation=0.6, n_bins=None, phi=0.0):
    """A ~ N(0, 1) and βΔE ~ N(0, σ²), correlated; the truth is ⟨A⟩_ref = -correlation σ."""
    shape = (n + 100, 1 + (n_bins or 1))
    z = rng.normal(size=shape) * np.sqrt(1 - phi**2)
    z = lfilter([1], [1, -phi], z, axis=0)[100:]
    a = correlation * z[:, :1] + np.sqrt(1 - correlation**2) * z[:, 1:]
    return (a if n_bins else a[:, 0]), sigma * z[:, 0] * KT


@pytest.mark.parametrize("phi", [0.0, 0.6])
@pytest.mark.parametrize("estimator", [exponential, gaussian])
def test_joint_normal_mean_and_coverage(estimator, phi):
    rng = np.random.default_rng(0)
    sigma, inside, values, errors = 1.0, 0, [], []
    for _ in range(100):
        a, delta = joint_normal(rng, 600, sigma=sigma, phi=phi)
        estimate = estimator(a, delta, temperature_K=T)
        values.append(estimate.value)
        errors.append(estimate.error)
        inside += abs(estimate.value + 0.6 * sigma) < 2 * estimate.error
    bias = np.mean(values) + 0.6 * sigma
    assert abs(bias) < 0.04 + 3 * np.std(values) / 10
    assert inside >= 88
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)


def test_gaussian_error_grows_as_told():
    a, delta = joint_normal(np.random.default_rng(1), 20_000, sigma=2.5, correlation=0.0)
    error = gaussian(a, delta, temperature_K=T).error
    assert error == pytest.approx(np.sqrt(1 + 2.5**2) / np.sqrt(20_000), rel=0.1)


def test_effective_sample_size_of_kish():
    a, delta = joint_normal(np.random.default_rng(2), 200_000, sigma=1.0)
    estimate = exponential(a, delta, temperature_K=T)
    assert estimate.n_effective == pytest.approx(200_000 * np.exp(-1.0), rel=0.1)
    assert estimate.sigma == pytest.approx(1.0, rel=0.01)
    flat = exponential(a[:1000], 1e-9 * delta[:1000], temperature_K=T)
    assert flat.n_effective == pytest.approx(1000, rel=0.1)
    assert flat.value == pytest.approx(a[:1000].mean(), abs=1e-6)


def test_an_observable_slower_than_the_energy_leaves_fewer_independent_frames():
    rng, n = np.random.default_rng(8), 2000
    energy = 0.5 * KT * rng.normal(size=n)  # white
    slow = lfilter([1.0], [1.0, -0.9], rng.normal(size=n))  # inefficiency (1 + 0.9) / (1 - 0.9)
    fast = rng.normal(size=n)
    few, many = (gaussian(a, energy, temperature_K=T).n_effective for a in (slow, fast))
    assert n / 40 < few < n / 10
    assert many > 0.8 * n
    bins = np.stack([fast, fast, slow, np.zeros(n)], axis=1)  # the median; empty bins say nothing
    of_bins = gaussian(bins, energy, temperature_K=T).n_effective
    assert of_bins > 0.8 * n


def test_a_constant_in_the_energy_has_no_effect():
    a, delta = joint_normal(np.random.default_rng(3), 500, sigma=1.0)
    for estimator in (exponential, gaussian):
        one = estimator(a, delta, temperature_K=T)
        other = estimator(a, delta - 3e4, temperature_K=T)
        assert one.value == pytest.approx(other.value, abs=1e-6)


def test_harmonic_oscillator_of_another_stiffness():
    """U = kx²/2 reweighted to (k + Δk)x²/2: ⟨x²⟩ is kT/(k + Δk), to first order kT/k (1 - Δk/k)."""
    rng = np.random.default_rng(4)
    k, dk, n = 2.0, 0.3, 400_000
    x = rng.normal(size=n) * np.sqrt(KT / k)
    delta = 0.5 * dk * x**2
    e = exponential(x**2, delta, temperature_K=T)
    assert e.value == pytest.approx(KT / (k + dk), abs=3 * e.error)
    assert e.error < 0.01 * e.value
    g = gaussian(x**2, delta, temperature_K=T)
    assert g.value == pytest.approx(KT / k * (1 - dk / k), abs=3 * g.error)
    assert "not jointly normal" in g.problems[0]
    correction = reweight(x**2, delta, temperature_K=T)
    assert correction.quoted.estimator == "exponential" and not correction.problems
    assert abs(correction.gaussian.value - KT / (k + dk)) > 10 * g.error


def test_pulled_harmonic_oscillator_is_exact_in_both():
    """ΔE = -Fx moves ⟨x⟩ to F/k, and A and ΔE are jointly normal."""
    rng = np.random.default_rng(5)
    k, force = 2.0, 0.12
    x = rng.normal(size=4000) * np.sqrt(KT / k)
    correction = reweight(x, -force * x, temperature_K=T)
    for estimate in (correction.exponential, correction.gaussian):
        assert estimate.value == pytest.approx(force / k, abs=3 * estimate.error)
        assert estimate.error < 0.1 * force / k
        assert estimate.trustworthy
    assert not correction.problems


def test_ideal_gas_at_another_pressure():
    """NPT toy: V ~ Gamma(N + 1, kT/P), and ΔE = ΔP V makes it the gas at P + ΔP."""
    rng = np.random.default_rng(6)
    n_particles, pressure, dp = 50, 1e-3, 1.2e-4
    volume = rng.gamma(n_particles + 1, KT / pressure, size=20_000)
    truth = (n_particles + 1) * KT / (pressure + dp)
    correction = reweight(volume, dp * volume, temperature_K=T)
    e = correction.exponential
    assert e.value == pytest.approx(truth, abs=3 * e.error)
    assert correction.sampled - truth > 10 * e.error
    # The volume is not quite normal: the first cumulant is off by a known second order.
    g = correction.gaussian
    first_order = (n_particles + 1) * KT / pressure * (1 - dp / pressure)
    assert g.value == pytest.approx(first_order, abs=3 * g.error)


def test_too_large_a_perturbation_is_told_and_not_trusted():
    rng = np.random.default_rng(7)
    a, delta = joint_normal(rng, 1000, sigma=6.0)
    correction = reweight(a, delta, temperature_K=T)
    e = correction.exponential
    assert not e.trustworthy
    assert e.n_effective < 20 and "effective frames" in e.problems[0]
    assert e.sigma == pytest.approx(6.0, rel=0.1)
    assert abs(e.value + 3.6) > 3 * e.error, "a wrong value with a small error is what is flagged"
    assert any("βσ" in text for text in correction.problems)
    # The Gaussian estimate is exact here, but nothing in the data can show it.
    assert correction.quoted is correction.gaussian
    assert correction.gaussian.value == pytest.approx(-3.6, abs=3 * correction.gaussian.error)
    told = combine_samplers({"a": correction, "b": correction})
    assert not told.trustworthy


def test_gaussian_carries_on_where_the_exponential_ends():
    rng = np.random.default_rng(8)
    correction = reweight(*joint_normal(rng, 200, sigma=2.0), temperature_K=T)
    assert not correction.exponential.trustworthy
    assert correction.gaussian.trustworthy and not correction.problems
    assert correction.quoted.value == pytest.approx(-1.2, abs=3 * correction.quoted.error)
    assert np.isnan(correction.p_value)


def test_false_alarms_are_rare():
    """Jointly normal data, one scalar or 30 bins: the checks of normality and agreement hold."""
    rng = np.random.default_rng(9)
    for n_bins in (None, 30):
        alarms = sum(
            bool(
                reweight(
                    *joint_normal(rng, 400, sigma=1.2, n_bins=n_bins, phi=0.3),
                    temperature_K=T,
                ).problems
            )
            for _ in range(50)
        )
        assert alarms <= 3


def test_kish_is_not_believed_when_the_frames_that_matter_were_missed():
    rng = np.random.default_rng(16)
    trusted = 0
    for _ in range(50):
        a, delta = joint_normal(rng, 200, sigma=2.0)
        trusted += exponential(a, delta, temperature_K=T).trustworthy
    assert trusted == 0  # 200 e^-4 = 4 effective frames; Kish's estimate is often above 20


def test_what_is_not_normal_is_left_to_the_exponential():
    """Rare frames of low ΔE hold another A, which the first cumulant sees only in part."""
    rng = np.random.default_rng(17)
    u = rng.normal(size=4000)
    a = 0.1 * rng.normal(size=4000) + np.where(u < -2, 0.4, 0.0)
    correction = reweight(a, u * KT, temperature_K=T)
    truth = 0.4 * stats.norm.cdf(-1.0)  # the reference has βΔE centred at -1
    assert correction.gaussian.value < truth - 5 * correction.gaussian.error
    assert "not jointly normal" in correction.gaussian.problems[0]
    assert correction.quoted is correction.exponential and not correction.problems
    assert correction.quoted.value == pytest.approx(truth, abs=3 * correction.quoted.error)


def test_a_slight_skewness_is_noticed():
    """A = ΔE of skewness 0.4, so that the next cumulant is 0.2 against an error of 0.05."""
    rng = np.random.default_rng(19)
    u = (rng.gamma(25.0, size=(60, 1000)) - 25.0) / 5.0
    told = [bool(gaussian(x, x * KT, temperature_K=T).problems) for x in u]
    assert np.mean(told) > 0.6


def test_estimators_that_disagree_are_told():
    """A = u³ - 3u has no covariance with ΔE and no next cumulant, but the one after: -1."""
    rng = np.random.default_rng(18)
    u = rng.normal(size=20_000)
    correction = reweight(u**3 - 3 * u, u * KT, temperature_K=T)
    e, g = correction.exponential, correction.gaussian
    assert e.trustworthy and e.value == pytest.approx(-1.0, abs=3 * e.error)
    assert g.trustworthy and g.value == pytest.approx(0.0, abs=3 * g.error)
    assert "the two estimators disagree" in correction.problems[0]


def test_samplers_that_agree():
    rng = np.random.default_rng(10)
    corrections = {
        name: reweight(*joint_normal(rng, 800, sigma=1.0), temperature_K=T) for name in "abc"
    }
    # Another model samples around another mean; corrected, it agrees.
    z = rng.normal(size=800)
    a = -1.0 + 0.4 * z + 0.6 * rng.normal(size=800)
    corrections["d"] = reweight(a, -z * KT, temperature_K=T)
    combined = combine_samplers(corrections)
    assert combined.trustworthy and len(combined.samplers) == 4
    assert combined.value == pytest.approx(-0.6, abs=3 * combined.error)
    assert combined.error < min(c.quoted.error for c in corrections.values())
    assert 0.01 < combined.p_value <= 1


def test_weights_do_not_favour_those_whose_error_came_out_small():
    """Eight samplers of 15 frames each: a small covariance has a small error, by chance."""
    rng, off, inverse = np.random.default_rng(20), [], []
    for _ in range(40):
        corrections = {
            str(k): reweight(*joint_normal(rng, 15, sigma=1.7), temperature_K=T) for k in range(8)
        }
        combined = combine_samplers(corrections)
        off.append((combined.value + 0.6 * 1.7, combined.error))
        quoted = [c.gaussian for c in corrections.values()]
        weights = [1 / g.error**2 for g in quoted]
        inverse.append(np.average([g.value for g in quoted], weights=weights) + 0.6 * 1.7)
    off, error = np.array(off).T
    assert abs(off.mean()) < 0.5 * abs(np.mean(inverse))
    assert np.mean(np.abs(off) < 1.96 * error) > 0.9


def test_all_samplers_together_need_enough_frames():
    rng = np.random.default_rng(21)
    short = {n: reweight(*joint_normal(rng, 16, sigma=1.0), temperature_K=T) for n in "abcd"}
    n_effective = [c.gaussian.n_effective for c in short.values()]
    assert not any(c.problems for c in short.values()) and sum(n_effective) > 40
    assert combine_samplers(short).trustworthy
    two = combine_samplers({n: short[n] for n in "ab"})
    assert two.problems[0].endswith("effective frames of all samplers, needed are 40")


def test_samplers_that_disagree_quote_their_scatter():
    rng = np.random.default_rng(11)
    a, delta = joint_normal(rng, 800, sigma=1.0)
    good = reweight(a, delta, temperature_K=T)
    wrong = reweight(a + 1.0, delta, temperature_K=T)
    combined = combine_samplers({"good": good, "wrong": wrong})
    assert not combined.trustworthy
    assert "disagree" in combined.problems[0] and combined.p_value < 1e-3
    assert combined.error == pytest.approx(0.5, rel=0.05)
    assert combined.value == pytest.approx(good.quoted.value + 0.5, abs=0.05)


def test_one_sampler_is_not_enough_and_a_bad_one_is_left_out():
    rng = np.random.default_rng(12)
    good = reweight(*joint_normal(rng, 800, sigma=1.0), temperature_K=T)
    bad = reweight(*joint_normal(rng, 800, sigma=6.0), temperature_K=T)
    alone = combine_samplers({"good": good, "bad": bad})
    assert set(alone.samplers) == {"good"}
    assert alone.value == pytest.approx(good.quoted.value)
    assert "only one sampler" in alone.problems[0]


def test_bins_are_reweighted_each_with_its_error():
    rng = np.random.default_rng(13)
    corrections = {}
    for name in "ab":
        a, delta = joint_normal(rng, 1500, sigma=1.0, n_bins=12)
        a[:, 0] = 0.0  # a bin that no pair ever reaches
        corrections[name] = reweight(a, delta, temperature_K=T)
    combined = combine_samplers(corrections)
    assert combined.value.shape == combined.error.shape == (12,)
    assert combined.value[0] == combined.error[0] == 0.0
    z = (combined.value[1:] + 0.6) / combined.error[1:]
    assert np.abs(z).max() < 4
    assert combined.trustworthy


def test_disagreement_in_one_bin_is_found():
    rng = np.random.default_rng(14)
    a, delta = joint_normal(rng, 1500, sigma=1.0, n_bins=12)
    b = a.copy()
    b[:, 4] += 0.5
    combined = combine_samplers(
        {name: reweight(x, delta, temperature_K=T) for name, x in (("a", a), ("b", b))}
    )
    assert not combined.trustworthy


@pytest.mark.parametrize("observable_is_slow", [False, True])
def test_frames_far_apart_are_held_to_what_their_run_knows(observable_is_slow):
    """The errors are those of the true number of independent samples, which few frames hide."""
    rng, n, n_true = np.random.default_rng(16), 40, 13.0
    a, delta = joint_normal(rng, n, sigma=1.0)
    if observable_is_slow:
        a = lfilter([1.0], [1.0, -0.9], a)
    free = reweight(a, delta, temperature_K=T)
    held = reweight(a, delta, temperature_K=T, n_independent=n_true)
    assert held.exponential.value == free.exponential.value
    if observable_is_slow:  # already fewer than the run knows of
        assert free.gaussian.n_effective < n_true
        assert held.gaussian == free.gaussian
        return
    assert free.gaussian.n_effective > 20 and not free.problems
    assert held.gaussian.n_effective == n_true
    assert any("effective frames, needed are 20" in each for each in held.exponential.problems)
    # Of fewer independent samples the covariance takes more with it: Bessel's correction.
    n_free = free.gaussian.n_effective
    grown = n_true / (n_true - 1) / (n_free / (n_free - 1))
    shift = free.gaussian.value - free.sampled
    assert held.gaussian.value - held.sampled == pytest.approx(grown * shift)
    grown = np.sqrt(free.gaussian.n_effective / n_true)
    assert held.gaussian.error == pytest.approx(grown * free.gaussian.error, rel=0.2)
    assert held.sampled_error > 1.2 * free.sampled_error
    assert held.exponential.n_effective < free.exponential.n_effective


def test_bad_input():
    a, delta = joint_normal(np.random.default_rng(15), 100, sigma=1.0)
    with pytest.raises(ValueError, match="temperature_K is 0"):
        reweight(a, delta, temperature_K=0.0)
    with pytest.raises(ValueError, match="n_independent is 0"):
        reweight(a, delta, temperature_K=T, n_independent=0)
    with pytest.raises(ValueError, match="observable has shape"):
        reweight(a[:-1], delta, temperature_K=T)
    with pytest.raises(ValueError, match=r"delta_energy_eV\[3\] is not finite"):
        reweight(a, np.where(np.arange(100) == 3, np.nan, delta), temperature_K=T)
    with pytest.raises(ValueError, match=r"observable\[5\] is not finite"):
        reweight(np.where(np.arange(100) == 5, np.inf, a), delta, temperature_K=T)
    with pytest.raises(ValueError, match="delta_energy_eV has 4 frames"):
        reweight(a[:4], delta[:4], temperature_K=T)
    with pytest.raises(ValueError, match="a spread of 0 eV"):
        reweight(a, np.zeros(100), temperature_K=T)
    with pytest.raises(ValueError, match="empty"):
        combine_samplers({})
    bins = np.stack([a, a], axis=1)
    with pytest.raises(ValueError, match="one shape for all"):
        combine_samplers(
            {
                "a": reweight(a, delta, temperature_K=T),
                "b": reweight(bins, delta, temperature_K=T),
            }
        )


# Real dynamics ---------------------------------------------------------------------------------


class SoftSpheres(Calculator):
    """Gaussian repulsion between all pairs of a cubic box: the reference and the models below."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, height_eV, width_A):
        super().__init__()
        self.height, self.width = height_eV, width_A

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j = np.triu_indices(len(atoms), 1)
        length = atoms.cell[0, 0]
        vectors = atoms.positions[j] - atoms.positions[i]
        vectors -= length * np.rint(vectors / length)
        pair = self.height * np.exp(-0.5 * (vectors**2).sum(axis=1) / self.width**2)
        pair_forces = vectors * (pair / self.width**2)[:, None]
        forces = np.zeros((len(atoms), len(atoms), 3))
        forces[j, i], forces[i, j] = pair_forces, -pair_forces
        stress = -(vectors.T @ pair_forces) / length**3
        self.results = {
            "energy": float(pair.sum()),
            "forces": forces.sum(axis=1),
            "stress": full_3x3_to_voigt_6_stress(stress),
        }


def liquid_of(calculator, folder):
    """Equilibrated frames of 27 argon atoms at constant pressure."""
    sites = np.argwhere(np.ones((3, 3, 3))) * 4.0
    atoms = Atoms("Ar27", positions=sites, cell=[12.0] * 3, pbc=True)
    result = run_dynamics(
        atoms,
        calculator,
        ensemble="npt",
        temperature_K=T,
        pressure_bar=1000.0,
        timestep_fs=8.0,
        n_steps=20_000,
        save_every=20,
        thermo_every=20_000,
        thermostat_time_fs=100.0,
        barostat_time_fs=200.0,
        seed=1,
        folder=folder,
        bonds=None,
    )
    assert result.status == "completed"
    return read_trajectory(folder).frames()[50:]


def densities(frames):
    mass = frames[0].get_masses()
    return density_g_cm3(mass, [frame.get_volume() for frame in frames])


def rdfs(frames):
    positions, cells = zip(*((frame.positions, frame.cell.array) for frame in frames), strict=True)
    everything = np.ones(27, dtype=bool)
    return radial_distribution(
        positions,
        cells,
        np.arange(27),
        group_a=everything,
        group_b=everything,
        n_bins=12,
        r_max=4.5,
    ).g[:, 2:]  # no pair comes closer


@pytest.mark.slow
def test_the_liquid_of_another_potential_is_found_from_models_that_err(tmp_path):
    """Two wrong models lead to the density and g(r) that direct dynamics of the reference has."""
    reference = SoftSpheres(0.10, 1.20)
    models = {"softer": SoftSpheres(0.08, 1.20), "smaller": SoftSpheres(0.10, 1.14)}
    frames = liquid_of(reference, tmp_path / "reference")
    truth, true_g = mean_with_error(densities(frames)), rdfs(frames)
    corrected = {"density": {}, "rdf": {}}
    for name, model in models.items():
        frames = liquid_of(model, tmp_path / name)
        delta = np.array(
            [reference.get_potential_energy(f) - model.get_potential_energy(f) for f in frames]
        )
        density = reweight(densities(frames), delta, temperature_K=T)
        assert density.sampled - truth.value > 5 * np.hypot(density.sampled_error, truth.error)
        for estimate in (density.exponential, density.gaussian):
            error = np.hypot(estimate.error, truth.error)
            assert estimate.value == pytest.approx(truth.value, abs=3 * error)
            assert error < 0.02 * truth.value
        corrected["density"][name] = density
        corrected["rdf"][name] = reweight(rdfs(frames), delta, temperature_K=T)
    density, g = (combine_samplers(corrections) for corrections in corrected.values())
    assert density.trustworthy and g.trustworthy
    error = np.hypot(density.error, truth.error)
    assert density.value == pytest.approx(truth.value, abs=3 * error)
    z = (g.value - true_g.mean(axis=0)) / np.hypot(g.error, correlated_error(true_g))
    assert np.abs(z).max() < 4
