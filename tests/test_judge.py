"""What a run tells of its liquid, where the truth is known."""

import numpy as np
import pytest
from ase import Atoms
from crosstrain import judge
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
