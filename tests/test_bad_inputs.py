"""Malformed inputs: each gets one clear line and exit code 2, and no reader fails in any other way.

The corpus is built here from sound inputs, one fault each. The command line is called in this
process, where an exception that it does not catch is an error of the test.
"""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from crosstrain import paths
from crosstrain.__main__ import main
from crosstrain.build.boxes import composition_counts
from crosstrain.build.molecules import molecule
from crosstrain.data import frames as fr
from crosstrain.data import intake, profiles
from crosstrain.run import engine, notebooks
from crosstrain.run.store import PROVENANCE, Step, Store, StoreError
from crosstrain.simulate.trajectory import Damaged, read_trajectory, write_npz
from crosstrain.study import store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
SOUND = gzip.decompress((DATA / "frames.extxyz.gz").read_bytes()).decode()
N_LINES = int(SOUND.splitlines()[0]) + 2
ONE = "".join(SOUND.splitlines(keepends=True)[:N_LINES])
HEADER, FIRST_ATOM = ONE.splitlines()[1:3]
SMOKE = (paths.PROFILES / "smoke.yml").read_text()


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """Call the command line; it must refuse in one line. Returns the line."""
    monkeypatch.setenv("CROSSTRAIN_RUNS", str(tmp_path / "runs"))
    # what is not refused would be computed
    monkeypatch.setattr(engine, "_executor", lambda settings: pytest.fail("it was not refused"))

    def call(*arguments) -> str:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # of argparse, which prints its usage first
            code = stop.code
        output = capsys.readouterr()
        assert code == 2, output
        assert "Traceback" not in output.err
        last = output.err.strip().splitlines()[-1]
        assert len(last) > 20
        assert not list(tmp_path.rglob(".staging*"))
        return last

    return call


# --- extended XYZ -----------------------------------------------------------------------------


def header(old: str, new: str) -> str:
    assert old in HEADER
    return ONE.replace(HEADER, HEADER.replace(old, new))


def atom(text: str) -> str:
    return ONE.replace(FIRST_ATOM, text)


LATTICE = HEADER[: HEADER.index('" Properties') + 1]
FIELDS = FIRST_ATOM.split()
EXTXYZ = {
    "empty": "",
    "blank": "\n\n\n",
    "count is a word": ONE.replace("25\n", "many\n", 1),
    "count is negative": ONE.replace("25\n", "-1\n", 1),
    "count is zero": ONE.replace("25\n", "0\n", 1),
    "count too large": ONE.replace("25\n", "26\n", 1),
    "count too small": ONE.replace("25\n", "24\n", 1),
    "cut in a line": ONE[:-30],
    "cut in the header": ONE[:100],
    "position is a word": atom(FIRST_ATOM.replace(FIELDS[1], "here")),
    "position is NaN": atom(FIRST_ATOM.replace(FIELDS[1], "nan")),
    "position is infinite": atom(FIRST_ATOM.replace(FIELDS[1], "inf")),
    "position is missing": atom(" ".join(FIELDS[:3])),
    "two atoms at one place": ONE.replace(ONE.splitlines()[3], FIRST_ATOM.replace("O", "C", 1)),
    "no such element": atom(FIRST_ATOM.replace("O", "Qq", 1)),
    "an element that is not allowed": atom(FIRST_ATOM.replace("O", "N", 1)),
    "no lattice but periodic": header(LATTICE, 'pbc="T T T"'),
    "lattice of eight numbers": header("7.668519044683699 0.0", "7.668519044683699"),
    "lattice of no volume": header("7.668519044683699", "0.0"),
    "lattice is NaN": header("7.668519044683699 0.0", "nan 0.0"),
    "lattice of words": header("7.668519044683699 0.0", "wide 0.0"),
    "periodic in part": header('pbc="T T T"', 'pbc="T T F"'),
    "properties without positions": header("pos:R:3:", ""),
    "properties of a wrong kind": header("pos:R:3", "pos:Q:3"),
    "properties cut off": header("REF_forces:R:3", "REF_forces:R"),
    "properties too many": header("REF_forces:R:3", "REF_forces:R:4"),
    "no forces": header("REF_forces", "other"),
    "no energy": header("REF_energy", "other"),
    "no stress": header("REF_stress", "other"),
    "energy is a word": header("REF_energy=-1239", "REF_energy=low-1239"),
    "energy is NaN": header("REF_energy=-1239.125695099575", "REF_energy=nan"),
    "a force is NaN": atom(FIRST_ATOM.replace(FIELDS[-1], "nan")),
    "stress of five numbers": header(" -0.0061598211453917015", ""),
    "bonds out of range": header("[0, 1]", "[0, 99]"),
    "bonds of words": header("[0, 1]", '[\\"a\\", 1]'),
    "bonds not of pairs": header("[[0, 1]", "[[0]"),
    "composition of another liquid": header("EC:1 EMC:1", "EC:7"),
    "the same frame twice": ONE + ONE,
    "two levels of theory": SOUND.replace("method=GFN2-xTB", "method=PBE-D3", 1),
}
BYTES = {
    "binary": bytes(range(256)) * 20,
    "another encoding": ONE.encode("utf-16"),
    "gzip that is none": ("x.extxyz.gz", ONE.encode()),
    "gzip cut off": ("x.extxyz.gz", gzip.compress(ONE.encode())[:-40]),
    "gzip with a flipped bit": (
        "x.extxyz.gz",
        bytes(b ^ (i == 300) for i, b in enumerate(gzip.compress(SOUND.encode()))),
    ),
}


