"""What the store costs: a step's record and checks, and a campaign of many steps.

Run it as a script; its argument is the number of entries (100000). The peer of a stored result is
the same file written bare and synchronised.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import table
from crosstrain.run.store import Step, Store

CONTENT = bytes(100_000)
N_READERS = 100  # inputs of each set


def main(n_entries: int) -> None:
    """Print the rows."""
    with tempfile.TemporaryDirectory() as folder:
        one_step(Path(folder) / "one")
        many_steps(Path(folder) / "many", n_entries)


def one_step(folder: Path, n_rounds: int = 50) -> None:
    """Time lock, publication and verification of one result of 100 kB."""
    store = Store(folder / "data", folder / "scratch")
    steps = [Step("atoms", f"a{i}", {"i": i}) for i in range(n_rounds)]
    begun = time.perf_counter()
    for step in steps:
        with store.lock(step), store.publish(step, {}) as out:
            (out / "result").write_bytes(CONTENT)
        shutil.rmtree(store.work(step))
    ours = (time.perf_counter() - begun) / n_rounds
    begun = time.perf_counter()
    for i in range(n_rounds):
        with open(folder / f"bare{i}", "wb") as file:
            file.write(CONTENT)
            file.flush()
            os.fsync(file.fileno())
    bare = (time.perf_counter() - begun) / n_rounds
    table.row("store: publish a result of 100 kB", 1e3 * ours, "ms", 1e3 * bare, "bare fsync")
    begun = time.perf_counter()
    for step in steps:
        store.verify(step)
    ours = (time.perf_counter() - begun) / n_rounds
    begun = time.perf_counter()
    for i in range(n_rounds):
        (folder / f"bare{i}").read_bytes()
    bare = (time.perf_counter() - begun) / n_rounds
    table.row("store: verify a result of 100 kB", 1e3 * ours, "ms", 1e3 * bare, "bare read")


def many_steps(folder: Path, n_entries: int) -> None:
    """Time the plan of a campaign of many stored steps, and loading each of them."""
    store = Store(folder / "data", folder / "scratch")
    parts = [Step("atoms", f"p{i}", {"part": i}) for i in range(n_entries - n_entries // N_READERS)]
    groups = [parts[i :: n_entries // N_READERS] for i in range(n_entries // N_READERS)]
    sets = [
        Step("set", f"s{number}", {}, {f"part{i}": part for i, part in enumerate(group)})
        for number, group in enumerate(groups)
    ]
    with mock.patch("os.fsync"):  # only here, so that filling the store does not take hours
        for step in [*parts, *sets]:
            with store.publish(step, {}) as out:
                (out / "result").write_bytes(b"result")
    begun = time.perf_counter()
    assert store.to_compute(sets) == []
    table.row(f"store: plan of {n_entries} stored steps", time.perf_counter() - begun, "s")
    begun = time.perf_counter()
    for step in parts:
        store.verify(step)
    per_step = (time.perf_counter() - begun) / len(parts)
    table.row(f"store: load one of {n_entries} results", 1e3 * per_step, "ms")
    (lost,) = groups[0][:1]
    shutil.rmtree(store.folder(lost))
    begun = time.perf_counter()
    assert store.to_compute(sets) == [lost]
    table.row(f"store: find one missing of {n_entries}", time.perf_counter() - begun, "s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
