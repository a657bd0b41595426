"""Malformed inputs: each gets one clear line and exit code 2, and no reader fails in any other way.

The corpus is built here from sound inputs, one fault each, with words that the message must have,
so that a wrong diagnosis fails. The command line is called in this
process, where an exception that it does not catch is an error of the test.
"""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from crosstrain import paths, steps
from crosstrain.__main__ import main
from crosstrain.build.boxes import composition_counts
from crosstrain.build.molecules import molecule
from crosstrain.data import frames as fr
from crosstrain.data import intake, profiles
from crosstrain.run import engine, notebooks
from crosstrain.run.store import PROVENANCE, Step, Store, StoreError
from crosstrain.simulate.trajectory import Damaged, pack_trajectory, read_trajectory, write_npz
from crosstrain.study import store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
SOUND = gzip.decompress((DATA / "frames.extxyz.gz").read_bytes()).decode()
N_LINES = int(SOUND.splitlines()[0]) + 2
ONE = "".join(SOUND.splitlines(keepends=True)[:N_LINES])
HEADER, FIRST_ATOM = ONE.splitlines()[1:3]
SMOKE = (paths.PROFILES / "smoke.yml").read_text()


# What a reader of a message should not have to know.
PYTHON = ("Traceback", "object has no", "object cannot be", "invalid literal", "sequence element")
PYTHON += ("pydantic",)


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """Call the command line; it must refuse in clear lines. Returns them."""
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
        *usage, said = output.err.strip().splitlines()
        assert len(said) > 20
        if arguments[:1] != ("inspect",):  # which has a line for each fault
            assert said.startswith("crosstrain"), output.err
            assert not usage or usage[0].startswith("usage: "), output.err
        assert not [word for word in PYTHON if word in output.err], output.err
        assert not list(tmp_path.rglob(".staging*"))
        return output.err

    return call


# --- extended XYZ -----------------------------------------------------------------------------


def header(old: str, new: str) -> str:
    assert old in HEADER
    return ONE.replace(HEADER, HEADER.replace(old, new))


def atom(text: str) -> str:
    return ONE.replace(FIRST_ATOM, text)


