import matplotlib
import numpy as np
import pytest
from ase import Atoms
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
    assert len(patches(ax, Polygon)) == 4
    assert len(ax.lines) == 12  # edges of the cell


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


def test_colour_by_molecule_gives_one_colour_each(water_across_the_boundary):
    two = water_across_the_boundary
    assert len(np.unique(views._colours(two, "molecule"), axis=0)) == 1
    assert len(np.unique(views._colours(two, "element"), axis=0)) == 2
    with pytest.raises(ValueError, match=r"colour_by is 'charge'.*'element' and 'molecule'"):
        views.picture(two, axes(), colour_by="charge")


def test_view_returns_a_widget_of_all_frames(water_across_the_boundary):
    pytest.importorskip("nglview")
    widget = views.view([water_across_the_boundary] * 3)
    assert widget.max_frame == 2
    assert views.view(water_across_the_boundary).max_frame == 0
