"""Notebooks: text to executed notebook, the same bytes every time, and failures that tell."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from crosstrain import paths
from crosstrain.data import published
from crosstrain.run import notebooks
from PIL import Image

HEAD = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""

TWIN = (
    HEAD
    + """\
# %% [markdown]
# # A tiny notebook

# %%
import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from crosstrain.data import figures

# %% tags=["parameters"]
number: int = 3  # of things
names: list = ["a", "b"]

# %%
for i in range(number):
    print("counted", i, flush=True)
    print("noise", os.getpid(), file=sys.stderr, flush=True)

# %%
print({*"some words in a set"}, names, Path("text").is_dir())

# %%
figure, axes = plt.subplots(figsize=(2, 1))
axes.plot(range(number))
figures.save(figure, "line", notebook="01_count", parameters={"number": number}, inputs={})
plt.show()

# %%
import ipywidgets

ipywidgets.IntSlider()

# %%
from crosstrain.run.notebooks import WIDGET

display({WIDGET: {}, "text/html": "still"}, raw=True)
"""
)

FAILING = (
    HEAD
    + """\
# %% tags=["parameters"]
number: int = 0

# %%
print("before")

# %%
raise ValueError("no such thing\\nand more")

# %%
print("after")
"""
)

NEEDING = (
    HEAD
    + """\
# %%
import os
from crosstrain.run.notebooks import NO_DATA

# %%
if not os.environ.get("CROSSTRAIN_PUBLISHED"):
    print(f"{NO_DATA}: some.xyz")
    raise SystemExit(0)

# %%
from crosstrain.data import figures
from matplotlib.figure import Figure

figures.save(Figure(), "data", notebook="02_fail", parameters={}, inputs={})
"""
)

LEAVING = FAILING.replace('raise ValueError("no such thing\\nand more")', "raise SystemExit(0)")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A notebooks folder of this test's own."""
    place = tmp_path / "notebooks"
    (place / "text").mkdir(parents=True)
    (place / "text" / "01_count.py").write_text(TWIN)
    (place / "text" / "02_fail.py").write_text(FAILING)
    (place / "text" / "helper.py").write_text("")
    monkeypatch.setattr(paths, "notebooks", lambda: place)
    return place


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> tuple[Path, Path]:
    """The tiny notebook executed twice, with its figures."""
    place = tmp_path_factory.mktemp("rendered")
    (place / "text").mkdir()
    (place / "text" / "01_count.py").write_text(TWIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "notebooks", lambda: place)
        for run in ("a", "b"):
            target = place / run / "01_count.ipynb"
            notebooks.execute("01_count", {}, target=target, figures=place / run / "figures")
    return place / "a", place / "b"


def printed(notebook) -> str:
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def test_the_same_text_gives_the_same_bytes(rendered):
    first, second = rendered
    names = ["01_count.ipynb", "figures/01_count__line.pdf", "figures/01_count__line.png"]
    for name in [*names, "figures/manifest.json"]:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_notebook_may_end_itself(folder, tmp_path):
    assert "SystemExit" in LEAVING
    (folder / "text" / "02_fail.py").write_text(LEAVING)
    target = tmp_path / "02_fail.ipynb"
    notebooks.execute("02_fail", {}, target=target, figures=tmp_path / "figures")
    notebook = nbformat.read(target, as_version=4)
    assert printed(notebook) == "before\n"
    kinds = [out.output_type for c in notebook.cells if c.cell_type == "code" for out in c.outputs]
    assert kinds == ["stream"]


def test_a_page_without_published_data_does_not_replace_one_that_has_them(
    folder, tmp_path, monkeypatch, capsys
):
    (folder / "text" / "02_fail.py").write_text(NEEDING)
    target, figures = tmp_path / "02_fail.ipynb", tmp_path / "figures"

    def render(published):
        monkeypatch.setenv("CROSSTRAIN_PUBLISHED", published)
        notebooks.execute("02_fail", {}, target=target, figures=figures)
        return target.read_bytes(), sorted(path.name for path in figures.glob("*"))

    without, there = render("")
    assert notebooks.NO_DATA in without.decode() and there == []
    whole, there = render("here")
    assert notebooks.NO_DATA + ":" not in printed(nbformat.reads(whole.decode(), as_version=4))
    assert there == ["02_fail__data.pdf", "02_fail__data.png", "manifest.json"]
    assert capsys.readouterr().err == ""
    # one of an older text stays too, and is stale
    (folder / "text" / "02_fail.py").write_text(NEEDING + "\n# more\n")
    assert render("") == (whole, there)
    said = "02_fail: published data not available; the stored page and its figures are kept\n"
    assert capsys.readouterr().err == said
    shutil.copy(target, folder)
    assert notebooks.is_stale("02_fail")


