"""Speed and agreement of the engines that evaluate one model, on 80 atoms of liquid EC/EMC.

Run it as a script with OMP_NUM_THREADS=1. The models are shipped ones. The engines in use are timed
in turns with their architecture's own program; then every other route that was found is timed
against the one in use: a ratio below 1 is why it is not.

Replicas of Deep Potential that share a call gain something in the small liquid of profile
``laptop`` and nothing in that of ``paper``. The last rows weigh this. On two cores a pair is
sooner done apart, each replica on its core, than in one call that both cores compute: sharing gains
only where the runs of several models wait for a core. There it would save of the study the last
row's part, the core time of all liquids that could be run two by two, if nothing but the calls took
time. Each replica stays a step of its own, which is stored, continued and counted by itself. What a
GPU would gain was not measured.

The configurations differ by less than the margin of Deep Potential's list of neighbours. In
dynamics at 500 K that list is made anew about every tenth step, which adds about 2 % to a step.

Processor time is compared, which other work disturbs less; for a pair on two cores it is wall time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import table
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator
from crosstrain.build import boxes
from crosstrain.potentials import deep_potential, mace
from crosstrain.run.store import upstream
from crosstrain.study import Study

N_ROUNDS = 25
WARM = 5  # rounds before the clock counts
N_PAIRED = 200  # long enough that two processes run at the same time
REPLICAS = (1, 2, 8)  # without ASE; as a state point of the study has; as a larger one would
OF_PAPER = (2, 2, 2)  # times the liquid of profile laptop is that of profile paper


def liquids(times: tuple[int, int, int] = (1, 1, 1), n_frames: int = N_ROUNDS) -> list[Atoms]:
    """Return configurations of one liquid that differ a little, as they do in dynamics."""
    molecules = boxes.mixture({"EC": 2, "EMC": 4}, seed=1)
    liquid = boxes.pack(molecules, density_g_cm3=1.05, seed=1) * times
    rng = np.random.default_rng(0)
    moved = [liquid.copy() for _ in range(n_frames)]
    for frame in moved:
        frame.positions += rng.normal(scale=0.01, size=frame.positions.shape)
    return moved


def evaluated(frame: Atoms, calculator: Calculator) -> tuple[Any, ...]:
    """Return forces, stress and energy."""
    frame = frame.copy()
    frame.calc = calculator
    return frame.get_forces(), frame.get_stress(), frame.get_potential_energy()


def step_ms(
    evaluate: Callable[[Atoms], Any],
    frames: Sequence[Atoms],
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return the median time of an evaluation once it is warm, in ms."""
    seconds = []
    for frame in frames:
        start = clock()
        evaluate(frame)
        seconds.append(clock() - start)
    return 1e3 * float(np.median(seconds[WARM:]))


def compare(module: ModuleType, model: Path, peer: str) -> tuple[str, float]:
    """Print a row for a model by its fastest engine against its architecture's own program.

    Return the name of the fastest and its time by itself, as that of the other routes is taken.
    """
    engines = {
        name: module.calculator(model, device="cpu", precision="float32", engine=name)
        for name in ("auto", peer)
    }
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    results: dict[str, list[Any]] = {name: [] for name in engines}
    for frame in liquids():
        for name, calculator in engines.items():
            start = time.process_time()
            results[name].append(evaluated(frame, calculator))
            seconds[name].append(time.process_time() - start)
    ours, others = (1e3 * np.median(seconds[name][WARM:]) for name in engines)
    in_use = engines["auto"].engine
    table.row(f"{module.LABEL} step, 80 atoms: {in_use}", ours, "ms", others, engines[peer].engine)
    for i, quantity in enumerate(("forces / eV/Å", "stress / eV/Å³", "energy / eV")):
        pairs = zip(*results.values(), strict=True)
        largest = max(np.abs(one[i] - other[i]).max() for one, other in pairs)
        print(f"largest difference of {quantity}: {largest:.1e}")
    return in_use, step_ms(lambda frame: evaluated(frame, engines["auto"]), liquids())


