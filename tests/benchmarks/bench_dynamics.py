"""What `run_dynamics` costs over a bare loop of the same integrator and calculator.

Run it as a script. Both are timed in turns in the same process, on 80 atoms of liquid EC/EMC with
the shipped MACE model of `classical`, which is the fastest of the shipped ones and so the hardest
on the driver. Bonds are checked every 10 steps, records written every 20, a checkpoint every 5 s.
Processor time is compared, which other work on the machine disturbs less than wall time.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import table
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.langevinbaoab import LangevinBAOAB
from ase.optimize import FIRE
from crosstrain.build import boxes
from crosstrain.potentials import mace
from crosstrain.simulate.dynamics import draw_momenta, run_dynamics
from crosstrain.study import Study

N_STEPS, N_ROUNDS = 2000, 9
TEMPERATURE_K, PRESSURE_BAR, TIMESTEP_FS = 500.0, 1000.0, 1.0


def relaxed_liquid(calculator: Calculator) -> Atoms:
    atoms = boxes.pack(boxes.mixture({"EC": 2, "EMC": 4}, seed=1), density_g_cm3=0.9, seed=1)
    atoms.calc = calculator
    FIRE(atoms, logfile=None).run(steps=100)
    atoms.calc = None
    rng = np.random.default_rng(2)
    atoms.set_momenta(draw_momenta(atoms, temperature_K=TEMPERATURE_K, rng=rng))
    return atoms


def time_bare(atoms: Atoms, calculator: Calculator) -> float:
    atoms = atoms.copy()
    atoms.calc = calculator
    start = time.process_time()
    integrator = LangevinBAOAB(
        atoms,
        TIMESTEP_FS * units.fs,
        temperature_K=TEMPERATURE_K,
        externalstress=-PRESSURE_BAR * 1e5 * units.Pascal,
        hydrostatic=True,
        T_tau=500 * units.fs,
        P_tau=1000 * units.fs,
        P_mass=3 * len(atoms) * units.kB * TEMPERATURE_K * (1000 * units.fs) ** 2,
        rng=np.random.default_rng(0),
    )
    for _ in range(N_STEPS):
        integrator.step()
    return time.process_time() - start


def time_driver(atoms: Atoms, calculator: Calculator) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = run_dynamics(
            atoms,
            calculator,
            ensemble="npt",
            temperature_K=TEMPERATURE_K,
            pressure_bar=PRESSURE_BAR,
            timestep_fs=TIMESTEP_FS,
            n_steps=N_STEPS,
            save_every=20,
            thermo_every=20,
            check_every=10,
            checkpoint_every_s=5.0,
            seed=0,
            folder=Path(folder),
            bonds=atoms.info["bonds"],
        )
        assert result.status == "completed", result
        return time.process_time() - start


def main() -> None:
    study = Study(announce=False)
    model = study.get(study.model("mace", "classical", 1)) / mace.MODEL_FILE
    calculator = mace.calculator(model, device="cpu", precision="float32")
    atoms = relaxed_liquid(calculator)
    rounds = [
        (time_bare(atoms, calculator), time_driver(atoms, calculator)) for _ in range(N_ROUNDS)
    ]
    bare, driver = 1e3 / N_STEPS * np.array(rounds).T
    print(f"bare loop  {bare.min():7.3f} ms per step (best of {N_ROUNDS})")
    print(f"driver     {driver.min():7.3f} ms per step")
    table.row("dynamics: driver", driver.min(), "ms", bare.min(), "bare ASE")
    print(f"overhead   {100 * (driver.min() / bare.min() - 1):7.2f} % (best over best)")
    print(f"           {100 * (np.median(driver / bare) - 1):7.2f} % (median of the rounds)")


if __name__ == "__main__":
    main()
