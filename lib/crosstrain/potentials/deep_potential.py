"""Deep Potential (Zhang et al., NeurIPS 2018), descriptor se_e2_a, through deepmd-kit's PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from crosstrain.data import frames as fr
from crosstrain.paths import write_atomically
from crosstrain.potentials.protocol import (
    LearningPoint,
    TrainingError,
    archive_fault,
    fastest,
    whole_checkpoints,
    without_repeats,
)

LABEL = "Deep Potential"
VERSION = 1
MODEL_FILE = "deep_potential.pth"
file_fault = archive_fault
SECONDS_PER_ATOM = (8.4e-4, 3.7e-4)
ELEMENTS = ("C", "H", "O")
# Of the tables of a compressed model: distance (Å) down to which they are dense, and their spacing
# (of the switched 1/r, Å⁻¹). In single precision a smaller one makes forces worse, by rounding.
CLOSEST_A = 0.5
TABLE_STRIDE = 0.04


class Settings(BaseModel):
    """Hyperparameters; names follow deepmd-kit. One step sees one frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rcut: float = Field(5.0, gt=1, description="cutoff / Å")
    rcut_smth: float = Field(1.0, gt=0, description="start of the smooth switch / Å")
    sel: tuple[int, int, int] = Field((45, 70, 35), description="most neighbours C, H, O")
    neuron: tuple[int, ...] = (12, 24, 48)
    axis_neuron: int = Field(8, ge=1)
    fitting_neuron: tuple[int, ...] = (64, 64, 64)
    type_one_side: bool = True
    steps: int = Field(15000, ge=1)
    start_lr: float = Field(2e-3, gt=0)
    stop_lr: float = Field(1e-5, gt=0)
    start_pref_e: float = Field(0.02, ge=0)
    limit_pref_e: float = Field(1.0, ge=0)
    start_pref_f: float = Field(1000.0, ge=0)
    limit_pref_f: float = Field(1.0, ge=0)
    start_pref_v: float = Field(0.02, ge=0)
    limit_pref_v: float = Field(1.0, ge=0)
    report_every: int = Field(250, ge=1)


def train(
    training: Sequence[Atoms],
    validation: Sequence[Atoms],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    atom_energies: Mapping[str, float],
    device: str,
    precision: str,
) -> Path:
    """Train a model; an interrupted training in the same `folder` is continued.

    `atom_energies` are not used: Deep Potential fits an energy per element to the data.
    See `crosstrain.potentials.protocol.Architecture.train`.
    """
    _use(device)
    _check_neighbours([*training, *validation], settings)
    folder.mkdir(parents=True, exist_ok=True)
    systems = {
        name: _write_systems(frames, folder / name)
        for name, frames in {"training": training, "validation": validation}.items()
    }
    inputs = _input(settings, systems, seed, precision)
    arguments = ["--pt", "train", "input.json", "--skip-neighbor-stat"]
    whole = whole_checkpoints(folder.glob("model.ckpt-*.pt"))
    done = max(map(_step_of, whole), default=0)
    if done:
        inputs["learning_rate"] |= _rate_after_restart(settings)
        arguments += ["--restart", f"model.ckpt-{done}.pt"]
    write_atomically(folder / "input.json", json.dumps(inputs, indent=1).encode())
    if done < settings.steps:  # else deepmd-kit would take one step more
        _run_deepmd(arguments, folder)
    _check_curve(folder, has_stress=all(frame.pbc.all() for frame in validation))
    _run_deepmd(["--pt", "freeze", "-c", ".", "-o", "frozen.pth"], folder)
    target = folder / MODEL_FILE
    without_origins(folder / "frozen.pth", target)
    return target


