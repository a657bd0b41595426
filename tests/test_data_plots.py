import matplotlib
import numpy as np
import pytest
from crosstrain.data import figures, plots
from crosstrain.measure.score import liquid_score
from crosstrain.measure.statistics import Estimate, kaplan_meier
from crosstrain.measure.transfer import State
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

matplotlib.use("agg")


@pytest.fixture
def ax():
    return Figure().add_subplot()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_study_map_names_every_box(ax):
    plots.study_map(ax)
    assert {box[2] for box in plots.MAP_BOXES} <= set(texts(ax))


def test_parity_tells_how_many_points_are_out_of_view(ax):
    plots.parity(ax, [0.0, 1.0, 2.0], [0.0, 1.0, 200.0], colour="k")
    assert texts(ax) == ["1 of 3 outside"]
    assert ax.get_ylim()[1] < 10


def test_parity_of_agreeing_values_hides_nothing(ax):
    plots.parity(ax, [0.0, 1.0], [0.1, 0.9], colour="k")
    assert texts(ax) == []


def test_parity_of_few_values_keeps_those_that_are_a_little_outside(ax):
    plots.parity(ax, [0.0, 1.0], [-0.6, 1.0], colour="k")
    assert texts(ax) == []
    assert ax.get_ylim()[0] < -0.6


def test_the_band_of_a_survival_curve_reaches_the_last_death(ax):
    curve = kaplan_meier([1.0, 2.0, 4.0], [True] * 3)
    plots.survival(ax, curve, until_ps=5.0, label="a", colour="k")
    (band,) = ax.collections
    x, y = band.get_paths()[0].vertices.T
    assert x.max() == 4.0
    assert np.ptp(y[x > 3.0]) > 0.1


def test_parity_of_as_many_values_as_a_test_set_has_frames_is_readable(ax):
    plots.parity(ax, np.arange(150.0), np.arange(150.0), colour="k")
    (dots,) = (c for c in ax.collections if isinstance(c, PathCollection))
    assert dots.get_sizes() == [28]


def test_each_axis_keeps_its_range_beside_the_line_of_equality(ax):
    ax.plot([80, 150], [80, 430], "o")
    plots.equality(ax)
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert ax.get_xlim()[1] < 200
    assert ax.get_ylim()[1] > 400
    ax.figure.canvas.draw()
    numbered = [t.get_text() for t in ax.get_xticklabels(which="both") if t.get_text()]
    assert {"80", "100", "120", "140"} <= {text for text in numbered}


def test_a_legend_may_name_the_reference(ax):
    plots.architecture_legend(ax, {"mace": "MACE"}, reference="GFN2-xTB")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["MACE", "GFN2-xTB"]


def test_learning_curve_is_in_meV(ax):
    points = [{"samples": 10, "e": 0.5}, {"samples": 100, "e": 0.05}]
    plots.learning_curve(ax, points, "e", label="a", colour="k")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 500], [100, 50]])


def test_component_bars_are_percentages(ax):
    names = ("translation", "rotation", "vibration", "total")
    plots.component_bars(ax, {"mace": {name: Estimate(25.0, 2.0, 5) for name in names}})
    assert [bar.get_height() for bar in ax.patches] == [25.0] * 4
    (bars,) = ax.collections  # of the errors
    assert [ends[:, 1].tolist() for ends in bars.get_segments()] == [[23.0, 27.0]] * 4


def test_a_density_is_strong_where_it_is_averaged_and_ends_in_a_cross_if_early(ax):
    style = {"colour": "red", "linestyle": "--"}
    trace = np.arange(5), np.ones(5)
    seen = {"status": "completed", "equilibrated_ps": 2.0}
    plots.density_trace(ax, *trace, seen=seen, **style)
    pale, strong = ax.lines
    assert pale.get_alpha() < 1 and list(pale.get_xdata()) == [0, 1, 2]
    assert strong.get_alpha() is None and list(strong.get_xdata()) == [2, 3, 4]
    assert {pale.get_linestyle(), strong.get_linestyle()} == {"--"}
    plots.density_trace(ax, *trace, seen=seen | {"status": "unstable"}, **style)
    *_, pale, strong, cross = ax.lines
    assert (cross.get_marker(), cross.get_xdata()) == ("x", [4])
    assert [len(line.get_xdata()) for line in (pale, strong)] == [5, 0]  # all pale
    plots.density_trace(ax, *trace, seen={"status": "completed"}, **style)
    assert [len(line.get_xdata()) for line in ax.lines[5:]] == [5, 0]


def test_survival_is_drawn_to_the_planned_time(ax):
    curve = kaplan_meier([1.0, 4.0], [True, False])
    plots.survival(ax, curve, until_ps=4.0, label="a", colour="k")
    x, y = ax.lines[0].get_data()
    assert (x[0], y[0]) == (0, 1)
    assert (x[-1], y[-1]) == (4.0, 0.5)


def test_survivals_count_the_runs_that_reached_the_end(ax):
    ends = [("completed", 4.0), ("unstable", 1.0)]
    runs = [{"status": status, "time_ps": time} for status, time in ends]
    shades = {"a": "k", "b": "r", "c": "g"}
    plots.survivals(ax, {"a": runs, "b": [], "c": runs[:1]}, until_ps=4.0, colours=shades)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a: 1 of 2", "c: 1 of 1"]
    assert [line.get_ydata()[-1] for line in ax.lines] == [0.5, 1.0]
    assert [line.get_linestyle() for line in ax.lines] == ["-", "-."]  # as beside one of b