LATTICE = HEADER[: HEADER.index('" Properties') + 1]
FLAT = 'Lattice="9 0 0 0 9 0 9 9 0"'
FIELDS = FIRST_ATOM.split()
EXTXYZ = {
    "empty": ("", "holds no frame"),
    "blank": ("\n\n\n", "holds no frame"),
    "count is a word": (ONE.replace("25\n", "many\n", 1), "'many'; allowed is its number"),
    "count is negative": (ONE.replace("25\n", "-1\n", 1), "'-1'; allowed is its number"),
    "count is zero": (ONE.replace("25\n", "0\n", 1), "'0'; allowed is its number"),
    "count too large": (ONE.replace("25\n", "26\n", 1), "26 atoms are not all there"),
    "count too small": (ONE.replace("25\n", "24\n", 1), "its 24 atoms are followed by 'H "),
    "cut in a line": (ONE[:-30], "25 atoms are not all there"),
    "cut in the header": (ONE[:100], "25 atoms are not all there"),
    "position is a word": (atom(FIRST_ATOM.replace(FIELDS[1], "here")), "'here'"),
    "position is NaN": (
        atom(FIRST_ATOM.replace(FIELDS[1], "nan")),
        "positions or cell are not finite",
    ),
    "position is infinite": (
        atom(FIRST_ATOM.replace(FIELDS[1], "inf")),
        "positions or cell are not finite",
    ),
    "position is missing": (atom(" ".join(FIELDS[:3])), "of length 3"),
    "two atoms at one place": (
        ONE.replace(ONE.splitlines()[3], FIRST_ATOM.replace("O", "C", 1)),
        "two atoms are 0.00 Å apart",
    ),
    "no such element": (atom(FIRST_ATOM.replace("O", "Qq", 1)), "no element 'Qq'; correct"),
    "an element that is not allowed": (
        atom(FIRST_ATOM.replace("O", "N", 1)),
        "element N; allowed are H, C, O",
    ),
    "no lattice but periodic": (
        header(LATTICE, 'pbc="T T T"'),
        "periodic, but the cell has no volume",
    ),
    "lattice of eight numbers": (header("7.668519044683699 0.0", "7.668519044683699"), "Lattice"),
    "lattice of no volume": (header("7.668519044683699", "0.0"), "the cell has no volume"),
    "lattice in a plane": (header(LATTICE, FLAT), "the cell has no volume"),
    "lattice is NaN": (
        header("7.668519044683699 0.0", "nan 0.0"),
        "positions or cell are not finite",
    ),
    "lattice of words": (header("7.668519044683699 0.0", "wide 0.0"), "Lattice"),
    "periodic in part": (header('pbc="T T T"', 'pbc="T T F"'), "[True, True, False]"),
    "properties without positions": (header("pos:R:3:", ""), "no pos:R:3"),
    "properties of a wrong kind": (header("pos:R:3", "pos:Q:3"), "no pos:R:3"),
    "properties cut off": (header("REF_forces:R:3", "REF_forces:R"), "no forces under"),
    "properties too many": (header("REF_forces:R:3", "REF_forces:R:4"), "not extended XYZ"),
    "no forces": (header("REF_forces", "other"), "no forces under 'REF_forces'"),
    "no energy": (header("REF_energy", "other"), "no energy under 'REF_energy'"),
    "no stress": (header("REF_stress", "other"), "no stress under 'REF_stress'"),
    "energy is a word": (
        header("REF_energy=-1239", "REF_energy=low-1239"),
        "'REF_energy' is not numbers",
    ),
    "energy is NaN": (
        header("REF_energy=-1239.125695099575", "REF_energy=nan"),
        "REF_energy is not finite",
    ),
    "a force is NaN": (atom(FIRST_ATOM.replace(FIELDS[-1], "nan")), "REF_forces is not finite"),
    "stress of five numbers": (header(" -0.0061598211453917015", ""), "stress has shape (5,)"),
    "bonds out of range": (header("[0, 1]", "[0, 99]"), "info['bonds'] must be pairs"),
    "bonds of words": (header("[0, 1]", '[\\"a\\", 1]'), "info['bonds'] must be pairs"),
    "bonds not of pairs": (header("[[0, 1]", "[[0]"), "inhomogeneous"),
    "composition of another liquid": (
        header("EC:1 EMC:1", "EC:7"),
        "composition is 'EC:7', the bonds say 'EC:1 EMC:1'",
    ),
    "the same frame twice": (ONE + ONE, "frame 1: the same structure as frame 0"),
    "two levels of theory": (
        SOUND.replace("method=GFN2-xTB", "method=PBE-D3", 1),
        "levels of theory are mixed",
    ),
}
BYTES = {
    "binary": (bytes(range(256)) * 20, "not a whole text file"),
    "another encoding": (ONE.encode("utf-16"), "not a whole text file"),
    "gzip that is none": (("x.extxyz.gz", ONE.encode()), "Not a gzipped file"),
    "gzip cut off": (("x.extxyz.gz", gzip.compress(ONE.encode())[:-40]), "ended before"),
    "gzip with a flipped bit": (
        (
            "x.extxyz.gz",
            bytes(b ^ (i == 300) for i, b in enumerate(gzip.compress(SOUND.encode()))),
        ),
        "CRC check failed",
    ),
}


