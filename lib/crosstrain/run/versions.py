"""Which code made a result: the commit of the checkout and the versions of packages."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib import metadata

from crosstrain import paths

PACKAGES = ("crosstrain", "ase", "deepmd-kit", "mace-torch", "tblite", "rdkit", "numpy", "torch")


@cache
def versions() -> dict[str, str]:
    """Return the version of each of `PACKAGES`, and ``commit``: '' where there is no git.

    The commit ends in ``-dirty`` if files of the library were changed.
    """
    return {"commit": _commit()} | {package: metadata.version(package) for package in PACKAGES}


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "lib")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    said = subprocess.run(asked, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    return said.stdout.strip()
