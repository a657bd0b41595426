"""Rows of the table that ``make bench`` makes: what, ours, the peer's, and their ratio."""

from __future__ import annotations

import os
import platform
from pathlib import Path

HEADING = "| what | ours | peer | ratio |\n|---|---:|---:|---:|"


def row(what: str, ours: float, unit: str, peer: float | None = None, name: str = "") -> None:
    """Print a row; the ratio is the peer's value over ours, above 1 where ours takes less."""
    other = f"{peer:.3g} {unit} ({name})" if peer is not None else ""
    ratio = f"{peer / ours:.2f}" if peer is not None else ""
    print(f"| {what} | {ours:.3g} {unit} | {other} | {ratio} |", flush=True)


def machine() -> str:
    """Return processor, cores, memory, system and how busy the machine is, in a line."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.partition(":")[2].strip() for line in about.splitlines() if "model name" in line]
    memory_GB = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores, "
        f"{memory_GB:.0f} GB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    )