def _use(device: str) -> None:
    """Have deepmd-kit compute on a device: it takes any GPU unless its environment forbids it.

    Raises
    ------
    ValueError
        If there is no such device, or deepmd-kit has been loaded for another.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda', but torch finds no GPU here; allowed is 'cpu'")
    os.environ["DEVICE"] = device
    os.environ.setdefault("NUM_WORKERS", "0")  # else deepmd-kit loads its few frames in 4 processes
    from deepmd.pt.utils.env import DEVICE  # which looks at the environment once

    if DEVICE.type != device:
        raise ValueError(
            f"device {device!r}, but this process has loaded deepmd-kit for {DEVICE.type!r}; "
            "allowed is another in a process of its own"
        )


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.rpartition("-")[2])


def _check_neighbours(frames: Sequence[Atoms], settings: Settings) -> None:
    """Too small a `sel` gives wrong forces without an error, so neighbours are counted."""
    from ase.neighborlist import neighbor_list

    most = dict.fromkeys(ELEMENTS, 0)
    for frame in frames:
        first, second = neighbor_list("ij", frame, settings.rcut)
        symbols = np.asarray(frame.get_chemical_symbols())[second]
        for element in ELEMENTS:
            count = np.bincount(first[symbols == element], minlength=1).max()
            most[element] = max(most[element], int(count))
    for element, allowed in zip(ELEMENTS, settings.sel, strict=True):
        if most[element] > allowed:
            raise TrainingError(
                f"sel for {element} is {allowed}, but an atom has {most[element]} neighbours"
            )


def _write_systems(frames: Sequence[Atoms], folder: Path) -> list[str]:
    """Write frames in deepmd's npy format, grouped by formula; return the systems' paths."""
    import dpdata

    shutil.rmtree(folder, ignore_errors=True)
    for kind, periodic in (("periodic", True), ("isolated", False)):
        chosen = [_with_labels(f) for f in frames if bool(f.pbc.all()) == periodic]
        if chosen:
            systems = dpdata.MultiSystems(type_map=list(ELEMENTS))
            for frame in chosen:
                systems.append(dpdata.LabeledSystem(frame, fmt="ase/structure"))
            systems.to_deepmd_npy(str(folder / kind))
    paths = sorted(p.parent for p in folder.rglob("type.raw"))
    written = sum(len(np.load(p)) for path in paths for p in path.glob("set.*/energy.npy"))
    if written != len(frames):
        raise TrainingError(f"{written} of {len(frames)} frames were written for deepmd-kit")
    return [path.relative_to(folder.parent).as_posix() for path in paths]


def _with_labels(frame: Atoms) -> Atoms:
    """Return a copy whose labels are where dpdata looks (it turns stress to virial = -stress V)."""
    copy = frame.copy()
    copy.info = {}
    results = {"energy": frame.info[fr.ENERGY], "forces": frame.arrays[fr.FORCES]}
    if frame.pbc.all():
        results["stress"] = frame.info[fr.STRESS]
    copy.calc = SinglePointCalculator(copy, **results)
    return copy


def _input(
    settings: Settings, systems: Mapping[str, list[str]], seed: int, precision: str
) -> dict[str, Any]:
    prefactors = {name: value for name, value in settings.model_dump().items() if "_pref_" in name}
    return {
        "model": {
            "type_map": list(ELEMENTS),
            "descriptor": {
                "type": "se_e2_a",
                "rcut": settings.rcut,
                "rcut_smth": settings.rcut_smth,
                "sel": list(settings.sel),
                "neuron": list(settings.neuron),
                "axis_neuron": settings.axis_neuron,
                "type_one_side": settings.type_one_side,
                "precision": precision,
                "seed": seed,
            },
            "fitting_net": {
                "neuron": list(settings.fitting_neuron),
                "precision": precision,
                "seed": seed + 1,
            },
        },
        "learning_rate": {
            "type": "exp",
            "start_lr": settings.start_lr,
            "stop_lr": settings.stop_lr,
            "decay_steps": _decay_steps(settings),
        },
        "loss": {"type": "ener", **prefactors},
        "training": {
            "training_data": {"systems": systems["training"], "batch_size": 1},
            "validation_data": {
                "systems": systems["validation"],
                "batch_size": 1,
                "numb_btch": 8,
            },
            "numb_steps": settings.steps,
            "seed": seed + 2,
            "disp_freq": settings.report_every,
            "save_freq": max(1, settings.steps // 20),
            "max_ckpt_keep": 2,
        },
    }


def _decay_steps(settings: Settings) -> int:
    return max(1, settings.steps // 100)


def _rate_after_restart(settings: Settings) -> dict[str, float]:
    """The same decay without its lower limit, which deepmd-kit 3.1.3 gets wrong after a restart.

    It asks the schedule for the ratio of the rates at steps ``t + s`` and ``s``, s being the step
    of the restart. That is right for a pure decay; with a limit, the rate falls no more from s
    steps before the end.
    """
    decay = settings.stop_lr / settings.start_lr
    return {
        "decay_rate": decay ** (_decay_steps(settings) / settings.steps),
        "stop_lr": settings.stop_lr * decay,  # never reached
    }


def _run_deepmd(arguments: list[str], folder: Path) -> None:
    from deepmd.main import main

    try:
        with contextlib.chdir(folder):
            main(arguments)
    except (Exception, SystemExit) as error:
        raise TrainingError(f"deepmd-kit stopped at '{arguments[1]}': {error}") from error


def _read_curve(folder: Path) -> np.ndarray:
    return np.atleast_1d(np.genfromtxt(folder / "lcurve.out", names=True))


def _check_curve(folder: Path, *, has_stress: bool) -> None:
    """Errors of labels that were not read are NaN throughout, those of a diverged training all.

    A single frame without a stress makes its error NaN, hence `has_stress`.
    """
    curve = _read_curve(folder)
    names = curve.dtype.names or ()
    needed = {"energy": "rmse_e_val", "forces": "rmse_f_val"}
    if has_stress and "rmse_v_val" in names:  # it is not if its weight is zero
        needed["stress"] = "rmse_v_val"
    missing = [name for name in needed.values() if name not in names]
    if missing:
        raise TrainingError(f"deepmd-kit reported no {missing[0]}: labels were not read")
    is_known = {label: np.isfinite(curve[name]) for label, name in needed.items()}
    unseen = [label for label, known in is_known.items() if not known.any()]
    if 0 < len(unseen) < len(needed):
        raise TrainingError(f"deepmd-kit read no labels of {', '.join(unseen)}")
    if not all(known[-1] for known in is_known.values()):
        raise TrainingError(
            f"the training diverged: errors at step {curve['step'][-1]:.0f} are NaN"
        )


def calculator(
    model: Path,
    *,
    device: str,
    precision: str,
    engine: Literal["auto", "deepmd-kit"] = "auto",
) -> Calculator:
    """Return an ASE calculator with energy, forces and stress.

    The precision is that of the trained model. With ``"auto"`` the model is compressed [1]_, which
    takes half a second, and given its neighbours, if the result agrees
    (`crosstrain.potentials.protocol.fastest`). What each gains is in the table of benchmarks.

    Parameters
    ----------
    model : Path
        The ``.pth`` file.
    device : str
        ``cpu`` or ``cuda``; the same throughout a process.
    precision : str
        Not used.
    engine : str
        ``"deepmd-kit"`` leaves the model as it is.

    Raises
    ------
    ValueError
        If `engine` is neither, or the device is not there.

    References
    ----------
    .. [1] D. Lu et al., J. Chem. Theory Comput. 2022, 18, 5559.
    """
    if engine not in ("auto", "deepmd-kit"):
        raise ValueError(f"engine {engine!r}; allowed are 'auto', 'deepmd-kit'")
    _use(device)
    from deepmd import __version__
    from deepmd.calculator import DP

    loaded = DP(model=str(model))
    loaded.engine = f"deepmd-kit {__version__}"
    if engine == "deepmd-kit":
        return loaded
    return fastest(
        lambda: _compressed(model, f"{loaded.engine}, compressed, neighbours given"),
        loaded,
        "compression",
    )


def _compressed(model: Path, engine: str) -> Calculator:
    """The model with its embedding networks tabulated."""
    import torch
    from deepmd.pt.model.model import get_model

    frozen = torch.jit.load(str(model), map_location="cpu")
    loaded = get_model(json.loads(frozen.model_def_script))
    loaded.load_state_dict(frozen.state_dict())
    weight = next(iter(loaded.parameters()))
    loaded.min_nbor_dist = torch.tensor(CLOSEST_A, dtype=weight.dtype, device=weight.device)
    loaded.enable_compression(
        table_extrapolate=5,  # to a fifth of the closest distance
        table_stride_1=TABLE_STRIDE,
        table_stride_2=10 * TABLE_STRIDE,
        check_frequency=-1,
    )
    with TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_FILE
        torch.jit.save(torch.jit.script(loaded), str(file))
        calculator = _with_neighbours(file)
    calculator.engine = engine
    return calculator


def _with_neighbours(model: Path) -> Calculator:
    """A calculator that gives a model its neighbours, as programs of dynamics do.

    Left to itself deepmd-kit looks at all pairs of atoms and images at every step, which takes
    most of the time for some hundred atoms.
    """
    import torch
    from deepmd.calculator import DP
    from deepmd.pt.utils.env import DEVICE

    class Neighboured(DP):
        implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

        def __init__(self) -> None:
            super().__init__(model=str(model))
            module = self.dp.deep_eval.dp.eval().model["Default"]
            # frozen, or every call converts all weights anew
            self.module = torch.jit.freeze(module, preserved_attrs=["forward_lower"])
            self.neighbours = Neighbours(self.dp.get_rcut())

        def calculate(self, atoms=None, properties=("energy",), system_changes=()) -> None:
            if not (atoms.pbc.all() and np.isfinite(atoms.positions).all()):
                super().calculate(atoms, list(properties), list(system_changes))
                return
            self.atoms = atoms.copy()
            positions, home, nearest = self.neighbours.of(atoms)
            kinds = np.array([self.type_dict[symbol] for symbol in atoms.get_chemical_symbols()])
            arrays = (positions, kinds[home], nearest, home)
            given = [torch.from_numpy(array[None]).to(DEVICE) for array in arrays]
            said = self.module.forward_lower(*given, None, None, False)
            energy, of_all, virial = (
                said[name].detach().cpu().numpy()[0]
                for name in ("energy", "extended_force", "virial")
            )
            forces = np.zeros((len(atoms), 3))
            np.add.at(forces, home, of_all)
            stress = -virial.reshape(3, 3) / atoms.get_volume()
            self.results = {
                "energy": float(energy[0]),
                "free_energy": float(energy[0]),
                "forces": forces,
                "stress": full_3x3_to_voigt_6_stress(stress),
            }

    return Neighboured()


def without_origins(source: Path, target: Path) -> None:
    """Copy a ``.pth`` file without its debug records, which name folders of the machine.

    So the same training gives the same file everywhere.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in sorted(old.namelist()):
            if not name.endswith((".debug_pkl", "serialization_id")):
                new.writestr(zipfile.ZipInfo(name), old.read(name))


