"""Where things are. The only module that knows the folders of the project.

A relative folder in an environment variable is below the top of the checkout, so that the command
line and the kernel of a notebook, which work in different folders, mean the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROFILES = Path(__file__).resolve().parent / "data" / "profiles"


def root() -> Path:
    """Return the top folder of the checkout.

    Raises
    ------
    FileNotFoundError
        If the library is not installed from a checkout (``pip install -e ./lib``).
    """
    if not (ROOT / "notebooks").is_dir():
        raise FileNotFoundError(
            f"no notebooks/ in {ROOT}: crosstrain is part of a research compendium and must be "
            "installed from its checkout with 'pip install -e ./lib'"
        )
    return ROOT


def data() -> Path:
    """Return the folder of shipped data and results."""
    return root() / "data"


def notebooks() -> Path:
    """Return the folder of the numbered notebooks."""
    return root() / "notebooks"


def runs() -> Path:
    """Return the folder for everything that is not shipped (ignored by git)."""
    return root() / (os.environ.get("CROSSTRAIN_RUNS") or "runs")


def figures() -> Path:
    """Return where figures go: named by the run that executes a notebook, else a scratch folder."""
    return root() / (os.environ.get("CROSSTRAIN_FIGURES") or runs() / "interactive" / "figures")


def published() -> Path | None:
    """Return the user's folder of published data (``CROSSTRAIN_PUBLISHED``), if one is named."""
    return _of_user("CROSSTRAIN_PUBLISHED")


def weights() -> Path | None:
    """Return the user's folder of weights of models (``CROSSTRAIN_WEIGHTS``), if one is named."""
    return _of_user("CROSSTRAIN_WEIGHTS")


def _of_user(variable: str) -> Path | None:
    name = os.environ.get(variable)
    if name and not (root() / name).is_dir():
        raise ValueError(f"{variable} {name!r}: no such folder; name one that is there, or none")
    return root() / name if name else None


def inside(parent: Path, name: str) -> Path:
    """Return ``parent / name`` and refuse a name that leaves ``parent``.

    Raises
    ------
    ValueError
        If `name` is absolute or climbs out of `parent`.
    """
    path = (parent / name).resolve()
    if parent.resolve() not in path.parents:
        raise ValueError(f"{name!r} leads out of {parent.name}/; give a plain name")
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON that people can read: the same text for the same value, atomically."""
    write_atomically(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all (temporary file, then move)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
