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
