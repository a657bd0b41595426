"""Notebooks: text twins to executed notebooks through papermill, the same bytes every time.

The text twins under ``notebooks/text`` (jupytext's percent format) are what is edited. A rendered
notebook carries the hash of the twin it came from, so a stale one is found by `is_stale`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbformat import NotebookNode

from crosstrain import paths

MATRIX = "runs.yml"
WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Run:
    """A line of the run matrix: a notebook with parameters."""

    notebook: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def names() -> list[str]:
    """Return the names of all notebooks, in reading order."""
    return sorted(path.stem for path in (paths.notebooks() / "text").glob("[0-9]*.py"))


def matrix(path: Path | None = None) -> list[Run]:
    """Return the runs of ``notebooks/runs.yml``, or of a file of one's own.

    Raises
    ------
    ValueError
        If the file is not a list of notebooks with parameters, or one is unknown.
    """
    path = path or paths.notebooks() / MATRIX
    try:
        entries = yaml.safe_load(path.read_text())
        runs = [Run(entry.pop("notebook"), dict(entry.pop("parameters", {}))) for entry in entries]
        extra = [key for entry in entries for key in entry]
    except (yaml.YAMLError, AttributeError, TypeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path.name}: must be a list of 'notebook: NAME' with optional 'parameters' ({reason})"
        ) from None
    if extra:
        raise ValueError(f"{path.name}: unknown key {extra[0]!r}; allowed are notebook, parameters")
    for run in runs:
        _check_name(run.notebook)
    return runs


def _check_name(name: str) -> None:
    if name not in names():
        raise ValueError(f"notebook {name!r}; allowed are {', '.join(names())}")


def twin(name: str) -> Path:
    """Return the text twin of a notebook."""
    _check_name(name)
    return paths.notebooks() / "text" / f"{name}.py"


def contents() -> list[tuple[str, str, str]]:
    """Return name, title and question of every notebook, from the first cells of the twins.

    Raises
    ------
    ValueError
        If a twin does not open with ``# Title`` and a line ``**Question.** ...``.
    """
    return [(name, *_opening(name)) for name in names()]


def _opening(name: str) -> tuple[str, str]:
    import jupytext

    text = jupytext.read(twin(name), fmt="py:percent").cells[0].source
    title, _, rest = text.partition("\n")
    question = rest.partition("**Question.**")[2].partition("\n\n")[0]
    if not title.startswith("# ") or not question:
        raise ValueError(f"{name}: must open with a title and a paragraph **Question.**")
    return title.removeprefix("# "), " ".join(question.split())


def source_hash(name: str) -> str:
    """Return the SHA-256 hex digest of a notebook's text twin."""
    return hashlib.sha256(twin(name).read_bytes()).hexdigest()


def is_stale(name: str) -> bool:
    """Return whether the rendered notebook is missing or came from another text."""
    rendered = paths.notebooks() / f"{name}.ipynb"
    if not rendered.is_file():
        return True
    metadata = nbformat.read(rendered, as_version=4).metadata
    return metadata.get("crosstrain", {}).get("source_sha256") != source_hash(name)


def check_parameters(name: str, given: Mapping[str, Any]) -> None:
    """Raise `ValueError` if a notebook or parameter is unknown (papermill would only warn)."""
    import jupytext
    import papermill

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"{name}.ipynb"
        nbformat.write(jupytext.read(twin(name), fmt="py:percent"), source)
        known = papermill.inspect_notebook(str(source))
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(
            f"{name} has no parameter {unknown[0]!r}; allowed are {', '.join(sorted(known))}"
        )


def execute(name: str, parameters: Mapping[str, Any], *, target: Path, figures: Path) -> None:
    """Execute a notebook and write it normalised; a failed one is kept beside, as `.failed.ipynb`.

    Parameters
    ----------
    name : str
    parameters : mapping
        Override the notebook's parameters cell.
    target : Path
        Of the executed notebook.
    figures : Path
        Folder for its figures.

    Raises
    ------
    ValueError
        If the notebook or a parameter is unknown.
    papermill.PapermillExecutionError
        If a cell fails.
    """
    import jupytext
    import papermill

    check_parameters(name, parameters)
    notebook = jupytext.read(twin(name), fmt="py:percent")
    target.parent.mkdir(parents=True, exist_ok=True)
    failed = target.with_suffix(".failed.ipynb")
    failed.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, _environment(figures):
        source, output = Path(folder) / "source.ipynb", Path(folder) / "output.ipynb"
        nbformat.write(notebook, source)
        try:
            papermill.execute_notebook(
                str(source),
                str(output),
                dict(parameters),
                kernel_name="python3",
                cwd=str(paths.notebooks()),
                progress_bar=False,
            )
        except papermill.PapermillExecutionError:
            paths.write_atomically(failed, output.read_bytes())
            raise
        executed = nbformat.read(output, as_version=4)
    normalise(executed)
    executed.metadata["crosstrain"] = {
        "source_sha256": source_hash(name),
        "parameters": dict(parameters),
    }
    paths.write_atomically(target, (nbformat.writes(executed) + "\n").encode())


@contextmanager
def _environment(figures: Path) -> Iterator[None]:
    """Tell the kernel where figures go, and keep its hashes and plots reproducible."""
    wanted = {"CROSSTRAIN_FIGURES": str(figures.resolve()), "PYTHONHASHSEED": "0"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def normalise(notebook: NotebookNode) -> None:
    """Take out of an executed notebook what differs between two equal runs, in place.

    Cell ids become numbers; papermill's stamps, widget states with their random ids, and what was
    written to the error stream (progress, warnings with paths) go.
    """
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata.get("tags", [])})
        if not cell.metadata["tags"]:
            cell.metadata = nbformat.from_dict({})
        if cell.cell_type == "code":
            cell.outputs = _merged([out for out in cell.outputs if not _is_noise(out)])


def _is_noise(output: NotebookNode) -> bool:
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def _merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join neighbouring pieces of printed text: how they were cut is an accident of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        is_text = output.output_type == "stream"
        if is_text and joined and joined[-1].output_type == "stream":
            joined[-1].text += output.text
        else:
            joined.append(output)
    return joined
