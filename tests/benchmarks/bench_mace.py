"""Speed and agreement of the engines that evaluate a MACE model, on 80 atoms of liquid EC/EMC.

Run it as a script with OMP_NUM_THREADS=1; its argument is a model file of the project (the shipped
one). Engines are timed in turns in the same process; processor time is compared, which other work
disturbs less.
"""

import sys
import time
from pathlib import Path

import numpy as np
import table
from crosstrain.build import boxes
from crosstrain.potentials import mace
from crosstrain.study import Study

N_ROUNDS = 25


def main(model: Path) -> None:
    engines = {
        name: mace.calculator(model, device="cpu", precision="float32", engine=name)
        for name in ("auto", "mace-torch")
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
    medians = {name: np.median(times[5:]) for name, times in seconds.items()}
    for name, calculator in engines.items():
        print(f"{name:10}  {1e3 * medians[name]:6.1f} ms  {calculator.engine}")
    ours, peer = (1e3 * medians[name] for name in ("auto", "mace-torch"))
    table.row("MACE step, 80 atoms", ours, "ms", peer, "mace-torch")
    for i, what in enumerate(("forces / eV/Å", "stress / eV/Å³", "energy / eV")):
        pairs = zip(*results.values(), strict=True)
        largest = max(np.abs(one[i] - other[i]).max() for one, other in pairs)
        print(f"largest difference of {what}: {largest:.1e}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        study = Study(announce=False)
        main(study.get(study.model("mace", "classical", 1)) / mace.MODEL_FILE)
