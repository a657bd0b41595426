"""What a run tells of its liquid, where the truth is known."""

import numpy as np
import pytest
from ase import Atoms
from ase.units import kB
from crosstrain import judge
from crosstrain.data import frames as fr
from crosstrain.measure.observables import density_g_cm3
from crosstrain.simulate.trajectory import THERMO_COLUMNS, Trajectory

N_FRAMES, N_MOL, INTERVAL_PS = 1001, 60, 0.02
STEP_A = 0.05  # standard deviation of a step along each axis, Å
COMPLETED = {"status": "completed", "reason": ""}


def walkers(*, restless: int = 0) -> Trajectory:
    """Brownian molecules of one atom; for the first frames hotter, with ten times the steps."""
    rng = np.random.default_rng(0)
    scale = np.where(np.arange(N_FRAMES) < restless, 10 * STEP_A, STEP_A)
    steps = scale[:, None, None] * rng.normal(size=(N_FRAMES, N_MOL, 3))
    reference = Atoms(f"O{N_MOL}", np.zeros((N_MOL, 3)), cell=[20.0] * 3, pbc=True)
    reference.set_array("molecule", np.arange(N_MOL))
    times = INTERVAL_PS * np.arange(N_FRAMES)
    thermo = dict.fromkeys(THERMO_COLUMNS, np.ones(N_FRAMES))
    warmth = np.where(np.arange(N_FRAMES) < restless, 50.0, 0.0)
    thermo |= {"time_ps": times, "potential_energy_eV": warmth + rng.normal(size=N_FRAMES)}
    cells = np.tile(reference.cell.array, (N_FRAMES, 1, 1))
    positions = np.cumsum(steps, axis=0).astype(np.float32)
    return Trajectory(reference, positions, cells, times, thermo)


@pytest.mark.parametrize("restless", [0, 250])
def test_diffusion_is_that_of_the_equilibrated_part(restless):
    seen = judge.diffusion(walkers(restless=restless), COMPLETED, fit_window_ps=(1.0, 5.0))
    assert seen["missing"] == {}
    assert seen["equilibrated_ps"] >= restless * INTERVAL_PS
    d = seen["D_cm2_s"]["O"]
    truth = STEP_A**2 / (2 * INTERVAL_PS) * 1e-4 * (1 - 1 / N_MOL)  # less the drift of all
    assert d["n_effective"] == N_MOL
    assert abs(d["value"] - truth) < 3 * d["error"] < truth


def test_what_is_left_after_equilibration_must_hold_the_window():
    seen = judge.diffusion(walkers(restless=500), COMPLETED, fit_window_ps=(1.0, 15.0))
    assert seen["D_cm2_s"] == {}
    assert "fit_window_fs" in seen["missing"]["self-diffusion"]


def test_a_run_that_ended_early_has_no_diffusion():
    run = {"status": "unstable", "reason": "bond broken"}
    seen = judge.diffusion(walkers(), run, fit_window_ps=(1.0, 5.0))
    assert (seen["D_cm2_s"], seen["missing"]) == ({}, {"self-diffusion": "unstable bond broken"})


def test_the_frame_that_a_run_starts_from_is_no_sample():
    assert judge.sampled([0.0, 0.2, 0.4], 0.0) == [1, 2]
    assert judge.sampled([0.0, 0.2, 0.4], 0.2) == [1, 2]
    assert judge.sampled([0.0, 0.2, 0.4], 0.3) == [2]
    assert judge.sampled([0.0], 0.0) == []


def run(status, value):
    density = {"value": value, "error": 0.01, "n_effective": 10.0}
    return {"status": status, "density_g_cm3": density, "rdf": {}}


def test_a_run_that_ended_early_counts_only_if_all_did():
    reference = {
        "r_A": [],
        "observables": {"density": {"value": 0.9, "error": 0.0, "problems": []}},
    }
    whole, early = run("completed", 0.8), run("unstable", 1.0)
    assert judge.deviations([whole, early], reference)["density"].value == pytest.approx(-0.1)
    assert judge.deviations([whole, whole], reference)["density"].value == pytest.approx(-0.1)
    assert judge.deviations([early, early], reference)["density"].value == pytest.approx(0.1)


