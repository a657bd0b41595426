"""The store: steps of the study and their results on disk.

A `Step` is what is computed: a kind, parameters, input steps and the version of its code. Its
key is a hash of these, so it is known before anything is computed, and a changed parameter
anywhere upstream is a different key. A result is a folder with a readable name,
``<room>/<kind>-<name>-<key>/``, holding its files and a ``provenance.json`` that records what
made it, the hash of every file, and the digest of every input *as it was read*. A result whose
input has other content by now is stale and computed again. Scratch inputs may be gone by then, so
the digests of what was read through them are recorded, too. Results are made in a hidden folder of
the store and moved into place whole.

To be shipped, a result may be made lighter (`crosstrain.shipped.lighten`): files that nothing but
more computing reads are left out, and others stored with less room. Its record says so under
``left_out`` and ``repacked``, with the hashes there were; its digest stays what its readers saw. A
step that needs a file that was left out has the result computed again.

signac was looked at first. Its job (a folder keyed by the hash of a state point) is the idea
used here. It was not taken because what this project needs lies outside it: keys that include
input steps and code versions, a hash of every file, verification on load, readable names for
results that are shipped in git, and publication in one move. With these written, what remained
of signac was ``mkdir``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from crosstrain.paths import sha256, write_json
from crosstrain.run.versions import versions

PROVENANCE = "provenance.json"
LOCK = ".lock"
FAILURE = "failure.txt"  # in the work folder: why the last try failed
PARENT = "CROSSTRAIN_PARENT"  # environment of a step: the process that started it
# The folder of the data/ tree each kind of step is kept in; None: scratch, never shipped.
ROOMS = {
    "build": None,
    "label": None,
    "member": None,
    "explore": None,
    "pretrained": None,
    "published": None,  # data of others are never shipped
    "atoms": "sets",
    "set": "sets",
    "train": "models",
    "given": "models",
}
DEFAULT_ROOM = "results"


class StoreError(RuntimeError):
    """A stored result cannot be used; the message names it and says what to do."""


def canonical(value: Any) -> str:
    """Return JSON text that is the same for the same value.

    Raises
    ------
    TypeError
        If the value is not made of plain JSON types.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, eq=False)
class Step:
    """One piece of work; its `name`, `estimate_s` and `is_scratch` are not part of the key.

    Parameters
    ----------
    kind : str
        Which function of `crosstrain.steps` does it.
    name : str
        Letters, digits, ``.``, ``_``, ``+`` and ``-``.
    params : mapping
        Plain JSON values that decide the result.
    inputs : mapping of str to Step
        Steps whose results are read.
    version : int
        Version of the code of this kind; raised when its results would change.
    estimate_s : float
        Expected seconds on one core.
    is_scratch : bool
        Whether the result is not shipped though others of its kind are.
    """

    kind: str
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Step] = field(default_factory=dict)
    version: int = 1
    estimate_s: float = 1.0
    is_scratch: bool = False

    def __post_init__(self) -> None:
        for word in (self.kind, self.name):
            if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", word):
                raise ValueError(
                    f"step name {word!r}; allowed are letters, digits and . _ + - after the first"
                )

    @cached_property
    def key(self) -> str:
        """Hash of kind, version, parameters and the keys of the inputs."""
        inputs = {name: step.key for name, step in self.inputs.items()}
        recipe = [self.kind, self.version, dict(self.params), inputs]
        return hashlib.sha256(canonical(recipe).encode()).hexdigest()

    @property
    def folder_name(self) -> str:
        """Readable name with the first ten digits of the key."""
        return f"{self.kind}-{self.name}-{self.key[:10]}"

    @property
    def room(self) -> str | None:
        """The folder below data/ in which the result is kept; None: scratch."""
        return None if self.is_scratch else ROOMS.get(self.kind, DEFAULT_ROOM)

    @property
    def wants_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.params.get("device") == "cuda"

    @property
    def is_shipped(self) -> bool:
        """Whether the result is kept under data/ (else it is scratch)."""
        return self.room is not None

    def to_json(self) -> list[dict[str, Any]]:
        """Return the step and everything it needs as plain JSON values, inputs first."""
        return [
            {
                "kind": step.kind,
                "name": step.name,
                "params": dict(step.params),
                "inputs": {name: source.folder_name for name, source in step.inputs.items()},
                "version": step.version,
                "is_scratch": step.is_scratch,
            }
            for step in upstream([self])
        ]

    @classmethod
    def from_json(cls, values: list[dict[str, Any]]) -> Step:
        """Rebuild a step from `to_json`."""
        known: dict[str, Step] = {}
        for value in values:
            inputs = {name: known[source] for name, source in value["inputs"].items()}
            step = cls(**value | {"inputs": inputs})
            known[step.folder_name] = step
        return step


