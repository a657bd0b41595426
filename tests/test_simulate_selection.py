import json
from collections import Counter

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from crosstrain import steps
from crosstrain.data import frames as fr
from crosstrain.simulate.selection import Bounds, bounds, disagreement, exploration_plan, select
from scipy.stats import qmc


def choose(deviation, descriptors, **changes):
    settings = {"low": 0.1, "high": 1.0, "n": 3, "is_intact": np.full(len(deviation), True)}
    return select(deviation, descriptors, **settings | changes)


def test_disagreement_by_hand():
    """Two members that differ by (0.6, 0, 0.8) on one atom: σ is half of |d| = 1."""
    one = [np.zeros((2, 3)), np.ones((1, 3))]
    other = [np.array([[0.6, 0, 0.8], [0, 0, 0]]), np.ones((1, 3))]
    found = disagreement([one, other])
    np.testing.assert_allclose(found.largest, [0.5, 0.0])
    np.testing.assert_allclose(found.mean, [0.25, 0.0])


def test_disagreement_of_random_members():
    """Independent normal errors s on each component: σ² is 3 s² (n - 1)/n on average."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(5, 2000, 3))
    found = disagreement(shared + 0.2 * rng.normal(size=(4, 5, 2000, 3)))
    assert np.mean(found.mean**2) == pytest.approx(3 * 0.2**2 * 3 / 4, rel=0.06)
    assert np.all(found.largest > found.mean)
    from deepmd.infer.model_devi import calc_model_devi_f

    forces = rng.normal(size=(3, 4, 10, 3))
    largest, _, mean = calc_model_devi_f(forces)
    np.testing.assert_allclose(disagreement(forces), [largest, mean])


def test_forces_that_are_not_finite_are_an_infinite_disagreement():
    forces = np.zeros((3, 2, 4, 3))
    forces[1, 1, 2, 0] = np.nan
    assert disagreement(forces).largest.tolist() == [0.0, np.inf]
    assert choose(disagreement(forces).largest, [[0.0], [1.0]]).reasons == ("chosen", "too far")


def test_bounds():
    deviation = np.linspace(0, 2, 201)
    assert bounds(deviation) == pytest.approx((1.9, 9.5))
    assert bounds(deviation, quantile=0.5, ratio=3) == pytest.approx((1.0, 3.0))


def test_farthest_points_of_a_line():
    """Start at the largest deviation, then the far end, then the middle of the widest gap."""
    position = np.arange(11.0)[:, None]
    deviation = np.full(11, 0.5)
    deviation[2] = 0.9
    found = choose(deviation, position, n=4)
    assert found.chosen.tolist() == [2, 10, 6, 0]
    assert found.reasons.count("spare") == 7
    known = choose(deviation, position, n=2, known=[[0.0], [4.0]])
    assert known.chosen.tolist() == [10, 7]


def test_reasons_and_record():
    deviation = [0.05, 0.1, 0.99, 1.0, 0.5, 5.0, np.nan, 0.05]
    is_intact = np.array([True, True, True, True, False, False, True, False])
    x = np.arange(8.0)[:, None]
    apart = choose(deviation, x, is_intact=is_intact, n=2)
    assert apart.reasons == (
        "known", "chosen", "chosen", "too far", "broken", "broken", "too far", "broken"
    )  # fmt: skip
    mixed = choose(deviation, x, is_intact=is_intact, allow_broken=True, n=3)
    assert mixed.chosen.tolist() == [2, 4, 1]
    assert Counter(mixed.reasons) == {"chosen": 3, "too far": 3, "known": 2}

    record = json.loads(json.dumps(mixed.record(), allow_nan=False))
    assert record["candidates"] == 8 == sum(record["counts"].values())
    assert record["counts"]["broken"] == 0 and record["not_intact"] == 3
    assert record["chosen"] == [2, 4, 1] and record["chosen_not_intact"] == 1
    assert record["not_finite"] == 1
    assert record["deviation_quantiles_eV_A"]["0.5"] == 0.5
    assert (record["low_eV_A"], record["high_eV_A"]) == mixed.bounds == Bounds(0.1, 1.0)


def test_no_more_than_there_is_and_no_copies():
    assert len(choose([0.5, 0.5], [[0.0], [1.0]], n=10).chosen) == 2
    found = choose([0.5] * 5, [[0.0], [1.0], [1.0], [0.0], [2.0]], n=10, known=[[2.0]])
    assert found.chosen.tolist() == [0, 1]
    assert choose([np.nan, 2.0], [[0.0], [1.0]]).chosen.size == 0
    empty = choose([], np.empty((0, 2)))
    assert empty.record()["deviation_quantiles_eV_A"] is None


def test_a_generation_is_filled_up_with_what_is_known_least():
    """Two frames are new; of the others those of the largest disagreement, where they differ."""
    deviation = [0.5, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.6]
    x = np.arange(10.0)[:, None]
    few = choose(deviation, x, n=2)
    assert few.chosen.tolist() == [9, 0]
    more = choose(deviation, x, n=4)
    assert more.chosen[:2].tolist() == [9, 0]
    # the pool is all eight here; 4 and 5 are as far from 0 and 9, the one in more doubt comes first
    assert more.chosen[2] == 5
    assert Counter(more.reasons) == {"chosen": 4, "known": 6}
    many = np.concatenate([[0.5], np.linspace(0.0, 0.09, 100)])
    chosen = choose(many, np.arange(101.0)[:, None], n=3).chosen
    assert chosen[0] == 0
    assert chosen[1:].min() > 100 - 4 * 2  # only the eight least known are looked at


def test_diverse_choices_cover_clusters():
    """One of each of five clusters, though one of them holds nearly all candidates."""
    rng = np.random.default_rng(1)
    cluster = np.repeat(np.arange(5), [200, 2, 2, 2, 2])
    x = 10 * np.eye(5)[cluster] + 0.1 * rng.normal(size=(208, 5))
    chosen = choose(rng.uniform(0.2, 0.8, 208), x, n=5).chosen
    assert sorted(cluster[chosen]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"low": 1.0}, "low is 1.0 and high 1.0"),
        ({"low": -0.1}, "low is -0.1"),
        ({"n": 0}, "n is 0"),
        ({"is_intact": [1, 1]}, "is_intact has shape"),
        ({"is_intact": np.array([True])}, "is_intact has shape"),
        ({"known": [[0.0, 1.0]]}, "known has shape"),
        ({"known": [[np.nan]]}, "known has shape"),
        ({"descriptors": [[0.0], [np.nan]]}, "not finite"),
        ({"descriptors": [[0.0]]}, "descriptors"),
    ],
)
def test_bad_selection(changes, message):
    with pytest.raises(ValueError, match=message):
        choose([0.5, 0.5], **{"descriptors": [[0.0], [1.0]]} | changes)


def test_bad_committee():
    with pytest.raises(ValueError, match="1 members"):
        disagreement(np.zeros((1, 2, 4, 3)))
    with pytest.raises(ValueError, match=r"\[2, 1\] frames"):
        disagreement([[np.zeros((4, 3))] * 2, [np.zeros((4, 3))]])
    with pytest.raises(ValueError, match="shapes"):
        disagreement([[np.zeros((4, 3))], [np.zeros((5, 3))]])
    with pytest.raises(ValueError, match="at least 20"):
        bounds([0.1] * 19)
    with pytest.raises(ValueError, match="finite"):
        bounds([0.1] * 20 + [np.inf])
    with pytest.raises(ValueError, match="ratio 1"):
        bounds([0.1] * 20, ratio=1)


COMPOSITIONS = ({"EC": 2, "EMC": 4}, {"EC": 6}, {"EMC": 4}, {"EC": 4, "EMC": 2})


def plan(n, seed=1, **changes):
    settings = {"compositions": COMPOSITIONS, "density_g_cm3": (0.7, 1.3)}
    return exploration_plan(n, seed=seed, **settings | changes)


def test_a_plan_fills_its_ranges_evenly():
    runs = plan(48)
    t = np.array([run.temperature_K for run in runs])
    d = np.array([run.density_g_cm3 for run in runs])
    assert t.min() >= 300 and t.max() <= 1000 and d.min() >= 0.7 and d.max() <= 1.3
    unit = np.stack([(t - 300) / 700, (d - 0.7) / 0.6], axis=1)
    random = np.random.default_rng(0).random((20, 48, 2))
    assert qmc.discrepancy(unit) < 0.5 * np.mean([qmc.discrepancy(r) for r in random])
    names = [str(run.composition) for run in runs]
    assert all(10 <= count <= 14 for count in Counter(names).values())
    # no composition is tied to hot or to dense runs
    for name in set(names):
        mine = unit[[other == name for other in names]]
        assert np.all(np.abs(mine.mean(axis=0) - 0.5) < 0.15)


def test_a_plan_is_of_its_seed_and_grows():
    assert plan(5) == plan(20)[:5]
    assert plan(5) != plan(5, seed=2)


def test_bad_plans():
    for changes, message in (
        ({"compositions": []}, "0 compositions"),
        ({"temperature_K": (1000, 300)}, "temperature_K is 1000 to 300"),
        ({"density_g_cm3": (0, 1)}, "density_g_cm3 is 0 to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            plan(3, **changes)
    with pytest.raises(ValueError, match="n is 0"):
        plan(0)


class Pushing(Calculator):
    """The same force on each atom wherever it is; counts how often it is asked."""

    implemented_properties = ("energy", "forces")
    engine = "none"

    def __init__(self, forces_eV_A, last=np.inf):
        super().__init__()
        self.forces, self.n_asked, self.last = np.array(forces_eV_A), 0, last

    def calculate(self, *args):
        super().calculate(*args)
        self.n_asked += 1
        if self.n_asked > self.last:
            raise RuntimeError("no more")
        self.results = {"energy": 0.0, "forces": self.forces}


@pytest.fixture
def explored(tmp_path, monkeypatch):
    """A function that explores with a committee of two, given as calculators."""
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    out.mkdir()
    places = [[0, 0, 0], [2.3, 2.3, 0], [0, 2.3, 2.3]]
    start = Atoms("O3", places, cell=[4.6] * 3, pbc=True, info={"bonds": np.zeros((0, 2), int)})
    fr.write(work / "start.extxyz.gz", [start])
    settings = {"ensemble": "nvt", "temperature_K": 300, "timestep_fs": 0.1, "seed": 1}
    settings |= {"n_steps": 6, "save_every": 2, "thermo_every": 2}
    params = {"name": "g1_r0", "dynamics": settings, "start": {"temperature_K": 300}}

    def explore(*committee):
        monkeypatch.setattr(steps, "_committee", lambda *_: committee)
        steps.KINDS["explore"].function(params, {}, out, work)
        return start, out

    return explore


def test_the_first_member_explores_and_all_are_asked_about_its_frames(explored):
    first = Pushing([[0, 0, 0], [0, 0, 0], [0, 0, 0]])
    second = Pushing([[0.2, 0, 0], [0, 0.4, 0], [0, 0, 0.6]])
    start, out = explored(first, second)
    frames = ase.io.read(out / "candidates.extxyz", ":")
    assert len(frames) == 4
    assert frames[0].positions == pytest.approx(start.positions, abs=1e-6)
    assert json.loads((out / "run.json").read_text())["status"] == "completed"
    assert second.n_asked == 4 < first.n_asked
    # two members differ from their mean by half of what they differ by
    found = np.load(out / "disagreement.npz")
    assert found["largest"] == pytest.approx([0.3] * 4)
    assert found["mean"] == pytest.approx([0.2] * 4)


def test_an_exploration_that_its_model_ended_is_told_and_tried_anew(explored):
    still = np.zeros((3, 3))
    with pytest.raises(RuntimeError, match="model error: RuntimeError: no more"):
        explored(Pushing(still, last=3), Pushing(still))
    _, out = explored(Pushing(still), Pushing(still))
    assert json.loads((out / "run.json").read_text())["status"] == "completed"
