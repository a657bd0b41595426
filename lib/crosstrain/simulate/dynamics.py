"""Constant-pressure and constant-temperature dynamics of a molecular liquid, restartable.

Integrators, both of ASE:

- ``"npt"``: `LangevinBAOAB` with an isotropic Langevin-Hoover barostat (Quigley and Probert,
  J. Chem. Phys. 120, 11432 (2004)). The total momentum is free, so that N independent particles
  have the textbook mean volume (N + 1) kT/P.
- ``"nvt"``: `Bussi`, stochastic velocity rescaling (Bussi, Donadio and Parrinello, J. Chem. Phys.
  126, 014101 (2007)). It leaves diffusion nearly untouched, where a Langevin thermostat would slow
  it down and let the whole liquid wander. The total momentum is held at zero, which leaves
  3N - 3 degrees of freedom.

The state of either (positions, momenta, cell, the barostat's momentum and force, the random
stream) fits in a checkpoint, so a run that was killed continues bit for bit as if it had not been,
given a calculator whose forces depend on the configuration alone.

Files of a run, all in its own folder, each written aside and then moved into place:
``checkpoint.npz``, ``checkpoint.previous.npz`` and ``chunk_*.npz`` while it runs,
``trajectory.npz`` and ``result.json`` once it has ended. One process at a time may use a folder.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import BaseCalculator, PropertyNotImplementedError
from ase.md.bussi import Bussi
from ase.md.langevinbaoab import LangevinBAOAB
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from numpy.typing import ArrayLike, NDArray

from crosstrain.simulate.topology import BondMonitor, bond_events, describe_event
from crosstrain.simulate.trajectory import (
    TRAJECTORY,
    Damaged,
    Recorder,
    read_npz,
    write_npz,
    write_trajectory,
    write_whole,
)

_BAR = 1e5 * units.Pascal
_GRAM_PER_CM3 = 1e-3 * units.kg / 1e24
DENSITY_LIMITS_G_CM3 = (0.3, 2.0)
"""Below the first a liquid has boiled off, above the second it has collapsed."""
_LONGEST_CHECKPOINT_S = 120.0
_CHECKPOINT = {"meta", "positions", "momenta", "cell", "forces", "barostat"}


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes
    ----------
    status
        ``"completed"``; ``"unstable"`` if the liquid left its limits; ``"failed"`` if the
        calculator raised an error.
    reason
        Empty if completed, else one of ``"bond broken"``, ``"bond formed"``, ``"boil-off"``,
        ``"collapse"``, ``"temperature blow-up"``, ``"non-finite force"``, ``"model error"``.
    detail
        What happened, in words.
    time_ps
        Time survived (ps): the planned time, or when the reason arose. For a bond this is the
        beginning of the event, a persistence time before the run ended.
    simulated_ps
        Time of the last step (ps).
    planned_ps
        ``n_steps`` times the time step (ps).
    n_frames
        Frames in the trajectory.
    wall_s
        Wall time (s), work lost to interruptions not counted.
    messages
        Notes on recovery from damaged checkpoints.
    """

    status: Literal["completed", "unstable", "failed"]
    reason: str
    detail: str
    time_ps: float
    simulated_ps: float
    planned_ps: float
    n_frames: int
    wall_s: float
    messages: tuple[str, ...] = ()