@pytest.mark.parametrize("fault", [*EXTXYZ, *BYTES])
def test_extxyz(refused, tmp_path, fault):
    content, words = (EXTXYZ | BYTES)[fault]
    name, content = content if isinstance(content, tuple) else ("x.extxyz", content)
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    assert words in refused("inspect", file)


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
    "empty": ("", "allowed are settings, found 'None'"),
    "a list": ("- name: smoke\n", "allowed are settings"),
    "a word": ("smoke", "found 'smoke'"),
    "not YAML": ("name: [smoke\n", "is not YAML: while parsing a flow sequence"),
    "a tab": ("name:\n\tsmoke", "'\\t'"),
    "code": ("name: !!python/object/apply:os.system ['true']\n", "os.system"),
    "binary": ("\x00\x01\x02", "#x0000"),
    "a key is missing": (SMOKE.replace("dynamics:", "dinamics:"), "dynamics: Field required"),
    "an unknown key": (spoiled("liquid.colour", "red"), "liquid.colour"),
    "name climbs out": (spoiled("name", "../../up"), "name: String"),
    "name is empty": (spoiled("name", ""), "name: String"),
    "store climbs out": (spoiled("store", "../elsewhere"), "store '../elsewhere' leads out"),
    "store climbs out of runs": (spoiled("store", "runs/../../elsewhere"), "elsewhere' leads out"),
    "frames below one": (spoiled("blocks.packed.frames", 0), "packed.frames"),
    "frames in part": (spoiled("blocks.packed.frames", 1.5), "fractional part"),
    "a seed of words": (spoiled("blocks.packed.seed", "one"), "packed.seed"),
    "no such kind": (spoiled("blocks.packed.kind", "frozen"), "'frozen'"),
    "no such source": (
        spoiled("blocks.scan.options.source", "nowhere"),
        "source of scan: set 'nowhere'; allowed are clas",
    ),
    "a source of its own": (
        spoiled("blocks.scan.options.source", "scan"),
        "a block is made from itself: scan from scan",
    ),
    "a source that is chosen by models of what is made from it": (
        SMOKE.replace("source: classical,", "source: dp_iterated_g1,").replace(
            "start: classical", "start: scan"
        ),
        "a block is made from itself: scan from dp_iterated_g1 from scan",
    ),
    "an option mistyped": (
        spoiled("blocks.packed.options.temprature_K", [100, 600]),
        "blocks.packed.options: 'temprature_K'; allowed are compositions, density_g_cm3",
    ),
    "an option of another kind": (
        spoiled("tests.molecules_test.options.points", 3),
        ".molecules.options: 'points'; allowed are displacement_A, molecules, conformers",
    ),
    "a block without compositions": (
        spoiled("blocks.classical.options", {"temperature_K": [1, 2], "density_g_cm3": [1, 1]}),
        "blocks.classical.options: no compositions, which kind 'classical' needs",
    ),
    "no compositions": (
        spoiled("blocks.classical.options.compositions", []),
        "blocks.classical.options: no compositions",
    ),
    "an iterated block among those that are built": (
        spoiled("blocks.packed.kind", "iterated"),
        "blocks.packed.kind: 'iterated'; such blocks are named in iteration.blocks",
    ),
    "a block with a name that would be cut": (
        SMOKE.replace("  classical_more:", "  classical-more:"),
        "String should match pattern",
    ),
    "a test with a name that would be cut": (
        SMOKE.replace("  scan_test:", "  scan.test:"),
        "String should match pattern",
    ),
    "a name of two blocks": (
        SMOKE.replace("  scan_test:", "  scan:"),
        "'scan' has two meanings; allowed are names unlike each other",
    ),
    "a name of a block and of a generation": (
        SMOKE.replace("  classical_more:", "  dp_iterated_g1:"),
        "'dp_iterated_g1' has two meanings",
    ),
    "a name of a block and of an unseen liquid": (
        SMOKE.replace("  classical_more:", "  unseen_DMC:"),
        "'unseen_DMC' has two meanings",
    ),
    "a block with the name of an input": (
        SMOKE.replace("  classical_more:", "  validation:"),
        "'validation' has two meanings",
    ),
    "an iteration from several blocks": (
        spoiled("iteration.start", "classical+scan"),
        "iteration.start: allowed is the name of one block (found 'classical+scan')",
    ),
    "a test of frames that are trained on": (
        spoiled("tests.classical_test.seed", 2),
        "tests.classical_test.seed: 2; allowed is one that no other block",
    ),
    "a seed below zero": (spoiled("blocks.packed.seed", -1), "packed.seed: Input should be"),
    "a seed twice": (
        spoiled("training.seeds", [1, 1]),
        "training.seeds: allowed is each number once (found [1, 1])",
    ),
    "a committee of twins": (
        spoiled("iteration.seeds", [2, 2]),
        "iteration.seeds: allowed is each number once",
    ),
    "no seeds": (spoiled("training.seeds", []), "training.seeds: List should have at least 1"),
    "a replica twice": (
        spoiled("liquid.states.hot.replicas", [1, 1]),
        "hot.replicas: allowed is each number once",
    ),
    "a wrong setting": (spoiled("dynamics.duration_ns", 1), "dynamics.duration_ns: Extra inputs"),
    "an unknown hyperparameter": (
        spoiled("training.architectures.mace.channels", 4),
        "'channels'",
    ),
    "an unknown architecture": (
        spoiled("training.architectures.maze", {}),
        "'maze'; allowed are",
    ),
    "compositions that are a word": (
        spoiled("blocks.classical.options.compositions", "EC"),
        "blocks.classical.options.compositions: Input should be a valid list (found 'EC')",
    ),
    "a number of conformers that is a word": (
        spoiled("blocks.packed.options.conformers", "many"),
        "blocks.packed.options.conformers: Input should be a valid integer (found 'many')",
    ),
    "a scan of no points": (
        spoiled("blocks.scan.options.points", 0),
        "blocks.scan.options.points: Input should be greater than or equal to 1 (found 0)",
    ),
    "a range that falls": (
        spoiled("blocks.scan.options.density_g_cm3", [1.3, 0.2]),
        "blocks.scan.options.density_g_cm3: allowed are a low and a high end (found [1.3, 0.2])",
    ),
    "boxes of what is no molecule of the block": (
        spoiled("blocks.packed.options.molecules", ["EC"]),
        "blocks.packed.options.molecules: no EMC, of which boxes are made",
    ),
    "frames that cost nothing": (
        spoiled("training.budget", {"core_s": 60, "frame_cost_s": {"mace": [0, 0]}}),
        "training.budget.frame_cost_s.mace: allowed are two numbers from 0 on, not both 0",
    ),
    "frames between two steps": (
        spoiled("dynamics.save_every_fs", 0.7),
        "dynamics.save_every_fs: 0.7; allowed are multiples of the time step, 0.5 fs",
    ),
    "fine-tuned models at no state": (
        spoiled("foundation.fine_tuning.states", ["warm"]),
        "foundation.fine_tuning.states: 'warm'; allowed are hot",
    ),
    "a set of a state mistyped": (
        spoiled("liquid.states.hot.sets", ["clasical"]),
        "liquid.states.hot.sets: set 'clasical'; allowed are classical, classical_more",
    ),
    "a set of the reference mistyped": (
        spoiled("liquid.reference_sets", ["classical+scam"]),
        "liquid.reference_sets: set 'scam'; allowed are classical",
    ),
    "a fine-tuning size that there is not": (
        spoiled("foundation.fine_tuning.sizes", ["classical.21"]),
        "foundation.fine_tuning.sizes: set 'classical.21'; classical has 20 frames",
    ),
    "a fine-tuning set mistyped": (
        spoiled("foundation.fine_tuning.sets", ["dp_iterated_g9"]),
        "foundation.fine_tuning.sets: set 'dp_iterated_g9'; allowed are clas",
    ),
    "a set of the larger box mistyped": (spoiled("larger_box.sets", ["every"]), "set 'every'"),
    "a set of the third architecture mistyped": (
        spoiled("third.sets", ["hot"]),
        "third.sets: set 'hot'",
    ),
    "a set of unseen molecules mistyped": (
        spoiled("unseen.sets", ["hot"]),
        "unseen.sets: set 'hot'",
    ),
    "a longer training of no set": (
        spoiled(
            "longer_training", {"times": 2, "sets": {"x": ["mace"]}, "seed": 1, "state": "hot"}
        ),
        "longer_training.sets: set 'x'",
    ),
    "a test as a training set": (
        spoiled("training.sets", ["classical_test"]),
        "training.sets: set 'classical_test'",
    ),
    "a search on no set": (
        spoiled("training.search", {"set": "clasical", "seed": 1, "candidates": {}}),
        "training.search.set: set 'clasical'",
    ),
    "no such molecule": (
        spoiled("blocks.packed.options.molecules", ["EC", "EMC", "XX"]),
        "'XX': neither",
    ),
    "no such molecule in the liquid": (spoiled("liquid.composition", {"XX": 2}), "'XX': neither"),
    "a liquid of nothing": (spoiled("liquid.composition", {}), "liquid.composition: "),
    "a liquid of less than nothing": (
        spoiled("liquid.composition", {"EC": -1}),
        "liquid.composition.EC",
    ),
    "no such method": (spoiled("reference.method", "HF-3c"), "'HF-3c'"),
    "no such architecture": (
        spoiled("training.architectures", {"perceptron": {}}),
        "architecture 'perceptron'",
    ),
    "no such hyperparameter": (
        spoiled("training.architectures.mace.depth", 3),
        "mace setting 'depth'",
    ),
    "a cutoff below zero": (
        spoiled("training.architectures.mace.r_max", -1),
        "mace setting 'r_max' = -1",
    ),
    "no such set": (spoiled("training.sets", ["classical+nothing"]), "set 'nothing'"),
    "a set twice": (spoiled("training.sets", ["classical+classical"]), "a block is there twice"),
    "a set with a part of a frame": (
        spoiled("training.sets", ["classical.1.5"]),
        "'classical.1.5'",
    ),
    "more frames than there are": (
        spoiled("training.sets", ["classical.999"]),
        "classical has 20 frames",
    ),
    "a short name of a block": (
        spoiled("training.names", {"packed": "classical"}),
        "packed is the name of a block",
    ),
    "validation of everything": (spoiled("training.validate_every", 1), "training.validate_every"),
    "temperature below zero": (
        spoiled("liquid.states.hot.temperature_K", -5),
        "hot.temperature_K: Input should be greater",
    ),
    "temperature is NaN": (
        spoiled("liquid.states.hot.temperature_K", float("nan")),
        "hot.temperature_K: Input should be a finite",
    ),
    "pressure is a word": (
        spoiled("liquid.states.hot.pressure_bar", "high"),
        "hot.pressure_bar: Input should be a valid number",
    ),
    "pressure is infinite": (
        spoiled("liquid.states.hot.pressure_bar", float("inf")),
        "hot.pressure_bar: Input should be a finite",
    ),
    "no replica": (spoiled("liquid.states.hot.replicas", []), "hot.replicas"),
    "a time step too long": (spoiled("dynamics.timestep_fs", 20), "dynamics.timestep_fs"),
    "a pair of no elements": (spoiled("liquid.rdf.pairs", ["O-X"]), "rdf.pairs.0"),
    "one relabelled frame": (
        spoiled("dynamics.relabelled_frames", 1),
        "dynamics.relabelled_frames",
    ),
    "a committee of one": (spoiled("iteration.seeds", [1]), "iteration.seeds"),
    "an unknown third architecture": (
        spoiled("third.architecture", "perceptron"),
        "architecture 'perceptron'",
    ),
    "a third architecture at no state": (
        spoiled("third.state", "boiling"),
        "third.state: 'boiling'",
    ),
    "an iterated block of no architecture": (
        spoiled("iteration.blocks", {"dp_iterated": "gap"}),
        "architecture 'gap'; the profile has",
    ),
    "no such device": (spoiled("compute.device", "abacus"), "compute.device"),
    "no workers": (spoiled("compute.workers", 0), "compute.workers"),
    "extends what is no profile": ("extends: /etc/passwd\nname: own\n", "extends: '/etc/passwd'"),
    "no such published model": (
        spoiled("foundation.models", {"oracle": {"duration_ps": 1}}),
        "pretrained model 'oracle'",
    ),
}