class Neighbours:
    """The neighbours of all atoms of a periodic box, searched for anew only if atoms have moved.

    Verlet's list [1]_: pairs within a longer cutoff are kept until an atom may have crossed the
    margin between the two, by its own way or by that of the cell.

    Parameters
    ----------
    cutoff_A : float
    margin_A : float
        What the longer cutoff is longer by (Å).

    References
    ----------
    .. [1] L. Verlet, Phys. Rev. 1967, 159, 98.
    """

    def __init__(self, cutoff_A: float, margin_A: float = 1.0) -> None:
        self.cutoff_A, self.margin_A = cutoff_A, margin_A
        self.n_searches = 0
        self._known: Atoms | None = None

    def of(self, atoms: Atoms) -> tuple[NDArray, NDArray, NDArray]:
        """Return the positions of atoms and images, their atoms, and the neighbours by distance.

        Returns
        -------
        ndarray
            Positions of the atoms, then of all images that may matter (Å), shape (n_all, 3).
        ndarray
            Which atom each of these is, shape (n_all,).
        ndarray
            Of each atom the neighbours within the cutoff, as places in the first array, nearest
            first, filled up with -1, shape (n_atoms, most).
        """
        if self._is_outdated(atoms):
            self._search(atoms)
        images = atoms.positions[self._atom] + self._shift @ atoms.cell.array
        positions = np.concatenate([atoms.positions, images])
        squares = ((positions[self._pairs] - atoms.positions[:, None]) ** 2).sum(axis=2)
        squares[self._pairs < 0] = np.inf
        order = squares.argsort(axis=1)
        nearest = np.take_along_axis(self._pairs, order, axis=1)
        is_near = np.take_along_axis(squares, order, axis=1) < self.cutoff_A**2
        most = int(is_near.sum(axis=1).max())
        home = np.concatenate([np.arange(len(atoms)), self._atom])
        return positions, home, np.where(is_near, nearest, -1)[:, :most]

    def _is_outdated(self, atoms: Atoms) -> bool:
        known = self._known
        if known is None or not np.array_equal(known.numbers, atoms.numbers):
            return True
        moved = np.linalg.norm(atoms.positions - known.positions, axis=1).max()
        strain = np.linalg.norm(np.eye(3) - np.linalg.solve(atoms.cell.array, known.cell.array))
        # an image within the cutoff lies no more cells away than these lengths together
        farthest = self.cutoff_A + np.linalg.norm(np.ptp(atoms.positions, axis=0))
        return not 2 * moved + strain * farthest < self.margin_A

    def _search(self, atoms: Atoms) -> None:
        from matscipy.neighbours import neighbour_list

        first, second, shift = neighbour_list("ijS", atoms, self.cutoff_A + self.margin_A)
        is_image = shift.any(axis=1)
        images, number = np.unique(
            np.column_stack([second, shift])[is_image], axis=0, return_inverse=True
        )
        self._atom, self._shift = images[:, 0], images[:, 1:]
        place = second.astype(np.int64)
        place[is_image] = len(atoms) + number.ravel()
        count = np.bincount(first, minlength=len(atoms))
        column = np.arange(len(first)) - (count.cumsum() - count)[first]  # pairs are in order
        self._pairs = np.full((len(atoms), count.max(initial=0)), -1)
        self._pairs[first, column] = place
        self._known = atoms.copy()
        self.n_searches += 1


def n_weights(model: Path) -> int:
    """Return how many numbers a training fits."""
    import deepmd.pt.cxx_op  # noqa: F401 (its operators, without which no model can be read)
    import torch

    loaded = torch.jit.load(str(model), map_location="cpu")
    return sum(weights.numel() for weights in loaded.parameters())


def samples(settings: Settings, n_training: int) -> int:
    """Return how many frames a training sees: one each step."""
    return settings.steps


def sized(settings: Settings, n_samples: int, n_training: int) -> Settings:
    """Return the settings for a training that sees about `n_samples` frames."""
    return settings.model_copy(update={"steps": max(1, n_samples)})


def learning_curve(folder: Path, settings: Settings, n_training: int) -> list[LearningPoint]:
    """Return the validation errors that were reported during training."""
    return without_repeats(
        LearningPoint(int(row["step"]), float(row["rmse_e_val"]), float(row["rmse_f_val"]))
        for row in _read_curve(folder)
    )
