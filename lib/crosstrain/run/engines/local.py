"""Engine ``local``: as many steps at a time as the profile has workers, on this machine."""

from __future__ import annotations

from parsl import Config, ThreadPoolExecutor

from crosstrain import paths
from crosstrain.data.profiles import Compute


def config(settings: Compute) -> Config:
    """Return the Parsl configuration: threads are enough, for a step is a process of its own."""
    only = ThreadPoolExecutor(label="local", max_threads=settings.workers)
    return Config(executors=[only], run_dir=str(paths.runs() / "parsl"), usage_tracking=0)
