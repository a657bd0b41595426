import numpy as np
import pytest
from crosstrain.measure.score import (
    density_deviation,
    liquid_score,
    rdf_deviation,
    rdf_overlap_error,
    survival_fraction,
)
from crosstrain.measure.statistics import Estimate, kaplan_meier

R = np.linspace(0.05, 6.95, 70)
LIQUID = 1 + 0.8 * np.exp(-((R - 3.5) ** 2)) - np.exp(-((R / 2.5) ** 6))


def exact(value):
    return Estimate(value, 0.0, np.inf)


def score(deviations, lived=(50.0, 50.0, 50.0), **kwargs):
    return liquid_score(
        lived_ps=lived,
        planned_ps=50.0,
        deviations=deviations,
        rng=np.random.default_rng(0),
        **kwargs,
    )


def test_overlap_error_is_zero_for_equal_one_for_disjoint_and_symmetric():
    other = LIQUID * (1 + 0.3 * np.sin(R))
    assert rdf_overlap_error(R, LIQUID, LIQUID) == 0.0
    low, high = np.where(R < 3, 1.0, 0.0), np.where(R < 3, 0.0, 2.0)
    assert rdf_overlap_error(R, low, high) == 1.0
    error = rdf_overlap_error(R, LIQUID, other)
    assert 0 < error < 1
    assert error == rdf_overlap_error(R, other, LIQUID)
    # Two constants, 1 and 3: |1 - 3| / (1 + 3).
    assert rdf_overlap_error(R, np.ones(70), np.full(70, 3.0)) == pytest.approx(0.5)


def test_overlap_error_does_not_depend_on_the_bins():
    fine = np.linspace(0.005, 6.995, 700)
    coarse = fine.reshape(-1, 10).mean(axis=1)
    errors = [
        rdf_overlap_error(r, 1 + np.exp(-((r - 3.5) ** 2)), 1 + np.exp(-((r - 3.9) ** 2)))
        for r in (fine, coarse)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.01)


def test_noise_alone_is_no_deviation():
    rng = np.random.default_rng(1)
    sigma = 0.05 * np.sqrt(LIQUID)
    raw, clean = [], []
    for _ in range(200):
        g, g_ref = (LIQUID + sigma * rng.normal(size=70) for _ in range(2))
        raw.append(rdf_overlap_error(R, g, g_ref))
        clean.append(rdf_deviation(R, g, sigma, g_ref, sigma))
    assert np.mean(raw) > 0.02
    assert np.mean([d.value for d in clean]) < 0.5 * np.mean(raw)
    assert np.mean([d.value < 2 * d.error for d in clean]) > 0.99
    exact_curves = rdf_deviation(R, LIQUID, 0 * R, LIQUID, 0 * R)
    assert exact_curves[:2] == (0.0, 0.0)


def test_a_real_deviation_outlasts_the_noise():
    rng = np.random.default_rng(2)
    other = LIQUID * (1 + 0.3 * np.sin(R))
    truth = rdf_overlap_error(R, LIQUID, other)
    sigma = np.full(70, 0.05)
    found = [
        rdf_deviation(R, LIQUID + sigma * rng.normal(size=70), sigma, other, 0 * R)
        for _ in range(100)
    ]
    assert np.mean([d.value for d in found]) == pytest.approx(truth, rel=0.05)
    assert np.std([d.value for d in found]) < found[0].error


def test_density_deviation():
    d = density_deviation(Estimate(1.00, 0.03, 40), Estimate(0.96, 0.04, 25))
    assert d == pytest.approx((0.04, 0.05, 25))
    with pytest.raises(ValueError, match="reference is"):
        density_deviation(Estimate(1.0, 0.1, 9), Estimate(np.nan, 0.1, 9))


def test_survival_fraction_is_the_area_under_kaplan_meier():
    lived = [10.0, 25.0, 50.0, 50.0]
    assert survival_fraction(lived, 50.0) == pytest.approx(0.675)
    curve = kaplan_meier(lived, np.array(lived) < 50)
    area = np.sum(curve.survival[:-1] * np.diff(curve.times))
    assert area / 50 == pytest.approx(0.675)
    assert survival_fraction([0.0], 50.0) == 0.0


def test_score_of_identical_and_of_known_liquids():
    same = score({"density": exact(0.0), "rdf:O-H": exact(0.0)})
    assert (same.value, same.lower, same.upper) == (1.0, 1.0, 1.0)
    noisy = score({"density": Estimate(0.0, 0.01, 50)})
    assert noisy.value == noisy.upper == 1.0 > noisy.lower
    half = score({"density": exact(-0.02), "rdf:O-H": exact(0.05)})
    assert half.value == pytest.approx(0.5)
    assert half.terms["density"].value == pytest.approx(0.5)
    assert half.terms["density"].deviation == -0.02
    mixed = score({"density": exact(0.04), "rdf:O-H": exact(0.0)})
    assert mixed.value == pytest.approx((0.2 + 1.0) / 2)
    dying = score({"density": exact(0.02)}, lived=(10.0, 25.0, 50.0, 50.0))
    assert dying.value == pytest.approx(0.675 * 0.5)
    assert dying.n_replicas == 4 and dying.survival == pytest.approx(0.675)
    assert dying.lower < dying.value < dying.upper


