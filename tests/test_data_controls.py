import io

import matplotlib.pyplot as plt
import pytest
from crosstrain.data import controls
from ipywidgets import Dropdown, FloatSlider, Image
from PIL import Image as Picture


def drawn(width, colour):
    fig, ax = plt.subplots(figsize=(width, 2), facecolor=colour)
    ax.set_axis_off()
    return fig


def test_the_figure_follows_its_controls():
    width = FloatSlider(2, min=1, max=4)
    colour = Dropdown(options=["red", "blue"], description="paint")
    *above, picture = controls.follow(drawn, width=width, colour=colour).children
    assert above == [width, colour]
    assert [control.description for control in above] == ["width", "paint"]
    assert isinstance(picture, Image)

    def seen():
        image = Picture.open(io.BytesIO(picture.value)).convert("RGB")
        return image.width / image.height, image.getpixel((1, 1))

    assert seen() == (pytest.approx(1, abs=0.02), (255, 0, 0))
    colour.value = "blue"
    assert seen() == (pytest.approx(1, abs=0.02), (0, 0, 255))
    width.value = 4
    assert seen() == (pytest.approx(2, abs=0.02), (0, 0, 255))
    assert not plt.get_fignums()