# --- the reference liquid ---------------------------------------------------------------------

T_K, PRESSURE, N_GAS = 500.0, 1e-3, 20  # eV/Å³
MORE = 1.5e-4  # eV/Å³, by which the reference presses harder on its gas
RDF = {"pairs": ["O-O"], "r_max_A": 3.0, "n_bins": 3}


def gas(seed, n_frames=1500):
    """Boxes of an ideal gas at a pressure, V ~ Gamma(N + 1, kT / P), and the model's energies."""
    rng = np.random.default_rng(seed)
    frames = []
    for volume in rng.gamma(N_GAS + 1, kB * T_K / PRESSURE, size=n_frames):
        edge = np.cbrt(volume)
        frame = Atoms(f"O{N_GAS}", rng.uniform(0, edge, (N_GAS, 3)), cell=[edge] * 3, pbc=True)
        frame.set_array("molecule", np.arange(N_GAS))
        frame.info[fr.ENERGY] = MORE * volume  # of the reference
        frames.append(frame)
    return frames, np.zeros(n_frames), float(n_frames)


def test_the_reference_liquid_is_that_of_the_reference():
    """ΔE = ΔP V makes the model's gas that at P + ΔP: ρ = m⟨1/V⟩ = m (P + ΔP) / (N kT)."""
    samplers = {name: gas(seed) for seed, name in enumerate(("one", "other"))}
    said = judge.reference_liquid(samplers, temperature_K=T_K, rdf=RDF)
    assert (said["failures"], said["r_A"]) == ({}, [0.5, 1.5, 2.5])
    density = said["observables"]["density"]
    one = density["samplers"]["one"]
    mass = samplers["one"][0][0].get_masses()
    at = {p: density_g_cm3(mass, [N_GAS * kB * T_K / p])[0] for p in (PRESSURE, PRESSURE + MORE)}
    assert at[PRESSURE + MORE] > 1.1 * at[PRESSURE]
    assert one["sampled"] == pytest.approx(at[PRESSURE], abs=4 * one["sampled_error"])
    assert one["problems"] == []
    assert density["value"] == pytest.approx(at[PRESSURE + MORE], abs=4 * density["error"])
    assert density["error"] < 0.1 * (at[PRESSURE + MORE] - at[PRESSURE])
    assert density["problems"] == []
    # between points without size, g is (1 - 1/N) less than 1 in its mean over the cell: here flat
    g = said["observables"]["rdf:O-O"]
    assert g["value"] == pytest.approx([1.0] * 3, abs=0.03)


def test_frames_of_a_run_count_for_no_more_than_it_knows():
    frames, energies, _ = gas(2)
    samplers = {name: (frames, energies, n) for name, n in (("much", 1500.0), ("little", 4.0))}
    said = judge.reference_liquid(samplers, temperature_K=T_K, rdf=RDF)["observables"]["density"]
    few = ["4.0 effective frames, needed are 5"]
    problems = {name: sampler["problems"] for name, sampler in said["samplers"].items()}
    assert problems == {"much": [], "little": few}
    assert said["problems"] == ["only one sampler, agreement of two is needed"]


def curve(g, error=0.0):
    return {"r_A": [0.5, 1.5], "g": g, "error": [error] * 2, "n_effective": 8.0}


def test_structure_off_the_reference_is_the_part_that_does_not_overlap():
    reference = {"r_A": [0.5, 1.5], "observables": {}}
    reference["observables"]["rdf:O-H"] = {"value": [1.0, 1.0], "error": [0.0] * 2, "problems": []}
    seen = [run("completed", 0.9) | {"rdf": {"O-H": curve([3.0, 3.0])}}]
    (found,) = judge.deviations(seen, reference).values()
    assert (found.value, found.error) == (pytest.approx(2 / 4), 0.0)
    seen.append(run("completed", 0.9) | {"rdf": {"O-H": curve([1.0, 1.0])}})  # 2 ± 1, as of both
    # g of 2 with a scatter of 1 and no own errors: a noise of 1/√2 in each bin is taken off
    (found,) = judge.deviations(seen, reference).values()
    assert found.n_effective == 16.0
    assert found.error == pytest.approx(1 / 3)
    assert found.value == pytest.approx(np.sqrt((1 / 3) ** 2 - 2 / np.pi * (1 / 3) ** 2 / 2))