@pytest.mark.parametrize("fault", [*EXTXYZ, *BYTES])
def test_extxyz(refused, tmp_path, fault):
    content = EXTXYZ.get(fault, BYTES.get(fault))
    name, content = content if isinstance(content, tuple) else ("x.extxyz", content)
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    refused("inspect", file)


@pytest.mark.parametrize("name", ["none.extxyz", "folder.extxyz"])
def test_extxyz_that_is_no_file(refused, tmp_path, name):
    (tmp_path / "folder.extxyz").mkdir()
    assert name in refused("inspect", tmp_path / name)


# --- profiles ---------------------------------------------------------------------------------


def spoiled(path: str, value) -> str:
    """The smoke profile with another value at a place such as ``liquid.states.hot``."""
    values = yaml.safe_load(SMOKE)
    *above, last = path.split(".")
    part = values
    for name in above:
        part = part[name]
    part[last] = value
    return yaml.safe_dump(values)


PROFILES = {
    "empty": "",
    "a list": "- name: smoke\n",
    "a word": "smoke",
    "not YAML": "name: [smoke\n",
    "a tab": "name:\n\tsmoke",
    "code": "name: !!python/object/apply:os.system ['true']\n",
    "binary": "\x00\x01\x02",
    "a key is missing": SMOKE.replace("dynamics:", "dinamics:"),
    "an unknown key": spoiled("liquid.colour", "red"),
    "name climbs out": spoiled("name", "../../up"),
    "name is empty": spoiled("name", ""),
    "store climbs out": spoiled("store", "../elsewhere"),
    "store climbs out of runs": spoiled("store", "runs/../../elsewhere"),
    "frames below one": spoiled("blocks.packed.frames", 0),
    "frames in part": spoiled("blocks.packed.frames", 1.5),
    "a seed of words": spoiled("blocks.packed.seed", "one"),
    "no such kind": spoiled("blocks.packed.kind", "frozen"),
    "no such source": spoiled("blocks.scan.options", {"source": "nowhere", "points": 2}),
    "no such molecule": spoiled("blocks.packed.options.molecules", ["EC", "XX"]),
    "no such molecule in the liquid": spoiled("liquid.composition", {"XX": 2}),
    "a liquid of nothing": spoiled("liquid.composition", {}),
    "a liquid of less than nothing": spoiled("liquid.composition", {"EC": -1}),
    "no such method": spoiled("reference.method", "HF-3c"),
    "no such architecture": spoiled("training.architectures", {"gap": {}}),
    "no such hyperparameter": spoiled("training.architectures.mace.depth", 3),
    "a cutoff below zero": spoiled("training.architectures.mace.r_max", -1),
    "no such set": spoiled("training.sets", ["classical+nothing"]),
    "a set twice": spoiled("training.sets", ["classical+classical"]),
    "a set with a part of a frame": spoiled("training.sets", ["classical.1.5"]),
    "more frames than there are": spoiled("training.sets", ["classical.999"]),
    "a short name of a block": spoiled("training.names", {"packed": "classical"}),
    "validation of everything": spoiled("training.validate_every", 1),
    "temperature below zero": spoiled("liquid.states.hot.temperature_K", -5),
    "temperature is NaN": spoiled("liquid.states.hot.temperature_K", float("nan")),
    "pressure is a word": spoiled("liquid.states.hot.pressure_bar", "high"),
    "pressure is infinite": spoiled("liquid.states.hot.pressure_bar", float("inf")),
    "no replica": spoiled("liquid.states.hot.replicas", []),
    "a time step too long": spoiled("dynamics.timestep_fs", 20),
    "a pair of no elements": spoiled("liquid.rdf.pairs", ["O-X"]),
    "one relabelled frame": spoiled("dynamics.relabelled_frames", 1),
    "a committee of one": spoiled("iteration.seeds", [1]),
    "an unknown third architecture": spoiled("third.architecture", "perceptron"),
    "a third architecture at no state": spoiled("third.state", "boiling"),
    "an iterated block of no architecture": spoiled("iteration.blocks", {"dp_iterated": "gap"}),
    "no such device": spoiled("compute.device", "abacus"),
    "no workers": spoiled("compute.workers", 0),
    "extends what is no profile": "extends: /etc/passwd\nname: own\n",
    "no such published model": spoiled("foundation.models", {"oracle": {"duration_ps": 1}}),
}