@pytest.mark.parametrize("fault", PROFILES)
def test_profile(refused, tmp_path, fault):
    file = tmp_path / "own.yml"
    content, words = PROFILES[fault]
    file.write_text(content)
    assert words in refused("plan", "--profile", file)


def test_a_profile_that_is_a_folder(refused, tmp_path):
    (tmp_path / "own.yml").mkdir()
    assert "own.yml" in refused("plan", "--profile", tmp_path / "own.yml")


# --- run matrix and parameters ----------------------------------------------------------------

MATRICES = {
    "not a list": ("notebook: 05_score_models", "found {'notebook'"),
    "no notebook": ("- parameters: {}", "found {'parameters'"),
    "a path": ("- notebook: ../../etc/passwd", "'../../etc/passwd'; allowed are 00_"),
    "a number": ("- notebook: 5", "notebook 5; allowed are 00_"),
    "a list of names": ("- [05_score_models]", "found ['05_score_models']"),
    "parameters of a list": ("- {notebook: 05_score_models, parameters: [1]}", "'parameters': [1]"),
    "an unknown key": ("- {notebook: 05_score_models, when: now}", "unknown key 'when'"),
    "code": ("- !!python/name:os.system", "os.system"),
    "binary": ("\x00", "#x0000"),
    "an alias of nothing": ("- *nothing", "undefined alias 'nothing'"),
}


