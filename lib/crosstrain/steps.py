"""What each kind of step does: files of its inputs in, files of its result out.

A step runs in a process of its own (``python -m crosstrain step FILE``), started by the engine
with its threads pinned. It reads the folders of its inputs, keeps what must survive an
interruption in its work folder, and fills an empty folder that the store then publishes whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from ase import Atoms

from crosstrain.data import frames as fr
from crosstrain.paths import sha256, write_atomically, write_json
from crosstrain.run.store import PARENT, Step, Store

FRAMES = "frames.extxyz.gz"
RUN = "run.json"
SPENT = "spent.json"  # in the folder of work: what a step that is under way has cost
NOTED_EVERY_S = 5.0
Inputs = Mapping[str, Path]
Params = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Kind:
    """A kind of step: its function and the version of its code."""

    function: Callable[[Params, Inputs, Path, Path], None]
    version: int


def run(order_file: Path) -> None:
    """Compute the step described in a file written by the engine, unless it is there already."""
    step, store = read_order(order_file)
    _die_with_parent()
    with store.lock(step):
        if not store.is_whole(step):  # else another run stored it meanwhile
            _compute(step, store)
        shutil.rmtree(store.work(step))


def _compute(step: Step, store: Store) -> None:
    inputs = {name: store.checked(source) for name, source in step.inputs.items()}
    cost: dict[str, float] = {}
    with _metered(store.work(step) / SPENT) as spent, store.publish(step, cost) as out:
        KINDS[step.kind].function(step.params, inputs, out, store.work(step))
        cost |= spent()


@contextmanager
def _metered(file: Path) -> Iterator[Callable[[], dict[str, float]]]:
    """Yield what tells the cost of a step so far, with that of tries that were interrupted.

    It is noted in a file every few seconds, so that a kill loses little of it.
    """
    earlier = {"wall_s": 0.0, "cpu_s": 0.0, "peak_memory_MB": 0.0}
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        earlier |= {name: float(value) for name, value in json.loads(file.read_text()).items()}
    begun, cpu, done = time.monotonic(), _processor_s(), threading.Event()

    def spent() -> dict[str, float]:
        largest_kB = max(_peak_memory_kB(), _largest_kB(resource.RUSAGE_CHILDREN))
        return {
            "wall_s": round(earlier["wall_s"] + time.monotonic() - begun, 1),
            "cpu_s": round(earlier["cpu_s"] + _processor_s() - cpu, 1),
            "peak_memory_MB": round(max(earlier["peak_memory_MB"], largest_kB / 1024)),
        }

    def note() -> None:
        while not done.wait(NOTED_EVERY_S):
            with contextlib.suppress(OSError):
                write_atomically(file, json.dumps(spent()).encode())

    noting = threading.Thread(target=note, daemon=True)
    noting.start()
    try:
        yield spent
    finally:
        done.set()
        noting.join()


def _processor_s() -> float:
    """Processor time of this process and of those that it started and that ended, as gap_fit."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + others.ru_utime + others.ru_stime


def _peak_memory_kB() -> float:
    """Largest memory of this process; on Linux getrusage counts the one that started it too."""
    status = Path("/proc/self/status")
    if status.is_file():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0])
    return _largest_kB(resource.RUSAGE_SELF)


def _largest_kB(whose: int) -> float:
    largest = resource.getrusage(whose).ru_maxrss
    return largest / 1024 if sys.platform == "darwin" else largest  # macOS counts bytes