@pytest.mark.parametrize("fault", PROFILES)
def test_profile(refused, tmp_path, fault):
    file = tmp_path / "own.yml"
    file.write_text(PROFILES[fault])
    refused("plan", "--profile", file)


def test_a_profile_that_is_a_folder(refused, tmp_path):
    (tmp_path / "own.yml").mkdir()
    refused("plan", "--profile", tmp_path / "own.yml")


# --- run matrix and parameters ----------------------------------------------------------------

MATRICES = {
    "not a list": "notebook: 05_score_models",
    "no notebook": "- parameters: {}",
    "a path": "- notebook: ../../etc/passwd",
    "a number": "- notebook: 5",
    "a list of names": "- [05_score_models]",
    "parameters of a list": "- {notebook: 05_score_models, parameters: [1]}",
    "an unknown key": "- {notebook: 05_score_models, when: now}",
    "code": "- !!python/name:os.system",
    "binary": "\x00",
    "an alias of nothing": "- *nothing",
}


@pytest.mark.parametrize("fault", MATRICES)
def test_run_matrix(refused, tmp_path, monkeypatch, fault):
    file = tmp_path / "runs.yml"
    file.write_text(MATRICES[fault])
    matrix = notebooks.matrix
    monkeypatch.setattr(notebooks, "matrix", lambda: matrix(file))
    refused("run", "--profile", "smoke")


PARAMETERS = [
    "seed",
    "=3",
    "seed=[1",
    "seed=two",
    "seed=1.5",
    "seed=true",
    "seed=",
    "rdf_tolerance=small",
    "rdf_tolerance=[0.1]",
    "profile=3",
    "training_set={a: 1}",
    "tolerance=0.1",
    "__class__=1",
]


@pytest.mark.parametrize("text", PARAMETERS)
def test_notebook_parameter(refused, text):
    refused("run", "05_score_models", "--profile", "smoke", "-p", text)


# --- molecules --------------------------------------------------------------------------------

