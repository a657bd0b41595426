"""What may run code or write files does so only where it is meant to."""

import json
import os
import pickle
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest
from crosstrain import paths
from crosstrain.potentials import protocol
from crosstrain.run import notebooks
from crosstrain.run.engine import StepsFailed
from crosstrain.run.store import sha256
from crosstrain.study import Study, store_of

ROOT = Path(__file__).resolve().parents[1]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def trapped(file: Path, mark: Path) -> Path:
    """A model file as torch writes them, which runs code when it is loaded."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Trap(mark), protocol=2))
        archive.writestr("model/version", "3\n")
        archive.writestr("model/byteorder", "little")
    return file


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "was_run"


def test_the_trap_works(tmp_path, mark):
    import torch

    torch.load(trapped(tmp_path / "mine.model", mark), weights_only=False)
    assert mark.exists()


@pytest.mark.parametrize("name", ["mine.model", "mine.pth", "mine.pt"])
def test_a_model_file_is_not_loaded_unless_trusted(crosstrain, tmp_path, mark, name):
    file = trapped(tmp_path / name, mark)
    done = crosstrain("score", file, "--profile", "smoke")
    assert done.returncode == 2
    assert "can run any code" in done.stderr and "--trust" in done.stderr
    assert not mark.exists()


def test_a_trusted_file_that_has_changed_is_not_taken(tiny, tmp_path, mark):
    study = Study(str(tiny), announce=False)
    file = tmp_path / "mine.model"
    file.write_text("what was trusted")
    given = study.given_model("mine", file, "mace", sha256(file))
    trapped(file, mark)
    with pytest.raises(StepsFailed, match=r"mine\.model has changed since it was named"):
        study.fill([given], quiet=True)
    assert not study.store.folder(given).exists()
    assert not mark.exists()


def test_a_stored_model_that_was_replaced_is_not_loaded(tiny, tmp_path, mark):
    study = Study(str(tiny), announce=False)
    model = study.model("mace", "water", 1)
    with study.store.lock(model), study.store.publish(model, {}) as out:
        (out / "mace.model").write_text("what was trained")
    trapped(study.store.folder(model) / "mace.model", mark)
    reader = study.evaluated(model, model)  # whatever it evaluates, its inputs come first
    order = {"step": reader.to_json(), "root": str(study.store.root)}
    file = study.store.work(reader) / "step.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(order | {"scratch": str(study.store.scratch)}))
    done = subprocess.run([sys.executable, "-m", "crosstrain", "step", file], capture_output=True)
    assert done.returncode == 1
    assert b"mace.model is missing or not the file that was stored" in done.stderr
    assert not mark.exists()


def test_other_weights_than_asked_for_are_refused(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"others")
    model = protocol.Pretrained("x", "y", lambda: weights)
    with pytest.raises(ValueError, match=r"have SHA-256 .*; expected is 0000"):
        protocol.checked_weights(model, "0000")


def test_every_download_names_its_hash():
    """Only `data.published` downloads, and each of its files has a SHA-256."""
    from crosstrain.data import published

    assert all(re.fullmatch("[0-9a-f]{64}", sha) for _, sha in published.FILES.values())
    fetching = re.compile(r"urlopen|urlretrieve|requests\.|pooch\.retrieve|hf_hub_download|wget")
    users = [
        path.name
        for path in (ROOT / "lib" / "crosstrain").rglob("*.py")
        if fetching.search(path.read_text())
    ]
    assert users == ["published.py"]


@pytest.mark.parametrize("store", ["../out", "runs/../../out", "data/../../out", "..", "runs/.."])
def test_a_store_does_not_leave_the_project(tiny, store):
    profile = Study(str(tiny), announce=False).profile.model_copy(update={"store": store})
    with pytest.raises(ValueError, match="leads out of"):
        store_of(profile)


TWIN = """\
# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
word: str = "a"

# %%
print(repr(word))
"""
QUOTES = 'a"); open("escaped", "w").close(); ("'


def test_a_parameter_is_a_value_and_never_code(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    (folder / "text").mkdir(parents=True)
    (folder / "text" / "01_say.py").write_text(TWIN)
    monkeypatch.setattr(paths, "notebooks", lambda: folder)
    monkeypatch.setattr(notebooks, "names", lambda: ["01_say"])
    target = tmp_path / "01_say.ipynb"
    notebooks.execute("01_say", {"word": QUOTES}, target=target, figures=tmp_path / "figures")
    assert not [*tmp_path.rglob("escaped")]
    (said,) = [c for c in json.loads(target.read_text())["cells"] if c.get("outputs")]
    assert "".join(said["outputs"][0]["text"]).strip() == repr(QUOTES)


@pytest.mark.parametrize("name", ["../01_say", "/etc/passwd", "text/../../x", "01_say.py"])
def test_a_notebook_name_is_no_path(name):
    with pytest.raises(ValueError, match="allowed are 00_start_here"):
        notebooks.execute(name, {}, target=Path("x"), figures=Path("y"))


def listens(port: int) -> bool:
    """Whether something answers at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_jupyterlab_starts_with_its_token_on(tmp_path):
    """The recipe of 'make lab', without a browser, asks for a token and takes it."""
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^\t\$\(BIN\)/(jupyter lab .*)$", makefile, re.MULTILINE)
    assert "token" not in recipe and "password" not in recipe and "--ip" not in recipe
    program = shutil.which("jupyter", path=str(Path(sys.executable).parent))
    words = [program, *recipe.split()[1:-1], "--no-browser", "--allow-root", "--port=0"]
    folders = {"JUPYTER_RUNTIME_DIR": tmp_path / "run", "JUPYTER_CONFIG_DIR": tmp_path / "config"}
    environment = os.environ | {name: str(path) for name, path in folders.items()}
    environment.pop("JUPYTER_TOKEN", None)
    with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as lab:
        try:
            end = time.monotonic() + 300
            while not (found := [*(tmp_path / "run").glob("jpserver-*.json")]):
                assert lab.poll() is None and time.monotonic() < end
                time.sleep(0.2)
            about = json.loads(found[0].read_text())
            assert len(about["token"]) >= 32
            assert about["hostname"] in ("localhost", "127.0.0.1")
            contents = f"http://127.0.0.1:{about['port']}/api/contents"
            while not listens(about["port"]):  # its file comes before its socket
                assert lab.poll() is None and time.monotonic() < end
                time.sleep(0.2)
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(contents)
            allowed = {"Authorization": f"token {about['token']}"}
            with urllib.request.urlopen(urllib.request.Request(contents, headers=allowed)) as page:
                assert page.status == 200
        finally:
            lab.send_signal(signal.SIGTERM)
