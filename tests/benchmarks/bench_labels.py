"""Labelling through the engine against bare tblite on the same frames: share of its throughput.

Both sides use two processes of one thread each. The engine's side is everything that a block
needs: starting workers and steps, checks, a file per frame, hashes, and the joined set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from crosstrain.data import profiles
from crosstrain.data.profiles import Block
from crosstrain.run.engine import THREAD_VARIABLES
from crosstrain.steps import FRAMES
from crosstrain.study import Study

N_FRAMES = 90
BARE = """
import sys
from pathlib import Path
from tblite.ase import TBLite
from crosstrain.data import frames
half = int(sys.argv[1])
for file in sys.argv[2:]:
    for frame in frames.read(Path(file))[half::2]:
        frame.calc = TBLite(method="GFN2-xTB", verbosity=0)
        frame.get_potential_energy(), frame.get_forces(), frame.get_stress()
"""


def main() -> None:
    """Print both times and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        base = profiles.load("laptop")
        block = Block(
            kind="packed",
            frames=N_FRAMES,
            seed=7,
            options=base.blocks["packed"].options,
        )
        changes = {"store": f"{folder}/data", "blocks": {"bench": block}, "tests": {}}
        study = Study(base.model_copy(update=changes), announce=False)
        study.store.scratch = Path(folder) / "scratch"
        step = study.block("bench")
        built = [part.inputs["frames"] for part in step.inputs.values()]
        study.fill(built)
        files = [str(study.store.folder(frames) / FRAMES) for frames in built]

        bare_s = _timed_bare(files)
        begun = time.monotonic()
        study.fill([step])
        engine_s = time.monotonic() - begun
    print(f"labels: {N_FRAMES} packed boxes of 60 to 100 atoms, two processes")
    print(f"  bare tblite {bare_s:7.1f} s   through the engine {engine_s:7.1f} s")
    print(f"  share of the bare throughput: {bare_s / engine_s:.2f}")


def _timed_bare(files: list[str]) -> float:
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    begun = time.monotonic()
    workers = [
        subprocess.Popen([sys.executable, "-c", BARE, str(half), *files], env=environment)
        for half in range(2)
    ]
    if any(worker.wait() for worker in workers):
        raise RuntimeError("bare tblite failed")
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
