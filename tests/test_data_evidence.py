import numpy as np
import pytest
from crosstrain.data import evidence
from crosstrain.measure import transfer
from crosstrain.measure.transfer import NotComparable, Run, State

DP, MACE = "deep_potential", "mace"
ROWS = [
    "packed",
    "base",
    "base+more",
    "base+more.100",
    "base+scan",
    "base+scan+molecules",
    "base+dp_iterated",
    "base+mace_iterated",
]
DESIGN = evidence.Design(
    base="base",
    control="base+more",
    iterated_control="base+more.100",
    simplest=["packed", "base"],
    intuition="base+scan+molecules",
    makers={"dp_iterated": DP, "mace_iterated": MACE},
    simpler=DP,
    other=MACE,
)
# Scores of a world in which every claim is true, by row: of Deep Potential and of MACE.
TRUE = [
    (0.1, 0.5),
    (0.2, 0.6),
    (0.25, 0.65),
    (0.25, 0.65),
    (0.5, 0.7),
    (0.6, 0.9),
    (0.9, 0.66),
    (0.3, 0.95),
]
OPTIONS = {"better": "higher"}


def runs(mean, scatter=0.004):
    return [Run(State.DONE, mean + scatter * k) for k in (-1, 0, 1)]


def world(means, sign=1.0):
    return {
        (row, architecture): runs(sign * mean)
        for row, pair in zip(ROWS, means, strict=True)
        for architecture, mean in zip((DP, MACE), pair, strict=True)
    }


def errors(own=50.0, fixed=30.0):
    return tuple(
        {("base", a): runs(value, 1.0 + 0.5 * (value == own)) for a in (DP, MACE)}
        for value in (own, fixed)
    )


def verdicts(cells, errors_of=None, better="higher", **changes):
    found = evidence.claims(cells, errors_of or errors(), ROWS, DESIGN, better=better, **changes)
    return {claim.number: str(claim.finding) for claim in found}


def test_a_world_in_which_all_claims_are_true():
    everything = dict.fromkeys(["2", "4a", "4b", "5a", "5b", "preprint"], "supported")
    assert verdicts(world(TRUE)) == everything
    # an error is as good as a score if less of it is better
    assert verdicts(world(TRUE, sign=-1.0), better="lower") == everything


def test_a_world_that_contradicts_the_paper():
    means = [(0.5, 0.1), (0.6, 0.2), (0.7, 0.3), (0.7, 0.3), (0.6, 0.2), (0.5, 0.2), (0.6, 0.9)]
    found = verdicts(world([*means, (0.9, 0.2)]), errors(own=20.0))
    assert found == {
        "2": "supported",  # MACE gains from dp_iterated what Deep Potential does not
        "4a": "not supported",
        "4b": "not supported",
        "5a": "not supported",
        "5b": "not supported",  # each iterated block helps the other more
        "preprint": "not supported",
    }


def test_rows_that_were_not_run_leave_claims_undecided():
    nothing = {key: [Run(State.NOT_RUN)] * 3 for key in world(TRUE)}
    assert set(verdicts(nothing, (nothing, nothing)).values()) == {"undecided: not run"}
    assert set(verdicts({}, ({}, {})).values()) == {"undecided: not run"}
    partly = world(TRUE) | {("base+dp_iterated", DP): [Run(State.UNSTABLE)] * 3}
    found = verdicts(partly)
    assert found["4b"] == "undecided: unstable"
    assert found["5b"] == "supported"  # mace_iterated shows it
    one = {key: values[:1] for key, values in world(TRUE).items()}
    assert set(verdicts(one, (one, one)).values()) == {"undecided: too few seeds"}


def test_a_profile_without_iteration_cannot_decide_about_it():
    controls = "base+more", "base+more.100"
    design = evidence.Design("base", *controls, ["base"], "base+scan", {}, DP, MACE)
    found = evidence.claims(world(TRUE), errors(), ROWS, design, better="higher")
    table = evidence.claims_table(found, {DP: "Deep Potential", MACE: "MACE"}).set_index("claim")
    by_number = {claim.split(".")[0]: row for claim, row in table.iterrows()}
    assert by_number["5b"]["verdict"] == "undecided: not run"
    assert by_number["5b"]["evidence"] == "no such row"
    assert by_number["5a"]["evidence"].startswith("base+scan by Deep Potential: +0.25 (+0.2")
    assert by_number["4a"]["supported if above zero"].startswith("MACE minus Deep Potential")