def upstream(steps: Iterable[Step]) -> list[Step]:
    """Return the steps and everything they read, each once, inputs before readers."""
    ordered: dict[str, Step] = {}

    def visit(step: Step) -> None:
        if step.folder_name not in ordered:
            for source in step.inputs.values():
                visit(source)
            ordered[step.folder_name] = step

    for step in steps:
        visit(step)
    return list(ordered.values())


class Store:
    """Results on disk: shipped ones under `root`, scratch and unfinished ones under `scratch`."""

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root, self.scratch = Path(root), Path(scratch)

    def folder(self, step: Step) -> Path:
        """Return where the result of a step is or will be."""
        parent = self.scratch / "results" if step.room is None else self.root / step.room
        return parent / step.folder_name

    def work(self, step: Step) -> Path:
        """Return the scratch folder in which an interrupted step finds its checkpoints."""
        return self.scratch / "work" / step.folder_name

    def provenance(self, step: Step) -> dict[str, Any] | None:
        """Return the record of a stored result, or None if there is none.

        Raises
        ------
        StoreError
            If there is a record but it cannot be read or is of another step.
        """
        path = self.folder(step) / PROVENANCE
        try:
            record = json.loads(path.read_text())
            if record["key"] == step.key:
                return record
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError):
            pass
        raise StoreError(
            f"{_where(path)} is damaged; restore it from git, or 'crosstrain study' moves its "
            "folder away and computes it again"
        )

    def digest(self, step: Step) -> str | None:
        """Return the digest of a stored result's files, or None if there is none."""
        record = self.provenance(step)
        return record and record["digest"]

    def left_out(self, step: Step) -> list[str]:
        """Return the files of a stored result that were left out to ship it."""
        return list((self.provenance(step) or {}).get("left_out", ()))

    def is_current(self, step: Step) -> bool:
        """Whether a result is stored and its inputs, where stored, are what it was made from."""
        return self._is_current(step, self.provenance)

    def is_whole(self, step: Step) -> bool:
        """Whether a result is current, with all its files."""
        return self.is_current(step) and not self.left_out(step)

    @staticmethod
    def _is_current(step: Step, provenance: Callable[[Step], dict[str, Any] | None]) -> bool:
        record = provenance(step)
        if record is None:
            return False
        read = [(step.inputs[name], was) for name, was in record["inputs"].items()]
        if through := record.get("through_scratch"):  # older records do not tell
            behind = [source for source in _behind(step) if source.folder_name in through]
            read += [(source, through[source.folder_name]) for source in behind]
        now = [(provenance(source), was) for source, was in read]
        return all(source is None or source["digest"] == was for source, was in now)

    def verify(self, step: Step) -> Path:
        """Return the folder of a stored result after checking the hash of every file.

        Raises
        ------
        StoreError
            If the result is missing or a file is missing or altered.
        """
        record, folder = self.provenance(step), self.folder(step)
        if record is None:
            raise StoreError(f"{step.folder_name} is not stored")
        for name, entry in record["files"].items():
            path = folder / name
            if not path.is_file() or sha256(path) != entry["sha256"]:
                raise StoreError(
                    f"{_where(path)} is missing or not the file that was stored; restore it from "
                    "git or delete its folder to compute it again"
                )
        return folder

    def checked(self, step: Step) -> Path:
        """Return what `verify` does, and move a damaged result away so that it is computed again.

        Raises
        ------
        StoreError
            If the result is missing or was damaged.
        """
        try:
            return self.verify(step)
        except StoreError:
            if not self.folder(step).exists():
                raise
        with self.lock(step):  # another process may have put it right meanwhile
            try:
                return self.verify(step)
            except StoreError as error:
                if not self.folder(step).exists():  # which moved it away
                    raise
                place = self.scratch / "damaged" / step.folder_name
                shutil.rmtree(place, ignore_errors=True)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(self.folder(step), place)
                what = str(error).partition(";")[0]
                raise StoreError(
                    f"{what}; moved to {_where(place)}, so that the same command computes it "
                    "again, unless you restore it (from git, if it is shipped)"
                ) from None

    def to_compute(self, targets: Iterable[Step]) -> list[Step]:
        """Return the steps to compute so that all targets are current, inputs first.

        A shipped step anywhere upstream counts as a target; a scratch step, and one of which files
        were left out, is computed only when a step that reads it is.
        """
        targets = list(targets)
        everything = upstream(targets)
        wanted = {step.folder_name for step in targets}
        needed: set[str] = set()
        read: set[str] = set()
        records: dict[str, dict[str, Any] | None] = {}  # each is read once

        def provenance(step: Step) -> dict[str, Any] | None:
            if step.folder_name not in records:
                record = self.provenance(step)
                kept = ("digest", "inputs", "through_scratch", "left_out")
                records[step.folder_name] = record and {k: record[k] for k in kept if k in record}
            return records[step.folder_name]

        for step in reversed(everything):
            is_read = step.folder_name in read
            is_whole = not (is_read and "left_out" in (provenance(step) or {}))
            is_target = step.is_shipped or step.folder_name in wanted or is_read
            if is_target and not (is_whole and self._is_current(step, provenance)):
                needed.add(step.folder_name)
                read.update(source.folder_name for source in step.inputs.values())
        return [step for step in everything if step.folder_name in needed]

    @contextmanager
    def lock(self, step: Step) -> Iterator[None]:
        """Hold a step so that no other process computes it (released when a process dies).

        The one that computed it takes its folder of work away, and the lock with it; who waited
        for that lock then holds nothing, and waits for the new one.
        """
        while (file := _locked(self.work(step) / LOCK)) is None:
            pass
        with file:
            yield

    def is_running(self, step: Step) -> bool:
        """Whether a living process holds the lock of a step."""
        try:
            with open(self.work(step) / LOCK) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def failure(self, step: Step) -> str:
        """Return why the last try of a step failed; '' if it did not, or is tried again."""
        try:
            return (self.work(step) / FAILURE).read_text().strip()
        except FileNotFoundError:
            return ""

    @contextmanager
    def publish(self, step: Step, cost: Mapping[str, float]) -> Iterator[Path]:
        """Yield an empty folder to fill; on leaving without error it becomes the result.

        The step must be locked.
        """
        with self._staging(step) as staging:
            read = {name: self.provenance(source) for name, source in step.inputs.items()}
            yield staging
            self._seal(step, staging, read, dict(cost))

    def rewrite(self, step: Step, change: Callable[[dict[str, Any], Path], None]) -> None:
        """Change the record of a stored result together with its files, if it can be verified.

        `change` gets the record, to be changed, and a folder with the files, likewise; their
        hashes need not be entered.
        """
        with self.lock(step):
            with self._staging(step) as staging:
                folder, record = self.verify(step), self.provenance(step)
                shutil.copytree(folder, staging, dirs_exist_ok=True)
                change(record, staging)
                record["files"] = _hashes(staging)
                write_json(staging / PROVENANCE, record)
            (self.work(step) / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # another run has put its order there
                self.work(step).rmdir()

    @contextmanager
    def _staging(self, step: Step) -> Iterator[Path]:
        """Yield an empty folder that, on leaving without error, takes the place of the result.

        It is of this process alone, so that two which do not see each other's locks (as with a
        CROSSTRAIN_RUNS of their own) never mix their files.
        """
        folder = self.folder(step)
        staging = folder.parent / f".staging-{step.folder_name}-{os.getpid()}"
        aside = folder.parent / f".replaced-{step.folder_name}"
        for left in folder.parent.glob(f".staging-{step.folder_name}-*"):
            with _held(left) as is_free:
                if is_free:  # of a process that was killed
                    shutil.rmtree(left, ignore_errors=True)
        _put_back(aside, folder)
        staging.mkdir(parents=True)
        try:
            with _held(staging):
                yield staging
                if folder.exists():
                    os.replace(folder, aside)  # at any time one of the two is whole
                os.replace(staging, folder)
        finally:
            _put_back(aside, folder)
            shutil.rmtree(staging, ignore_errors=True)

    def _seal(
        self,
        step: Step,
        staging: Path,
        read: dict[str, dict[str, Any] | None],
        cost: dict[str, float],
    ) -> None:
        files = _hashes(staging)
        if not files:
            raise StoreError(f"{step.folder_name} left no file")
        record = {
            "kind": step.kind,
            "name": step.name,
            "key": step.key,
            "version": step.version,
            "params": dict(step.params),
            "sources": {name: source.folder_name for name, source in step.inputs.items()},
            "inputs": {name: source and source["digest"] for name, source in read.items()},
            "through_scratch": _read_through_scratch(step, read),
            "digest": hashlib.sha256(canonical(files).encode()).hexdigest(),
            "files": files,
            "cost": cost,
            "code": versions(),
        }
        write_json(staging / PROVENANCE, record)


def _behind(step: Step) -> Iterator[Step]:
    """Yield the nearest shipped steps that a step reads through scratch ones."""
    for source in step.inputs.values():
        if not source.is_shipped:
            yield from (further for further in source.inputs.values() if further.is_shipped)
            yield from _behind(source)


def _read_through_scratch(
    step: Step, read: Mapping[str, dict[str, Any] | None]
) -> dict[str, str | None]:
    """Return the digests of the shipped results that scratch inputs were made from, by name."""
    found: dict[str, str | None] = {}
    for name, scratch in step.inputs.items():
        record = read[name]
        if scratch.is_shipped or record is None:
            continue
        made_from = record.get("through_scratch", {}) | {
            source.folder_name: record["inputs"][name]
            for name, source in scratch.inputs.items()
            if source.is_shipped
        }
        for source, digest in made_from.items():
            # None, which is never current: it changed between two scratch inputs
            found[source] = digest if found.get(source, digest) == digest else None
    return found


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a folder while it is filled; yield whether no other living process does."""
    number, is_free = os.open(folder, os.O_RDONLY), True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        is_free = False
    except OSError:  # a file system that locks only files, as NFS
        pass
    try:
        yield is_free
    finally:
        os.close(number)


def _put_back(aside: Path, folder: Path) -> None:
    """Remove a result that was replaced, or restore it if nothing took its place."""
    if aside.exists() and not folder.exists():
        os.replace(aside, folder)
    shutil.rmtree(aside, ignore_errors=True)


def _hashes(folder: Path) -> dict[str, dict[str, Any]]:
    """Hash and size of every file of a result."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p != folder / PROVENANCE)
    return {
        p.relative_to(folder).as_posix(): {"sha256": sha256(p), "bytes": p.stat().st_size}
        for p in paths
    }


def _locked(path: Path) -> IO[str] | None:
    """Return a file, locked, or None if it was taken away while another process held it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError), ExitStack() as closing:
        file = closing.enter_context(open(path, "w"))
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            closing.pop_all()
            return file
    return None


def _where(path: Path) -> str:
    return "/".join(path.parts[-3:])
