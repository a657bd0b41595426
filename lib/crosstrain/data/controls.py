"""Figures that follow sliders and menus in a live notebook."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
from ipywidgets import Image, ValueWidget, VBox
from matplotlib.figure import Figure


def follow(draw: Callable[..., Figure], **controls: ValueWidget) -> VBox:
    """Return controls with a figure below that is drawn again whenever one of them is moved.

    The figure is the value of a picture widget. An output widget, as `ipywidgets.interact` has it,
    would make the program that executes a notebook answer on the channel on which it awaits the end
    of the cell. Now and then it misses that end, and waits for ever.

    Parameters
    ----------
    draw : callable
        Returns a new figure for the values of the controls, given by their names.
    **controls : ValueWidget
        One without a description is shown with its name.
    """
    picture = Image(format="png", layout={"max_width": "100%"})

    def redraw(_: Any = None) -> None:
        figure = draw(**{name: control.value for name, control in controls.items()})
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        plt.close(figure)
        picture.value = drawn.getvalue()

    for name, control in controls.items():
        control.description = control.description or name
        control.observe(redraw, "value")
    redraw()
    return VBox([*controls.values(), picture])
