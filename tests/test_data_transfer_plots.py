import matplotlib
import numpy as np
import pytest
from crosstrain.data import transfer_plots
from crosstrain.measure.transfer import NotComparable, Run, State, contrast
from matplotlib.figure import Figure

matplotlib.use("agg")
LABELS = {"deep_potential": "Deep Potential", "mace": "MACE"}
ROWS = ["packed", "classical", "classical+scan"]


@pytest.fixture
def ax():
    return Figure().add_subplot()


def done(*values):
    return [Run(State.DONE, value) for value in values]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def effect(value):
    return contrast([(1.0, [value - 0.1, value + 0.1])])


def test_cells_without_a_value_look_different_from_each_other(ax):
    cells = {
        ("packed", "deep_potential"): done(0.4, 0.6),
        ("packed", "mace"): [*done(0.8), Run(State.UNSTABLE, 0.2)],
        ("classical", "deep_potential"): [Run(State.UNSTABLE)] * 2,
        ("classical", "mace"): [Run(State.FAILED), Run(State.NOT_RUN)],
        ("classical+scan", "deep_potential"): done(0.0),
    }
    transfer_plots.heat_map(ax, cells, ROWS, LABELS, form=".2f", better="higher")
    assert texts(ax) == [
        "0.50 ± 0.10",
        "0.50 ± 0.30\n1 unstable",
        "unstable",
        "failed",
        "0.00\n1 seed",
        "not run",
    ]
    looks = [(box.get_facecolor(), box.get_hatch()) for box in ax.patches]
    assert looks[0] != looks[1] and looks[1][1] == looks[2][1]
    assert len(set(looks[2:4] + looks[5:])) == 3
    values = ax.images[0].get_array()
    assert values.mask.tolist() == [[False, False], [True, True], [False, True]]
    assert ax.images[0].get_clim() == (0, 1)


def test_a_matrix_without_any_value_can_be_drawn(ax):
    transfer_plots.heat_map(ax, {}, ROWS, LABELS, form=".2f", better="lower")
    assert texts(ax) == ["not run"] * 6
    ax.figure.canvas.draw()


def test_errors_of_several_states_share_one_scale_of_ratios():
    hot, cold = {("a", "mace"): done(20.0, 22.0)}, {("a", "mace"): done(200.0), ("b", "mace"): []}
    scale = transfer_plots.colour_scale([hot, cold], "lower")
    assert (scale.vmin, scale.vmax) == (20.0, 200.0)  # a decade at least: 21 would not be enough
    assert scale(np.sqrt(20.0 * 200.0)) == pytest.approx(0.5)
    figure = Figure()
    axes = figure.subplots(1, 2)
    options = {"form": ".1f", "better": "lower", "scale": scale}
    images = [
        transfer_plots.heat_map(ax, cells, ["a", "b"], {"mace": "MACE"}, **options)
        for ax, cells in zip(axes, (hot, cold), strict=True)
    ]
    assert {image.get_clim() for image in images} == {(20.0, 200.0)}
    transfer_plots.colour_bar(images[0], list(axes), "error / meV")
    assert figure.axes[-1].get_ylabel() == "error / meV"
    figure.canvas.draw()


@pytest.mark.parametrize(
    ("values", "better", "limits"),
    [
        ((0.4, 0.6), "higher", (0, 1)),
        ((0.8, 1.2), None, (0, 1.2)),
        ((15.0, 22.0), "lower", (2.2, 22)),
        ((0.002, 0.12), "lower", (0.004, 0.12)),  # one that is next to nothing
        ((0.0, 5.0), "lower", (0, 5)),  # zero has no logarithm
        ((), "lower", (0.1, 1)),
    ],
)
def test_limits_of_the_colours(values, better, limits):
    cells = {(f"{value}", "mace"): done(value) for value in values}
    scale = transfer_plots.colour_scale([cells], better)
    assert (scale.vmin, scale.vmax) == pytest.approx(limits)


def test_effects_or_why_there_are_none(ax):
    found = {
        ("a", "x"): effect(1.0),
        ("a", "y"): NotComparable("...", "not run"),
        ("b", "x"): NotComparable("...", "too few seeds"),
        ("b", "y"): effect(-1.0),
    }
    colours = {"x": "k", "y": "r"}
    transfer_plots.effects(ax, found, ["a", "b"], colours, plain={("b", "x"): 0.3})
    assert texts(ax) == ["not run"]
    assert len(ax.containers) == 2
    (hollow,) = [line for line in ax.lines if line.get_fillstyle() == "none"]
    assert hollow.get_xdata() == [0.3]
    assert ax.get_ylim() == (1.5, -0.5)  # the first row is on top


def test_overlap_writes_every_number(ax):
    transfer_plots.overlap(ax, ["a", "b"], [[1.0, 0.25], [0.5, 1.0]])
    assert texts(ax) == ["1.00", "0.25", "0.50", "1.00"]


def test_novelty_has_a_marker_for_each_row(ax):
    differences = {("a+b", "mace"): 1.0, ("c", "mace"): 2.0, ("c", "deep_potential"): -1.0}
    transfer_plots.novelty_against_gain(ax, {"a+b": 0.1, "c": 0.2}, {}, differences, LABELS)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["a + b", "c", "Deep Potential", "MACE"]
    drawn = [line for line in ax.lines if len(line.get_xdata()) == 1]
    assert sorted(float(line.get_xdata()[0]) for line in drawn) == pytest.approx(
        [0.1, 0.2, 0.2], abs=0.002
    )


def test_without_a_gain_nothing_is_drawn_behind_the_reason(ax):
    transfer_plots.novelty_against_gain(ax, {"a+b": 0.1}, {}, {}, LABELS)
    assert texts(ax) == ["not run"]
    assert all(len(line.get_xdata()) == 0 for line in ax.lines)  # of the legend


def test_size_scan_leaves_out_what_was_not_run(ax):
    cells = {("c.5", "mace"): done(3.0, 5.0), ("c", "mace"): done(2.0)}
    transfer_plots.size_scan(ax, cells, {"c.5": 5, "c.10": 10, "c": 20}, LABELS)
    (curve,) = ax.containers
    np.testing.assert_allclose(curve.lines[0].get_xydata(), [[5, 4], [20, 2]])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "10", "20"]
    assert ax.get_xlim() == pytest.approx((5 / 1.2, 24))
