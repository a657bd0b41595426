"""Run every benchmark in a process of its own and write their rows to a table for each.

``python run.py [NAME ...]`` runs only those named, and leaves the tables of others as they were.
A benchmark that fails is a row that says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import table

HERE = Path(__file__).parent
TABLES = HERE / "table.md"


def main(names: list[str]) -> int:
    """Run the benchmarks; return 0 if none failed."""
    known = [file.stem.removeprefix("bench_") for file in sorted(HERE.glob("bench_*.py"))]
    if unknown := set(names) - set(known):
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; allowed are {', '.join(known)}")
    tables, failed = _stored(), []
    for name in names or known:
        print(f"--- {name}", flush=True)
        machine = table.machine()
        lines, code = run(HERE / f"bench_{name}.py")
        # packages print tables too, of other widths
        rows = [line for line in lines if line.startswith("| ") and line.count("|") == 5]
        if code:
            failed.append(name)
            rows.append(f"| failed with code {code} | | | |")
        tables[name] = "\n".join([f"Measured on {machine}.", "", table.HEADING, *rows])
        TABLES.write_text(
            "\n\n".join(f"## {n}\n\n{tables[n]}" for n in known if n in tables) + "\n"
        )
    print(TABLES.read_text())
    return 1 if failed else 0


def _stored() -> dict[str, str]:
    text = TABLES.read_text() if TABLES.exists() else ""
    parts = [part.partition("\n") for part in ("\n" + text).split("\n## ")[1:]]
    return {name: body.strip() for name, _, body in parts}


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
