"""Figures: the same content is the same file, and its origin is on record."""

import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from crosstrain.data import figures
from matplotlib.figure import Figure

ORIGIN = {"notebook": "01_test_things", "parameters": {"profile": "smoke"}, "inputs": {"a": "0f"}}


def draw():
    figures.use_style()
    figure, axes = plt.subplots(figsize=(3, 2))
    axes.plot(np.linspace(0, 1, 20), np.linspace(0, 1, 20) ** 2, "o-", label="µ / Å³")
    axes.legend()
    plt.close(figure)
    return figure


def test_same_figure_same_bytes(tmp_path):
    first = figures.save(draw(), "curve", **ORIGIN, folder=tmp_path / "a")
    second = figures.save(draw(), "curve", **ORIGIN, folder=tmp_path / "b")
    assert [p.name for p in first] == ["01_test_things__curve.png", "01_test_things__curve.pdf"]
    for one, other in zip(first, second, strict=True):
        assert one.stat().st_size > 1000
        assert one.read_bytes() == other.read_bytes()


def test_same_bytes_in_another_process(tmp_path):
    """Neither the time nor the random hash of a process may show."""
    here = figures.save(draw(), "curve", **ORIGIN, folder=tmp_path / "a")
    code = (
        "import pathlib, runpy, sys; me = runpy.run_path(sys.argv[1]); folder = sys.argv[2];"
        "me['figures'].save(me['draw'](), 'curve', **me['ORIGIN'], folder=pathlib.Path(folder))"
    )
    subprocess.run([sys.executable, "-c", code, __file__, str(tmp_path / "b")], check=True)
    for file in here:
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_a_set_has_the_marker_and_colour_of_what_was_added():
    assert figures.set_marker("scan") == figures.set_marker("classical+scan") == "^"
    assert figures.set_marker("classical.50") == figures.SET_MARKERS["classical"]
    others = {*figures.SET_MARKERS.values(), figures.set_marker("everything")}
    assert len(others) == len(figures.SET_MARKERS) + 1
    several = ["classical+scan+molecules", "classical+classical_more.100"]
    assert len(others | {figures.set_marker(name) for name in several}) == len(others) + 2


def test_manifest_grows_and_is_replaced(tmp_path):
    figures.save(draw(), "b", **ORIGIN, folder=tmp_path)
    figures.save(draw(), "a", **ORIGIN, folder=tmp_path)
    assert list(figures.read_manifest(tmp_path)) == ["01_test_things__a", "01_test_things__b"]
    assert figures.read_manifest(tmp_path)["01_test_things__a"] == ORIGIN
    figures.save(draw(), "a", **ORIGIN | {"inputs": {"a": "1e"}}, folder=tmp_path)
    assert figures.read_manifest(tmp_path)["01_test_things__a"]["inputs"] == {"a": "1e"}
    assert figures.read_manifest(tmp_path)["01_test_things__b"] == ORIGIN


def test_figures_of_a_new_run_take_the_place_of_those_before(tmp_path):
    made, folder = tmp_path / "made", tmp_path / "all"
    origin = {"parameters": {}, "inputs": {}}
    for notebook, name in (("01_a", "old"), ("01_a", "kept"), ("02_b", "old")):
        figures.save(draw(), name, notebook=notebook, **origin, folder=folder)
    figures.save(Figure(), "kept", notebook="01_a", **origin, folder=made)
    figures.take_over(made, folder, "01_a")
    assert set(figures.read_manifest(folder)) == {"01_a__kept", "02_b__old"}
    assert sorted(path.stem for path in folder.glob("*.pdf")) == ["01_a__kept", "02_b__old"]
    for suffix in figures.SUFFIXES:
        name = f"01_a__kept.{suffix}"
        assert (folder / name).read_bytes() == (made / name).read_bytes()
    figures.take_over(tmp_path / "nothing", folder, "02_b")
    assert set(figures.read_manifest(folder)) == {"01_a__kept"}
    figures.take_over(tmp_path / "nothing", tmp_path / "none", "02_b")
    assert not (tmp_path / "none").exists()


def test_no_manifest_and_a_damaged_one(tmp_path):
    assert figures.read_manifest(tmp_path) == {}
    (tmp_path / figures.MANIFEST).write_text('{"a": ')
    with pytest.raises(ValueError, match=r"manifest.json is damaged; delete it and render again"):
        figures.read_manifest(tmp_path)


def test_default_folder_comes_from_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTRAIN_FIGURES", str(tmp_path / "chosen"))
    png, _ = figures.save(draw(), "curve", **ORIGIN)
    assert png.parent == tmp_path / "chosen"


@pytest.mark.parametrize("name", ["x/../../../escaped", "x/../../../../escaped"])
def test_name_that_leaves_the_folder(tmp_path, name):
    folder = tmp_path / "deep" / "figures"
    with pytest.raises(ValueError, match=r"escaped.png' leads out of figures/; give a plain name"):
        figures.save(draw(), name, **ORIGIN, folder=folder)
    assert not list(tmp_path.rglob("*escaped*"))
    assert not (folder / figures.MANIFEST).exists()


def test_no_two_things_share_a_colour():
    colours = [*figures.ARCHITECTURE_COLOURS.values(), *figures.SET_COLOURS.values()]
    rest = {figures.JOINED_COLOUR, figures.PART_COLOUR}
    assert len({*colours, *rest}) == len(colours) + 2
    known = {"deep_potential", "mace", "gap", "so3lr", "chgnet", "mace_foundation"}
    assert known <= set(figures.ARCHITECTURE_COLOURS)


def test_colours_are_stable_and_apart():
    assert figures.colour("mace") != figures.colour("deep_potential")
    assert figures.colour("mace") == figures.ARCHITECTURE_COLOURS["mace"]
    new = figures.colour("some_new_architecture")
    assert new == figures.colour("some_new_architecture")
    assert new in set(figures.PALETTE) - set(figures.ARCHITECTURE_COLOURS.values())


def test_training_sets_that_differ_by_one_block_have_its_colour():
    sets = ["classical", "classical+scan", "classical.50+scan", "classical+scan+molecules", "mine"]
    named, one, part, joined, unknown = map(figures.set_colour, sets)
    assert named == figures.SET_COLOURS["classical"]
    assert one == part == figures.SET_COLOURS["scan"]
    assert joined == figures.JOINED_COLOUR
    assert figures.set_colour("classical+classical_more.100") == figures.PART_COLOUR
    assert unknown == figures.REFERENCE_COLOUR
