import matplotlib.pyplot as plt
import numpy as np
import pytest
from crosstrain.data import charts
from crosstrain.data.profiles import State
from crosstrain.measure import transfer

STATES = {
    "hot": State(temperature_K=500, pressure_bar=1000),
    "cold": State(temperature_K=300, pressure_bar=1),
}
LABELS = {"deep_potential": "DP", "mace": "MACE"}


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def test_survivals_have_a_panel_for_each_state_and_architecture():
    asked = []

    def lived(row, architecture, state):
        asked.append((row, architecture, state))
        status = "completed" if architecture == "mace" else "unstable"
        return [{"status": status, "time_ps": 4.0}]

    options = {"states": STATES, "labels": LABELS, "until_ps": 4.0, "colours": {"a": "k"}}
    fig = charts.survivals(lived, ["a"], **options)
    titles = [ax.get_title() for ax in fig.axes]
    assert titles == ["DP, 500 K", "MACE, 500 K", "DP, 300 K", "MACE, 300 K"]
    said = [ax.get_legend().get_texts()[0].get_text() for ax in fig.axes]
    assert said == ["a: 0 of 1", "a: 1 of 1"] * 2
    notes = [[text.get_text() for text in ax.texts] for ax in fig.axes]
    assert notes == [[], [charts.ALL_LIVED]] * 2  # curves that lie on each other
    assert asked == [("a", arch, state) for state in STATES for arch in LABELS]


def test_liquids_have_a_line_of_panels_for_each_quantity():
    point = (2.0, np.nan, transfer.State.DONE)
    points = {s: {q: {("a", "mace"): [point]} for q in charts.LIQUID} for s in STATES}
    trusted = {"density": {"value": 0.9, "error": 0.01, "problems": []}}
    references = {"hot": {"observables": trusted}, "cold": {"observables": {}}}
    options = {"states": STATES, "labels": LABELS, "references": references}
    fig = charts.liquids(points, ["a"], **options)
    panels = np.reshape(fig.axes, (3, 2))
    assert [ax.get_ylabel() for ax in panels[:, 0]] == list(charts.LIQUID.values())
    assert [ax.get_title() for ax in panels[0]] == ["500 K, 1000 bar", "300 K, 1 bar"]
    assert [ax.get_title(loc="right") for ax in panels[2]] == ["", "reference not available"]
    assert [ax.get_yscale() for ax in panels[:, 0]] == ["linear", "log", "linear"]
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["DP", "MACE"]