def alternative(what: str, route: Callable[[], float], in_use: tuple[str, float]) -> None:
    """Print a row for another route; one that cannot be taken says why."""
    name, used_ms = in_use
    try:
        table.row(what, route(), "ms", used_ms, f"in use: {name}")
    except Exception as error:
        reason = str(error).strip().splitlines() or [""]
        print(f"| {what} | not possible: {type(error).__name__}: {reason[0][:80]} | | |")


# --- MACE -------------------------------------------------------------------------------------


def mace_float64(model: Path) -> float:
    """Symmetrix in double precision."""
    calculator = mace.calculator(model, device="cpu", precision="float64")
    return step_ms(lambda frame: evaluated(frame, calculator), liquids())


def mace_compiled(model: Path) -> float:
    """mace-torch with its model compiled by torch."""
    from mace.calculators import MACECalculator

    calculator = MACECalculator(
        model_paths=str(model), device="cpu", default_dtype="float32", compile_mode="default"
    )
    return step_ms(lambda frame: evaluated(frame, calculator), liquids())


def mace_batched(model: Path, n_replicas: int) -> float:
    """Replicas of the liquid in one call of mace-torch, time of each."""
    from mace import data
    from mace.tools.torch_geometric import dataloader

    calculator = mace.calculator(model, device="cpu", precision="float32", engine="mace-torch")

    def evaluate(frame: Atoms) -> None:
        graphs = [
            data.AtomicData.from_config(
                data.config_from_atoms(frame), z_table=calculator.z_table, cutoff=calculator.r_max
            )
            for _ in range(n_replicas)
        ]
        (batch,) = dataloader.DataLoader(graphs, batch_size=n_replicas)
        calculator.models[0](batch.to_dict(), compute_stress=True)

    return step_ms(evaluate, liquids()) / n_replicas


# --- Deep Potential ---------------------------------------------------------------------------


def deep_potential_float64(study: Study) -> float:
    """A model of the same shape whose training was in double precision."""
    from bench_scaling import liquid

    chosen = study.profile.training.architectures["deep_potential"]
    settings = deep_potential.Settings(**chosen | {"steps": 4, "report_every": 2})
    with tempfile.TemporaryDirectory() as folder:
        model = deep_potential.train(
            [liquid(2, seed) for seed in range(4)],
            [liquid(2, 5)],
            settings,
            seed=1,
            folder=Path(folder),
            atom_energies={"H": -10.0, "C": -45.0, "O": -100.0},
            device="cpu",
            precision="float64",
        )
        calculator = deep_potential.calculator(model, device="cpu", precision="float64")
    return step_ms(lambda frame: evaluated(frame, calculator), liquids())


def deep_potential_own_lists(model: Path, frames: Sequence[Atoms]) -> float:
    """The compressed model, but deepmd-kit looks for the neighbours."""
    calculator = deep_potential.calculator(model, device="cpu", precision="float32")
    kinds = [calculator.type_dict[symbol] for symbol in frames[0].symbols]
    return step_ms(
        lambda frame: calculator.dp.eval(
            frame.positions.reshape(1, -1), frame.cell.array.reshape(1, -1), kinds
        ),
        frames,
    )


def deep_potential_batched(model: Path, n_replicas: int, frames: Sequence[Atoms]) -> float:
    """Replicas of the liquid in one call of the engine in use, time of each."""
    return step_ms(batched(model, n_replicas, frames[0]), frames) / n_replicas


