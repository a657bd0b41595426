"""Engine ``local``: as many steps at a time as the profile has workers, on this machine."""

from __future__ import annotations

import signal
import sys
from typing import Any

from parsl import Config, HighThroughputExecutor
from parsl.providers import LocalProvider

from crosstrain import paths
from crosstrain.data.profiles import Compute


def config(settings: Compute) -> Config:
    """Return the Parsl configuration."""
    only = executor(
        "local",
        LocalProvider(init_blocks=1, max_blocks=1),
        workers_per_node=settings.workers,
        threads=settings.threads,
        address="127.0.0.1",
    )
    return Config(executors=[only], run_dir=str(paths.runs() / "parsl"), usage_tracking=0)


def executor(
    label: str,
    provider: Any,
    *,
    workers_per_node: int,
    threads: int,
    address: str | None,
    heartbeat_s: int = 5,
    **options: Any,
) -> HighThroughputExecutor:
    """Return an executor that leaves nothing behind when its driver is killed.

    The interchange dies with the driver, the workers when its heartbeat fails, and each step with
    its worker.

    Parameters
    ----------
    label : str
        ``gpu`` gets the steps that compute on a GPU; any other label gets the rest, or all steps
        if no executor is labelled ``gpu``.
    provider
        One of `parsl.providers`: where workers come from.
    workers_per_node, threads : int
        Steps at a time on a node, and cores of each.
    address : str, optional
        Of this machine as workers see it; None: they try all that it has.
    heartbeat_s : int
        Workers are lost when four heartbeats are.
    **options
        Of `parsl.HighThroughputExecutor`.
    """
    return HighThroughputExecutor(
        label=label,
        provider=provider,
        address=address,
        interchange_launch_cmd=_dying_with_parent("interchange.py"),
        heartbeat_period=heartbeat_s,
        heartbeat_threshold=4 * heartbeat_s,
        max_workers_per_node=workers_per_node,
        cores_per_worker=threads,
        **options,
    )


def _dying_with_parent(program: str) -> list[str]:
    """Return a command that runs a program which the kernel ends with its parent (on Linux)."""
    if sys.platform != "linux":
        return [program]
    signal_on_death = 1  # PR_SET_PDEATHSIG
    ask = f"import ctypes, os, sys; ctypes.CDLL(None).prctl({signal_on_death}, {signal.SIGKILL:d})"
    return [sys.executable, "-c", f"{ask}; os.execvp(sys.argv[1], sys.argv[1:])", program]
