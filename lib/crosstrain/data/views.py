"""Structures to look at: an interactive widget, and a still picture for where there is none."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import find_mic
from ase.io import write
from ase.utils import rotate
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon
from numpy.typing import NDArray

from crosstrain.build.boxes import whole
from crosstrain.data.figures import PALETTE

if TYPE_CHECKING:
    from nglview import NGLWidget

ELEMENT_COLOURS = {"H": "#F2F2F2", "C": "#4D4D4D", "O": "#D62728"}
MARK_COLOUR = PALETTE[3]
ATOM_SCALE = 0.45  # part of the covalent radius
BOND_HALF_WIDTH_A = 0.11
MOST_FADED = 0.65  # how far the farthest atom is mixed with white
FADING_DEPTH_A = 8.0  # a flat molecule does not fade
STRUCTURE = "chemical/x-pdb"  # media type of the atoms themselves in a notebook's output

Points = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A structure that can be turned: a widget, and what stands for it where there is no kernel.

    Attributes
    ----------
    widget
        For JupyterLab.
    frames
        The frames that it shows, molecules whole.
    """

    widget: NGLWidget
    frames: Sequence[Atoms]

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        """The widget, a still picture of the first frame, and the atoms for other viewers."""
        atoms = io.StringIO()
        write(atoms, self.frames, format="proteindatabank", write_arrays=False)
        return self.widget._repr_mimebundle_() | {
            "text/plain": f"{len(self.frames[0])} atoms, {len(self.frames)} frame(s)",
            "image/png": base64.b64encode(_still(self.frames[0])).decode(),
            STRUCTURE: atoms.getvalue(),
        }


def view(frames: Atoms | Sequence[Atoms]) -> View:
    """Return a view of a frame or of a trajectory, to be displayed by a notebook.

    Parameters
    ----------
    frames : Atoms or sequence of Atoms
        Frames with ``info["bonds"]``, of the same atoms.
    """
    import nglview

    single = isinstance(frames, Atoms)
    shown = [in_cell(frame) for frame in ([frames] if single else frames)]
    widget = nglview.show_ase(shown[0]) if single else nglview.show_asetraj(shown)
    widget.clear_representations()
    widget.add_ball_and_stick()
    widget.add_unitcell()
    return View(widget, shown)


def _still(atoms: Atoms) -> bytes:
    """A small PNG of a frame."""
    figure = Figure(figsize=(4, 4), layout="constrained")
    picture(atoms, figure.add_subplot())
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100, metadata={"Software": None})
    return content.getvalue()


def picture(
    atoms: Atoms,
    ax: Axes,
    *,
    colour_by: Literal["element", "molecule"] = "element",
    marked: Iterable[tuple[int, int]] = (),
    rotation: str = "-25y,15x",
    half_width_A: float | None = None,
) -> None:
    """Draw a frame as balls and sticks; what is farther away is paler.

    Parameters
    ----------
    atoms : Atoms
        Frame with ``info["bonds"]`` and ``arrays["molecule"]``, periodic or not.
    ax : Axes
        Its axes are switched off and get equal scales.
    colour_by : str
        ``element`` or ``molecule``.
    marked : iterable of pairs of int
        Pairs of atoms to join by a dashed line and to ring, such as a bond that broke.
    rotation : str
        Turn of the frame, as in `ase.visualize.plot`.
    half_width_A : float, optional
        Half the width of the view, to show several frames at one scale; default: all of it.

    Raises
    ------
    ValueError
        If `colour_by` is something else.
    """
    colours = _colours(atoms, colour_by)
    shown = in_cell(atoms)
    turn = rotate(rotation)
    points = shown.positions @ turn
    depth = points[:, 2]
    pale = MOST_FADED * (depth.max() - depth) / max(np.ptp(depth), FADING_DEPTH_A)
    colours = colours + pale[:, None] * (1.0 - colours)
    marked = [tuple(sorted(map(int, pair))) for pair in marked]
    _draw_cell(shown, turn, depth.min() - 1, ax)
    for i, j in np.sort(np.asarray(shown.info["bonds"], dtype=int).reshape(-1, 2), axis=1):
        if (i, j) not in marked:
            _draw_bond(points[i], points[j], colours[i], colours[j], ax)
    for point, number, colour in zip(points, shown.numbers, colours, strict=True):
        radius = ATOM_SCALE * covalent_radii[number]
        edge = dict(edgecolor=0.55 * colour, linewidth=0.5)
        ax.add_patch(Circle(point[:2], radius, facecolor=colour, zorder=point[2], **edge))
    for pair in marked:
        _mark(shown, pair, turn, depth.max() + 1, ax)
    ax.set(aspect="equal", anchor="N")  # titles of frames side by side at one height
    ax.autoscale_view()
    if half_width_A is not None:
        x, y = (points.max(axis=0) + points.min(axis=0))[:2] / 2
        ax.set(xlim=(x - half_width_A, x + half_width_A))
        ax.set(ylim=(y - half_width_A, y + half_width_A))
    ax.axis("off")


