"""Peak memory of every kind of step, and notebooks run again from what is stored.

The memory is that of the shipped results, as their processes reported it.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import table
from crosstrain.run import notebooks
from crosstrain.run.store import upstream
from crosstrain.study import Study


def main() -> None:
    """Print the rows."""
    study = Study(announce=False)
    costs: dict[str, list[dict[str, float]]] = {}
    for step in upstream(study.campaign()):
        if cost := study.cost(step):
            costs.setdefault(step.kind, []).append(cost)
    for kind, known in costs.items():
        table.row(f"peak memory: {kind}", max(cost["peak_memory_MB"] for cost in known), "MB")
    computed_s = sum(cost["cpu_s"] for known in costs.values() for cost in known)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in notebooks.names():
            target = Path(folder) / f"{name}.ipynb"
            notebooks.execute(name, {}, target=target, figures=Path(folder) / "figures")
    seconds = time.perf_counter() - begun
    table.row("all notebooks from stored results", seconds, "s", computed_s, "computing them, core")


if __name__ == "__main__":
    main()
