"""Which code made a result: the commit of the checkout and the versions of packages."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from functools import cache
from importlib import metadata

from crosstrain import paths

PACKAGES = ("crosstrain", "ase", "deepmd-kit", "mace-torch", "tblite", "rdkit", "numpy", "torch")
MORE = (  # which results depend on where a step uses them
    *("openmm", "packmol", "dpdata", "chgnet", "so3krates-torch", "quippy-ase", "symmetrix-xl"),
    *("torch-dftd", "freud-analysis", "pymbar", "quests", "tidynamics"),
)


@cache
def versions() -> dict[str, str]:
    """Return the versions of what is installed of `PACKAGES` and `MORE`, and ``commit``.

    The commit is '' without git, and ends in ``-dirty`` if files of the library were changed.
    """
    found = {"commit": _commit()}
    for package in (*PACKAGES, *MORE):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--", "lib")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{head}-dirty" if changed else head


def _git(*arguments: str) -> str:
    # not the commit of a repository that an unpacked copy of this one lies in
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(paths.ROOT.parent)}
    said = subprocess.run(
        ["git", *arguments],
        cwd=paths.ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.strip()
