"""What `run_dynamics` costs over a bare loop of the same integrator and calculator.

Run it as a script. Both are timed in turns in the same process, on 160 atoms with bonds checked
every 10 steps, records every 20 and a checkpoint every second. The model is ASE's Lennard-Jones,
repeated so that a force call takes about 40 ms, as that of a small learned potential does.
Processor time is compared, which other work on the machine disturbs less than wall time.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import table
from ase import Atoms, units
from ase.calculators.lj import LennardJones
from ase.md.langevinbaoab import LangevinBAOAB
from crosstrain.simulate.dynamics import draw_momenta, run_dynamics

N_STEPS, N_ROUNDS = 50, 9
SETTINGS = {"temperature_K": 300.0, "pressure_bar": 1000.0, "timestep_fs": 1.0}


class SlowLennardJones(LennardJones):
    """Lennard-Jones, computed several times over."""

    repeats = 1

    def calculate(self, *args, **kwargs) -> None:
        for _ in range(self.repeats):
            super().calculate(*args, **kwargs)


def model() -> SlowLennardJones:
    return SlowLennardJones(sigma=3.4, epsilon=0.0104, rc=8.0, smooth=True)


def liquid() -> Atoms:
    """160 argon atoms on a jittered lattice."""
    sites = np.argwhere(np.ones((6, 6, 5)))[:160] * 3.8
    atoms = Atoms("Ar160", positions=sites, cell=[22.8, 22.8, 19.0], pbc=True)
    atoms.rattle(0.05, seed=1)
    atoms.set_momenta(draw_momenta(atoms, temperature_K=300.0, rng=np.random.default_rng(2)))
    return atoms


def time_bare(atoms: Atoms) -> float:
    atoms = atoms.copy()
    atoms.calc = model()
    start = time.process_time()
    integrator = LangevinBAOAB(
        atoms,
        SETTINGS["timestep_fs"] * units.fs,
        temperature_K=SETTINGS["temperature_K"],
        externalstress=-SETTINGS["pressure_bar"] * 1e5 * units.Pascal,
        hydrostatic=True,
        T_tau=500 * units.fs,
        P_tau=1000 * units.fs,
        P_mass=3 * len(atoms) * units.kB * 300.0 * (1000 * units.fs) ** 2,
        rng=np.random.default_rng(0),
    )
    for _ in range(N_STEPS):
        integrator.step()
    return time.process_time() - start


def time_driver(atoms: Atoms) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        result = run_dynamics(
            atoms,
            model(),
            ensemble="npt",
            n_steps=N_STEPS,
            save_every=20,
            thermo_every=20,
            check_every=10,
            checkpoint_every_s=1.0,
            seed=0,
            folder=Path(folder),
            bonds=np.empty((0, 2), dtype=int),
            **SETTINGS,
        )
        assert result.status == "completed", result
        return time.process_time() - start


def main() -> None:
    atoms = liquid()
    force_call = min(time_bare(atoms) for _ in range(2)) / N_STEPS
    SlowLennardJones.repeats = int(np.ceil(0.040 / force_call))
    bare, driver = np.array([(time_bare(atoms), time_driver(atoms)) for _ in range(N_ROUNDS)]).T
    per_step = 1e3 / N_STEPS
    print(f"force call repeated {SlowLennardJones.repeats} times")
    print(f"bare loop  {bare.min() * per_step:7.2f} ms per step (best of {N_ROUNDS})")
    print(f"driver     {driver.min() * per_step:7.2f} ms per step")
    table.row("dynamics: driver", driver.min() * per_step, "ms", bare.min() * per_step, "bare ASE")
    print(f"overhead   {100 * (driver.min() / bare.min() - 1):7.2f} % (best over best)")
    print(f"           {100 * (np.median(driver / bare) - 1):7.2f} % (median of the rounds)")


if __name__ == "__main__":
    main()
