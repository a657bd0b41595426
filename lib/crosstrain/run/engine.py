"""The engine: computes the missing steps in parallel, each in a process of its own.

Work is handed out through Parsl, whose executors reach from two local workers to a cluster. At
most as many steps are under way as there are workers, and the next one is always the first of
the plan that is ready, so an interrupted campaign has finished its first goals first.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosstrain.data.profiles import Compute
from crosstrain.paths import write_atomically
from crosstrain.run.progress import Progress
from crosstrain.run.store import FAILURE, Step, Store

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENMM_CPU_THREADS",
    "DP_INTRA_OP_PARALLELISM_THREADS",
    "DP_INTER_OP_PARALLELISM_THREADS",
)


# Exit codes of a step that was stopped from outside, which is no failure of its own.
INTERRUPTED = (130, -signal.SIGINT, -signal.SIGTERM)


class StepsFailed(RuntimeError):
    """Some steps failed; everything that does not depend on them was finished."""

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        lines = [f"{name}: {reason}" for name, reason in failures.items()]
        super().__init__("\n".join([f"{len(lines)} step(s) failed", *lines]))


def compute(
    targets: Iterable[Step], store: Store, settings: Compute, *, quiet: bool = False
) -> int:
    """Compute what is missing so that all targets are current; return how many steps ran.

    Raises
    ------
    StepsFailed
        After everything that could be computed was.
    """
    targets = list(targets)
    done = 0
    # A recomputed input may differ from what its readers saw, so look again until nothing is left.
    while missing := store.to_compute(targets):
        with Progress(missing, settings.workers, quiet=quiet) as progress:
            failures = _run_all(missing, store, settings, progress)
        if failures:
            raise StepsFailed(failures)
        done += len(missing)
    return done


def _run_all(
    steps: list[Step], store: Store, settings: Compute, progress: Progress
) -> dict[str, str]:
    todo = {step.folder_name: step for step in steps}
    failures: dict[str, str] = {}
    running: dict[Future[str], Step] = {}
    with _executor(settings) as submit:
        while todo or running:
            unfinished = todo.keys() | {step.folder_name for step in running.values()}
            for step in _ready(todo, unfinished)[: settings.workers - len(running)]:
                del todo[step.folder_name]
                running[submit(_command(step, store), str(store.work(step)))] = step
                progress.started(step)
            finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                step = running.pop(future)
                reason = _outcome(future)
                progress.finished(step, reason)
                if reason:
                    failures[step.folder_name] = reason
                    _drop_readers(step, todo, failures)
            progress.tick()
    return failures


def _ready(todo: dict[str, Step], unfinished: set[str]) -> list[Step]:
    return [
        step
        for step in todo.values()
        if not any(source.folder_name in unfinished for source in step.inputs.values())
    ]


def _drop_readers(failed: Step, todo: dict[str, Step], failures: dict[str, str]) -> None:
    lost = {failed.folder_name}
    for step in list(todo.values()):  # inputs come before readers
        if any(source.folder_name in lost for source in step.inputs.values()):
            lost.add(step.folder_name)
            failures[step.folder_name] = f"not run: needs {failed.folder_name}"
            del todo[step.folder_name]


def _outcome(future: Future[str]) -> str:
    try:
        return future.result()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _command(step: Step, store: Store) -> list[str]:
    """Write what the step's process needs to know and return its command line."""
    order = {"step": step.to_json(), "root": str(store.root), "scratch": str(store.scratch)}
    path = store.work(step) / "step.json"
    write_atomically(path, json.dumps(order).encode())
    return [sys.executable, "-m", "crosstrain", "step", str(path)]


def run_process(command: list[str], folder: str, threads: int) -> str:
    """Run a step in a process with pinned threads; return '' or the reason of its failure.

    The reason stays in the folder until the step is tried again.
    """
    pinned = {name: str(threads) for name in THREAD_VARIABLES}
    failure = Path(folder) / FAILURE
    failure.unlink(missing_ok=True)  # of an earlier try
    with open(Path(folder) / "log.txt", "ab") as log:
        code = subprocess.run(
            command, env=os.environ | pinned, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).returncode
    if code == 0:
        return ""
    if code > 0 and failure.is_file():
        return failure.read_text().strip()
    reason = f"its process ended with code {code}; see {'/'.join(Path(folder).parts[-2:])}/log.txt"
    if code not in INTERRUPTED:
        failure.write_text(reason)
    return reason


@contextmanager
def _executor(settings: Compute) -> Iterator[Callable[[list[str], str], Future[str]]]:
    """Yield a function that starts a command and returns its future."""
    if settings.engine == "serial" or (settings.engine == "local" and settings.workers == 1):
        with ThreadPoolExecutor(max_workers=1) as pool:
            yield lambda command, folder: pool.submit(
                run_process, command, folder, settings.threads
            )
        return
    import parsl

    # Parsl starts its helper programs by name; they stand beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    app = parsl.python_app(run_process)
    with parsl.load(_parsl_config(settings)):
        try:
            yield lambda command, folder: app(command, folder, settings.threads)
        finally:
            parsl.clear()


def _dying_with_parent(program: str) -> list[str]:
    """Return a command that runs a program which the kernel ends with its parent (on Linux)."""
    if sys.platform != "linux":
        return [program]
    signal_on_death = 1  # PR_SET_PDEATHSIG
    ask = f"import ctypes, os, sys; ctypes.CDLL(None).prctl({signal_on_death}, {signal.SIGKILL:d})"
    return [sys.executable, "-c", f"{ask}; os.execvp(sys.argv[1], sys.argv[1:])", program]


def _parsl_config(settings: Compute) -> Any:
    """Return the local configuration, or what `config(settings)` of the engine's file returns."""
    if settings.engine == "local":
        from parsl import Config, HighThroughputExecutor
        from parsl.providers import LocalProvider

        from crosstrain import paths

        executor = HighThroughputExecutor(
            label="local",
            address="127.0.0.1",
            # A driver that was killed must leave nothing behind: the interchange dies with it,
            # the workers when its heartbeat fails, and each step with its worker.
            interchange_launch_cmd=_dying_with_parent("interchange.py"),
            heartbeat_period=5,
            heartbeat_threshold=20,
            max_workers_per_node=settings.workers,
            cores_per_worker=settings.threads,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        run_dir = paths.runs() / "parsl"
        return Config(executors=[executor], run_dir=str(run_dir), usage_tracking=0)
    path = Path(settings.engine)
    if not path.is_file():
        raise ValueError(
            f"engine {settings.engine!r}; allowed are local, serial, or a Python file that "
            "defines config(settings) returning a parsl.Config"
        )
    spec = importlib.util.spec_from_file_location("crosstrain_engine", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.config(settings)