def test_identical_noisy_liquids_score_one_within_errors():
    rng = np.random.default_rng(3)
    sigma = 0.03 * np.sqrt(LIQUID)
    reached, values = 0, []
    for _ in range(100):
        g, g_ref = (LIQUID + sigma * rng.normal(size=70) for _ in range(2))
        densities = (Estimate(1.0 + 0.004 * rng.normal(), 0.004, 50) for _ in range(2))
        got = score(
            {
                "density": density_deviation(*densities),
                "rdf:COM": rdf_deviation(R, g, sigma, g_ref, sigma),
            }
        )
        reached += got.upper > 0.98
        values.append(got.value)
    assert np.mean(values) > 0.95
    assert reached >= 90


@pytest.mark.parametrize("true_deviation", [0.0, 0.005, 0.03])
@pytest.mark.parametrize("error", [0.003, 0.03])
def test_interval_covers_the_true_score(true_deviation, error):
    """Also where the noise is larger than the deviation, which makes every measured score low."""
    rng = np.random.default_rng(4)
    truth, inside = 1 / (1 + (true_deviation / 0.02) ** 2), 0
    for _ in range(400):
        got = score({"density": Estimate(true_deviation + error * rng.normal(), error, np.inf)})
        assert got.lower <= got.value <= got.upper
        inside += got.lower <= truth <= got.upper
    assert inside >= 370


def test_few_samples_widen_the_interval():
    lower = [score({"density": Estimate(0.02, 0.004, n)}).lower for n in (3, 30, np.inf)]
    upper = [score({"density": Estimate(0.02, 0.004, n)}).upper for n in (3, 30, np.inf)]
    assert lower == sorted(lower) and upper == sorted(upper, reverse=True)
    reach = 1.959964 * 0.004
    assert lower[2] == pytest.approx(1 / (1 + (1 + reach / 0.02) ** 2), rel=1e-5)
    assert upper[2] == pytest.approx(1 / (1 + (1 - reach / 0.02) ** 2), rel=1e-5)
    single = score({"density": Estimate(0.02, 0.004, 1)})
    assert (single.lower, single.value, single.upper) == (0.0, 0.5, 1.0)


def test_weight_of_a_kind_is_shared():
    one = score({"density": exact(0.0), "rdf:O-H": exact(0.05)})
    three = score({"density": exact(0.0)} | {f"rdf:{k}": exact(0.05) for k in "abc"})
    assert one.value == pytest.approx(three.value) == pytest.approx(0.75)
    assert sum(term.weight for term in three.terms.values()) == pytest.approx(1.0)
    heavy = score(
        {"density": exact(0.0), "rdf:a": exact(0.05)}, weights={"density": 3.0, "rdf": 1.0}
    )
    assert heavy.value == pytest.approx(0.875)
    strict = score({"density": exact(0.02)}, tolerances={"density": 0.01})
    assert strict.value == pytest.approx(0.2)


def test_not_available_is_left_out_and_not_run_is_not_zero():
    partial = score({"density": exact(0.0), "rdf:O-H": None})
    assert partial.value == 1.0 and set(partial.terms) == {"density"}
    nothing = score({"density": None})
    assert np.isnan(nothing.value) and nothing.survival == 1.0
    not_run = score({"density": None}, lived=None)
    assert np.isnan([not_run.value, not_run.lower, not_run.upper, not_run.survival]).all()
    died_at_once = score({"density": Estimate(np.inf, 0.0, 0.0)}, lived=(0.1,))
    assert died_at_once.value == 0.0


def test_same_seed_same_interval():
    noisy = {"density": Estimate(0.01, 0.01, 20)}
    assert score(noisy, lived=(10.0, 50.0)) == score(noisy, lived=(10.0, 50.0))


def test_bad_input():
    with pytest.raises(ValueError, match=r"tolerances\['viscosity'\] is None"):
        score({"viscosity": exact(0.0)})
    with pytest.raises(ValueError, match=r"weights\['density'\] is 0"):
        score({"density": exact(0.0)}, weights={"density": 0.0})
    with pytest.raises(ValueError, match=r"deviations\['density'\] is"):
        score({"density": exact(np.nan)})
    with pytest.raises(ValueError, match=r"deviations\['density'\] is"):
        score({"density": Estimate(0.1, np.nan, 1)})
    with pytest.raises(ValueError, match="lived_ps is"):
        score({"density": exact(0.0)}, lived=(60.0,))
    with pytest.raises(ValueError, match="lived_ps is"):
        score({"density": exact(0.0)}, lived=())
    with pytest.raises(ValueError, match="lived_ps is"):
        survival_fraction([np.nan], 50.0)
    with pytest.raises(ValueError, match="planned_ps is 0"):
        survival_fraction([0.0], 0.0)
    with pytest.raises(ValueError, match="confidence is 95"):
        score({"density": exact(0.0)}, confidence=95)
    with pytest.raises(ValueError, match="g_reference has shape"):
        rdf_overlap_error(R, LIQUID, LIQUID[:-1])
    with pytest.raises(ValueError, match="evenly spaced"):
        rdf_overlap_error(R**2, LIQUID, LIQUID)
    with pytest.raises(ValueError, match="zero everywhere"):
        rdf_overlap_error(R, 0 * R, 0 * R)
    with pytest.raises(ValueError, match="g_error has the minimum"):
        rdf_deviation(R, LIQUID, -0.1 + 0 * R, LIQUID, 0 * R)
