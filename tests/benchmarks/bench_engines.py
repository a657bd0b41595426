"""Speed and agreement of the engines that evaluate one model, on 80 atoms of liquid EC/EMC.

Run it as a script with OMP_NUM_THREADS=1. The models are shipped ones. Engines are timed in turns
in the same process; processor time is compared, which other work disturbs less.
"""

import time
from pathlib import Path
from types import ModuleType

import numpy as np
import table
from crosstrain.build import boxes
from crosstrain.potentials import deep_potential, mace
from crosstrain.study import Study

N_ROUNDS = 25


def compare(module: ModuleType, model: Path, peer: str) -> None:
    """Print a row for a model by its fastest engine against its architecture's own program."""
    engines = {
        name: module.calculator(model, device="cpu", precision="float32", engine=name)
        for name in ("auto", peer)
    }
    molecules = boxes.mixture({"EC": 2, "EMC": 4}, seed=1)
    liquid = boxes.pack(molecules, density_g_cm3=1.05, seed=1)
    rng = np.random.default_rng(0)
    seconds = {name: [] for name in engines}
    results = {name: [] for name in engines}
    for _ in range(N_ROUNDS):
        frame = liquid.copy()
        frame.positions += rng.normal(scale=0.01, size=frame.positions.shape)
        for name, frame.calc in engines.items():
            start = time.process_time()
            result = frame.get_forces(), frame.get_stress(), frame.get_potential_energy()
            seconds[name].append(time.process_time() - start)
            results[name].append(result)
    ours, others = (1e3 * np.median(seconds[name][5:]) for name in engines)
    what = f"{module.LABEL} step, 80 atoms: {engines['auto'].engine}"
    table.row(what, ours, "ms", others, engines[peer].engine)
    for i, quantity in enumerate(("forces / eV/Å", "stress / eV/Å³", "energy / eV")):
        pairs = zip(*results.values(), strict=True)
        largest = max(np.abs(one[i] - other[i]).max() for one, other in pairs)
        print(f"largest difference of {quantity}: {largest:.1e}")


if __name__ == "__main__":
    study = Study(announce=False)
    for module, name, peer in (
        (mace, "mace", "mace-torch"),
        (deep_potential, "deep_potential", "deepmd-kit"),
    ):
        folder = study.get(study.model(name, "classical", 1))
        compare(module, folder / module.MODEL_FILE, peer)