def read_order(file: Path) -> tuple[Step, Store]:
    """Return the step that an engine wants computed, and the store.

    Raises
    ------
    ValueError
        If it is not a file of the engine.
    """
    try:
        order = json.loads(file.read_text())
        step = Step.from_json(order["step"])
        if step.kind in KINDS:
            return step, Store(Path(order["root"]), Path(order["scratch"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, UnboundLocalError):
        pass
    raise ValueError(f"{file.name}: not written by the engine; use 'crosstrain study'")


def _die_with_parent() -> None:
    """End this process when the one that started it is gone, so that nothing runs on unseen."""
    parent = int(os.environ.get(PARENT, os.getppid()))  # which may have ended meanwhile

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# --- data -------------------------------------------------------------------------------------


def _build(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Unlabelled frames of a part of a block."""
    from crosstrain.build import sets

    options = dict(params["options"])
    if params["kind"] == "own":
        fr.write(out / FRAMES, _brought(options)[slice(*params["numbers"])])
        return
    options |= {"numbers": range(*params["numbers"]), "seed": params["seed"]}
    if "molecules" in options:
        names, most = options.pop("molecules"), options.pop("conformers")
        options["ensembles"] = _ensembles(names, most, params)
    if "source" in inputs:
        options["source"] = fr.read(inputs["source"] / FRAMES)
    fr.write(out / FRAMES, sets.BUILDERS[params["kind"]](**options))


def _brought(options: Mapping[str, Any]) -> list[Atoms]:
    """Frames of a file that its owner has named: sound ones, without the labels they came with."""
    from crosstrain.data import intake

    file = Path(options["file"])
    if sha256(file) != options["sha256"]:
        raise ValueError(f"{file.name} has changed since it was named")
    frames = intake.read(file, molecules=options["molecules"], labelled=False).frames
    for number, frame in enumerate(frames):
        frame.info.pop("method", None)
        frame.info["seed"] = f"own/{number}"
    return frames


def _ensembles(names: list[str], most: int, params: Params) -> dict[str, Any]:
    """Up to `most` relaxed conformers with their normal modes, for each molecule."""
    from crosstrain.build import sets
    from crosstrain.data import reference

    method = reference.calculator(params["method"])
    return {
        name: sets.ensemble(name, most=most, seed=params["seed"], calculator=method)
        for name in names
    }


def _label(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Labels of a part of a block."""
    file = inputs["frames"] / FRAMES
    _label_frames(fr.read(file) if file.exists() else [], params["method"], out, work)


def _relabel(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Reference labels of evenly spaced frames of a model's own trajectory."""
    from crosstrain.simulate.trajectory import read_trajectory

    trajectory = read_trajectory(inputs["trajectory"])
    last = len(trajectory.time_ps) - 1
    numbers = np.unique(np.linspace(0, last, params["frames"]).round().astype(int))
    _label_frames(trajectory.frames(numbers), params["method"], out, work)


def _label_frames(frames: list[Atoms], method: str, out: Path, work: Path) -> None:
    """Label frames one by one and keep what succeeded apart from what failed."""
    labelled, failures = _labels(frames, method, work)
    write_json(out / "failures.json", failures)
    if labelled:
        fr.write(out / FRAMES, labelled)


def _labels(
    frames: list[Atoms], method: str, work: Path
) -> tuple[list[Atoms], list[dict[str, Any]]]:
    """Return labelled frames, and the reasons for others; each is on disk before the next."""
    from crosstrain.data import reference

    _drop_damaged(work)
    labelled, failures = [], []
    for number, frame in enumerate(frames):
        # gzipped for its checksum: a flipped digit would be a wrong label
        done, failed = work / f"{number}.extxyz.gz", work / f"{number}.failure.json"
        if not done.exists() and not failed.exists():
            try:
                fr.check(frame)
                fr.write(done, [reference.label(frame, method)])
            except (ValueError, reference.LabelError) as error:
                write_json(failed, {"frame": frame.info.get("seed", number), "reason": str(error)})
        if done.exists():
            labelled += fr.read(done, labelled=True)
        else:
            failures.append(json.loads(failed.read_text()))
    return labelled, failures


def _drop_damaged(work: Path) -> None:
    """Delete what an earlier try left and cannot be read any more, so that it is done again."""
    readers = {"*.extxyz.gz": fr.read, "*.failure.json": lambda file: json.loads(file.read_text())}
    for pattern, read in readers.items():
        for file in work.glob(pattern):
            try:
                read(file)
            except ValueError as error:
                print(f"done again: {file.name}: {error}", file=sys.stderr)
                file.unlink()


def _stand_in(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """The reference method beside the published DFT labels, on the same frames.

    What is kept are differences and means; the published labels themselves are not ours to ship.
    """
    from crosstrain.build.boxes import density_g_cm3
    from crosstrain.data import published
    from crosstrain.measure.errors import force_errors

    known = published.read_dft()[params["first"] :: params["every"]]
    for number, frame in enumerate(known):
        frame.info["seed"] = str(number)
    labelled, failures = _labels(known, params["method"], work)
    truths = [known[int(frame.info["seed"])] for frame in labelled]
    dft, ours = (
        1e3 * np.array([frame.info[fr.ENERGY] / len(frame) for frame in frames])
        for frames in (truths, labelled)
    )
    rows = []
    for number, (truth, frame) in enumerate(zip(truths, labelled, strict=True)):
        row = {
            "density_g_cm3": density_g_cm3(frame),
            "atoms": len(frame),
            "dft_energy_off_mean_meV_atom": dft[number] - dft.mean(),
            "energy_off_mean_meV_atom": ours[number] - ours.mean(),
            "dft_stress_eV_A3": float(np.mean(truth.info[fr.STRESS][:3])),
            "stress_eV_A3": float(np.mean(frame.info[fr.STRESS][:3])),
        }
        labels = [truth.arrays[fr.FORCES]], [frame.arrays[fr.FORCES]]
        for part, deviation in force_errors([truth], *labels).items():
            row |= {
                f"force_{part}_rmse_eV_A": deviation.rmse,
                f"force_{part}_relative": deviation.relative,
            }
        rows.append(row)
    write_json(out / "stand_in.json", {"frames": rows, "failures": failures})


def _published(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Frames of a published file, with its labels and atoms or with labels of the inputs."""
    from crosstrain.data import published

    frames = _published_frames(params)
    if inputs:
        frames = published.with_labels(frames, [_labels_of(part) for part in inputs.values()])
    else:
        write_json(out / "energies_eV.json", published.atom_energies_eV(params["file"]))
    if not frames:
        raise ValueError("none of the asked frames could be labelled")
    fr.write(out / FRAMES, frames)


def _published_frames(params: Params) -> list[Atoms]:
    """The asked frames of a published file, each with its number in it."""
    from crosstrain.data import published

    if published.FILES[params["file"]][1] != params["sha256"]:
        raise ValueError(f"{params['file']} is another file than when this step was declared")
    frames = published.read(params["file"])
    for number, frame in enumerate(frames):
        frame.info["seed"] = str(number)
    return [frames[i] for i in params.get("numbers", range(len(frames)))]


def _label_published(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Reference labels of published frames: the numbers alone, for the frames are not ours."""
    labelled, failures = _labels(_published_frames(params), params["method"], work)
    write_json(out / "failures.json", failures)
    np.savez(
        out / "labels.npz",
        number=np.array([int(frame.info["seed"]) for frame in labelled], dtype=int),
        energy_eV=np.array([frame.info[fr.ENERGY] for frame in labelled]),
        forces_eV_A=np.array([frame.arrays[fr.FORCES] for frame in labelled]),
        stress_eV_A3=np.array([frame.info[fr.STRESS] for frame in labelled]),
        method=np.array(params["method"]),
    )


def _labels_of(folder: Path) -> dict[str, Any]:
    with np.load(folder / "labels.npz") as file:
        return dict(file)


def _labelled(folder: Path) -> list[Atoms]:
    """Labelled frames of a result; none if every label failed."""
    file = folder / FRAMES
    return fr.read(file, labelled=True) if file.exists() else []


def _set(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """One labelled set from its parts, in the order of the block."""
    parts = [inputs[name] for name in sorted(inputs)]
    frames = [frame for folder in parts for frame in _labelled(folder)]
    if not frames and params["kind"] != "iterated":  # a committee may find nothing new
        raise ValueError("no frame of this set could be labelled")
    failures = [f for folder in parts for f in json.loads((folder / "failures.json").read_text())]
    if frames:
        fr.write(out / FRAMES, frames)
    write_json(out / "failures.json", failures)


def _label_cost(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Core seconds of labels of boxes of growing size."""
    from crosstrain.build import boxes
    from crosstrain.data import reference

    rows = []
    for times in params["multiples"]:
        composition = {name: times * count for name, count in params["composition"].items()}
        parts = boxes.mixture(composition, seed=params["seed"])
        box = boxes.pack(parts, density_g_cm3=params["density_g_cm3"], seed=params["seed"])
        begun = time.process_time()
        reference.label(box, params["method"])
        rows.append({"atoms": len(box), "core_s": round(time.process_time() - begun, 2)})
    write_json(out / "label_cost.json", rows)


def _atoms(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Energies of the isolated atoms."""
    from crosstrain.data import reference

    energies = reference.isolated_atom_energies(params["elements"], params["method"])
    write_json(out / "energies_eV.json", energies)


# --- models -----------------------------------------------------------------------------------


def _train(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """A trained model with its learning curve."""
    from crosstrain.potentials.protocol import architecture, refuse_diverged, settings

    training, validation = _split(params, inputs)
    if not training or not validation:
        n_both = f"{len(training)} frames to train and {len(validation)} to validate"
        raise ValueError(f"{n_both}; allowed are more frames than validate_every")
    module = architecture(params["architecture"])
    chosen = settings(params["architecture"], params["settings"])
    if "samples" in params:
        chosen = module.sized(chosen, params["samples"], len(training))
    model = module.train(
        training,
        validation,
        chosen,
        seed=params["seed"],
        folder=work,
        atom_energies=json.loads((inputs["atoms"] / "energies_eV.json").read_text()),
        device=params["device"],
        precision=params["precision"],
    )
    curve = module.learning_curve(work, chosen, len(training))
    refuse_diverged(curve[-1])
    shutil.copyfile(model, out / module.MODEL_FILE)
    summary = {
        "architecture": params["architecture"],
        "settings": chosen.model_dump(),
        "n_training": len(training),
        "n_validation": len(validation),
        "learning_curve": [point.to_json() for point in curve],
    }
    write_json(out / "training.json", summary)


def _split(params: Params, inputs: Inputs) -> tuple[list[Atoms], list[Atoms]]:
    """Training and validation frames: each as an input of its own, or split from every block."""
    if "validation" in inputs:
        return _labelled(inputs["training"]), _labelled(inputs["validation"])
    first = params.get("first_frames", {})
    parts = [
        fr.split(_labelled(folder)[: first.get(name)], params["validate_every"])
        for name, folder in sorted(inputs.items())
        if name != "atoms"
    ]
    training, validation = ([f for part in parts for f in part[k]] for k in (0, 1))
    return training, validation


def _given(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """A model file that the project did not make, as its owner named and trusted it."""
    from crosstrain.potentials.protocol import architecture

    file, module = Path(params["file"]), architecture(params["architecture"])
    copy = out / module.MODEL_FILE
    shutil.copyfile(file, copy)
    if sha256(copy) != params["sha256"]:  # what is loaded later, so nothing can change in between
        raise ValueError(f"{file.name} has changed since it was named")
    try:
        module.calculator(copy, device="cpu", precision=params["precision"])
    except Exception as error:  # loaders say all kinds of things of what is no model
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise ValueError(f"{file.name}: holds no model of {module.LABEL} ({reason})") from error


def _pretrained(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """The weights of a published model: brought here to be read, not to be shipped."""
    from crosstrain.potentials import protocol

    model = protocol.published(params["name"])
    file, digest = protocol.checked_weights(model, params["sha256"])
    module = protocol.architecture(params["architecture"])
    shutil.copyfile(file, out / module.MODEL_FILE)
    about = {"name": params["name"], "level_of_theory": model.level_of_theory, "sha256": digest}
    write_json(out / protocol.RECORD, about | {"file": file.name})


def _calculator(params: Params, model: Path) -> Any:
    from crosstrain.potentials.protocol import architecture

    module = architecture(params["architecture"])
    return module.calculator(
        model / module.MODEL_FILE, device=params["device"], precision=params["precision"]
    )


def _evaluate(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """A model's energies, forces and stresses on labelled frames (atoms of all frames joined)."""
    frames = _labelled(inputs["frames"])
    calculator = _calculator(params, inputs["model"])
    energies, forces, stresses = [], [], []
    for frame in frames:
        frame.calc = calculator
        energies.append(frame.get_potential_energy())
        forces.append(frame.get_forces())
        stresses.append(frame.get_stress() if frame.pbc.all() else np.full(6, np.nan))
        known = [energies[-1], forces[-1], stresses[-1] if frame.pbc.all() else 0.0]
        if not all(np.isfinite(value).all() for value in known):
            raise ValueError(
                f"the model gives a number that is not finite for frame {len(energies) - 1}"
            )
    np.savez(
        out / "predictions.npz",
        energy_eV=np.array(energies, dtype=float),
        forces_eV_A=np.array([row for part in forces for row in part], dtype=np.float32),
        stress_eV_A3=np.array(stresses, dtype=float).reshape(-1, 6),
    )


# --- iteration ---------------------------------------------------------------------------------


def _committee(params: Params, inputs: Inputs) -> list[Any]:
    members = sorted(name for name in inputs if name.startswith("member"))
    return [_calculator(params, inputs[name]) for name in members]


def _refuse_failed(result: Any, folder: Path) -> None:
    """Refuse a run that its calculator ended, and forget it, so that it is tried again."""
    if result.status == "failed":
        shutil.rmtree(folder)
        raise RuntimeError(f"{result.reason}: {result.detail}")


def _explore(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Candidates from a run of a committee, with its disagreement about each."""
    from crosstrain import iterate
    from crosstrain.simulate.selection import disagreement
    from crosstrain.simulate.trajectory import read_trajectory

    _drop_damaged(work)
    start, folder = work / "start.extxyz.gz", work / "dynamics"
    if not start.exists():
        fr.write(start, [iterate.start_box(**params["start"])])
    (box,) = fr.read(start)
    committee = _committee(params, inputs)
    result = _run_dynamics(box, committee[0], params, folder)
    _refuse_failed(result, folder)
    frames = read_trajectory(folder).frames()
    found = disagreement(iterate.forces_of(frames, committee))
    for number, frame in enumerate(frames):
        frame.info["seed"] = f"{params['name']}/{number}"
        frame.info["temperature_K"] = round(params["start"]["temperature_K"], 1)
    np.savez(out / "disagreement.npz", **found._asdict())
    record = asdict(result) | {"start": params["start"], "engine": committee[0].engine}
    del record["wall_s"]
    write_json(out / RUN, record)
    (out / "candidates.extxyz").write_bytes(fr.dumps(frames))


def _select(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """The frames of a generation that are worth a label, and what became of all others."""
    from crosstrain import iterate
    from crosstrain.simulate import selection

    runs = [inputs[name] for name in sorted(inputs) if name.startswith("run")]
    # not checked, for broken frames are candidates too
    explored = [list(fr.parsed((folder / "candidates.extxyz").read_text())) for folder in runs]
    candidates = [frame for frames in explored for frame in frames]
    deviation = np.concatenate([np.load(folder / "disagreement.npz")["largest"] for folder in runs])
    known = [
        frame
        for name in sorted(inputs)
        if name.startswith("known")
        for frame in _labelled(inputs[name])
    ]
    said = iterate.forces_of(known, _committee(params, inputs))
    chosen = iterate.choose(
        candidates,
        deviation,
        known,
        selection.disagreement(said).largest,
        n=params["frames"],
        allow_broken=params["allow_broken"],
    )
    record = chosen.record() | {
        "runs": [json.loads((folder / RUN).read_text()) for folder in runs],
        "run_of_candidate": [i for i, frames in enumerate(explored) for _ in frames],
        "time_ps": [frame.info["time_ps"] for frame in candidates],
        "deviation_eV_A": [round(float(d), 5) if np.isfinite(d) else None for d in deviation],
        "reasons": list(chosen.reasons),
    }
    write_json(out / "selection.json", record)
    if len(chosen.chosen):
        fr.write(out / FRAMES, [candidates[i] for i in chosen.chosen])


# --- liquids ----------------------------------------------------------------------------------


def _start(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """A starting box of the liquid, equilibrated by classical dynamics at constant volume."""
    from crosstrain.build import boxes
    from crosstrain.build.classical import classical_md

    molecules = boxes.mixture(params["composition"], seed=params["seed"])
    packed = boxes.pack(molecules, density_g_cm3=params["density_g_cm3"], seed=params["seed"])
    n_steps = round(params["duration_ps"] * 2000)
    (frame,) = classical_md(
        packed,
        temperature_K=params["temperature_K"],
        timestep_fs=0.5,
        n_steps=n_steps,
        save_every=n_steps,
        seed=params["seed"],
    )
    frame.info["seed"] = f"{params['seed']}/0"
    fr.write(out / FRAMES, [frame])


def _run_dynamics(start: Atoms, calculator: Any, params: Params, folder: Path) -> Any:
    """Run or continue dynamics; the trajectory can be read afterwards."""
    from crosstrain.simulate import dynamics
    from crosstrain.simulate.trajectory import read_trajectory

    def run(folder: Path) -> Any:
        result = dynamics.run_dynamics(
            start, calculator, bonds=start.info["bonds"], folder=folder, **params["dynamics"]
        )
        if result.status != "failed":
            read_trajectory(folder)
        return result

    return _anew_if_damaged(run, folder)


def _anew_if_damaged(run: Callable[[Path], T], folder: Path) -> T:
    """Run in a folder; if an earlier try left damaged files there, without them."""
    from crosstrain.simulate.trajectory import Damaged

    try:
        return run(folder)
    except Damaged as error:
        print(f"begun again: {error}", file=sys.stderr)
        shutil.rmtree(folder)
        return run(folder)


def _simulate(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """A trajectory of the liquid with a model, until it is complete or falls apart."""
    from crosstrain.simulate.trajectory import TRAJECTORY, pack_trajectory

    (frame,) = fr.read(inputs["start"] / FRAMES)
    calculator = _calculator(params, inputs["model"])
    folder = work / "dynamics"
    result = _run_dynamics(frame, calculator, params, folder)
    _refuse_failed(result, folder)
    pack_trajectory(folder / TRAJECTORY, out / TRAJECTORY)
    record = asdict(result) | {"engine": calculator.engine}
    del record["wall_s"]  # equal runs leave equal files; the time is in the provenance
    write_json(out / RUN, record)


def _diffuse(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Self-diffusion at constant volume, from the end of a run and at its mean density."""
    from crosstrain import judge
    from crosstrain.build import boxes
    from crosstrain.simulate.topology import bond_events
    from crosstrain.simulate.trajectory import read_trajectory

    seen = json.loads((inputs["observed"] / "observed.json").read_text())
    last = read_trajectory(inputs["trajectory"]).frames([-1])[0]
    reason = ""
    if seen["status"] != "completed" or not seen["density_g_cm3"]:
        reason = f"the run at constant pressure: {seen['status']} {seen['reason']}".strip()
    elif any(map(len, bond_events(last, last.info["bonds"]))):
        reason = "the run at constant pressure ended with a bond formed or broken"
    if reason:
        write_json(out / "diffusion.json", {"D_cm2_s": {}, "missing": {"self-diffusion": reason}})
        return
    start = boxes.scaled(last, seen["density_g_cm3"]["value"])
    folder = work / "dynamics"
    calculator = _calculator(params, inputs["model"])
    result = _run_dynamics(start, calculator, params, folder)
    _refuse_failed(result, folder)
    record = asdict(result) | {"engine": calculator.engine}
    del record["wall_s"]
    window = params["fit_window_ps"]
    found = judge.diffusion(read_trajectory(folder), record, fit_window_ps=(window[0], window[1]))
    write_json(out / "diffusion.json", found)


def _observe(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """Density and radial distribution functions of a trajectory."""
    from crosstrain import judge
    from crosstrain.simulate.trajectory import read_trajectory

    run = json.loads((inputs["trajectory"] / RUN).read_text())
    seen = judge.observe(read_trajectory(inputs["trajectory"]), run, rdf=params["rdf"])
    write_json(out / "observed.json", seen)


def _reference(params: Params, inputs: Inputs, out: Path, work: Path) -> None:
    """The reference method's own liquid, from the relabelled liquids of several models."""
    from crosstrain import judge

    samplers: dict[str, tuple[list[Atoms], list[np.ndarray], list[float]]] = {}
    left_out = {}
    for run, model in params["samplers"].items():
        seen = json.loads((inputs[f"{run}.observed"] / "observed.json").read_text())
        if seen["status"] != "completed" or not seen["density_g_cm3"]:
            left_out[run] = f"{seen['status']} {seen['reason']}".strip()
            continue
        frames = _labelled(inputs[f"{run}.frames"])
        energies = np.load(inputs[f"{run}.energies"] / "predictions.npz")["energy_eV"]
        times_ps = [frame.info["time_ps"] for frame in frames]
        kept = judge.sampled(times_ps, seen["equilibrated_ps"])
        if not kept:
            left_out[run] = "no labelled frame after equilibration"
            continue
        known = samplers.setdefault(model, ([], [], []))
        known[0].extend(frames[i] for i in kept)
        known[1].append(energies[kept])
        known[2].append(seen["density_g_cm3"]["n_effective"])
    joined = {m: (frames, np.concatenate(e), sum(n)) for m, (frames, e, n) in samplers.items()}
    liquid = judge.reference_liquid(
        joined, temperature_K=params["temperature_K"], rdf=params["rdf"]
    )
    write_json(out / "reference.json", liquid | {"left_out": left_out})


KINDS = {
    "build": Kind(_build, 2),
    "label": Kind(_label, 1),
    "set": Kind(_set, 2),
    "atoms": Kind(_atoms, 1),
    "label_cost": Kind(_label_cost, 1),
    "stand_in": Kind(_stand_in, 2),
    "published": Kind(_published, 1),
    "label_published": Kind(_label_published, 1),
    "train": Kind(_train, 1),
    "member": Kind(_train, 1),
    "given": Kind(_given, 1),
    "pretrained": Kind(_pretrained, 1),
    "explore": Kind(_explore, 1),
    "select": Kind(_select, 1),
    "evaluate": Kind(_evaluate, 2),
    "start": Kind(_start, 3),
    "simulate": Kind(_simulate, 4),
    "relabel": Kind(_relabel, 1),
    "diffuse": Kind(_diffuse, 2),
    "observe": Kind(_observe, 3),
    "reference": Kind(_reference, 7),
}