def test_published_data_are_missed_in_the_words_that_pages_are_known_by(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_PUBLISHED", "")
    monkeypatch.setattr(published.pooch, "os_cache", lambda _: tmp_path)
    with pytest.raises(published.NotAvailable, match=f"^{notebooks.NO_DATA}: ECEMC.xyz"):
        published.path("ECEMC.xyz", download=False)


def test_what_a_rendered_notebook_holds(rendered):
    text = (rendered[0] / "01_count.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert [cell.id for cell in notebook.cells][:2] == ["cell-00", "cell-01"]
    assert "counted 0\ncounted 1\ncounted 2\n" in printed(notebook)
    assert "['a', 'b'] True" in printed(notebook)  # works in the notebooks' folder
    outputs = [out for cell in notebook.cells if "outputs" in cell for out in cell.outputs]
    (png,) = (out.data["image/png"] for out in outputs if "image/png" in out.get("data", {}))
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    assert picture.mode == "P" and picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert "noise" not in printed(notebook)
    assert notebook.cells[-2].outputs == []  # nothing but a widget
    assert notebook.cells[-1].outputs[0].data == {"text/html": "still"}
    for absent in ("papermill", "widget-view", str(rendered[0].parent)):
        assert absent not in text
    assert set(notebook.metadata) == {"kernelspec", "language_info", "crosstrain"}


def test_parameters_reach_the_notebook_and_its_record(folder, tmp_path):
    target = tmp_path / "out" / "01_count.ipynb"
    given = {"number": 1, "names": ["x"]}
    notebooks.execute("01_count", given, target=target, figures=tmp_path / "figures")
    notebook = nbformat.read(target, as_version=4)
    assert "counted 0\n" in printed(notebook)
    assert "counted 1\n" not in printed(notebook)
    assert "['x']" in printed(notebook)
    assert notebook.metadata.crosstrain.parameters == given
    assert "CROSSTRAIN_FIGURES" not in os.environ


def test_figures_of_a_relative_folder_go_there(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    notebooks.execute("01_count", {}, target=Path("out/n.ipynb"), figures=Path("out/figures"))
    assert (tmp_path / "out" / "figures" / "01_count__line.png").is_file()
    assert not (folder / "out").exists()


def test_a_failing_cell_is_kept_and_reported(folder, tmp_path):
    target = tmp_path / "02_fail.ipynb"
    target.write_text("an earlier success")
    with pytest.raises(notebooks.NotebookFailed, match=r"^ValueError: no such thing\nand more$"):
        notebooks.execute("02_fail", {}, target=target, figures=tmp_path)
    failed = nbformat.read(tmp_path / "02_fail.failed.ipynb", as_version=4)
    assert "before" in printed(failed)
    assert "after" not in printed(failed)
    assert target.read_text() == "an earlier success"
    # the next success takes it away
    (folder / "text" / "02_fail.py").write_text(FAILING.replace("raise", "# raise"))
    notebooks.execute("02_fail", {}, target=target, figures=tmp_path)
    assert not (tmp_path / "02_fail.failed.ipynb").exists()
    assert "after" in printed(nbformat.read(target, as_version=4))


def test_a_failing_notebook_leaves_the_figures_of_the_page_that_is_there(folder, tmp_path):
    figures, text = tmp_path / "figures", folder / "text" / "01_count.py"

    def found():
        return {path.name: path.read_bytes() for path in figures.iterdir()}

    notebooks.execute("01_count", {}, target=tmp_path / "n.ipynb", figures=figures)
    before = found()
    assert "01_count__line.png" in before
    text.write_text(TWIN.replace("figsize=(2, 1)", "figsize=(4, 1)") + "\n# %%\n1 / 0\n")
    with pytest.raises(notebooks.NotebookFailed, match="ZeroDivisionError"):
        notebooks.execute("01_count", {}, target=tmp_path / "n.ipynb", figures=figures)
    assert found() == before


def test_a_kernel_that_dies_is_a_failed_notebook(folder, tmp_path):
    (folder / "text" / "02_fail.py").write_text(
        FAILING.replace("raise", "import os; os._exit(9)\n# raise")
    )
    with pytest.raises(notebooks.NotebookFailed, match="DeadKernelError: Kernel died"):
        notebooks.execute("02_fail", {}, target=tmp_path / "n.ipynb", figures=tmp_path)
    assert (tmp_path / "n.failed.ipynb").is_file()
    assert not (tmp_path / "n.ipynb").exists()


# --- names, parameters, the run matrix --------------------------------------------------------


def test_names_are_the_numbered_twins(folder):
    assert notebooks.names() == ["01_count", "02_fail"]


def test_unknown_notebook_lists_what_there_is(folder, tmp_path):
    message = "notebook '03_fly'; allowed are 01_count, 02_fail"
    with pytest.raises(ValueError, match=message):
        notebooks.twin("03_fly")
    with pytest.raises(ValueError, match=message):
        notebooks.execute("03_fly", {}, target=tmp_path / "x.ipynb", figures=tmp_path)
    assert not (tmp_path / "x.ipynb").exists()


def test_unknown_parameter_lists_what_there_is(folder, tmp_path):
    notebooks.check_parameters("01_count", {"number": 5, "names": []})
    message = "01_count has no parameter 'numbers'; allowed are names, number"
    with pytest.raises(ValueError, match=message):
        notebooks.check_parameters("01_count", {"numbers": 5})
    with pytest.raises(ValueError, match=message):
        notebooks.execute("01_count", {"numbers": 5}, target=tmp_path / "x", figures=tmp_path)


def test_the_matrix(folder, tmp_path):
    path = tmp_path / "runs.yml"
    path.write_text("- notebook: 01_count\n  parameters: {number: 2}\n- notebook: 02_fail\n")
    runs = notebooks.matrix(path)
    assert [(run.notebook, run.parameters) for run in runs] == [
        ("01_count", {"number": 2}),
        ("02_fail", {}),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must be a list"),
        ("notebook: 01_count", "must be a list"),
        ("- 01_count", "must be a list"),
        ("- parameters: {}", "must be a list.*found {'parameters'"),
        ("- notebook: 01_count\n  parameters: 3", "must be a list"),
        ("- notebook: 01_count\n  parameters: [number]", "must be a list"),
        ("- notebook: 01_count\n  parameters:", "must be a list"),
        ("- notebook: [", "is not YAML"),
        ("- notebook: 01_count\n  parameters: {1: 2}", "must be a list.*found {'notebook'"),
        ("- notebook: 01_count\n  params: {}", "unknown key 'params'; allowed are notebook, par"),
        ("- notebook: 03_fly", "notebook '03_fly'; allowed are 01_count, 02_fail"),
        (2 * "- notebook: 01_count\n", "runs.yml: notebook '01_count' is there twice"),
    ],
)
def test_bad_matrices(folder, tmp_path, content, message):
    path = tmp_path / "runs.yml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        notebooks.matrix(path)
    assert "\n" not in str(error.value)


def test_the_matrix_of_the_project_names_its_notebooks():
    known = set(notebooks.names())
    assert {run.notebook for run in notebooks.matrix()} <= known


# --- staleness --------------------------------------------------------------------------------


def test_an_edit_makes_the_rendered_notebook_stale(folder, rendered):
    assert notebooks.is_stale("01_count")  # never rendered
    shutil.copy(rendered[0] / "01_count.ipynb", folder)
    assert not notebooks.is_stale("01_count")
    twin = folder / "text" / "01_count.py"
    twin.write_text(TWIN + "\n# one more line\n")
    assert notebooks.is_stale("01_count")
    twin.write_text(TWIN)
    assert not notebooks.is_stale("01_count")


def test_another_profile_makes_the_rendered_notebooks_stale(folder, rendered, monkeypatch):
    shutil.copy(rendered[0] / "01_count.ipynb", folder)
    monkeypatch.setattr(notebooks, "SHOWN", "smoke")
    assert notebooks.is_stale("01_count")


def test_a_notebook_of_another_origin_is_stale(folder):
    nbformat.write(nbformat.v4.new_notebook(), folder / "01_count.ipynb")
    assert notebooks.is_stale("01_count")


# --- the working directory --------------------------------------------------------------------

WHERE = """\
import base64
import io
import json
from crosstrain import paths
from crosstrain.study import Study

study = Study("smoke")
places = [paths.root(), paths.runs(), study.store.root]
print(json.dumps([str(place) for place in places]))
"""


@pytest.mark.parametrize("runs", [None, "runs/elsewhere"])
def test_a_kernel_in_notebooks_and_papermill_from_the_top_see_the_same(
    folder, tmp_path, monkeypatch, runs
):
    monkeypatch.delenv("CROSSTRAIN_FIGURES", raising=False)
    if runs:
        monkeypatch.setenv("CROSSTRAIN_RUNS", runs)
    seen = []
    for place in (paths.root() / "notebooks", Path("/")):
        done = subprocess.run(
            [sys.executable, "-c", WHERE], cwd=place, capture_output=True, text=True, check=True
        )
        seen.append(json.loads(done.stdout))
    assert seen[0] == seen[1]
    (folder / "text" / "03_where.py").write_text(HEAD + "# %%\n" + WHERE)
    monkeypatch.chdir("/")
    target = tmp_path / "where.ipynb"
    notebooks.execute("03_where", {}, target=target, figures=tmp_path / "figures")
    assert json.loads(printed(nbformat.read(target, as_version=4))) == seen[0]
