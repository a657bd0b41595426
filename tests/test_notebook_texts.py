"""The text twins keep the form that readers and papermill rely on."""

import ast
import re
from collections.abc import Iterable

import jupytext
import nbformat
import numpy as np
import pytest
from crosstrain import judge, paths
from crosstrain.run import notebooks

NAMES = notebooks.names()
OPENING = ("Question", "What you will do", "What you will learn", "You need", "Run time", "Files")
CLOSING = (
    "## What we found",
    "## Limits",
    "**Try it.**",
    "## Next",
    "## References",
    "## Colophon",
)
MOST_LINES = 25


@pytest.fixture(params=NAMES)
def cells(request):
    return jupytext.read(notebooks.twin(request.param), fmt="py:percent").cells


def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def test_every_notebook_of_the_matrix_exists():
    assert [run.notebook for run in notebooks.matrix()] == NAMES


def test_contents_are_read_from_the_openings():
    listed = notebooks.contents()
    assert [name for name, *_ in listed] == NAMES
    assert all(title and question.endswith("?") for _, title, question in listed)


def test_opening_and_closing_are_complete(cells):
    assert all(f"**{part}" in cells[0].source for part in OPENING)
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert all(part in text for part in CLOSING)
    assert cells[-1].source == "lab.colophon()"


def test_parameters_are_annotated_literals_in_one_cell(cells):
    (cell,) = [c for c in code(cells) if "parameters" in c.metadata.get("tags", [])]
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.AnnAssign)
        ast.literal_eval(statement.value)


def test_code_cells_are_short_and_plain(cells):
    for cell in code(cells):
        tree = ast.parse(cell.source)
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= MOST_LINES, cell.source
        assert not any(isinstance(node, ast.ClassDef) for node in ast.walk(tree))
        assert "import *" not in cell.source
        assert not re.search(r"""["'](/|~|[A-Z]:)""", cell.source), cell.source


def test_prose_stands_between_headings_and_code(cells):
    kinds = [cell.cell_type for cell in cells]
    assert kinds[0] == "markdown"
    tagged = next(i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", []))
    # after imports, parameters and derived values, never more than two code cells in a row
    rest = "".join("c" if kind == "code" else "m" for kind in kinds[tagged + 2 :])
    assert "ccc" not in rest


def test_references_are_numbered_as_they_are_first_cited(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    body, _, rest = text.partition("## References\n")
    numbered = re.findall(r"^(\d+)\. ", rest, re.MULTILINE)
    cited = re.findall(r"\[(\d+(?:, \d+)*)\](?!\()", body)
    assert numbered == [str(n + 1) for n in range(len(numbered))]
    assert list(dict.fromkeys(number for some in cited for number in some.split(", "))) == numbered


def test_the_sliders_of_the_score_move_it():
    """The functions that notebook 05 draws with: another tolerance gives another score."""
    (source,) = (
        cell.source
        for cell in jupytext.read(notebooks.twin("05_score_models"), fmt="py:percent").cells
        if "def scored(" in cell.source
    )
    density = {"value": 1.02, "error": 0.001, "n_effective": 50.0}
    run = {"status": "completed", "time_ps": 1.0, "planned_ps": 1.0, "density_g_cm3": density}
    known = {"value": 1.0, "error": 0.001, "n_effective": 50.0, "problems": []}
    given = {
        "judge": judge,
        "np": np,
        "seed": 0,
        "weights": {"density": 1.0, "rdf": 1.0},
        "observed": {("model", "hot"): [run, run]},
        "references": {"hot": {"observables": {"density": known}, "r_A": []}},
    }
    (scored,) = (n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef))
    exec(compile(ast.Module([scored], []), "05_score_models", "exec"), given)
    narrow, wide = (
        given["scored"]({"density": tolerance, "rdf": 0.05})["model", "hot"].value
        for tolerance in (0.01, 0.04)
    )
    assert narrow < 0.3 < 0.7 < wide


NUMBER = re.compile(r"\d+(?:\.\d+)?")
# names, references, links
NOT_SAID = re.compile(r"`[^`]*`|\[[\d, ]+\](?:\([^)]*\))?|\]\([^)]*\)")


def numbers_printed(names: Iterable[str]) -> set[str]:
    """All numbers in the outputs of rendered notebooks."""
    said = ""
    for name in names:
        notebook = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4)
        for output in (out for cell in notebook.cells for out in cell.get("outputs", [])):
            said += output.get("text", "") + output.get("data", {}).get("text/plain", "") + "\n"
    return set(NUMBER.findall(said))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_found_is_said_in_numbers_that_are_printed(name):
    rendered = nbformat.read(paths.notebooks() / f"{name}.ipynb", as_version=4)
    findings = [c.source for c in rendered.cells if "findings" in c.metadata.get("tags", [])]
    said = NUMBER.findall(NOT_SAID.sub("", "\n".join(findings)))
    assert set(said) <= numbers_printed([name])


def test_the_readme_says_what_was_found_in_numbers_that_are_printed():
    text = (paths.root() / "README.md").read_text()
    found = text.partition("**What is found so far.**")[2].partition("![")[0]
    said = NUMBER.findall(NOT_SAID.sub("", found))
    assert said
    assert set(said) <= numbers_printed(NAMES)


def test_links_between_notebooks_lead_somewhere(cells):
    for cell in cells:
        for target in re.findall(r"\]\((\w+)\.ipynb\)", cell.source):
            assert target in NAMES


def test_pairing_for_jupyterlab_is_configured():
    text = (paths.notebooks() / "jupytext.toml").read_text()
    assert 'formats = "ipynb,text//py:percent"' in text
