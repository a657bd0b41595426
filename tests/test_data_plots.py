import matplotlib
import numpy as np
import pytest
from crosstrain.data import plots
from crosstrain.measure.errors import Deviation
from crosstrain.measure.score import liquid_score
from crosstrain.measure.statistics import Estimate, kaplan_meier
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


def test_learning_curve_is_in_meV(ax):
    points = [{"samples": 10, "e": 0.5}, {"samples": 100, "e": 0.05}]
    plots.learning_curve(ax, points, "e", label="a", colour="k")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 500], [100, 50]])


def test_component_bars_are_percentages(ax):
    names = ("translation", "rotation", "vibration", "total")
    plots.component_bars(ax, {"mace": {name: Deviation(0.1, 0.25) for name in names}})
    assert [bar.get_height() for bar in ax.patches] == [25.0] * 4


def test_density_trace_without_equilibrated_part_has_no_strong_line(ax):
    plots.density_trace(ax, [0, 1, 2], [1, 1, 1], colour="k", ended=True)
    pale, strong, cross = ax.lines
    assert len(pale.get_xdata()) == 3
    assert len(strong.get_xdata()) == 0
    assert cross.get_xdata() == [2]


def test_survival_is_drawn_to_the_planned_time(ax):
    curve = kaplan_meier([1.0, 4.0], [True, False])
    plots.survival(ax, curve, until_ps=4.0, label="a", colour="k")
    x, y = ax.lines[0].get_data()
    assert (x[0], y[0]) == (0, 1)
    assert (x[-1], y[-1]) == (4.0, 0.5)


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
    plots.score_terms(ax, {("a", "hot"): some, ("b", "hot"): none})
    assert texts(ax) == ["1.00", "0.50", "0.50", "1.00", "-", "-"]


def test_model_without_score_is_hollow_below_the_axis(ax):
    plots.error_against_score(ax, [("mace", "o", 80.0, np.nan, np.nan, np.nan)])
    (point, _) = ax.lines
    assert point.get_xydata().tolist() == [[80.0, -0.1]]
    assert point.get_fillstyle() == "none"
