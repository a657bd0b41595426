"""Ensembles against statistical mechanics, restarts against uninterrupted runs, guards."""

import json
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from itertools import count, product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from crosstrain.simulate import dynamics
from crosstrain.simulate.dynamics import (
    density_g_cm3,
    draw_momenta,
    run_dynamics,
)
from crosstrain.simulate.trajectory import (
    THERMO_COLUMNS,
    Damaged,
    pack_trajectory,
    read_npz,
    read_trajectory,
    write_npz,
)

BAR = 1e5 * units.Pascal


class Toy(Calculator):
    """Harmonic bonds, and a Gaussian repulsion between all other pairs; nothing by default."""

    implemented_properties = ("energy", "forces", "stress")

    def __init__(self, bonds=(), stiffness=20.0, length=1.1, height=0.0, width=1.0):
        super().__init__()
        self.bonds = np.array(bonds, dtype=int).reshape(-1, 2)
        self.stiffness, self.length = stiffness, length
        self.height, self.width = height, width

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        i, j = self.bonds.T
        pairs, energy, forces = [], 0.0, np.zeros((len(atoms), 3))
        if len(i):
            vectors = atoms.positions[j] - atoms.positions[i]
            distances = np.linalg.norm(vectors, axis=1)
            stretch = distances - self.length
            energy += 0.5 * self.stiffness * (stretch**2).sum()
            pairs.append((i, j, vectors, -self.stiffness * stretch / distances))
        if self.height:
            i, j = np.triu_indices(len(atoms), 1)
            vectors = atoms.positions[j] - atoms.positions[i]
            lengths = atoms.cell.lengths()
            vectors -= lengths * np.rint(vectors / lengths)
            gauss = self.height * np.exp(-0.5 * (vectors**2).sum(1) / self.width**2)
            energy += gauss.sum()
            pairs.append((i, j, vectors, gauss / self.width**2))
        virial = np.zeros((3, 3))
        for i, j, vectors, scale in pairs:
            pair_forces = scale[:, None] * vectors
            np.add.at(forces, j, pair_forces)
            np.add.at(forces, i, -pair_forces)
            virial += vectors.T @ pair_forces
        stress = -virial / atoms.get_volume()
        self.results = {
            "energy": energy,
            "forces": forces,
            "stress": stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]],
        }


class Failing(Toy):
    """Does something wrong from a certain call on."""

    def __init__(self, at_call: int, fault, **kwargs):
        super().__init__(**kwargs)
        self.calls, self.at_call, self.fault = count(1), at_call, fault

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if next(self.calls) >= self.at_call:
            self.fault(self.results)