def draw_momenta(
    atoms: Atoms, *, temperature_K: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Maxwell-Boltzmann momenta with zero total momentum.

    Parameters
    ----------
    atoms
        Gives the masses; it is not changed.
    temperature_K
        Temperature of the 3N - 3 remaining degrees of freedom (K).
    rng
        Random stream.

    Returns
    -------
    ndarray
        Momenta in ASE units, shape (n_atoms, 3).
    """
    thermal = atoms.copy()
    thermalize_momenta(thermal, temperature_K, rng=rng)
    Stationary(thermal, preserve_temperature=False)
    return thermal.get_momenta()


def density_g_cm3(atoms: Atoms) -> float:
    """Mass density of a periodic box (g/cm³)."""
    return float(atoms.get_masses().sum() / atoms.get_volume() / _GRAM_PER_CM3)


def run_dynamics(
    atoms: Atoms,
    calculator: BaseCalculator,
    *,
    ensemble: Literal["npt", "nvt"],
    temperature_K: float,
    pressure_bar: float | None = None,
    timestep_fs: float = 0.5,
    n_steps: int,
    save_every: int,
    thermo_every: int,
    check_every: int = 10,
    checkpoint_every_s: float = 60.0,
    seed: int,
    folder: str | os.PathLike[str],
    bonds: ArrayLike | None,
    persistence_ps: float = 0.05,
    thermostat_time_fs: float = 500.0,
    barostat_time_fs: float = 1000.0,
    min_density_g_cm3: float = DENSITY_LIMITS_G_CM3[0],
    max_density_g_cm3: float = DENSITY_LIMITS_G_CM3[1],
    max_temperature_K: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Run or continue NPT or NVT dynamics until it is complete or the liquid falls apart.

    Called again with the same arguments, it continues an interrupted run from its last checkpoint,
    and returns the stored result of one that has ended, whatever its status.

    Density, temperature and finiteness are watched at every step, bonds every `check_every`
    steps. The frame that ended a run is kept.

    Parameters
    ----------
    atoms
        The start, which is not changed. Momenta are used if there are any, and else drawn from
        `seed`. Under NVT the total momentum is removed.
    calculator
        Any ASE calculator with forces, and with stress for NPT.
    ensemble
        ``"npt"`` or ``"nvt"``.
    temperature_K
        Temperature (K).
    pressure_bar
        Pressure (bar); for NPT only.
    timestep_fs
        Time step (fs). Free hydrogen wants about 0.5.
    n_steps
        Planned number of steps.
    save_every, thermo_every
        Steps between frames and between rows of the thermodynamic table; both include the start.
    check_every
        Steps between looks at the bonds, and between calls of `on_progress`.
    checkpoint_every_s
        Most wall time between checkpoints (s), up to 120: what a kill can lose. A potential whose
        steps take longer than that loses one step.
    seed
        Seed of momenta and thermostat.
    folder
        Folder of this run, made if missing.
    bonds
        The known graph, shape (n_bonds, 2), as in ``atoms.info["bonds"]``; None for no check.
    persistence_ps
        How long a bond must be formed or broken to end the run (ps).
    thermostat_time_fs
        Relaxation time of the temperature (fs).
    barostat_time_fs
        Relaxation time τ of the cell (fs), from which its mass is 3N kT τ² (Martyna, Tobias and
        Klein, J. Chem. Phys. 101, 4177 (1994)).
    min_density_g_cm3, max_density_g_cm3
        Below is boil-off, above is collapse (g/cm³).
    max_temperature_K
        Kinetic temperature that counts as a blow-up (K); five times `temperature_K` by default.
    on_progress
        Called with the step reached and `n_steps`. What it raises interrupts the run.

    Returns
    -------
    RunResult
        How the run ended.

    Raises
    ------
    ValueError
        For an argument out of range; for a start that already breaks a limit or the graph; if the
        folder holds a run with other parameters or another start (which ones is said), or
        checkpoints none of which can be read; if a checkpoint's forces are not those of
        `calculator`.

    Notes
    -----
    The newest of the two checkpoints that can be read is used; falling back is noted in the
    result. An error of the calculator is a result too, and is not tried again: remove the folder
    to do so.

    The kinetic part of the pressure, and the NPT temperature, are from the velocities half a step
    before the frame. These obey the virial theorem at finite time step; those of the full step are
    too slow by (ωΔt)²/4 in a vibration ω, 2 % for a C-H stretch at 0.5 fs. The thermostat of a run
    at constant volume holds the kinetic energy of the full step, so that the run is a little hotter
    than asked: by about 2 % in liquid EC and EMC at 1 fs.
    """
    if max_temperature_K is None:
        max_temperature_K = 5 * temperature_K
    parameters: dict[str, Any] = {
        "ensemble": ensemble,
        "temperature_K": temperature_K,
        "pressure_bar": pressure_bar,
        "timestep_fs": timestep_fs,
        "n_steps": n_steps,
        "save_every": save_every,
        "thermo_every": thermo_every,
        "check_every": check_every,
        "seed": seed,
        "persistence_ps": persistence_ps,
        "thermostat_time_fs": thermostat_time_fs,
        "barostat_time_fs": barostat_time_fs,
        "min_density_g_cm3": min_density_g_cm3,
        "max_density_g_cm3": max_density_g_cm3,
        "max_temperature_K": max_temperature_K,
    }
    _check_parameters(parameters, checkpoint_every_s)
    _check_start(atoms, bonds, parameters)
    # JSON once there and back, so that stored and present parameters compare as equals.
    parameters |= _fingerprints(atoms, bonds)
    parameters = json.loads(json.dumps(parameters, default=lambda number: number.item()))

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if (ended := _read_result(folder)) is not None:
        result, stored_parameters = ended
        _require_same(stored_parameters, parameters, folder)
        _remove_working_files(folder)  # left if the run was killed at its very end
        return result
    run = _Run(atoms, calculator, bonds, parameters, folder)
    return run.finish(checkpoint_every_s, on_progress)


class _ModelError(Exception):
    """The calculator raised an error, or gave an energy that is no number."""


class _Ending(NamedTuple):
    """How a run ends; the fields are those of `RunResult`."""

    status: Literal["completed", "unstable", "failed"]
    reason: str
    detail: str
    time_ps: float


class _MomentumFreeBussi(Bussi):
    """Stochastic velocity rescaling at zero total momentum.

    ASE's class counts 3N degrees of freedom, which would make 3N - 3 of them too hot by 1/(N - 1).
    A model's forces may have a small sum, whose drift is taken out at each step.
    """

    def __init__(self, atoms: Atoms, timestep: float, temperature_K: float, **kwargs: Any) -> None:
        Stationary(atoms, preserve_temperature=False)
        super().__init__(atoms, timestep, temperature_K, **kwargs)
        self.ndof -= 3
        self.target_kinetic_energy = 0.5 * self.temp * self.ndof

    def step(self, forces: NDArray | None = None) -> NDArray:
        forces = super().step(forces)
        Stationary(self.atoms, preserve_temperature=False)
        return forces


def _integrator(
    atoms: Atoms, parameters: dict[str, Any], rng: np.random.Generator
) -> LangevinBAOAB | _MomentumFreeBussi:
    timestep = parameters["timestep_fs"] * units.fs
    temperature_K = parameters["temperature_K"]
    thermostat_time = parameters["thermostat_time_fs"] * units.fs
    if parameters["ensemble"] == "nvt":
        return _MomentumFreeBussi(atoms, timestep, temperature_K, taut=thermostat_time, rng=rng)
    barostat_time = parameters["barostat_time_fs"] * units.fs
    return LangevinBAOAB(
        atoms,
        timestep,
        temperature_K=temperature_K,
        externalstress=-parameters["pressure_bar"] * _BAR,
        hydrostatic=True,
        T_tau=thermostat_time,
        P_tau=barostat_time,
        P_mass=3 * len(atoms) * units.kB * temperature_K * barostat_time**2,
        rng=rng,
    )


class _Run:
    """A run under way: atoms, integrator, bond monitor, records. Takes up a checkpoint if any."""

    def __init__(
        self,
        atoms: Atoms,
        calculator: BaseCalculator,
        bonds: ArrayLike | None,
        parameters: dict[str, Any],
        folder: Path,
    ) -> None:
        self.atoms = atoms.copy()
        self.atoms.calc = calculator
        self.parameters = parameters
        self.folder = folder
        self.step = 0
        self.wall_s = 0.0
        self.messages: list[str] = []
        self.recorder = Recorder(folder, len(atoms))
        self.monitor: BondMonitor | None = None
        if bonds is not None:
            self.atoms.info["bonds"] = np.asarray(bonds)
            self.monitor = BondMonitor(
                atoms.numbers, bonds, persistence_ps=parameters["persistence_ps"]
            )
        self.integrator: LangevinBAOAB | _MomentumFreeBussi
        momenta_seed, thermostat_seed = np.random.SeedSequence(parameters["seed"]).spawn(2)
        self.rng = np.random.default_rng(thermostat_seed)
        if not self.atoms.get_momenta().any():
            rng = np.random.default_rng(momenta_seed)
            temperature_K = parameters["temperature_K"]
            self.atoms.set_momenta(draw_momenta(self.atoms, temperature_K=temperature_K, rng=rng))

    def finish(
        self, checkpoint_every_s: float, on_progress: Callable[[int, int], None] | None
    ) -> RunResult:
        """Run to the end, which may come early, and write the result."""
        n_steps, check_every = self.parameters["n_steps"], self.parameters["check_every"]
        clock = time.monotonic()
        ending = self._begin()
        while ending is None and self.step < n_steps:
            step_begun = time.monotonic()
            self.step += 1
            ending = self._watch(self.integrator.step)
            if on_progress and (self.step % check_every == 0 or self.step == n_steps):
                on_progress(self.step, n_steps)
            now = time.monotonic()
            # In time: another step as long as this one would make too much to lose.
            if ending is None and now - clock + (now - step_begun) >= checkpoint_every_s:
                self.wall_s += now - clock
                clock = now
                self._save_checkpoint()
        self.wall_s += time.monotonic() - clock
        return self._close(ending or _Ending("completed", "", "", self.time_ps))

    @property
    def time_ps(self) -> float:
        return self.step * self.parameters["timestep_fs"] * 1e-3

    def _begin(self) -> _Ending | None:
        """Take up the newest checkpoint, or start afresh."""
        checkpoint = _newest_checkpoint(self.folder, self.recorder, self.messages)
        if checkpoint is None:
            return self._watch(self._make_integrator)
        self._restore(*checkpoint)
        return None

    def _make_integrator(self) -> None:
        self.integrator = _integrator(self.atoms, self.parameters, self.rng)

    def _watch(self, work: Callable[[], Any]) -> _Ending | None:
        """Let the calculator work, then check and record where that led."""
        try:
            with _model_errors():
                work()
            ending = self._limit_broken()
            if ending is None and self.step % self.parameters["thermo_every"] == 0:
                self.recorder.thermo.append(self._thermo())
        except _ModelError as error:
            ending = _Ending("failed", "model error", str(error), self.time_ps)
        if ending is not None or self.step % self.parameters["save_every"] == 0:
            self._record_frame()
        return ending

    def _limit_broken(self) -> _Ending | None:
        """The first limit that the present state breaks, if any."""
        limits = self.parameters
        temperature_K = self.atoms.get_temperature()
        # A stress that is no number shows in the force on the cell, under NPT; a force that is
        # none shows in the velocities, once a step is made.
        cell_force = getattr(self.integrator, "force_eps", 0.0)
        if self.step == 0 or not np.isfinite([temperature_K, cell_force]).all():
            forces = self.atoms.get_forces()
            if not (np.isfinite(forces).all() and np.isfinite(cell_force)):
                what = "stress" if np.isfinite(forces).all() else "force"
                detail = f"a {what} component is not a finite number"
                return self._unstable("non-finite force", detail)
        if not temperature_K <= limits["max_temperature_K"]:
            return self._unstable("temperature blow-up", f"{temperature_K:.0f} K")
        density = density_g_cm3(self.atoms)
        if not density >= limits["min_density_g_cm3"]:
            return self._unstable("boil-off", f"{density:.3f} g/cm³")
        if not density <= limits["max_density_g_cm3"]:
            return self._unstable("collapse", f"{density:.3f} g/cm³")
        if self.monitor is None or self.step % limits["check_every"] != 0:
            return None
        events = self.monitor.update(self.atoms, time_ps=self.time_ps)
        if not events:
            return None
        bonds = self.atoms.info["bonds"]
        detail = "; ".join(describe_event(event, self.atoms, bonds) for event in events)
        return _Ending("unstable", f"bond {events[0].kind}", detail, events[0].time_ps)

    def _unstable(self, reason: str, detail: str) -> _Ending:
        return _Ending("unstable", reason, detail, self.time_ps)

    def _record_frame(self) -> None:
        positions, cell = self.atoms.get_positions(), self.atoms.cell.array.copy()
        # A calculator may be driven to an error by positions that are no numbers.
        if np.isfinite(positions).all() and np.isfinite(cell).all():
            self.recorder.frames.append((self.time_ps, positions.astype(np.float32), cell))

    def _thermo(self) -> tuple[float, ...]:
        """A row of `THERMO_COLUMNS`."""
        atoms = self.atoms
        with _model_errors():
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
            mean_stress = self._mean_stress()
        if not np.isfinite(energy):
            raise _ModelError(f"the potential energy is {energy}")
        n_atoms, volume = len(atoms), atoms.get_volume()
        half_step_momenta = atoms.get_momenta() - 0.5 * self.integrator.dt * forces
        kinetic = 0.5 * float((half_step_momenta**2 / atoms.get_masses()[:, None]).sum())
        pressure = 2 * kinetic / (3 * volume) - mean_stress
        if self.parameters["ensemble"] == "npt":
            temperature_K = 2 * kinetic / (3 * n_atoms * units.kB)
        else:  # velocity rescaling sets the kinetic energy of the full step
            temperature_K = 2 * atoms.get_kinetic_energy() / ((3 * n_atoms - 3) * units.kB)
        return self.time_ps, float(energy), temperature_K, volume, pressure / _BAR

    def _mean_stress(self) -> float:
        try:
            return float(self.atoms.get_stress()[:3].mean())
        except NotImplementedError:
            return np.nan

    def _save_checkpoint(self) -> None:
        """Store all that the future depends on; the checkpoint before is kept as well."""
        self.recorder.flush()
        meta = {
            "parameters": self.parameters,
            "step": self.step,
            "n_chunks": self.recorder.n_chunks,
            "random_state": self.rng.bit_generator.state,
            "monitor": self.monitor.state() if self.monitor else [],
            "wall_s": self.wall_s,
            "messages": self.messages,
        }
        coming = self.folder / "checkpoint.next.npz"
        write_npz(
            coming,
            compress=False,
            meta=np.array(json.dumps(meta)),
            positions=self.atoms.get_positions(),
            momenta=self.atoms.get_momenta(),
            cell=self.atoms.cell.array,
            forces=self.atoms.get_forces(),
            barostat=np.array(
                [getattr(self.integrator, name, 0.0) for name in ("p_eps", "force_eps")]
            ),
        )
        newest, previous = _checkpoint_paths(self.folder)
        if newest.exists():
            os.replace(newest, previous)
        os.replace(coming, newest)

    def _restore(self, meta: dict[str, Any], arrays: dict[str, NDArray]) -> None:
        _require_same(meta["parameters"], self.parameters, self.folder)
        self.step, self.wall_s = meta["step"], meta["wall_s"]
        self.messages = [*meta["messages"], *self.messages]
        if self.monitor:
            self.monitor.restore(meta["monitor"])
        self.atoms.set_cell(arrays["cell"])
        self.atoms.set_positions(arrays["positions"])
        self._make_integrator()
        self.atoms.set_momenta(arrays["momenta"])  # last: a new integrator takes out a drift
        _require_close_forces(self.atoms.get_forces(), arrays["forces"])
        self.rng.bit_generator.state = meta["random_state"]
        if self.parameters["ensemble"] == "npt":
            self.integrator.p_eps, self.integrator.force_eps = arrays["barostat"]

    def _close(self, ending: _Ending) -> RunResult:
        """Merge the chunks, write the result, and only then remove what led to it."""
        records = self.recorder.merged()
        write_trajectory(self.folder / TRAJECTORY, self.atoms, records)
        result = RunResult(
            *ending,
            simulated_ps=self.time_ps,
            planned_ps=self.parameters["n_steps"] * self.parameters["timestep_fs"] * 1e-3,
            n_frames=len(records["time_ps"]),
            wall_s=self.wall_s,
            messages=tuple(self.messages),
        )
        _write_result(self.folder, result, self.parameters)
        _remove_working_files(self.folder)
        return result


@contextmanager
def _model_errors() -> Iterator[None]:
    """Turn whatever the calculator raises into `_ModelError`."""
    try:
        yield
    except PropertyNotImplementedError as error:
        raise ValueError(
            f"calculator lacks {error}, allowed: one with forces, and with stress for 'npt'"
        ) from error
    except Exception as error:
        raise _ModelError(f"{type(error).__name__}: {error}") from error


def _check_parameters(parameters: dict[str, Any], checkpoint_every_s: float) -> None:
    """Refuse arguments that are out of range."""

    def require(name: str, fits: bool, allowed: str) -> None:
        if not fits:
            raise ValueError(f"{name} is {values[name]!r}, allowed: {allowed}")

    def is_whole(name: str) -> bool:
        return isinstance(values[name], int | np.integer)

    values = parameters | {"checkpoint_every_s": checkpoint_every_s}
    require("ensemble", values["ensemble"] in ("npt", "nvt"), "'npt' or 'nvt'")
    if values["ensemble"] == "npt":
        finite = values["pressure_bar"] is not None and np.isfinite(values["pressure_bar"])
        require("pressure_bar", finite, "a finite number under 'npt'")
    else:
        require("pressure_bar", values["pressure_bar"] is None, "None under 'nvt'")
    for name in ("temperature_K", "timestep_fs", "thermostat_time_fs", "barostat_time_fs"):
        require(name, 0 < values[name] < np.inf, "a positive number")
    for name in ("n_steps", "save_every", "thermo_every", "check_every"):
        require(name, is_whole(name) and values[name] >= 1, "a positive whole number")
    require("persistence_ps", values["persistence_ps"] >= 0, "0 or more")
    require("seed", is_whole("seed") and values["seed"] >= 0, "a whole number, 0 or more")
    lowest, highest = values["min_density_g_cm3"], values["max_density_g_cm3"]
    require("min_density_g_cm3", 0 <= lowest < highest, f"0 to {highest} (max_density_g_cm3)")
    above = values["max_temperature_K"] > values["temperature_K"]
    require("max_temperature_K", above, f"above {values['temperature_K']} (temperature_K)")
    longest = _LONGEST_CHECKPOINT_S
    require("checkpoint_every_s", 0 < checkpoint_every_s <= longest, f"above 0, to {longest:g}")


def _check_start(atoms: Atoms, bonds: ArrayLike | None, parameters: dict[str, Any]) -> None:
    """Refuse a start that breaks a limit or the graph before any dynamics."""
    if not atoms.pbc.all() or atoms.cell.rank < 3:
        raise ValueError(f"atoms have pbc {atoms.pbc} and cell {atoms.cell}, allowed: a full cell")
    if len(atoms) < 2 or atoms.constraints:
        raise ValueError(
            f"atoms has {len(atoms)} atoms and {len(atoms.constraints)} constraints, "
            "allowed: two atoms or more, no constraints"
        )
    if not np.isfinite(atoms.positions).all():
        raise ValueError("atoms has non-finite positions, allowed: finite ones")
    density = density_g_cm3(atoms)
    lowest, highest = parameters["min_density_g_cm3"], parameters["max_density_g_cm3"]
    if not lowest <= density <= highest:
        raise ValueError(f"atoms has {density:.3f} g/cm³, allowed: {lowest} to {highest}")
    if bonds is not None:
        formed, broken = bond_events(atoms, bonds)
        if len(formed) or len(broken):
            raise ValueError(
                f"atoms does not have the graph of bonds: pairs {formed.tolist()} are too close, "
                f"bonds {broken.tolist()} are too long"
            )


def _fingerprints(atoms: Atoms, bonds: ArrayLike | None) -> dict[str, str | None]:
    """Short hashes of the start, by name, so that an error can say what differs."""
    parts = {
        "numbers": atoms.numbers,
        "masses": atoms.get_masses(),
        "cell": atoms.cell.array,
        "positions": atoms.positions,
        "momenta": atoms.get_momenta(),
        "bonds": None if bonds is None else np.asarray(bonds, dtype=np.int64),
    }
    return {
        f"start {name}": None
        if part is None
        else hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()[:12]
        for name, part in parts.items()
    }


def _require_same(stored: dict[str, Any], asked: dict[str, Any], folder: Path) -> None:
    differing = [
        f"{name} (stored {stored.get(name)!r}, asked {asked.get(name)!r})"
        for name in asked
        if stored.get(name) != asked.get(name)
    ]
    if differing:
        raise ValueError(f"folder {folder} holds another run, with other " + ", ".join(differing))


def _require_close_forces(forces: NDArray, stored: NDArray) -> None:
    """The same model gives the same forces, up to the rounding of single precision."""
    difference = np.abs(forces - stored).max()
    if not difference <= 1e-3 * (1 + np.abs(stored).max()):
        raise ValueError(
            f"calculator gives forces {difference:.3g} eV/Å away from those of the checkpoint, "
            "allowed: the calculator of the interrupted run"
        )


def _checkpoint_paths(folder: Path) -> tuple[Path, Path]:
    """The newest checkpoint and the one before."""
    return folder / "checkpoint.npz", folder / "checkpoint.previous.npz"


def _newest_checkpoint(
    folder: Path, recorder: Recorder, messages: list[str]
) -> tuple[dict[str, Any], dict[str, NDArray]] | None:
    """Parameters and arrays of the newest checkpoint that is whole together with its chunks.

    Sets `recorder` to its chunks, and adds a note to `messages` for one that is damaged.
    """
    newest, previous = _checkpoint_paths(folder)
    if not newest.exists() and not previous.exists():
        return None
    for path in (newest, previous):
        try:
            arrays = read_npz(path, _CHECKPOINT)
            meta = json.loads(str(arrays.pop("meta")))
            recorder.n_chunks = meta["n_chunks"]
            recorder.on_disk()
        except Damaged:
            messages.append(f"{path.name} or its chunks cannot be read")
        else:
            if path == previous:  # else the next checkpoint would put the damaged in its place
                newest.unlink(missing_ok=True)
            return meta, arrays
    raise Damaged(
        f"folder {folder} holds no checkpoint that can be read: {'; '.join(messages)}; "
        "remove it to start again"
    )


def _read_result(folder: Path) -> tuple[RunResult, dict[str, Any]] | None:
    """Result and parameters of a run that has ended."""
    path = folder / "result.json"
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["result"]["messages"] = tuple(record["result"]["messages"])
        return RunResult(**record["result"]), record["parameters"]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"result {path} cannot be read: {error}") from error


def _write_result(folder: Path, result: RunResult, parameters: dict[str, Any]) -> None:
    record = {"result": asdict(result), "parameters": parameters}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_whole(folder / "result.json", lambda file: file.write(text.encode()))


def _remove_working_files(folder: Path) -> None:
    for pattern in ("chunk_*.npz", "checkpoint*.npz", "*.partial"):
        for path in folder.glob(pattern):
            path.unlink()