MOLECULES = [
    "",
    "EC",
    "EC:",
    "EC:two",
    "EC:1.5",
    "EC:0",
    "EC:-1",
    "EC:1 EC:2",
    ":3",
    "CCN:1",
    "C1CC:1",
    "C(:1",
    "[CH3]:1",
    "[O-]C:1",
    "C.C:1",
    "[Na+].[Cl-]:1",
    "Xx:1",
    "c1cccc:1",
]


@pytest.mark.parametrize("composition", MOLECULES)
def test_composition(refused, composition):
    command = ["build", "mine", "--kind", "packed", "--frames", "1", "--profile", "smoke"]
    refused(*command, "--composition", composition)


# --- model files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("none.model", None),
        ("empty.model", b""),
        ("text.model", b"weights: none\n"),
        ("random.pth", bytes(range(256)) * 40),
        ("cut.pth", "cut"),
        ("flipped.model", "flipped"),
        ("model.onnx", b"onnx"),
        ("model", b"no suffix"),
    ],
)
def test_model_file(refused, tmp_path, name, content):
    file = tmp_path / name
    if isinstance(content, str):
        archive = io.BytesIO()
        np.savez(archive, weights=np.arange(1000.0))  # an archive, as torch's files are
        whole = bytearray(archive.getvalue())
        whole[len(whole) // 2] ^= 1
        content = bytes(whole[:-100] if content == "cut" else whole)
    if content is not None:
        file.write_bytes(content)
    assert name in refused("score", file, "--trust", "--profile", "smoke")


def test_a_model_that_is_a_folder(refused, tmp_path):
    (tmp_path / "mine.model").mkdir()
    refused("score", tmp_path / "mine.model", "--trust")


# --- command lines ----------------------------------------------------------------------------

COMMANDS = [
    "",
    "fly",
    "plan --fast",
    "plan --profile",
    "plan --profile nowhere.yml",
    "plan --profile ../smoke",
    "plan --profile /etc/passwd",
    "study --only dreams",
    "study --workers none",
    "study --workers 0 --dry-run --profile smoke",
    "study --engine nowhere.py --dry-run --profile smoke",
    "study --engine ../local --dry-run --profile smoke",
    "run 99_fly --profile smoke",
    "run ../05_score_models --profile smoke",
    "render 99_fly",
    "render ../README",
    "build mine",
    "build mine --composition EC:1 --frames some",
    "build mine --composition EC:1 --frames 0 --profile smoke",
    "build mine --composition EC:1 --density 1 2 3 --profile smoke",
    "build mine --composition EC:1 --density 2 1 --profile smoke",
    "build mine --composition EC:1 --density nan --profile smoke",
    "build mine --composition EC:1 --temperature inf --profile smoke",
    "build mine --composition EC:1 --kind frozen",
    "build ../mine --composition EC:1 --profile smoke",
    "build a/b --composition EC:1 --profile smoke",
    "inspect",
    "inspect nowhere.extxyz --key energy",
    "score nowhere --profile smoke",
    "score mace-classical-s1 --temperature -1 --profile smoke",
    "score mace-classical-s1 --temperature hot",
    "score mace-classical-s1 --composition EC --profile smoke",
    "step",
    "step nowhere.json",
    "step README.md",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_command_line(refused, line, monkeypatch):
    monkeypatch.chdir(paths.root())
    refused(*line.split())


@pytest.mark.parametrize("order", ["[]", "{}", '{"step": []}', '{"step": [{}], "root": 1}', "1"])
def test_order_of_a_step(refused, tmp_path, order):
    file = tmp_path / "step.json"
    file.write_text(order)
    refused("step", file)


def test_the_corpus_is_large():
    parts = (EXTXYZ, BYTES, PROFILES, MATRICES, PARAMETERS, MOLECULES, COMMANDS)
    assert sum(map(len, parts)) >= 60


# --- anything at all --------------------------------------------------------------------------

FUZZ = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,  # the same examples every time
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def edited(draw, content: bytes) -> bytes:
    """A sound file after a few cuts, flips, repeats and insertions."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        end = place + draw(st.integers(0, 40))
        new = draw(
            st.one_of(
                st.binary(max_size=8),
                st.sampled_from([b"nan", b"-1", b"1e999", b'"', b"\n", b"[", b"=", b":", b"\x00"]),
                st.just(content[place:end] * 2),
            )
        )
        content = content[:place] + new + content[end:]
    return content


@FUZZ
@given(edited(SOUND[:8000].encode()))
def test_any_frames(tmp_path, content):
    file = tmp_path / "x.extxyz"
    file.write_bytes(content)
    try:
        read = fr.read(file, labelled=True)
    except fr.BadFrames as error:
        assert str(error).startswith("x.extxyz")
        return
    assert all(np.isfinite(frame.arrays[fr.FORCES]).all() for frame in read)


@FUZZ
@given(edited(ONE.encode()))
def test_any_frames_of_a_user(tmp_path, content):
    file = tmp_path / "x.extxyz"
    file.write_bytes(content)
    found = intake.examine(file)
    assert found.problems or found.frames
    assert all("\n" not in line for line in found.problems)


@FUZZ
@given(edited(SMOKE.encode()))
def test_any_profile(tmp_path, content):
    file = tmp_path / "x.yml"
    file.write_bytes(content)
    try:
        assert store_of(profiles.load(str(file))).root.is_absolute()
    except ValueError as error:
        assert "\n" not in str(error)


@FUZZ
@given(edited(b"- notebook: 05_score_models\n  parameters: {seed: 1, rdf_tolerance: 0.1}\n"))
def test_any_run_matrix(tmp_path, content):
    file = tmp_path / "runs.yml"
    file.write_bytes(content)
    try:
        assert {run.notebook for run in notebooks.matrix(file)} <= set(notebooks.names())
    except ValueError as error:
        assert "\n" not in str(error)


@FUZZ
@given(st.one_of(st.text(max_size=20), st.text("CcOoHN()=#123[]+-.:@ ", max_size=20)))
def test_any_molecule(text):
    try:
        assert len(molecule(text, 1)) > 0
    except ValueError as error:
        assert str(error)


@FUZZ
@given(st.text(max_size=30))
def test_any_composition(text):
    try:
        counts = composition_counts(text)
    except ValueError as error:
        assert "composition" in str(error)
        return
    assert all(isinstance(count, int) for count in counts.values())


@pytest.fixture(scope="module")
def trajectory_bytes(tmp_path_factory) -> bytes:
    file = tmp_path_factory.mktemp("trajectory") / "trajectory.npz"
    write_npz(
        file,
        compress=True,
        numbers=np.array([8, 1, 1]),
        masses=np.ones(3),
        pbc=np.ones(3, bool),
        time_ps=np.arange(4.0),
        positions=np.ones((4, 3, 3), np.float32),
        cells=np.ones((4, 3, 3)),
        thermo=np.ones((4, 5)),
    )
    return file.read_bytes()


@FUZZ
@given(st.data())
def test_any_trajectory(tmp_path, trajectory_bytes, data):
    (tmp_path / "trajectory.npz").write_bytes(data.draw(edited(trajectory_bytes)))
    try:
        read = read_trajectory(tmp_path)
    except Damaged:
        return
    assert (read.positions == 1).all() and read.positions.shape == (4, 3, 3)


@FUZZ
@given(st.data())
def test_any_record(tmp_path, data):
    store, step = Store(tmp_path / "data", tmp_path / "scratch"), Step("atoms", "one")
    with store.publish(step, {}) as out:
        (out / "result.txt").write_text("result")
    record = store.folder(step) / PROVENANCE
    record.write_bytes(data.draw(edited(record.read_bytes())))
    try:
        folder = store.verify(step)
    except StoreError as error:
        assert step.folder_name in str(error)
        return
    assert json.loads(record.read_text())["key"] == step.key
    assert (folder / "result.txt").read_text() == "result"