def test_the_error_of_a_score_leaves_out_what_the_reference_is_off_by():
    rng = np.random.default_rng(0)

    def error(own, of_reference):
        density = {"value": 0.90, "error": own, "n_effective": 30.0}
        seen = [run("completed", 0.9) | {"density_g_cm3": density, "time_ps": 1.0, "planned_ps": 1}]
        truth = {"value": 0.92, "error": of_reference, "problems": []}
        reference = {"r_A": [], "observables": {"density": truth}}
        score = judge.liquid_score(seen, reference, rng=rng)
        return judge.score_error(score, seen, reference)

    assert error(0.0, 0.05) == pytest.approx(0.0, abs=1e-12)
    assert error(0.01, 0.0) == error(0.01, 0.05)
    # at Δ = τ the term 1 / (1 + (Δ/τ)²) falls by 1 / (2 τ) for each Δ
    assert error(0.001, 0.02) == pytest.approx(0.001 / (2 * 0.02), rel=0.02)


def test_what_is_observed_is_that_of_the_equilibrated_part():
    rng, n, n_off = np.random.default_rng(3), 400, 120
    volumes = np.where(np.arange(n) < n_off, 1500.0, 1000.0) + 10 * rng.normal(size=n)
    cells = np.cbrt(volumes)[:, None, None] * np.eye(3)
    positions = rng.uniform(size=(n, 30, 3)) * np.cbrt(volumes)[:, None, None]
    atoms = Atoms("O30", positions[0], cell=cells[0], pbc=True)
    atoms.set_array("molecule", np.arange(30))
    times = 0.02 * np.arange(n)
    thermo = dict.fromkeys(THERMO_COLUMNS, np.ones(n)) | {"time_ps": times, "volume_A3": volumes}
    trajectory = Trajectory(atoms, positions.astype(np.float32), cells, times, thermo)
    seen = judge.observe(trajectory, COMPLETED, rdf={"pairs": ["O-O"], "r_max_A": 4, "n_bins": 4})
    assert (seen["status"], seen["missing"]) == ("completed", {})
    assert times[n_off] <= seen["equilibrated_ps"] < times[n_off] + 0.5
    truth = density_g_cm3(atoms.get_masses(), [1000.0])[0]
    density = seen["density_g_cm3"]
    # The step at the start makes samples count as correlated for longer than they are.
    assert abs(density["value"] - truth) < 4 * density["error"] < 0.05 * truth
    assert seen["rdf"]["O-O"]["r_A"] == [0.5, 1.5, 2.5, 3.5]
    assert seen["rdf"]["O-O"]["g"][2:] == pytest.approx([1.0, 1.0], abs=0.05)


def test_frames_after_the_end_of_a_run_are_no_frames_of_its_liquid():
    frames = [Atoms("H", info={"time_ps": time_ps}) for time_ps in (0.0, 0.1, 0.2, 0.25)]
    said = {
        "frames": frames,
        "energy_eV": np.arange(4.0),
        "forces_eV_A": [np.full((1, 3), i) for i in range(4)],
        "stress_eV_A3": np.zeros((4, 6)),
    }
    died = judge.while_it_lived(said, {"status": "unstable", "time_ps": 0.2})
    assert died["frames"] == frames[:2] and died["energy_eV"].tolist() == [0, 1]
    assert len(died["forces_eV_A"]) == 2 and died["stress_eV_A3"].shape == (2, 6)
    whole = judge.while_it_lived(said, {"status": "completed", "time_ps": 0.25})
    assert whole["frames"] == frames
