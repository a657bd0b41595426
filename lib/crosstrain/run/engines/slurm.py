"""Engine ``slurm``: steps on the CPU nodes of a cluster with SLURM.

Each job that Parsl submits is one node that computes step after step. Partition and account are
those of sbatch's own variables, ``SBATCH_PARTITION`` and ``SBATCH_ACCOUNT``. For anything else,
write a file of your own and name it, ``crosstrain study --engine cluster.py``::

    from crosstrain.run.engines import slurm

    def config(settings):
        return slurm.config(settings, partition="batch", workers_per_node=32, walltime="08:00:00")

The driver (``crosstrain study``) stays on the login node and needs next to no processor time. The
checkout must be on a file system that all nodes share and that supports locks (``flock``). A step
whose job was cancelled, lost its node or reached its walltime goes on from its checkpoint in
another job. For other schedulers take another provider of Parsl, see
https://parsl.readthedocs.io/en/stable/userguide/configuration/examples.html.
"""

from __future__ import annotations

import signal
import sys
from math import ceil

from parsl import Config, HighThroughputExecutor
from parsl.executors.errors import BadStateException
from parsl.jobs.error_handlers import windowed_error_handler
from parsl.providers import SlurmProvider
from parsl.utils import wtime_to_minutes

from crosstrain import paths
from crosstrain.data.profiles import Compute

RESUBMISSIONS = 20  # of a step whose job ended under it


def config(settings: Compute, **options: object) -> Config:
    """Return the Parsl configuration; `options` are those of `executor`."""
    return configuration([executor("cpu", settings, **options)])


def configuration(executors: list[HighThroughputExecutor]) -> Config:
    """Return a configuration in which steps outlive their jobs."""
    return Config(
        executors=executors,
        # Parsl's other strategy cancels jobs whose workers are still starting, again and again
        strategy="simple",
        retries=RESUBMISSIONS,  # a step that fails by itself is not resubmitted
        retry_handler=_cost_of_retry,
        run_dir=str(paths.runs() / "parsl"),
        usage_tracking=0,
    )


def _cost_of_retry(error: Exception, _: object) -> int:
    """Count a resubmission as one, or as too many where the scheduler takes no job."""
    return RESUBMISSIONS + 1 if isinstance(error, BadStateException) else 1


def executor(
    label: str,
    settings: Compute,
    *,
    workers_per_node: int = 8,
    gpus_per_node: int = 0,
    partition: str | None = None,
    account: str | None = None,
    walltime: str = "24:00:00",
    last_start: str = "01:00:00",
    memory_GB: int | None = None,
    scheduler_options: str = "",
    worker_init: str = "",
    address: str | None = None,
    heartbeat_s: int = 30,
) -> HighThroughputExecutor:
    """Return an executor whose workers come from jobs of one node each.

    It leaves nothing behind when its driver is killed: the interchange dies with the driver, the
    workers when its heartbeat fails, and each step with its worker.

    Parameters
    ----------
    label : str
        ``gpu`` gets the steps that compute on a GPU; any other label gets the rest, or all steps
        if no executor is labelled ``gpu``.
    settings : Compute
        Gives the threads of a step, and through its workers the most jobs at a time.
    workers_per_node : int
        Steps at a time on a node.
    gpus_per_node : int
        With GPUs each step sees one of its own (``CUDA_VISIBLE_DEVICES``), so there are at most
        as many steps as GPUs.
    partition, account : str, optional
    walltime : str
        HH:MM:SS of a job.
    last_start : str
        HH:MM:SS before the end of a job in which no step is begun any more.
    memory_GB : int, optional
        Of a job.
    scheduler_options : str
        Further ``#SBATCH`` lines.
    worker_init : str
        Shell commands before the workers start, for example ``module load cuda``.
    address : str, optional
        Of the driver's machine as the nodes see it.
    heartbeat_s : int
        A node is lost when four heartbeats are.

    Raises
    ------
    ValueError
        If `last_start` is not before `walltime`.
    """
    begins_min = wtime_to_minutes(walltime) - wtime_to_minutes(last_start)
    if begins_min <= 0:
        raise ValueError(f"last_start {last_start}; allowed is less than walltime {walltime}")
    if gpus_per_node:
        workers_per_node = min(workers_per_node, gpus_per_node)
    provider = SlurmProvider(
        partition=partition,
        account=account,
        exclusive=False,
        cores_per_node=workers_per_node * settings.threads,
        gpus_per_node=gpus_per_node or None,
        mem_per_node=memory_GB,
        walltime=walltime,
        scheduler_options=scheduler_options,
        worker_init=worker_init,
        init_blocks=0,
        max_blocks=ceil(settings.workers / workers_per_node),
        cmd_timeout=60,
    )
    return HighThroughputExecutor(
        label=label,
        provider=provider,
        address=address,
        interchange_launch_cmd=_dying_with_parent("interchange.py"),
        heartbeat_period=heartbeat_s,
        heartbeat_threshold=4 * heartbeat_s,
        max_workers_per_node=workers_per_node,
        cores_per_worker=settings.threads,
        available_accelerators=gpus_per_node,
        drain_period=60 * begins_min,
        block_error_handler=windowed_error_handler,  # give up after three failed jobs in a row
    )


def _dying_with_parent(program: str) -> list[str]:
    """Return a command that runs a program which the kernel ends with its parent (on Linux)."""
    if sys.platform != "linux":
        return [program]
    signal_on_death = 1  # PR_SET_PDEATHSIG
    ask = f"import ctypes, os, sys; ctypes.CDLL(None).prctl({signal_on_death}, {signal.SIGKILL:d})"
    return [sys.executable, "-c", f"{ask}; os.execvp(sys.argv[1], sys.argv[1:])", program]