def batched(model: Path, n_replicas: int, liquid: Atoms) -> Callable[[Atoms], None]:
    """The evaluation of as many replicas of a liquid in one call of the engine in use."""
    calculator = deep_potential.calculator(model, device="cpu", precision="float32")
    kinds = np.array([calculator.type_dict[symbol] for symbol in liquid.symbols])

    def evaluate(frame: Atoms) -> None:
        found = [calculator.neighbours.of(frame) for _ in range(n_replicas)]
        positions, home, nearest = (np.stack(arrays) for arrays in zip(*found, strict=True))
        arrays = (positions, kinds[home], nearest, home)
        said = calculator.module.forward_lower(*map(torch.from_numpy, arrays), None, None, False)
        forces = np.zeros((n_replicas, *frame.positions.shape))
        for i in range(n_replicas):
            np.add.at(forces[i], home[i], said["extended_force"][i].detach().numpy())

    return evaluate


def pair_apart(model: Path) -> float:
    """Wall time of a step of two replicas, each by a process on a core of its own, in ms."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as workers:
        return max(workers.map(wall_of_pair, [model] * 2, [1] * 2, [1] * 2))


def wall_of_pair(model: Path, n_replicas: int, threads: int) -> float:
    """Wall time of a step of replicas that share a call, in ms."""
    torch.set_num_threads(threads)
    evaluate = batched(model, n_replicas, liquids()[0])
    return step_ms(evaluate, liquids(n_frames=N_PAIRED), clock=time.perf_counter)


def weigh_pairs(study: Study, saved: float) -> None:
    """Print the core time of the study, and without what pairs of replicas would save of it."""
    costs = {step.folder_name: study.cost(step) for step in upstream(study.campaign())}
    cpu_h = {name: cost["cpu_s"] / 3600 for name, cost in costs.items() if cost}
    pairs = [
        cpu_h.get(run.folder_name, 0.0)
        for model in study.models()
        if model.params["architecture"] == "deep_potential"
        for state, at in study.profile.liquid.states.items()
        if len(at.replicas) > 1
        for run in study.liquids(model, state)
    ]
    total = sum(cpu_h.values())
    shared = total - saved * sum(pairs)
    table.row("the study: replicas of Deep Potential in pairs", shared, "h", total, "in use: apart")


def main() -> None:
    """Print the rows."""
    study = Study(announce=False)
    model = study.get(study.model("mace", "classical", 1)) / mace.MODEL_FILE
    in_use = compare(mace, model, "mace-torch")
    alternative("MACE step: Symmetrix, float64", lambda: mace_float64(model), in_use)
    alternative("MACE step: mace-torch, compiled", lambda: mace_compiled(model), in_use)
    for n in REPLICAS:
        what = f"MACE step: mace-torch, {n} replicas in one call, for each"
        alternative(what, lambda n=n: mace_batched(model, n), in_use)
    other = study.get(study.model("deep_potential", "classical", 1)) / deep_potential.MODEL_FILE
    in_use = compare(deep_potential, other, "deepmd-kit")
    what = "Deep Potential step: deepmd-kit, compressed, trained in float64"
    alternative(what, lambda: deep_potential_float64(study), in_use)
    what = "Deep Potential step: compressed, deepmd-kit's own neighbours"
    alternative(what, lambda: deep_potential_own_lists(other, liquids()), in_use)
    times = {}
    for n in REPLICAS:
        what = f"Deep Potential step: {n} replicas in one call, for each"
        times[n] = deep_potential_batched(other, n, liquids())
        table.row(what, times[n], "ms", in_use[1], f"in use: {in_use[0]}")
    large = liquids(OF_PAPER, 12)
    what = f"Deep Potential step, {len(large[0])} atoms"
    alone = deep_potential_batched(other, 1, large)
    shared, own = deep_potential_batched(other, 2, large), deep_potential_own_lists(other, large)
    table.row(f"{what}: 2 replicas in one call, for each", shared, "ms", alone, "1 in a call")
    table.row(f"{what}: deepmd-kit's own neighbours", own, "ms", alone, "neighbours given")
    together, apart = wall_of_pair(other, 2, 2), pair_apart(other)
    what = "Deep Potential step of 2 replicas on 2 cores: in one call (wall time)"
    table.row(what, together, "ms", apart, "apart")
    weigh_pairs(study, 1 - times[2] / times[1])


if __name__ == "__main__":
    main()