@pytest.mark.parametrize("fault", MATRICES)
def test_run_matrix(refused, tmp_path, monkeypatch, fault):
    file = tmp_path / "runs.yml"
    content, words = MATRICES[fault]
    file.write_text(content)
    matrix = notebooks.matrix
    monkeypatch.setattr(notebooks, "matrix", lambda: matrix(file))
    assert words in refused("run", "--profile", "smoke")


PARAMETERS = {
    "seed": "parameter 'seed'; allowed is NAME=VALUE",
    "=3": "parameter '=3'; allowed is NAME=VALUE",
    "seed=[1": "the value is not YAML",
    "seed=two": "seed = 'two'; allowed is a value of type int",
    "seed=1.5": "seed = 1.5;",
    "seed=true": "seed = True;",
    "seed=": "seed = None;",
    "rdf_tolerance=small": "= 'small'; allowed is a value of type float",
    "rdf_tolerance=[0.1]": "= [0.1];",
    "profile=3": "say it with --profile",
    "training_set={a: 1}": "{'a': 1}; allowed is a value of type str",
    "tolerance=0.1": "no parameter 'tolerance'",
    "__class__=1": "no parameter '__class__'",
}


@pytest.mark.parametrize("text", PARAMETERS)
def test_notebook_parameter(refused, text):
    assert PARAMETERS[text] in refused("run", "05_score_models", "--profile", "smoke", "-p", text)


