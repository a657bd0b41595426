"""Engine ``slurm_gpu``: training and dynamics on GPUs of a SLURM cluster, the rest on its CPUs.

Steps of a profile with ``device: cuda`` each get one GPU; labels, building and measuring run on
CPU nodes. See `crosstrain.run.engines.slurm`; a file of your own says for example::

    from crosstrain.run.engines import slurm_gpu

    def config(settings):
        return slurm_gpu.config(
            settings,
            cpu={"partition": "cpu", "workers_per_node": 32},
            gpu={"partition": "gpu", "gpus_per_node": 4, "walltime": "12:00:00"},
        )
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parsl import Config

from crosstrain.data.profiles import Compute
from crosstrain.run.engines import slurm


def config(
    settings: Compute,
    *,
    cpu: Mapping[str, Any] | None = None,
    gpu: Mapping[str, Any] | None = None,
) -> Config:
    """Return the Parsl configuration; `cpu` and `gpu` are options of `slurm.executor`."""
    on_gpu = {"gpus_per_node": 4} | dict(gpu or {})
    executors = [
        slurm.executor("cpu", settings, **(cpu or {})),
        slurm.executor("gpu", settings, **on_gpu),
    ]
    return slurm.configuration(executors)
