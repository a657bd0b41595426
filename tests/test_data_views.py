import base64
from io import StringIO

import matplotlib
import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from crosstrain.data import views
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

matplotlib.use("agg")


@pytest.fixture
def water_across_the_boundary() -> Atoms:
    atoms = Atoms("OH2", [[4.9, 2, 2], [5.8 - 5, 2, 2], [4.6, 2.9, 2]], cell=[5, 5, 5], pbc=True)
    atoms.arrays["molecule"] = np.zeros(3, dtype=int)
    atoms.info["bonds"] = np.array([[0, 1], [0, 2]])
    return atoms


def axes():
    return Figure().add_subplot()


def patches(ax, kind):
    return [patch for patch in ax.patches if isinstance(patch, kind)]


def test_molecules_are_whole_and_centred_in_the_cell(water_across_the_boundary):
    shown = views.in_cell(water_across_the_boundary)
    assert shown.get_distance(0, 1) == pytest.approx(0.9)
    centre = shown.positions.mean(axis=0)
    assert ((centre >= 0) & (centre < 5)).all()


def test_picture_draws_every_atom_and_two_halves_of_every_bond(water_across_the_boundary):
    ax = axes()
    views.picture(water_across_the_boundary, ax)
    assert len(patches(ax, Circle)) == 3
    assert len(bonds := patches(ax, Polygon)) == 4
    assert {bond.get_linewidth() for bond in bonds} == {0}  # a white edge would look like a gap
    assert len(ax.lines) == 12  # edges of the cell, behind everything
    assert max(line.zorder for line in ax.lines) < min(patch.zorder for patch in ax.patches)


def test_marked_bond_is_dashed_instead_of_drawn(water_across_the_boundary):
    ax = axes()
    views.picture(water_across_the_boundary, ax, marked=[(1, 0)])
    assert len(patches(ax, Polygon)) == 2
    assert len(patches(ax, Circle)) == 5  # with a ring around each end
    assert [line.get_linestyle() for line in ax.lines].count("--") == 1


def test_far_atoms_are_paler():
    pair = Atoms("CC", [[0, 0, 0], [3, 0, 5]])
    pair.arrays["molecule"], pair.info["bonds"] = np.array([0, 1]), np.zeros((0, 2), dtype=int)
    ax = axes()
    views.picture(pair, ax, rotation="0x")
    far, near = (patch.get_facecolor()[0] for patch in patches(ax, Circle))
    assert far > near
    assert not ax.lines
    pair.positions[1, 2] = 0.1  # all but flat: no difference to be seen
    views.picture(pair, ax := axes(), rotation="0x", half_width_A=4)
    far, near = (patch.get_facecolor()[0] for patch in patches(ax, Circle))
    assert far == pytest.approx(near, abs=0.02)
    assert ax.get_xlim() == (-2.5, 5.5)


def test_colour_by_molecule_gives_one_colour_each(water_across_the_boundary):
    two = water_across_the_boundary
    assert len(np.unique(views._colours(two, "molecule"), axis=0)) == 1
    assert len(np.unique(views._colours(two, "element"), axis=0)) == 2
    with pytest.raises(ValueError, match=r"colour_by is 'charge'.*'element' and 'molecule'"):
        views.picture(two, axes(), colour_by="charge")


def test_a_view_shows_all_frames_in_the_widget_and_without_it(water_across_the_boundary):
    view = views.view([water_across_the_boundary] * 3)
    assert view.widget.max_frame == 2
    bundle = view._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    frames = read(StringIO(bundle[views.STRUCTURE]), format="proteindatabank", index=":")
    assert len(frames) == 3
    assert frames[0].symbols.get_chemical_formula() == "H2O"
    assert frames[0].get_distance(0, 1) == pytest.approx(0.9, abs=2e-3)  # whole
    assert frames[0].cell.lengths() == pytest.approx([5, 5, 5])


def test_a_view_of_one_frame_is_the_same_every_time(water_across_the_boundary):
    first, second = (views.view(water_across_the_boundary) for _ in range(2))
    assert first.widget.max_frame == 0
    one, other = first._repr_mimebundle_(), second._repr_mimebundle_()
    assert all(one[kind] == other[kind] for kind in (views.STRUCTURE, "image/png", "text/plain"))
