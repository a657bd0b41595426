"""Peak memory of every kind of step, and notebooks run again from what is stored.

The memory is that of the shipped results, as their processes reported it. Kinds whose results are
not shipped are computed at smoke size, and their rows say so.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import table
from crosstrain.data import profiles
from crosstrain.potentials import protocol
from crosstrain.run import notebooks
from crosstrain.run.store import Step, sha256, upstream
from crosstrain.steps import KINDS
from crosstrain.study import Study


def main() -> None:
    """Print the rows."""
    study = Study(announce=False)
    costs: dict[str, list[dict[str, float]]] = {}
    for step in study.known():
        if cost := study.cost(step):
            costs.setdefault(step.kind, []).append(cost)
    for kind, known in costs.items():
        table.row(f"peak memory: {kind}", max(cost["peak_memory_MB"] for cost in known), "MB")
    computed_s = sum(cost["cpu_s"] for known in costs.values() for cost in known)
    with tempfile.TemporaryDirectory() as folder:
        _execute_all(Path(folder))  # the example of notebook 12 is not shipped, but stored now
        begun = time.perf_counter()
        _execute_all(Path(folder))
        seconds = time.perf_counter() - begun
    table.row("all notebooks from stored results", seconds, "s", computed_s, "computing them, core")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CROSSTRAIN_RUNS"] = folder
        small(sorted(set(KINDS) - set(costs)), study)


def _execute_all(folder: Path) -> None:
    for name in notebooks.names():
        target = folder / f"{name}.ipynb"
        notebooks.execute(name, {}, target=target, figures=folder / "figures")


def small(kinds: Iterable[str], shipped: Study) -> None:
    """Compute a step of each kind at smoke size, and print its row."""
    profile = profiles.load("smoke")  # with a generation more, whose committee has members
    twice = profile.iteration.model_copy(update={"generations": 2})
    study = Study(profile.model_copy(update={"iteration": twice}), announce=False)
    known = upstream([*study.campaign(), _given(study, shipped)])
    for kind in kinds:
        step = next((step for step in known if step.kind == kind), None)
        if step is None:  # those of other kinds are in every campaign
            print(f"| peak memory: {kind} | not run: published data not available | | |")
            continue
        study.fill([step], quiet=True)
        what = f"peak memory: {kind}, smoke size"
        table.row(what, study.cost(step)["peak_memory_MB"], "MB")


def _given(study: Study, shipped: Study) -> Step:
    """A model file of one's own: one that is shipped."""
    model = shipped.model("mace", "classical", 1)
    file = shipped.get(model) / protocol.architecture("mace").MODEL_FILE
    return study.given_model("mine", file, "mace", sha256(file))


if __name__ == "__main__":
    main()
