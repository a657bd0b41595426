"""JupyterLab for real: notebooks run in a browser, structures are drawn, widgets act."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from crosstrain import paths

PATIENCE_S = 900  # of a notebook on a busy machine
NOTEBOOK = "window.jupyterapp?.shell?.currentWidget"
CELLS = f"{NOTEBOOK}.content.model.sharedModel.toJSON().cells"

OPTIONS = "--notebook-dir=notebooks notebooks/00_start_here.ipynb"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory, browser):
    """Address and token of a JupyterLab whose notebooks are copies."""
    place = tmp_path_factory.mktemp("lab")
    shutil.copytree(paths.notebooks(), place / "notebooks")
    (place / "notebooks" / "jupytext.toml").unlink()  # nothing is to be written back
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(*OPTIONS.split(), f"--port={port}"),
        *(f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"),
    ]
    environment = os.environ | {
        "CROSSTRAIN_RUNS": str(place / "runs"),
        "JUPYTER_CONFIG_DIR": str(place / "config"),
    }
    environment.pop("MPLBACKEND")  # that of the tests draws nothing
    with open(place / "log", "wb") as log:
        server = subprocess.Popen(command, cwd=place, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{address}/api?token={token}", server, place / "log")
        yield address, token
    finally:
        server.terminate()
        server.wait(60)


def _wait_for(address, server, log, patience_s=180):
    until = time.monotonic() + patience_s
    while time.monotonic() < until and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=5)
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture
def opened(lab, browser):
    """Open a notebook and run all its cells; return its page."""
    address, token = lab
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(1e3 * PATIENCE_S)

    def run(name):
        page = context.new_page()
        # a workspace of its own, which restores no other notebook
        page.goto(f"{address}/lab/workspaces/{name}/tree/{name}.ipynb?token={token}")
        page.wait_for_function(f"{NOTEBOOK}?.context?.path === '{name}.ipynb'")
        kernel = f"{NOTEBOOK}?.sessionContext?.session?.kernel"  # without it a dialog would ask
        page.wait_for_function(f"{kernel}?.connectionStatus === 'connected'")
        page.evaluate(f"{NOTEBOOK}.context.ready.then(() => null)")
        page.evaluate(f"{NOTEBOOK}.sessionContext.ready.then(() => null)")
        run_all = "window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => null)"
        page.evaluate(run_all)
        cells = page.evaluate(CELLS)
        outputs = [output for cell in cells for output in cell.get("outputs", [])]
        assert [o for o in outputs if o["output_type"] == "error"] == []
        assert all(c["execution_count"] for c in cells if c["cell_type"] == "code" and c["source"])
        return page

    yield run
    context.close()


def show(page, text):
    """Scroll to the first cell with a text, as virtual cells are drawn only when seen."""
    cells = page.evaluate(CELLS)
    number = next(i for i, cell in enumerate(cells) if text in "".join(cell["source"]))
    page.evaluate(f"{NOTEBOOK}.content.scrollToItem({number}, 'start')")
    return page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{number}']")


def test_make_lab_opens_the_start_page():
    assert f"jupyter lab {OPTIONS}\n" in (paths.root() / "Makefile").read_text()


@pytest.mark.parametrize("name", ["00_start_here", "01_build_liquids"])
def test_structures_are_drawn(opened, wait_for_drawing, name):
    page = opened(name)
    cell = show(page, "views.view(")
    wait_for_drawing(page, cell.locator("canvas").first)


@pytest.mark.parametrize(
    ("name", "figure"), [("05_score_models", "terms"), ("08_read_the_transfer_matrix", "matrix")]
)
def test_a_slider_changes_the_figure(opened, wait_for_drawing, name, figure):
    page = opened(name)
    still = show(page, f'lab.save(fig, "{figure}"')
    wait_for_drawing(page, still.locator(".jp-OutputArea img").first)
    cell = show(page, "controls.follow(")
    picture = cell.locator(".jp-OutputArea img")
    before = picture.get_attribute("src")
    cell.locator(".noUi-handle").first.press("ArrowRight")
    for _ in range(120):
        if picture.count() and picture.get_attribute("src") != before:
            return
        page.wait_for_timeout(1000)
    pytest.fail("the figure did not change")