class Forbidden(Calculator):
    """Must not be asked for anything."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(self, *args):
        raise AssertionError("the calculator was called")


def gas(n_atoms: int, volume_A3: float, seed: int = 0, symbol: str = "O") -> Atoms:
    length = volume_A3 ** (1 / 3)
    positions = np.random.default_rng(seed).uniform(0, length, (n_atoms, 3))
    return Atoms(f"{symbol}{n_atoms}", positions=positions, cell=[length] * 3, pbc=True)


def diatomics(n_molecules: int, volume_A3: float) -> tuple[Atoms, np.ndarray]:
    """C-H pairs on a lattice, and their bonds."""
    n_side = int(np.ceil(n_molecules ** (1 / 3)))
    length = volume_A3 ** (1 / 3)
    sites = np.argwhere(np.ones([n_side] * 3))[:n_molecules] * length / n_side
    positions = np.stack([sites, sites + np.array([1.1, 0.0, 0.0])], axis=1).reshape(-1, 3)
    atoms = Atoms("CH" * n_molecules, positions=positions, cell=[length] * 3, pbc=True)
    atoms.set_array("molecule", np.repeat(np.arange(n_molecules), 2))
    return atoms, np.arange(2 * n_molecules).reshape(-1, 2)


def settings(**changes) -> dict:
    """Arguments of a short run without density limits."""
    return {
        "ensemble": "npt",
        "temperature_K": 300.0,
        "pressure_bar": 50.0,
        "timestep_fs": 0.5,
        "n_steps": 60,
        "save_every": 5,
        "thermo_every": 3,
        "seed": 7,
        "bonds": None,
        "min_density_g_cm3": 0.0,
        "max_density_g_cm3": 1e9,
        **changes,
    }


NVT = {"ensemble": "nvt", "pressure_bar": None}


def mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error from 20 blocks, the first tenth left out."""
    kept = values[len(values) // 10 :]
    blocks = np.array([block.mean() for block in np.array_split(kept, 20)])
    return blocks.mean(), blocks.std(ddof=1) / np.sqrt(len(blocks))


# Ensembles ------------------------------------------------------------------------------------


def gas_run(folder: Path, atoms: Atoms, model: Toy, volume_A3: float, **changes) -> dict:
    """Table of a gas at 300 K and the pressure that gives each particle `volume_A3`."""
    arguments = settings(pressure_bar=units.kB * 300 / volume_A3 / BAR, thermo_every=4, **changes)
    run_dynamics(atoms, model, folder=folder, **arguments)
    return read_trajectory(folder).thermo


def assert_mean(values: np.ndarray, expected: float, *, precision: float) -> None:
    """The mean is as expected within three standard errors, and these are small."""
    mean, error = mean_and_error(values)
    assert error < precision * expected
    assert abs(mean - expected) < 3 * error


def test_ideal_gas_volume_is_that_of_n_plus_one(tmp_path):
    """V follows a Gamma distribution of shape N + 1 and scale kT/P."""
    n_atoms, scale = 2, 200.0
    thermo = gas_run(
        tmp_path,
        gas(n_atoms, n_atoms * scale),
        Toy(),
        scale,
        timestep_fs=5.0,
        n_steps=8000,
        thermostat_time_fs=30.0,
        barostat_time_fs=30.0,
    )
    volume = thermo["volume_A3"]
    assert_mean(volume, (n_atoms + 1) * scale, precision=0.06)  # N would be 33 % off
    assert_mean(volume**2, (n_atoms + 1) * (n_atoms + 2) * scale**2, precision=0.13)
    assert_mean(thermo["temperature_K"], 300, precision=0.03)
    # The mean of P V, unlike that of P, is not ruled by a few frames of small volume.
    assert_mean(thermo["pressure_bar"] * BAR * volume, n_atoms * units.kB * 300, precision=0.03)


@pytest.mark.slow
def test_stiff_molecules_count_once_in_the_pressure(tmp_path):
    """A gas of N stiff diatomics: V = (N + 1) kT/P although 2N atoms move, U = kT/2 per bond.

    The energy of N harmonic bonds has a Gamma distribution: U² is N (N + 2) (kT)²/4 on average.

    With ωΔt = 1.15 for the bonds, velocities of the full step would be too slow by a third in the
    vibration: 5 % of the temperature, 11 % of the pressure.
    """
    n, scale = 2, 300.0
    atoms, bonds = diatomics(n, n * scale)
    thermo = gas_run(
        tmp_path,
        atoms,
        Toy(bonds, stiffness=128.0),
        scale,
        timestep_fs=1.0,
        n_steps=30_000,
        thermostat_time_fs=20.0,
        barostat_time_fs=20.0,
    )
    assert_mean(thermo["volume_A3"], (n + 1) * scale, precision=0.05)
    energy, kT = thermo["potential_energy_eV"], units.kB * 300
    assert_mean(energy, n * kT / 2, precision=0.05)
    assert_mean(energy**2, n * (n + 2) * kT**2 / 4, precision=0.1)
    assert_mean(thermo["temperature_K"], 300, precision=0.018)
    assert_mean(
        thermo["pressure_bar"] * BAR * thermo["volume_A3"], n * units.kB * 300, precision=0.08
    )


def test_pressure_has_the_derivative_of_the_energy_by_the_volume(tmp_path):
    atoms, arguments = liquid()
    atoms.cell[1, 1] *= 1.1
    run_dynamics(atoms, liquid_model(), folder=tmp_path, **{**arguments, "n_steps": 1})
    thermo = read_trajectory(tmp_path).thermo
    energies, strain = [], 1e-4
    for size in (strain, -strain):
        scaled = atoms.copy()
        scaled.set_cell(atoms.cell * (1 + size), scale_atoms=True)
        energies.append(liquid_model().get_potential_energy(scaled))
    virial = -(energies[0] - energies[1]) / (2 * strain)  # -dU/dV is a third of it, by V
    kinetic = 3 * len(atoms) * units.kB * thermo["temperature_K"][0]
    expected = (kinetic + virial) / (3 * atoms.get_volume())
    assert abs(virial) > 0.1 * kinetic
    assert thermo["pressure_bar"][0] * BAR == pytest.approx(expected, rel=1e-5)


def test_nvt_kinetic_energy_has_3n_minus_3_degrees_of_freedom(tmp_path):
    n_atoms, kT = 4, units.kB * 300.0
    run_dynamics(
        gas(n_atoms, 150.0),
        Toy(height=0.2, width=1.2),
        folder=tmp_path,
        **settings(
            **NVT,
            timestep_fs=2.0,
            n_steps=6000,
            save_every=6000,
            thermo_every=2,
            thermostat_time_fs=10.0,
        ),
    )
    thermo = read_trajectory(tmp_path).thermo
    n_dof = 3 * n_atoms - 3
    kinetic = 0.5 * n_dof * units.kB * thermo["temperature_K"]
    assert_mean(kinetic, 0.5 * n_dof * kT, precision=0.03)  # 3N would be 33 % off
    assert_mean((kinetic - 0.5 * n_dof * kT) ** 2, 0.5 * n_dof * kT**2, precision=0.1)
    assert np.ptp(thermo["volume_A3"]) == 0


def test_nvt_holds_the_centre_of_mass_against_a_drifting_model(tmp_path):
    def push(results):
        results["forces"] += [1e-3, 0, 0]

    atoms = gas(8, 300.0)
    run_dynamics(
        atoms, Failing(1, push), folder=tmp_path, **settings(**NVT, n_steps=500, save_every=500)
    )
    first, last = read_trajectory(tmp_path).frames([0, -1])
    drift = np.linalg.norm(last.get_center_of_mass() - first.get_center_of_mass())
    assert drift < 1e-4  # 0.5 * (1e-3 / 16) * (250 fs)² would be 0.02 Å


@pytest.mark.slow
def test_nvt_harmonic_crystal_has_the_canonical_potential_energy(tmp_path):
    """Copper at 60 K: U - U0 has mean (3N - 3) kT/2, variance (3N - 3) (kT)²/2."""
    atoms = bulk("Cu", cubic=True) * (2, 2, 1)
    atoms.calc = EMT()
    ground, kT, n_dof = atoms.get_potential_energy(), units.kB * 60.0, 3 * len(atoms) - 3
    run_dynamics(
        atoms,
        EMT(),
        folder=tmp_path,
        **settings(
            **NVT,
            temperature_K=60.0,
            timestep_fs=5.0,
            n_steps=10_000,
            save_every=10_000,
            thermo_every=5,
            thermostat_time_fs=100.0,
        ),
    )
    energy = read_trajectory(tmp_path).thermo["potential_energy_eV"] - ground
    assert_mean(energy, 0.5 * n_dof * kT, precision=0.03)
    assert energy[200:].var() == pytest.approx(0.5 * n_dof * kT**2, rel=0.2)


# Restarts -------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def interrupt_at(step_to_stop: int | None):
    def on_progress(step: int, n_steps: int) -> None:
        if step == step_to_stop:
            raise Interrupted

    return on_progress


def liquid() -> tuple[Atoms, dict]:
    atoms, bonds = diatomics(6, 700.0)
    atoms.info["composition"] = "CH:6"
    return atoms, settings(bonds=bonds, checkpoint_every_s=1e-9, check_every=1)


def liquid_model() -> Toy:
    return Toy(liquid()[1]["bonds"], height=0.3, width=1.5)


def interrupted_run(folder: Path, *stops: int, **changes) -> None:
    atoms, arguments = liquid()
    for stop in stops:
        with pytest.raises(Interrupted):
            run_dynamics(
                atoms,
                liquid_model(),
                folder=folder,
                on_progress=interrupt_at(stop),
                **{**arguments, **changes},
            )


@pytest.mark.parametrize("ensemble", [{}, NVT])
def test_interrupted_run_equals_an_uninterrupted_one_to_the_bit(tmp_path, ensemble):
    atoms, arguments = liquid()
    arguments |= ensemble
    whole = run_dynamics(
        atoms, liquid_model(), folder=tmp_path / "whole", **{**arguments, "checkpoint_every_s": 60}
    )
    # The progress call comes before the checkpoint of its step, so that steps are lost as well.
    interrupted_run(tmp_path / "parts", 1, 17, 41, **ensemble)
    parts = run_dynamics(atoms, liquid_model(), folder=tmp_path / "parts", **arguments)
    names = [file.name for file in sorted((tmp_path / "parts").iterdir())]
    assert names == ["result.json", "trajectory.npz"]
    contents = [(tmp_path / run / "trajectory.npz").read_bytes() for run in ("whole", "parts")]
    assert contents[0] == contents[1]
    assert (parts.status, parts.n_frames, parts.messages) == ("completed", 13, ())
    assert (whole.time_ps, whole.n_frames) == (parts.time_ps, parts.n_frames)


@pytest.mark.parametrize("stop", [10, 16, 22])  # before, within and after the onset
def test_suspected_bond_survives_an_interruption(tmp_path, stop):
    atoms, bonds = diatomics(2, 1000.0)
    arguments = settings(
        **NVT,
        bonds=bonds,
        n_steps=200,
        check_every=1,
        checkpoint_every_s=1e-9,
        persistence_ps=0.006,
        max_temperature_K=1e5,
    )

    def run(folder, stop=None):
        return run_dynamics(
            atoms,
            Toy(bonds, stiffness=1.0, length=2.5),
            folder=tmp_path / folder,
            on_progress=interrupt_at(stop),
            **arguments,
        )

    whole = run("whole")
    with pytest.raises(Interrupted):
        run("parts", stop)
    parts = run("parts")
    assert whole.reason == "bond broken"
    onset = whole.time_ps / 0.5e-3
    assert 10 < onset < 16 and onset + 0.006 / 0.5e-3 > 22
    assert (parts.detail, parts.time_ps, parts.n_frames) == (
        whole.detail,
        whole.time_ps,
        whole.n_frames,
    )


def test_trajectory_files_carry_no_date(tmp_path):
    atoms, arguments = liquid()
    run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)
    with zipfile.ZipFile(tmp_path / "trajectory.npz") as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_real_calculator_restarts_to_the_bit(tmp_path):
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    arguments = settings(
        temperature_K=900.0, timestep_fs=5.0, checkpoint_every_s=1e-9, check_every=1
    )
    run_dynamics(atoms, EMT(), folder=tmp_path / "whole", **arguments)
    with pytest.raises(Interrupted):
        run_dynamics(
            atoms, EMT(), folder=tmp_path / "parts", on_progress=interrupt_at(30), **arguments
        )
    run_dynamics(atoms, EMT(), folder=tmp_path / "parts", **arguments)
    contents = [(tmp_path / run / "trajectory.npz").read_bytes() for run in ("whole", "parts")]
    assert contents[0] == contents[1]