def in_cell(atoms: Atoms) -> Atoms:
    """Return a copy with whole molecules, their centres in the cell if there is one."""
    shown = whole(atoms)
    if not shown.pbc.any():
        return shown
    for molecule in np.unique(shown.arrays["molecule"]):
        members = shown.arrays["molecule"] == molecule
        centre = shown.positions[members].mean(axis=0)
        shift = np.floor(shown.cell.scaled_positions(centre)) * shown.pbc
        shown.positions[members] -= shift @ shown.cell.array
    return shown


def _colours(atoms: Atoms, colour_by: str) -> Points:
    """Red, green and blue of every atom, shape (n_atoms, 3)."""
    if colour_by == "element":
        names = [ELEMENT_COLOURS.get(symbol, PALETTE[4]) for symbol in atoms.symbols]
    elif colour_by == "molecule":
        names = [PALETTE[k % len(PALETTE)] for k in atoms.arrays["molecule"]]
    else:
        raise ValueError(f"colour_by is {colour_by!r}, allowed are 'element' and 'molecule'")
    return np.array([to_rgb(name) for name in names])


def _draw_cell(atoms: Atoms, turn: Points, behind: float, ax: Axes) -> None:
    """The edges of the cell, behind all atoms, so that none is ever struck through."""
    if not atoms.pbc.any():
        return
    corners = np.array(list(np.ndindex(2, 2, 2)))
    places = corners @ atoms.cell.array @ turn
    for a in range(8):
        for b in range(a + 1, 8):
            if abs(corners[a] - corners[b]).sum() == 1:
                ax.plot(*places[[a, b]].T[:2], color="0.75", linewidth=0.8, zorder=behind)


def _draw_bond(start: Points, end: Points, first: Points, second: Points, ax: Axes) -> None:
    """Two halves, each in the colour of its atom, just behind the farther atom."""
    along = end[:2] - start[:2]
    across = BOND_HALF_WIDTH_A * np.array([-along[1], along[0]]) / max(np.hypot(*along), 1e-9)
    middle = 0.5 * (start[:2] + end[:2])
    behind = min(start[2], end[2]) - 1e-3
    for origin, colour in ((start[:2], first), (end[:2], second)):
        corners = [origin + across, origin - across, middle - across, middle + across]
        # no edge: a style may draw it white, and every bond would look dashed
        ax.add_patch(Polygon(corners, facecolor=0.85 * colour, linewidth=0, zorder=behind))


def _mark(atoms: Atoms, pair: tuple[int, int], turn: Points, on_top: float, ax: Axes) -> None:
    i, j = pair
    step = atoms.positions[j] - atoms.positions[i]
    if atoms.pbc.any():
        step = find_mic(step, atoms.cell, atoms.pbc)[0]
    ends = np.array([atoms.positions[i], atoms.positions[i] + step]) @ turn
    ax.plot(*ends.T[:2], "--", color=MARK_COLOUR, linewidth=2, zorder=on_top)
    for atom in pair:
        centre = (atoms.positions[atom] @ turn)[:2]
        radius = ATOM_SCALE * covalent_radii[atoms.numbers[atom]] + 0.25
        ring = Circle(centre, radius, fill=False, edgecolor=MARK_COLOUR, linewidth=2)
        ring.set_zorder(on_top)
        ax.add_patch(ring)