def test_an_iterated_block_is_compared_with_its_own_control_and_with_no_other():
    against = {row: DESIGN.control_of(row) for row in ROWS}
    iterated = {row for row, control in against.items() if control == "base+more.100"}
    assert iterated == {"base+dp_iterated", "base+mace_iterated"}
    assert against["base+scan+molecules"] == "base+more"
    lost = {key: runs for key, runs in world(TRUE).items() if key[0] != "base+more.100"}
    found = verdicts(lost)
    assert found["4b"] == found["5b"] == "undecided: not run"
    assert found["2"] == found["5a"] == "supported"
    # no block gains over a larger control as good as this: only the smaller one can show a gain
    found = verdicts(world([*TRUE[:2], (0.9, 0.95), *TRUE[3:]]))
    assert (found["4b"], found["5b"], found["5a"]) == ("supported", "supported", "not supported")
    text = {c.number: c.rule for c in evidence.claims({}, ({}, {}), ROWS, DESIGN, **OPTIONS)}
    assert all("over base+more.100" in text[number] for number in ("4b", "5b"))
    assert "over base+more for" in text["5a"]


def test_controls_are_no_types_of_configuration():
    (claim, *_) = evidence.claims(world(TRUE), errors(), ROWS, DESIGN, **OPTIONS)
    assert list(claim.effects) == ["packed", *ROWS[4:]]


def test_frames_of_rows_and_of_their_controls():
    n_added = {"base+scan": 80, "base+more": 150, "base+dp_iterated": 100, "base+more.100": 100}
    against = {row: DESIGN.control_of(row) for row in ("base+scan", "base+dp_iterated")}
    table = evidence.frames_table(n_added, against)
    assert table.loc["base+scan"].tolist() == [80, "base+more", 150, "no"]
    assert table.loc["base+dp_iterated"].tolist() == [100, "base+more.100", 100, "yes"]
    assert table.loc["base+more"].tolist() == [150, "-", "-", "-"]
    del n_added["base+more.100"]
    table = evidence.frames_table(n_added, against)
    assert table.loc["base+dp_iterated"].tolist() == [100, "base+more.100", "-", "-"]


def test_parts_in_a_table():
    found = {"x": {("a", DP): runs(1.0)[:1], ("a", MACE): [Run(State.UNSTABLE)]}}
    found["y"] = {("b", DP): [Run(State.DONE, 1.0), Run(State.DONE, 3.0)]}
    table = evidence.parts_table(found, ["a", "b"], ".1f")
    assert table.loc[("a", MACE), "x"] == "unstable"
    assert table.loc[("a", DP), "x"].endswith(" (1 seed)")
    assert table.loc[("b", DP), "y"] == "2.0 ± 1.0" and table.loc[("b", DP), "x"] == "not run"


def test_noise_supports_claims_seldom():
    source = np.random.default_rng(5)
    n_trials, supported = 60, 0
    for _ in range(n_trials):
        cells = {key: [Run(State.DONE, v) for v in source.normal(size=3)] for key in world(TRUE)}
        supported += (
            sum(text == "supported" for text in verdicts(cells).values()) - 1
        )  # the preprint's
    assert supported <= 0.1 * 5 * n_trials


def test_gains_and_differences():
    cells = world(TRUE) | {("packed", DP): [Run(State.FAILED)], ("base+scan", DP): runs(0.4)[:1]}
    gains = evidence.gains(cells, ROWS, "base", [DP, MACE], better="higher")
    assert len(gains) == 2 * (len(ROWS) - 1)
    assert gains["base+more", MACE].value == pytest.approx(0.05)
    assert isinstance(gains["packed", DP], NotComparable)
    plain = evidence.differences(cells, ROWS, "base", [DP, MACE], better="lower")
    assert plain["base+more", MACE] == pytest.approx(-0.05)
    assert plain["base+scan", DP] == pytest.approx(0.2 - 0.396)  # one seed is enough
    assert ("packed", DP) not in plain and ("base", DP) not in plain
    differ = evidence.interactions(cells, ROWS, "base", (MACE, DP), better="higher")
    assert differ["base+scan+molecules"].value == pytest.approx(0.3 - 0.4)
    table = evidence.effects(gains)
    assert table.loc[("packed", DP), "effect (interval)"] == "failed"
    assert table.loc[("base+more", MACE), "effect (interval)"].startswith("+0.05 (+0.0")
    assert table.loc[("base+more", MACE), "seeds"] == "3/3"


def test_efficiencies_show_gains_or_the_reason():
    def found(cells, maker, receiver):
        return transfer.efficiency(
            cells,
            "base+dp_iterated",
            "base+more",
            maker=maker,
            receiver=receiver,
        )

    noisy = world(TRUE) | {("base+dp_iterated", MACE): runs(0.66, scatter=0.1)}
    good, bad = found(world(TRUE), DP, MACE), found(noisy, MACE, DP)
    key = ("base+dp_iterated", "base+more", DP, MACE)
    table = evidence.efficiencies(
        {key: good, (*key[:2], MACE, DP): bad, (*key[:3], "x"): found({}, DP, MACE)}
    )
    assert table["against"].tolist() == ["base+more"] * 3
    assert table["efficiency"].tolist() == ["0.02", "not given", "not given"]
    assert table["interval"][0].count(" to ") == 1
    assert "the gain of mace is not clear of zero" in table["reason"][1]
    assert table["gain from"].tolist()[2] == "not comparable"
