"""Cost of a training frame and of a step of dynamics against atoms, for every model of a profile.

The size of its file, too; of published models, whose weights are here, the step of dynamics.

Run it as a script; its arguments are profiles, or ``published`` (default: laptop, paper and
published). It writes what it measured into the library, where ``crosstrain plan`` and the notebooks
find it, beside what else is there. Processor time of one thread is measured. A model is trained
for so few frames that it is worth nothing; its cost does not depend on that.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import table
from ase import Atoms
from crosstrain import paths, steps
from crosstrain.build import boxes
from crosstrain.data import costs, profiles
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.data.profiles import Profile
from crosstrain.potentials import protocol
from crosstrain.study import Study

MULTIPLES = (1, 2, 4)  # of EC + EMC, 25 atoms, in training
MD_MULTIPLES = (1, 2, 4, 8, 16, 32)
PUBLISHED = "published"
N_FRAMES = 4
LONGER_S = 5.0  # by which a training is longer than another, so that what both share cancels
# The settings that decide what a frame or a step costs.
KEPT = ("num_channels", "max_L", "max_ell", "correlation", "num_interactions", "r_max", "model")
KEPT += ("rcut", "sel", "neuron", "axis_neuron", "fitting_neuron", "type_one_side")


def liquid(times: int, seed: int) -> Atoms:
    """A packed box, with labels of which only the shape matters."""
    molecules = boxes.mixture({"EC": times, "EMC": times}, seed=seed)
    frame = boxes.pack(molecules, density_g_cm3=1.0, seed=seed)
    rng = np.random.default_rng(seed)
    frame.info |= {ENERGY: -40.0 * len(frame) + rng.normal(), STRESS: rng.normal(size=6) * 1e-3}
    frame.arrays[FORCES] = rng.normal(size=(len(frame), 3))
    return frame


def trained(architecture: str, settings: Any, times: int, folder: Path) -> tuple[Path, float]:
    """Return a model and the seconds of a training frame, from two lengths of training.

    The second is made longer until it takes `LONGER_S` more.
    """
    module = protocol.architecture(architecture)
    frames = [liquid(times, seed) for seed in range(N_FRAMES + 2)]
    if "batch_size" in type(settings).model_fields:
        settings = settings.model_copy(update={"batch_size": 2})

    def run(passes: int) -> tuple[Path, float, int]:
        chosen = module.sized(settings, passes * N_FRAMES, N_FRAMES)
        begun = time.process_time()
        model = module.train(
            frames[:N_FRAMES],
            frames[N_FRAMES:],
            chosen,
            seed=1,
            folder=folder / f"{times}-{passes}",
            atom_energies={"H": -10.0, "C": -45.0, "O": -100.0},
            device="cpu",
            precision="float32",
        )
        return model, time.process_time() - begun, module.samples(chosen, N_FRAMES)

    run(3)  # loads what is loaded once
    _, short_s, n_short = run(4)
    passes, longer_s = 4, 0.0
    while longer_s < LONGER_S:
        passes *= 2
        model, long_s, n_long = run(passes)
        longer_s = long_s - short_s
    return model, longer_s / (n_long - n_short)


def step_s(calculator: Any, frame: Atoms) -> float:
    """Seconds of a force call with stress on a configuration that moves, once it is warm."""
    rng, seconds = np.random.default_rng(0), []
    while len(seconds) < 6 or (sum(seconds) < 3 and len(seconds) < 40):
        moved = frame.copy()
        moved.positions += rng.normal(scale=0.01, size=moved.positions.shape)
        moved.calc = calculator
        begun = time.process_time()
        moved.get_forces(), moved.get_stress()
        seconds.append(time.process_time() - begun)
    return float(np.median(seconds[len(seconds) // 2 :]))


def steps_of(calculator: Any, name: str, multiples: Sequence[int]) -> list[list[float]]:
    """Print the rows of the steps of a model's dynamics; return atoms and seconds of each."""
    found = []
    for times in multiples:
        seconds = step_s(calculator, liquid(times, 1))
        found.append([25 * times, seconds])
        table.row(f"{name}: dynamics, {25 * times} atoms", 1e3 * seconds, "ms/step")
    return found


def of_architecture(profile: Profile, architecture: str, values: Any) -> dict[str, Any]:
    """Return the entry of an architecture with the settings of a profile."""
    settings = protocol.settings(architecture, values)
    known, module = settings.model_dump(), protocol.architecture(architecture)
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        for times in MULTIPLES:
            model, frame_s = trained(architecture, settings, times, Path(folder))
            frames.append([25 * times, frame_s])
            what = f"{profile.name} {architecture}: training, {25 * times} atoms"
            table.row(what, 1e3 * frame_s, "ms/frame")
        calculator = module.calculator(model, device="cpu", precision="float32")
        return {
            "architecture": architecture,
            "settings": {name: known[name] for name in KEPT if name in known},
            "machine": table.machine(),
            "core_s_per_frame": frames,
            "model_bytes": model.stat().st_size,
            "core_s_per_step": steps_of(calculator, f"{profile.name} {architecture}", MD_MULTIPLES),
        }


def of_published(study: Study, name: str) -> dict[str, Any] | None:
    """Return the entry of a published model; None if its weights are not here."""
    try:
        step = study.pretrained(name)
    except protocol.WeightsNotFound as error:
        print(f"{name}: not run: {error}")
        return None
    with tempfile.TemporaryDirectory() as folder:
        steps.KINDS[step.kind].function(step.params, {}, Path(folder), Path(folder))
        module = protocol.architecture(step.params["architecture"])
        file = Path(folder) / module.MODEL_FILE
        calculator = module.calculator(file, device="cpu", precision="float32")
    return {
        "architecture": step.params["architecture"],
        "settings": {"name": name},
        "machine": table.machine(),
        "core_s_per_step": steps_of(calculator, name, MULTIPLES),
    }


def main(names: list[str]) -> None:
    """Print the rows and write the file."""
    entries: list[dict[str, Any] | None] = []
    for profile in (profiles.load(name) for name in names if name != PUBLISHED):
        for architecture, values in profile.training.architectures.items():
            entries.append(of_architecture(profile, architecture, values))
    if PUBLISHED in names:
        study = Study(announce=False)
        entries += [of_published(study, name) for name in protocol.pretrained()]
    new = json.loads(json.dumps([entry for entry in entries if entry]))
    same = [(entry["architecture"], entry["settings"]) for entry in new]
    kept = [e for e in costs.measured() if (e["architecture"], e["settings"]) not in same]
    text = json.dumps(new + kept, indent=1, sort_keys=True) + "\n"
    paths.write_atomically(costs.FILE, text.encode())


if __name__ == "__main__":
    os.environ.setdefault("DP_INTRA_OP_PARALLELISM_THREADS", "1")
    os.environ.setdefault("DP_INTER_OP_PARALLELISM_THREADS", "1")
    main(sys.argv[1:] or ["laptop", "paper", PUBLISHED])