def test_untrusted_reference_rdf_is_not_drawn(ax):
    found = {"value": [0, 1], "error": [0, 0], "problems": ["too few frames"]}
    plots.reference_rdf(ax, {"observables": {"rdf:O-H": found}, "r_A": [1, 2]}, "O-H")
    assert texts(ax) == ["reference\nnot available"]
    assert not ax.lines


def test_trusted_reference_rdf_is_drawn(ax):
    found = {"value": [0, 1], "error": [0, 0.1], "problems": []}
    plots.reference_rdf(ax, {"observables": {"rdf:O-H": found}, "r_A": [1, 2]}, "O-H")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[1, 0], [2, 1]])


def test_score_terms_show_a_dash_for_what_is_missing(ax):
    options = {"lived_ps": [2.0], "planned_ps": 2.0, "rng": np.random.default_rng(0)}
    some = liquid_score(deviations={"density": Estimate(0.02, 0.0, np.inf)}, **options)
    none = liquid_score(deviations={}, **options)
    plots.score_terms(ax, {("a", "hot"): some, ("b", "hot"): none}, {"hot": 500.0})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a at 500 K", "b at 500 K"]
    assert texts(ax) == ["1.00", "0.50", "0.50", "1.00", "-", "-"]


def test_model_without_score_is_hollow_below_the_axis(ax):
    plots.error_against_score(ax, [("mace", "o", 80.0, np.nan, np.nan, np.nan)])
    (point, _) = ax.lines
    assert point.get_xydata().tolist() == [[80.0, -0.1]]
    assert point.get_fillstyle() == "none"


def test_rows_show_a_point_per_seed_and_say_what_was_not_run(ax):
    points = {("a", "mace"): [(1.0, 0.1, State.DONE), (3.0, np.nan, State.UNSTABLE)]}
    plots.by_row(ax, points, ["a", "a+b"], ["mace"])
    assert texts(ax) == ["not run"]
    assert ax.texts[0].get_position()[0] == 1
    done, unstable = (container.lines[0] for container in ax.containers)
    assert [line.get_ydata()[0] for line in (done, unstable)] == [1.0, 3.0]
    assert unstable.get_markerfacecolor() == "white" != done.get_markerfacecolor()
    assert {done.get_marker(), unstable.get_marker()} == {figures.set_marker("a")}
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "a\n+ b"]


@pytest.mark.parametrize(("second", "n_means"), [(State.DONE, 1), (State.UNSTABLE, 0)])
def test_rows_average_stable_models_only(ax, second, n_means):
    points = {("a", "mace"): [(1.0, np.nan, State.DONE), (3.0, np.nan, second)]}
    plots.by_row(ax, points, ["a"], ["mace"])
    means = [line[0][1] for c in ax.collections for line in c.get_segments()]
    assert means == [2.0] * n_means


def test_row_without_a_value_has_a_tripod_at_the_bottom(ax):
    plots.by_row(ax, {("a", "mace"): [(np.nan, np.nan, State.UNSTABLE)]}, ["a"], ["mace"])
    assert [line.get_marker() for line in ax.lines] == ["1"]
    assert not texts(ax)


def test_reference_density_is_drawn_only_if_trusted(ax):
    found = {"value": 0.9, "error": 0.01, "problems": ["too few"]}
    plots.reference_density(ax, {"observables": {"density": found}})
    assert ax.get_title("right") == "reference not available"
    assert not ax.lines
    plots.reference_density(ax, {"observables": {"density": found | {"problems": []}}})
    assert ax.lines[0].get_ydata()[0] == 0.9


def test_scan_curve_shows_pressures_of_both_signs(ax):
    plots.scan_curves(ax, [0.5, 1.0, 1.5], [-1, 0, 100])
    assert ax.get_yscale() == "symlog"
    assert ax.lines[0].get_ydata().tolist() == [-1, 0, 100]


def test_legend_above_the_panels_names_every_colour():
    figure = Figure(layout="constrained")
    figure.add_subplot()
    plots.set_legend(figure, {"a": "k", "b": "r"})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_logarithmic_axis_is_numbered_without_exponents():
    figure = Figure()
    panel = figure.add_subplot()
    panel.plot([0, 1], [0.3, 20])
    plots.logarithmic(panel)
    figure.draw_without_rendering()
    shown = [label.get_text() for label in panel.get_yticklabels()]
    assert {"1", "10"} <= set(shown)
    assert not any("e" in text for text in shown)


def test_a_narrow_logarithmic_axis_has_enough_numbers():
    figure = Figure()
    panel = figure.add_subplot()
    panel.plot([0, 1], [14.8, 23.9])
    plots.logarithmic(panel)
    figure.draw_without_rendering()
    shown = {label.get_text() for label in panel.get_yticklabels()}
    assert {"16", "18", "20", "22"} <= shown
    assert panel.get_yscale() == "log" and not panel.get_yticklabels(minor=True)
