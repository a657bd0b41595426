"""What all tests share: pinned threads, order, published data, and processes of their own."""

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

# before numpy and torch are loaded
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["MPLBACKEND"] = "Agg"

ROOT = Path(__file__).resolve().parents[1]
# Files whose tests start processes or train models come after those that only compute.
LATER = (
    "test_command_line",
    "test_data_reference",
    "test_run_engine",
    "test_run_notebooks",
    "test_potentials",
    "test_book",
    "test_lab",
)
# WebGL by software, no telephoning home; as root Chromium needs --no-sandbox.
BROWSER_FLAGS = (
    *("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-webgl", "--ignore-gpu-blocklist", "--enable-unsafe-swiftshader"),
)


def pytest_collection_modifyitems(items):
    """Fast tests first; long ones only where they are asked for."""
    if "CROSSTRAIN_LONG_TESTS" not in os.environ:
        skip = pytest.mark.skip(reason="skipped: takes many minutes; set CROSSTRAIN_LONG_TESTS=1")
        for item in items:
            if "long" in item.keywords:
                item.add_marker(skip)
    items.sort(key=_place)


def _place(item) -> int:
    """Where a test stands in the order; the chain is as long as all others, which run beside it."""
    if item.path.stem == "test_chain" and "PYTEST_XDIST_WORKER" in os.environ:
        return -1
    if "slow" in item.keywords or "long" in item.keywords:
        return 3
    return 2 if item.path.stem in LATER else 0


@pytest.fixture(scope="session")
def published_file():
    """Path of a published file by its name; skips where it is neither named nor in the cache."""
    from crosstrain.data import published

    def find(name: str) -> Path:
        try:
            return published.path(name, download=False)
        except published.NotAvailable as error:
            pytest.skip(str(error))

    return find


def tiny_profile() -> dict:
    """Settings for two waters and one block that cannot be built, to test the machinery."""
    from crosstrain.data import profiles

    values = yaml.safe_load((ROOT / "lib/crosstrain/data/profiles/smoke.yml").read_text())
    water = values["blocks"]["packed"]["options"] | {
        "molecules": ["O"],
        "compositions": [{"O": 2}],
        "density_g_cm3": [0.2, 0.4],
        "conformers": 1,
    }
    blown = {**water, "compositions": [{"O": 1}], "temperature_K": [1e9, 2e9]}
    values |= {
        "name": "tiny",
        "store": "runs/tiny/data",
        "compute": {"engine": "serial", "workers": 1},
        "reference": {"frames_per_piece": 1},
        "blocks": {
            "water": {"kind": "packed", "frames": 3, "seed": 1, "options": water},
            "blown": {"kind": "packed", "frames": 1, "seed": 2, "options": blown},
        },
        "tests": {},
    }
    for section in profiles.OF_THE_STUDY:
        values.pop(section, None)
    values["training"] |= {"sets": ["water"], "architectures": {"mace": {"batch_size": 1}}}
    values["liquid"] |= {"composition": {"O": 2}, "start_density_g_cm3": 0.15}
    return values


@pytest.fixture
def tiny_with(tmp_path, monkeypatch):
    """Write a tiny profile with changed settings; its store is in a folder of this test."""
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path / "runs"))

    def write(**changes: dict) -> Path:
        values = tiny_profile()
        for part, settings in changes.items():
            values[part] |= settings
        path = tmp_path / "tiny.yml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture
def tiny(tiny_with) -> Path:
    """File of a tiny profile; its store is in a folder of this test."""
    return tiny_with()


@pytest.fixture(scope="session")
def crosstrain():
    """Run the command line in a process of its own."""

    def run(*arguments, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "crosstrain", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, **options)

    return run


@pytest.fixture(scope="session")
def apart():
    """Run code in a process of its own and return what it prints as JSON.

    The embedded reference (tblite) must not share a process with torch.
    """

    def run(code: str, *arguments):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")  # its event loop would be in the way of other modules' kernels
def browser():
    """A headless Chromium of the system; skips where there is none, unless one is asked for."""
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        need = "CROSSTRAIN_NEED_BROWSER" in os.environ
        (pytest.fail if need else pytest.skip)(
            "no browser: install chromium (Debian: apt-get install chromium)"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(BROWSER_FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="session")
def wait_for_drawing():
    """Return a picture of a part of a page once it shows many colours; fail if it stays blank."""
    from PIL import Image

    def wait(page, part, *, least=50, patience_s=120) -> bytes:
        for _ in range(patience_s):
            picture = part.screenshot()
            if len(Image.open(io.BytesIO(picture)).convert("RGB").getcolors(10**6)) >= least:
                return picture
            page.wait_for_timeout(1000)
        pytest.fail(f"blank after {patience_s} s")

    return wait
