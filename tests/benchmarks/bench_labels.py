"""Labelling through the engine against bare tblite on the same frames: share of its throughput.

Both sides use as many processes of one thread each. The engine's side is everything that a block
needs: starting workers and steps, checks, a file per frame, hashes, and the joined set.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import table
from crosstrain.data import profiles
from crosstrain.data.profiles import Block
from crosstrain.run.engine import THREAD_VARIABLES
from crosstrain.steps import FRAMES
from crosstrain.study import Study

N_FRAMES = 60
BARE = """
import sys
from pathlib import Path
from tblite.ase import TBLite
from crosstrain.data import frames
first, workers = int(sys.argv[1]), int(sys.argv[2])
for file in sys.argv[3:]:
    for frame in frames.read(Path(file))[first::workers]:
        frame.calc = TBLite(method="GFN2-xTB", verbosity=0)
        frame.get_potential_energy(), frame.get_forces(), frame.get_stress()
"""


def main() -> None:
    """Print the rows for one and for two workers."""
    for workers in (1, 2):
        measure(workers)


def measure(workers: int) -> None:
    """Print both times and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        base = profiles.load("laptop")
        block = Block(
            kind="packed",
            frames=N_FRAMES,
            seed=7,
            options=base.blocks["packed"].options,
        )
        compute = base.compute.model_copy(update={"workers": workers})
        changes = {
            "compute": compute,
            "store": f"{folder}/data",
            "blocks": {"bench": block},
            "tests": {},
        }
        study = Study(base.model_copy(update=changes), announce=False)
        study.store.scratch = Path(folder) / "scratch"
        step = study.block("bench")
        built = [part.inputs["frames"] for part in step.inputs.values()]
        study.fill(built)
        files = [str(study.store.folder(frames) / FRAMES) for frames in built]

        bare_s = _timed_bare(files, workers)
        begun = time.monotonic()
        study.fill([step])
        engine_s = time.monotonic() - begun
    what = f"labels of {N_FRAMES} boxes, {workers} worker{'s' * (workers > 1)}"
    table.row(what, engine_s, "s", bare_s, "bare tblite")


def _timed_bare(files: list[str], workers: int) -> float:
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
    begun = time.monotonic()
    words = [sys.executable, "-c", BARE]
    started = [
        subprocess.Popen([*words, str(first), str(workers), *files], env=environment)
        for first in range(workers)
    ]
    if any(process.wait() for process in started):
        raise RuntimeError("bare tblite failed")
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
