"""The engine: computes the missing steps in parallel, each in a process of its own.

Work is handed out through Parsl, whose executors reach from two local workers to a cluster. At
most as many steps are under way as there are workers, and the next one is always the first of
the plan that is ready, so an interrupted campaign has finished its first goals first.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from crosstrain import paths
from crosstrain.data.profiles import Compute
from crosstrain.paths import write_atomically
from crosstrain.run import engines
from crosstrain.run.progress import Progress
from crosstrain.run.store import FAILURE, PARENT, Step, Store, StoreError, upstream

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
GRACE_S = 10.0  # for a step that is asked to end


class Interrupted(RuntimeError):
    """A step was stopped from outside."""


class Processes:
    """Processes of steps on this machine; those still running when the block is left are ended."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._are_stopped = False

    def run(self, command: list[str], **options: Any) -> int:
        """Run a command and return its exit code; that of SIGTERM if it was stopped here."""
        with subprocess.Popen(command, **options) as process:
            self._running.add(process)
            try:
                if self._are_stopped:  # while a thread was starting this one
                    process.terminate()
                code = process.wait()
            finally:
                process.kill()
                self._running.discard(process)
        return -signal.SIGTERM if code and self._are_stopped else code

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._are_stopped = True
        processes = list(self._running)
        for process in processes:
            process.terminate()
        last = time.monotonic() + GRACE_S
        for process in processes:
            try:
                process.wait(max(0.0, last - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()


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
    while missing := _missing(targets, store):
        for warning in without_gpu(missing, settings):
            print(f"crosstrain: {warning}", file=sys.stderr)
        with Progress(missing, settings.at_once, quiet=quiet) as progress:
            failures = _run_all(missing, store, settings, progress)
        if failures:
            raise StepsFailed(failures)
        done += len(missing)
    return done


def _missing(targets: list[Step], store: Store) -> list[Step]:
    """Return the steps to compute, after moving away results whose record is damaged."""
    try:
        return store.to_compute(targets)
    except StoreError:
        for step in upstream(targets):
            try:
                store.provenance(step)
            except StoreError:
                _move_away(step, store)
        return store.to_compute(targets)


def _move_away(step: Step, store: Store) -> None:
    try:
        store.checked(step)
    except StoreError as error:
        print(f"crosstrain: {error}", file=sys.stderr)


def _run_all(
    steps: list[Step], store: Store, settings: Compute, progress: Progress
) -> dict[str, str]:
    todo = {step.folder_name: step for step in steps}
    failures: dict[str, str] = {}
    running: dict[Future[str], Step] = {}
    with _executor(settings) as submit:
        while todo or running:
            unfinished = todo.keys() | {step.folder_name for step in running.values()}
            for step in _ready(todo, unfinished)[: settings.at_once - len(running)]:
                del todo[step.folder_name]
                running[submit(step, _command(step, store), str(store.work(step)))] = step
                progress.started(step)
            finished, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                step = running.pop(future)
                reason = _outcome(future)
                if reason and _is_done_by_another(step, store):
                    reason = ""
                if reason:
                    failures[step.folder_name] = reason
                    progress.dropped(_drop_readers(step, todo, failures))
                progress.finished(step, reason)
            progress.tick()
    return failures


def _ready(todo: dict[str, Step], unfinished: set[str]) -> list[Step]:
    return [
        step
        for step in todo.values()
        if not any(source.folder_name in unfinished for source in step.inputs.values())
    ]


def _drop_readers(failed: Step, todo: dict[str, Step], failures: dict[str, str]) -> list[Step]:
    """Take what needs a failed step from what is to do; return it."""
    lost = {failed.folder_name: failed}
    for step in list(todo.values()):  # inputs come before readers
        if any(source.folder_name in lost for source in step.inputs.values()):
            lost[step.folder_name] = todo.pop(step.folder_name)
            failures[step.folder_name] = f"not run: needs {failed.folder_name}"
    return list(lost.values())[1:]


def _outcome(future: Future[str]) -> str:
    try:
        return future.result()
    except Interrupted as error:
        return str(error)
    except Exception as error:
        _stop_if_no_job_starts(error)
        return f"{type(error).__name__}: {error}"


def _stop_if_no_job_starts(error: Exception) -> None:
    from parsl.executors.errors import BadStateException  # the serial engine goes without Parsl

    if isinstance(error, BadStateException):  # no other step could run either
        last = " ".join(str(error).rpartition("Error ")[2].split())
        raise RuntimeError(
            f"the engine could not start its jobs; the last one: {last}; when that is mended, the "
            "same command goes on from here"
        ) from error


def _is_done_by_another(step: Step, store: Store) -> bool:
    """Whether another run stored a step, and took away the folder that ours was about to use."""
    try:
        done = store.is_whole(step)
    except StoreError:
        return False
    if done:
        shutil.rmtree(store.work(step), ignore_errors=True)
    return done


def _command(step: Step, store: Store) -> list[str]:
    """Write what the step's process needs to know and return its command line."""
    order = {"step": step.to_json(), "root": str(store.root), "scratch": str(store.scratch)}
    path = store.work(step) / "step.json"
    write_atomically(path, json.dumps(order).encode())
    return [sys.executable, "-m", "crosstrain", "step", str(path)]


def run_process(
    command: list[str], folder: str, threads: int, processes: Processes | None = None
) -> str:
    """Run a step in a process with pinned threads; return '' or the reason of its failure.

    The reason stays in the folder until the step is tried again. `processes` may end it early.

    Raises
    ------
    Interrupted
        If the step was stopped from outside, as when its job was cancelled or reached its walltime.
        Parsl tries again what is raised in a job.
    """
    added = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {PARENT: str(os.getpid())}
    failure = Path(folder) / FAILURE
    failure.unlink(missing_ok=True)  # of an earlier try
    with open(Path(folder) / "log.txt", "ab") as log:
        code = (processes or Processes()).run(
            command, env=os.environ | added, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    if code == 0:
        return ""
    if code > 0 and failure.is_file() and (said := failure.read_text().strip()):
        return said
    reason = f"its process ended with code {_code(code)}; see {_shown(Path(folder))}/log.txt"
    if code in INTERRUPTED:
        raise Interrupted(reason)
    with contextlib.suppress(OSError):  # a full disk
        failure.write_text(reason)
    return reason


def _code(code: int) -> str:
    """The code of a process, with the name of the signal that ended it."""
    with contextlib.suppress(ValueError):
        return f"{code} ({signal.Signals(-code).name})"
    return str(code)


def _shown(folder: Path) -> Path:
    """A folder as seen from the project's."""
    return folder.relative_to(paths.root()) if folder.is_relative_to(paths.root()) else folder


@contextmanager
def _executor(settings: Compute) -> Iterator[Callable[[Step, list[str], str], Future[str]]]:
    """Yield a function that starts the command of a step and returns its future."""
    if settings.engine in ("serial", "local") and settings.at_once == 1:
        with ThreadPoolExecutor(max_workers=1) as pool, Processes() as processes:
            yield lambda step, command, folder: pool.submit(
                run_process, command, folder, settings.threads, processes
            )
        return
    import parsl

    # Parsl starts its helper programs by name; they stand beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    config = parsl_config(settings)
    labels = [at.label for at in config.executors]
    apps = {label: parsl.python_app(run_process, executors=[label]) for label in labels}
    try:
        loaded = parsl.load(config)
    except Exception as error:  # Parsl has many kinds
        parsl.clear()
        raise RuntimeError(f"engine {settings.engine!r} does not start: {error}") from error
    with loaded, Processes() as processes:
        threaded = [at for at in config.executors if isinstance(at, parsl.ThreadPoolExecutor)]
        here = {at.label: processes for at in threaded}  # Parsl itself ends what runs in its jobs

        def submit(step: Step, command: list[str], folder: str) -> Future[str]:
            label = _place(step, apps)
            return apps[label](command, folder, settings.threads, here.get(label))

        try:
            yield submit
        finally:
            parsl.clear()


def _place(step: Step, labels: Iterable[str]) -> str:
    """Return the executor of a step: ``gpu`` for what computes on one, if there is one."""
    matching = (label for label in labels if (label == "gpu") == step.wants_gpu)
    return next(matching, next(iter(labels)))


def parsl_config(settings: Compute) -> Any:
    """Return what ``config(settings)`` of the engine returns.

    Raises
    ------
    ValueError
        If the engine is not known, or its file does not give a configuration.
    """
    from parsl import Config

    known = [module.name for module in iter_modules(engines.__path__)]
    if settings.engine in known:
        return import_module(f"{engines.__name__}.{settings.engine}").config(settings)
    path = Path(settings.engine)
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(
            f"engine {settings.engine!r}; allowed are serial, {', '.join(known)}, or a Python "
            "file that defines config(settings) returning a parsl.Config"
        )
    spec = spec_from_file_location("crosstrain_engine", path)
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.config(settings)
    except Exception as error:  # whatever a file of the user's own may raise
        raise ValueError(f"engine {path.name}: {type(error).__name__}: {error}") from error
    if not isinstance(config, Config):
        raise ValueError(f"engine {path.name}: config(settings) must return a parsl.Config")
    return config


def without_gpu(steps: Iterable[Step], settings: Compute) -> list[str]:
    """Return a warning of steps that want a GPU and would be put on nodes without; else nothing.

    Of engines of one machine it is not known whether there is a GPU.
    """
    wanting = [step for step in steps if step.wants_gpu]
    if not wanting or settings.engine in ("serial", "local"):
        return []
    known = {at.label: at for at in parsl_config(settings).executors}
    place = known[_place(wanting[0], known)]
    if getattr(place, "available_accelerators", ()) or not hasattr(place, "provider"):
        return []
    return [
        f"{len(wanting)} steps want a GPU and engine {settings.engine!r} has none: use slurm_gpu, "
        "or an executor with gpus_per_node"
    ]


def described(settings: Compute) -> list[str]:
    """Return where steps would run, a line per executor."""
    if settings.engine == "serial":
        return ["serial: one step at a time"]
    lines = []
    for at in parsl_config(settings).executors:
        provider = getattr(at, "provider", None)  # there is none for this machine
        if provider is None:
            line = f"{at.label}: {at.max_threads} steps at a time"
        else:
            line = f"{at.label}: {provider.max_blocks} x {at.workers_per_node} steps at a time"
        line += f", {settings.threads} threads each"
        if getattr(at, "available_accelerators", None):
            line += ", a GPU for each"
        if walltime := getattr(provider, "walltime", None):
            place = getattr(provider, "partition", None) or getattr(provider, "queue", None)
            default = "of sbatch" if hasattr(provider, "partition") else "of the scheduler"
            line += f", jobs of {walltime}, partition {place or default}"
        lines.append(line)
    return lines