# --- molecules --------------------------------------------------------------------------------

MOLECULES = {
    "": "composition='': allowed is the form",
    "EC": "composition='EC': allowed is the form",
    "EC:": "composition='EC:': allowed is the form",
    "EC:two": "composition='EC:two': allowed is the form",
    "EC:1.5": "composition='EC:1.5': allowed is the form",
    "EC:0": "composition='EC:0': allowed is the form",
    "EC:-1": "composition='EC:-1': allowed is the form",
    "EC:1 EC:2": "composition='EC:1 EC:2': allowed is the form",
    ":3": "composition=':3': allowed is the form",
    "CCN:1": "'CCN': unsupported element N",
    "C1CC:1": "'C1CC': neither",
    "C(:1": "'C(': neither",
    "[CH3]:1": "a radical",
    "[O-]C:1": "a charged atom",
    "C.C:1": "2 separate fragments",
    "[Na+].[Cl-]:1": "unsupported element Cl, Na",
    "Xx:1": "'Xx': neither",
    "c1cccc:1": "'c1cccc': neither",
}


@pytest.mark.parametrize("composition", MOLECULES)
def test_composition(refused, composition):
    command = ["build", "mine", "--kind", "packed", "--frames", "1", "--profile", "smoke"]
    assert MOLECULES[composition] in refused(*command, "--composition", composition)


