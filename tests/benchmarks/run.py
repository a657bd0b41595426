"""Run every benchmark in a process of its own and write their rows as one table.

``python run.py [NAME ...]`` runs only those named. A benchmark that fails is a row that says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import table

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the benchmarks; return 0 if none failed."""
    files = [HERE / f"bench_{name}.py" for name in names] or sorted(HERE.glob("bench_*.py"))
    rows, failed = [], []
    for file in files:
        print(f"--- {file.stem}", flush=True)
        lines, code = run(file)
        # packages print tables too, of other widths
        rows += [line for line in lines if line.startswith("| ") and line.count("|") == 5]
        if code:
            failed.append(file.stem)
            rows.append(f"| {file.stem}: failed with code {code} | | | |")
    text = "\n".join([f"Machine: {table.machine()}.", "", table.HEADING, *rows, ""])
    print(text)
    if not names:
        (HERE / "table.md").write_text(text)
    return 1 if failed else 0


def run(file: Path) -> tuple[list[str], int]:
    """Run a benchmark with one thread; show and return what it prints, and its exit code."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    lines = []
    with subprocess.Popen(
        [sys.executable, str(file)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip("\n"))
    return lines, process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