def test_killed_process_is_continued(tmp_path):
    script = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from {Path(__file__).stem} import liquid, liquid_model
        from crosstrain.simulate.dynamics import run_dynamics
        atoms, arguments = liquid()
        run_dynamics(
            atoms, liquid_model(), folder=sys.argv[1],
            on_progress=lambda *_: time.sleep(0.1), **arguments
        )
        """
    )
    folder = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)])
    deadline = time.monotonic() + 60
    while not (folder / "checkpoint.previous.npz").exists() and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (folder / "result.json").exists()

    atoms, arguments = liquid()
    run_dynamics(atoms, liquid_model(), folder=folder, **arguments)
    run_dynamics(atoms, liquid_model(), folder=tmp_path / "whole", **arguments)
    contents = [(path / "trajectory.npz").read_bytes() for path in (folder, tmp_path / "whole")]
    assert contents[0] == contents[1]


def test_a_kill_loses_less_than_two_minutes_however_slow_the_model(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(dynamics, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def take_fifty_seconds(results):
        clock[0] += 50.0

    def on_progress(step, n_steps):
        path = tmp_path / "checkpoint.npz"
        saved = json.loads(str(np.load(path)["meta"]))["step"] if path.exists() else 0
        lost_s.append(50.0 * (step - saved))

    lost_s = []
    run_dynamics(
        gas(8, 300.0),
        Failing(1, take_fifty_seconds),
        folder=tmp_path,
        on_progress=on_progress,
        **settings(n_steps=9, check_every=1, checkpoint_every_s=120.0),
    )
    assert len(lost_s) == 9
    assert max(lost_s) == 100.0


def test_run_that_has_ended_is_not_run_again(tmp_path):
    atoms, arguments = liquid()
    first = run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)
    (tmp_path / "checkpoint.npz").write_bytes(b"left by a kill at the very end")
    assert run_dynamics(atoms, Forbidden(), folder=tmp_path, **arguments) == first
    assert not (tmp_path / "checkpoint.npz").exists()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"temperature_K": 301.0}, "temperature_K"),
        ({"seed": 8}, "seed"),
        ({"n_steps": 61}, "n_steps"),
        ({"bonds": None}, "start bonds"),
    ],
)
@pytest.mark.parametrize("ended", [True, False])
def test_folder_of_another_run_is_refused(tmp_path, changes, name, ended):
    atoms, arguments = liquid()
    if ended:
        run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)
    else:
        interrupted_run(tmp_path, 10)
    with pytest.raises(ValueError, match=f"other {name} ") as error:
        run_dynamics(atoms, Forbidden(), folder=tmp_path, **{**arguments, **changes})
    assert "positions" not in str(error.value)
    atoms.positions[0] += 1e-3
    with pytest.raises(ValueError, match="start positions"):
        run_dynamics(atoms, Forbidden(), folder=tmp_path, **arguments)


def test_another_model_is_refused(tmp_path):
    atoms, arguments = liquid()
    interrupted_run(tmp_path, 10)
    with pytest.raises(ValueError, match="calculator of the interrupted run"):
        run_dynamics(atoms, Toy(arguments["bonds"]), folder=tmp_path, **arguments)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, byte: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


# Where in the directory of an archive the first member has its flag of encryption, its way of
# compression and the length of its name.
FLIPS = {"encrypted": 8, "compression": 10, "name": 28}


def spoil(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "cut":
        cut_in_half(path)
    elif how == "data":
        flip(path, path.stat().st_size // 2)
    else:
        flip(path, path.read_bytes().find(b"PK\x01\x02") + FLIPS[how])


@pytest.mark.parametrize("how", ["missing", "cut", "data", *FLIPS])
@pytest.mark.parametrize("damaged", ["checkpoint.npz", "chunk_00019.npz"])
def test_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, damaged, how):
    atoms, arguments = liquid()
    interrupted_run(tmp_path / "parts", 21)
    spoil(tmp_path / "parts" / damaged, how)
    result = run_dynamics(atoms, liquid_model(), folder=tmp_path / "parts", **arguments)
    assert len(result.messages) == 1
    assert "checkpoint.npz or its chunks cannot be read" in result.messages[0]
    run_dynamics(atoms, liquid_model(), folder=tmp_path / "whole", **arguments)
    contents = [(tmp_path / run / "trajectory.npz").read_bytes() for run in ("whole", "parts")]
    assert contents[0] == contents[1]


def test_damaged_checkpoint_does_not_push_out_the_good_one(tmp_path):
    interrupted_run(tmp_path, 21)
    good = (tmp_path / "checkpoint.previous.npz").read_bytes()
    cut_in_half(tmp_path / "checkpoint.npz")
    interrupted_run(tmp_path, 21)
    assert (tmp_path / "checkpoint.previous.npz").read_bytes() == good


def test_two_damaged_checkpoints_are_an_error(tmp_path):
    atoms, arguments = liquid()
    interrupted_run(tmp_path, 21)
    for path in tmp_path.glob("checkpoint*"):
        cut_in_half(path)
    with pytest.raises(ValueError, match="no checkpoint that can be read"):
        run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)


# Endings --------------------------------------------------------------------------------------


def ending(tmp_path, atoms, calculator, **changes):
    result = run_dynamics(atoms, calculator, folder=tmp_path, **settings(**changes))
    trajectory = read_trajectory(tmp_path)
    assert trajectory.time_ps[-1] == pytest.approx(result.simulated_ps)
    assert result.n_frames == len(trajectory.time_ps)
    assert json.loads((tmp_path / "result.json").read_text())["result"]["reason"] == result.reason
    return result, trajectory


def test_broken_bond_ends_the_run_at_its_onset(tmp_path):
    atoms, bonds = diatomics(2, 1000.0)
    result, trajectory = ending(
        tmp_path,
        atoms,
        Toy(bonds, stiffness=1.0, length=2.5),  # pushes C and H apart
        bonds=bonds,
        n_steps=2000,
        check_every=2,
        persistence_ps=0.01,
        save_every=7,
        max_temperature_K=1e5,
        **NVT,
    )
    assert (result.status, result.reason) == ("unstable", "bond broken")
    assert result.simulated_ps == pytest.approx(result.time_ps + 0.01)
    assert "of molecule" in result.detail and "molecule split" in result.detail
    distances = np.linalg.norm(np.diff(trajectory.positions.reshape(-1, 2, 2, 3), axis=2), axis=-1)
    assert distances[-1].max() > 1.70
    assert distances[trajectory.time_ps < result.time_ps - 0.002].max() <= 1.70
    assert result.planned_ps == pytest.approx(1.0)


def test_formed_bond_ends_the_run(tmp_path):
    atoms = Atoms("CC", positions=[[0, 0, 0], [2.4, 0, 0]], cell=[10] * 3, pbc=True)
    result, _ = ending(
        tmp_path,
        atoms,
        Toy([[0, 1]], length=1.5, stiffness=5.0),
        bonds=np.empty((0, 2), int),
        n_steps=1000,
        max_temperature_K=1e5,
        persistence_ps=0.002,
        **NVT,
    )
    assert (result.status, result.reason) == ("unstable", "bond formed")
    assert result.detail.startswith("bond C0-C1 formed")


@pytest.mark.parametrize(("pressure_bar", "reason"), [(-3e4, "boil-off"), (3e5, "collapse")])
def test_density_limits(tmp_path, pressure_bar, reason):
    atoms = gas(16, 300.0)
    limits = {"min_density_g_cm3": 0.7, "max_density_g_cm3": 2.5}
    result, trajectory = ending(
        tmp_path,
        atoms,
        Toy(height=0.2, width=1.0),
        pressure_bar=pressure_bar,
        n_steps=4000,
        barostat_time_fs=200.0,
        **limits,
    )
    assert (result.status, result.reason) == ("unstable", reason)
    densities = [density_g_cm3(frame) for frame in trajectory.frames()]
    assert all(0.7 <= density <= 2.5 for density in densities[:-1])
    assert not 0.7 <= densities[-1] <= 2.5
    assert 0 < result.time_ps == result.simulated_ps < result.planned_ps


def test_temperature_blow_up(tmp_path):
    atoms = gas(8, 300.0)
    atoms.positions[1] = atoms.positions[0] + [0.3, 0, 0]
    result, _ = ending(tmp_path, atoms, Toy(height=20.0), n_steps=500)
    assert (result.status, result.reason) == ("unstable", "temperature blow-up")
    assert result.detail.endswith(" K") and 0 < result.time_ps < result.planned_ps


@pytest.mark.parametrize(
    ("quantity", "status", "reason", "detail"),
    [
        ("forces", "unstable", "non-finite force", "a force component"),
        ("stress", "unstable", "non-finite force", "a stress component"),
        ("energy", "failed", "model error", "the potential energy is nan"),
    ],
)
@pytest.mark.parametrize("at_call", [1, 10])
def test_numbers_that_are_none(tmp_path, quantity, status, reason, detail, at_call):
    def fault(results):
        results[quantity] = results[quantity] * np.nan

    result, trajectory = ending(tmp_path, gas(4, 300.0), Failing(at_call, fault), thermo_every=1)
    assert (result.status, result.reason) == (status, reason)
    assert detail in result.detail
    assert result.time_ps == pytest.approx((at_call - 1) * 0.5e-3)
    assert len(trajectory.thermo["time_ps"]) == at_call - 1


@pytest.mark.parametrize("at_call", [1, 10])
def test_model_error_is_a_result_and_keeps_the_frame(tmp_path, at_call):
    def fault(results):
        raise RuntimeError("outside the training domain")

    result, trajectory = ending(tmp_path, gas(4, 300.0), Failing(at_call, fault))
    assert (result.status, result.reason) == ("failed", "model error")
    assert result.detail == "RuntimeError: outside the training domain"
    assert result.time_ps == pytest.approx((at_call - 1) * 0.5e-3)
    assert trajectory.time_ps[-1] == result.time_ps
    assert run_dynamics(gas(4, 300.0), Forbidden(), folder=tmp_path, **settings()) == result


def test_npt_without_stress_is_an_error_and_nvt_has_no_pressure(tmp_path):
    class NoStress(Toy):
        implemented_properties = ("energy", "forces")

        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            del self.results["stress"]

    with pytest.raises(ValueError, match="with stress for 'npt'"):
        run_dynamics(gas(4, 300.0), NoStress(), folder=tmp_path / "npt", **settings())
    result, trajectory = ending(tmp_path / "nvt", gas(4, 300.0), NoStress(), **NVT)
    assert result.status == "completed"
    assert np.isnan(trajectory.thermo["pressure_bar"]).all()


# Arguments, records, starts -------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"ensemble": "nve"},
        {"pressure_bar": None},
        {"pressure_bar": np.nan},
        {"ensemble": "nvt"},
        {"temperature_K": 0.0},
        {"timestep_fs": -0.5},
        {"n_steps": 0},
        {"save_every": 2.5},
        {"thermo_every": 2.0},
        {"check_every": 0},
        {"seed": -1},
        {"checkpoint_every_s": 121.0},
        {"min_density_g_cm3": 2e9},
        {"max_temperature_K": 200.0},
        {"thermostat_time_fs": 0.0},
        {"bonds": [[0, 1]], "persistence_ps": -1.0},
    ],
)
def test_bad_arguments_are_named(tmp_path, changes):
    name = [*changes][-1] if changes != {"ensemble": "nvt"} else "pressure_bar"
    atoms, _ = diatomics(4, 400.0)
    with pytest.raises(ValueError, match=rf"^{name} is .*allowed: "):
        run_dynamics(atoms[:2], Forbidden(), folder=tmp_path / "run", **settings(**changes))
    assert not (tmp_path / "run").exists()


def test_bad_starts(tmp_path):
    atoms, bonds = diatomics(2, 400.0)

    def refused(start, message, **changes):
        with pytest.raises(ValueError, match=message):
            run_dynamics(start, Forbidden(), folder=tmp_path, **settings(**changes))

    refused(Atoms("O2", positions=[[0, 0, 0], [0, 0, 2]]), "pbc")
    refused(atoms[:1], "two atoms or more")
    refused(atoms, r"g/cm³, allowed: 5.0 to", min_density_g_cm3=5.0)
    refused(atoms, r"bonds \[\[0, 2\]\] are too long", bonds=[[0, 2], [0, 1], [2, 3]])
    refused(atoms, r"pairs \[\[2, 3\]\] are too close", bonds=bonds[:1])
    atoms.positions[0, 0] = np.nan
    refused(atoms, "non-finite positions")


def test_records_of_a_run(tmp_path):
    atoms, arguments = liquid()
    before = atoms.copy()
    seen = []
    result = run_dynamics(
        atoms,
        liquid_model(),
        folder=tmp_path,
        on_progress=lambda *progress: seen.append(progress),
        **{**arguments, "check_every": 25},
    )
    assert atoms == before and "momenta" not in atoms.arrays and atoms.calc is None
    assert seen == [(25, 60), (50, 60), (60, 60)]
    trajectory = read_trajectory(tmp_path)
    assert trajectory.positions.dtype == np.float32
    np.testing.assert_allclose(trajectory.time_ps, 0.5e-3 * np.arange(0, 61, 5))
    assert tuple(trajectory.thermo) == THERMO_COLUMNS
    np.testing.assert_allclose(trajectory.thermo["time_ps"], 0.5e-3 * np.arange(0, 61, 3))
    frames = trajectory.frames()
    assert len(frames) == result.n_frames == 13
    np.testing.assert_allclose(frames[0].positions, atoms.positions, atol=1e-6)
    assert frames[0].info["composition"] == "CH:6"
    np.testing.assert_array_equal(frames[3].info["bonds"], arguments["bonds"])
    np.testing.assert_array_equal(frames[3].arrays["molecule"], atoms.arrays["molecule"])
    # Energy and volume of the table belong to the frames of the same time.
    for frame, row in ((0, 0), (3, 5), (12, 20)):
        image = frames[frame]
        assert image.info["time_ps"] == trajectory.thermo["time_ps"][row]
        assert image.get_volume() == pytest.approx(trajectory.thermo["volume_A3"][row])
        image.calc = liquid_model()
        energy = trajectory.thermo["potential_energy_eV"][row]
        assert image.get_potential_energy() == pytest.approx(energy, abs=1e-4)


def test_unwrapped_positions_move_without_jumps(tmp_path):
    atoms = gas(4, 30.0, symbol="H")
    run_dynamics(
        atoms, Toy(), folder=tmp_path, **settings(**NVT, temperature_K=3000.0, n_steps=400)
    )
    positions = read_trajectory(tmp_path).positions
    assert np.abs(np.diff(positions, axis=0)).max() < 1.0
    assert np.abs(positions[-1] - positions[0]).max() > 3.2  # more than a box length


def test_seed_decides(tmp_path):
    def positions(folder, seed):
        run_dynamics(gas(4, 300.0), Toy(), folder=tmp_path / folder, **settings(seed=seed))
        return read_trajectory(tmp_path / folder).positions

    first = positions("a", 1)
    np.testing.assert_array_equal(first, positions("b", np.int64(1)))
    assert np.abs(first[-1] - positions("c", 2)[-1]).max() > 1e-3


def test_given_momenta_are_used(tmp_path):
    atoms = gas(4, 300.0)
    atoms.set_velocities([[0.02, 0, 0], [-0.02, 0, 0], [0, 0.02, 0], [0, -0.02, 0]])
    run_dynamics(
        atoms,
        Toy(),
        folder=tmp_path,
        **settings(**NVT, n_steps=2, save_every=1, thermostat_time_fs=1e9, max_temperature_K=9e9),
    )
    steps = np.diff(read_trajectory(tmp_path).positions, axis=0)
    np.testing.assert_allclose(steps[0], 0.5 * units.fs * atoms.get_velocities(), atol=1e-5)


def test_damaged_trajectories_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="has its run ended"):
        read_trajectory(tmp_path)
    atoms, arguments = liquid()
    run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)
    path = tmp_path / "trajectory.npz"
    whole = path.read_bytes()

    def refused(message, **changes):
        with np.load(path) as file:
            arrays = {**file, **changes}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        with pytest.raises(ValueError, match=message):
            read_trajectory(tmp_path)
        path.write_bytes(whole)

    positions = read_trajectory(tmp_path).positions.copy()
    refused("positions is of shape", positions=positions[:-1])
    positions[3, 2, 1] = np.nan
    refused("positions holds a non-finite number", positions=positions)
    refused("cells", cells=None)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be used"):
        read_trajectory(tmp_path)


@pytest.mark.parametrize("stride_A", [0.01, 60.0])
def test_a_packed_trajectory_is_the_same_to_a_thousandth_of_an_angstrom(tmp_path, stride_A):
    """Atoms that move by less, and by more, than what fits in two bytes."""
    atoms, arguments = liquid()
    run_dynamics(atoms, liquid_model(), folder=tmp_path, **arguments)
    path = tmp_path / "trajectory.npz"
    with np.load(path) as file:
        arrays = dict(file)
    shape = arrays["positions"].shape
    walk = np.random.default_rng(0).normal(scale=stride_A, size=shape).cumsum(axis=0)
    arrays["positions"] = walk.astype(np.float32)
    np.savez(path, **arrays)
    whole = read_trajectory(tmp_path)
    (tmp_path / "packed").mkdir()
    pack_trajectory(path, tmp_path / "packed" / "trajectory.npz")
    packed = read_trajectory(tmp_path / "packed")
    assert packed.positions.dtype == np.float32 and packed.positions.shape == shape
    rounding = 0.5e-3 + 1e-6 * np.abs(walk).max()
    np.testing.assert_allclose(packed.positions, whole.positions, rtol=0, atol=rounding)
    np.testing.assert_array_equal(packed.cells, whole.cells)
    np.testing.assert_array_equal(packed.time_ps, whole.time_ps)
    np.testing.assert_array_equal(packed.thermo["volume_A3"], whole.thermo["volume_A3"])
    assert packed.reference.info["bonds"].tolist() == whole.reference.info["bonds"].tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"first": None}, "positions, or first, missing"),
        ({"moves": np.zeros((1, 1, 3), np.int16)}, "cannot be used"),
        ({"first": np.full((1, 27, 3), np.nan)}, "not whole numbers"),
    ],
)
def test_damaged_packed_trajectories_are_refused(tmp_path, changes, message):
    atoms, arguments = liquid()
    run_dynamics(atoms, liquid_model(), folder=tmp_path / "run", **arguments)
    path = tmp_path / "trajectory.npz"
    pack_trajectory(tmp_path / "run" / "trajectory.npz", path)
    with np.load(path) as file:
        arrays = {**file}
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    with pytest.raises(ValueError, match=message):
        read_trajectory(tmp_path)


def test_every_altered_bit_of_a_checkpoint_is_noticed_or_does_not_matter(tmp_path):
    """Else a run would end with an error that no rerun mends, or go on from another place."""
    names = ("positions", "momenta", "bonds")
    arrays = {name: np.arange(6.0).reshape(2, 3) for name in names}
    path = tmp_path / "some.npz"
    write_npz(path, compress=False, **arrays)
    whole = path.read_bytes()
    n_noticed = 0
    for byte, bit in product(range(len(whole)), range(8)):
        flip(path, byte, bit)
        try:
            read = read_npz(path, names)
        except Damaged:
            n_noticed += 1
        else:
            assert read.keys() == arrays.keys()
            assert all((read[name] == arrays[name]).all() for name in names)
        path.write_bytes(whole)
    assert n_noticed > 0.5 * 8 * len(whole)


def test_damaged_result_is_refused(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(ValueError, match=r"result\.json cannot be read"):
        run_dynamics(gas(4, 300.0), Forbidden(), folder=tmp_path, **settings())


def test_momenta_are_thermal_and_add_up_to_nothing():
    atoms = gas(2000, 1e5)
    atoms.numbers[::2] = 1
    momenta = draw_momenta(atoms, temperature_K=350.0, rng=np.random.default_rng(5))
    np.testing.assert_allclose(momenta.sum(0), 0, atol=1e-9)
    for element in (1, 8):
        chosen = atoms.numbers == element
        variance = (momenta[chosen] ** 2).mean() / atoms.get_masses()[chosen][0]
        assert variance == pytest.approx(units.kB * 350.0, rel=0.08)
    assert not atoms.get_momenta().any()


def test_density_of_water():
    length = (18.015 / 0.602214) ** (1 / 3)
    atoms = Atoms("OH2", positions=np.zeros((3, 3)), cell=[length] * 3, pbc=True)
    assert density_g_cm3(atoms) == pytest.approx(1.0, rel=1e-3)