# --- model files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.model", None, "no such file"),
        ("none", None, "no such file"),
        ("empty.model", b"", "no archive of torch, or cut off"),
        ("text.model", b"weights: none\n", "no archive of torch, or cut off"),
        ("random.pth", bytes(range(256)) * 40, "no archive of torch, or cut off"),
        ("random.pt", bytes(range(256)) * 40, "no archive of torch, or cut off"),
        ("random.tar", bytes(range(256)) * 40, "no archive of torch, or cut off"),
        ("random.foundation", bytes(range(256)) * 40, "no archive of torch, or cut off"),
        ("cut.pth", "cut", "no archive of torch, or cut off"),
        ("flipped.model", "flipped", "altered since it was written (in weights.npy)"),
        ("random.xml", bytes(range(256)) * 40, "no XML, or cut off"),
        ("cut.xml", b"<GAP><gpSparse>", "no XML, or cut off"),
        ("other.xml", b"<svg/>", "no model of gap_fit"),
        ("model.onnx", b"onnx", "unknown kind of model file; allowed are .tar (chgnet), .pth"),
        ("model", b"no suffix", "unknown kind of model file; allowed are .tar (chgnet), .pth"),
    ],
)
def test_model_file(refused, tmp_path, name, content, words):
    file = tmp_path / name
    if isinstance(content, str):
        archive = io.BytesIO()
        np.savez(archive, weights=np.arange(1000.0))  # an archive, as torch's files are
        whole = bytearray(archive.getvalue())
        whole[len(whole) // 2] ^= 1
        content = bytes(whole[:-100] if content == "cut" else whole)
    if content is not None:
        file.write_bytes(content)
    said = refused("score", file, "--trust", "--profile", "smoke")
    assert name in said and words in said


@pytest.mark.parametrize(
    ("architecture", "name"), [("mace", "dict.model"), ("deep_potential", "dict.pth")]
)
def test_an_archive_of_torch_that_is_no_model(tmp_path, architecture, name):
    """Found before anything is computed with it."""
    import torch

    file, out = tmp_path / name, tmp_path / "out"
    torch.save({"weights": torch.ones(3)}, file)
    out.mkdir()
    params = {"file": str(file), "sha256": paths.sha256(file)}
    params |= {"architecture": architecture, "precision": "float32", "device": "cpu"}
    with pytest.raises(ValueError, match=rf"^{name}: holds no model of "):
        steps.KINDS["given"].function(params, {}, out, tmp_path)


def test_a_model_that_is_a_folder(refused, tmp_path):
    (tmp_path / "mine.model").mkdir()
    assert "mine.model: a folder" in refused("score", tmp_path / "mine.model", "--trust")


def test_a_model_of_no_known_name(refused):
    for name in ("mace-packed-s9", "mace-classical.30-s1"):
        assert f"model {name!r}; allowed are a model file, or" in refused("score", name, "--trust")


# --- command lines ----------------------------------------------------------------------------

COMMANDS = {
    "": "required: COMMAND",
    "fly": "invalid choice: 'fly'",
    "plan --fast": "unrecognized arguments: --fast",
    "plan --profile": "--profile: expected one argument",
    "plan --profile nowhere.yml": "profile 'nowhere.yml'; allowed",
    "plan --profile ../smoke": "profile '../smoke'; allowed",
    "plan --profile /etc/passwd": "profile '/etc/passwd'; allowed",
    "study --profile lapdog": "profile 'lapdog'; allowed",
    "run --profile lapdog": "profile 'lapdog'; allowed",
    "check --profile lapdog": "profile 'lapdog'; allowed",
    "study --only dreams": "invalid choice: 'dreams'",
    "study --workers none": "invalid int value: 'none'",
    "study --workers 0 --dry-run --profile smoke": "workers 0; allowed",
    "study --engine nowhere.py --dry-run --profile smoke": "engine 'nowhere.py'; allowed",
    "study --engine ../local --dry-run --profile smoke": "engine '../local'; allowed",
    "run 99_fly --profile smoke": "notebook '99_fly'; allowed",
    "run 00_start_here 01_build_liquids 00_start_here --profile smoke": "is there twice",
    "render 00_start_here 01_build_liquids 00_start_here": "is there twice",
    "run ../05_score_models --profile smoke": "notebook '../05_score_models'; allowed",
    "render 99_fly": "notebook '99_fly'; allowed",
    "render ../README": "notebook '../README'; allowed",
    "build mine": "required: --composition",
    "build mine --composition EC --profile smoke": "'EC:2 EMC:4'",
    "build mine --composition EC:1 --density -1 --profile smoke": "density_g_cm3 -1",
    "build mine --composition EC:1 --temperature 0 --profile smoke": "temperature_K 0",
    "build mine --composition EC:1 --frames some": "--frames: invalid int value",
    "build mine --composition EC:1 --frames 0 --profile smoke": "frames 0; allowed",
    "build mine --composition EC:1 --density 1 2 3 --profile smoke": "[1.0, 2.0, 3.0]; allowed",
    "build mine --composition EC:1 --density 2 1 --profile smoke": "density_g_cm3 2 to 1; allowed",
    "build mine --composition EC:1 --density nan --profile smoke": "density_g_cm3 nan",
    "build mine --composition EC:1 --temperature inf --profile smoke": "temperature_K inf",
    "build mine --composition EC:1 --kind frozen": "invalid choice: 'frozen'",
    "build ../mine --composition EC:1 --profile smoke": "'../mine",
    "build a/b --composition EC:1 --profile smoke": "'a/b",
    "build mine --composition EC:1 --seed -1 --profile smoke": "seed: Input should be greater",
    "new a --composition EC:1 --temperature 300 --pressure nan --density 1": "pressure_bar: Input",
    "new a --composition COCCOC --temperature 300 --density 1": "'EC:2 EMC:4'",
    "new a --composition EC:2 --temperature 300 --density 0": "density_g_cm3 0",
    "new a --composition EC:2 --temperature 300 --density 1 --architecture maze": "'maze'; allowed",
    "new a --composition EC:2 --temperature 300 --density 1 --data README.md": "README.md",
    "new a --composition EC:2 --temperature 300 --density 1 --data nowhere.xyz": "no such file",
    "improve mine --add scan": "liquid 'mine'; allowed are none yet",
    "new a --composition EC:1 --temperature inf --density 1": "temperature_K inf; allowed",
    "new a --composition EC:1 --temperature 1e6 --density 1": "temperature_K 1e+06; allowed",
    "new a --composition EC:1 --temperature 300 --density 1 --pressure 1e9": "pressure_bar",
    "build a --composition EC:1 --density 50": "density_g_cm3 50 to 50; allowed",
    "new a --composition EC:1 --temperature 300 --density inf": "density_g_cm3 inf",
    "inspect": "required: file",
    "inspect nowhere.extxyz --key energy": "key 'energy'; allowed is LABEL=NAME",
    "score nowhere --profile smoke": "model 'nowhere'; allowed",
    "score mace_off23": "mace_off23: weights not found",
    "score README.md --trust": "README.md: unknown kind of model file",
    "score README.md": "can run any code",
    "score x --pressure 1": "--pressure: needs --temperature too",
    "score mace-classical-s1 --temperature -1 --profile smoke": "--temperature -1; allowed",
    "score so3lr --temperature 300 --pressure nan": "pressure_bar: Input should be a finite number",
    "score mace-classical-s1 --temperature hot": "--temperature: invalid float value",
    "score mace-classical-s1 --composition EC --profile smoke": "composition='EC': allowed",
    "step": "required: file",
    "step nowhere.json": "No such file or directory: 'nowhere.json'",
    "step README.md": "README.md: not written by the engine",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_command_line(refused, line, monkeypatch):
    monkeypatch.chdir(paths.root())
    assert COMMANDS[line] in refused(*line.split())
    if line.startswith("new"):
        assert not paths.runs().exists()


@pytest.mark.parametrize("order", ["[]", "{}", '{"step": []}', '{"step": [{}], "root": 1}', "1"])
def test_order_of_a_step(refused, tmp_path, order):
    file = tmp_path / "step.json"
    file.write_text(order)
    assert "step.json: not written by the engine" in refused("step", file)


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


@pytest.fixture(scope="module", params=["whole", "packed"])
def trajectory_bytes(tmp_path_factory, request) -> bytes:
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
    if request.param == "packed":
        pack_trajectory(file, file)
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
