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

    The commit ends in ``-dirty`` if files of it were changed.
    """
    asked = ["git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"]
    try:
        said = subprocess.run(asked, cwd=paths.ROOT, capture_output=True, text=True)
        commit = said.stdout.strip() if said.returncode == 0 else ""
    except OSError:
        commit = ""
    return {"commit": commit} | {package: metadata.version(package) for package in PACKAGES}
