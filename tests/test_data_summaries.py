import copy

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.units import bar
from crosstrain.data import summaries
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.measure.score import liquid_score
from crosstrain.measure.statistics import Estimate

EDGE_A = 8.0


def two_waters(gap_A: float = 2.5) -> Atoms:
    water = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    atoms = Atoms(
        "OH2OH2", [*water, *(water + np.array([0, 0, gap_A]))], cell=[EDGE_A] * 3, pbc=True
    )
    atoms.arrays["molecule"] = np.repeat([0, 1], 3)
    atoms.info |= {"bonds": np.array([[0, 1], [0, 2], [3, 4], [3, 5]]), "composition": "W:2"}
    atoms.info[ENERGY] = -20.0
    atoms.info[STRESS] = np.array([-1, -1, -1, 0, 0, 0]) * 1e3 * bar
    atoms.arrays[FORCES] = np.tile([1.0, 0, 0], (6, 1)) * [[1], [2], [3], [1], [2], [3]]
    return atoms


def test_nearest_contact_is_between_molecules_and_sees_images():
    assert summaries.nearest_contact_A(two_waters(2.5)) == pytest.approx(2.5)
    assert summaries.nearest_contact_A(two_waters(6.0)) == pytest.approx(EDGE_A - 6.0)


def test_numbers_have_no_exponent_above_one():
    said = {value: summaries.in_digits(value) for value in (999.4, 999.6, -1480.2, 0.01234, 1e-5)}
    assert list(said.values()) == ["999", "1000", "-1480", "0.0123", "1e-05"]


def test_isolated_molecules_have_neither_density_nor_stress():
    isolated = two_waters()
    isolated.pbc = False
    del isolated.info[STRESS]
    frames = {"a": [two_waters(2.5)], "b": [isolated]}
    assert summaries.preparation(frames)["set"].tolist() == ["a"]
    assert summaries.labels(frames, {"H": 0, "O": 0})["set"].tolist() == ["a"]
    assert summaries.sets(frames)["density / g cm⁻³"]["b"] == "isolated"
    exact = {
        "energy_eV": [isolated.info[ENERGY]],
        "forces_eV_A": [isolated.arrays[FORCES]],
        "stress_eV_A3": [[np.nan] * 6],
    }
    found = summaries.model_errors([isolated], exact)
    assert found["force / meV Å⁻¹"] == 0
    assert not [name for name in found if "pressure" in name or "stress" in name]


def test_atomisation_energy_per_atom():
    energies = summaries.atomisation_energies([two_waters()], [-20.0], {"H": -1.0, "O": -2.0})
    np.testing.assert_allclose(energies, [(-20.0 + 4 * 1.0 + 2 * 2.0) / 6])


def test_labels_have_pressure_positive_under_compression():
    (row,) = summaries.labels({"a": [two_waters()]}, {"H": 0, "O": 0}).to_dict("records")
    assert row["pressure / kbar"] == pytest.approx(1.0)
    assert row["density / g cm$^{-3}$"] == pytest.approx(2 * 18.015 * 1.66054 / EDGE_A**3)


def test_mean_rdf_of_one_pair_has_all_its_weight_at_the_distance():
    r, g = summaries.mean_rdfs([two_waters(2.5), two_waters(3.5)], ["O-O"], n_bins=4)["O-O"]
    np.testing.assert_allclose(r, [0.5, 1.5, 2.5, 3.5])
    assert (g[:2] == 0).all()
    assert (g[2:] > 0).all()


def test_model_errors_of_exact_predictions_vanish():
    frames = [two_waters(2.5), two_waters(3.0)]
    exact = {
        "energy_eV": [frame.info[ENERGY] for frame in frames],
        "forces_eV_A": [frame.arrays[FORCES] for frame in frames],
        "stress_eV_A3": [frame.info[STRESS] for frame in frames],
    }
    row = summaries.model_errors(frames, exact)
    assert row.pop("frames") == 2
    np.testing.assert_allclose(list(row.values()), 0, atol=1e-9)
    shifted = exact | {"energy_eV": [energy + 0.6 for energy in exact["energy_eV"]]}
    row = summaries.model_errors(frames, shifted)
    assert row["energy / meV atom⁻¹"] == pytest.approx(100)
    assert row["energy, offset removed / meV atom⁻¹"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("side", [1, -1])
def test_a_pressure_that_is_too_high_is_a_positive_bias(side):
    """Pressure is minus the mean of the normal stress; shear is an error of stress only."""
    frames = [two_waters(2.5), two_waters(3.0)]
    off = 1e3 * bar * np.array([-side, -side, -side, 0, 0, 2])
    said = {
        "energy_eV": [frame.info[ENERGY] for frame in frames],
        "forces_eV_A": [frame.arrays[FORCES] for frame in frames],
        "stress_eV_A3": [frame.info[STRESS] + off for frame in frames],
    }
    row = summaries.model_errors(frames, said)
    assert row["pressure bias / kbar"] == pytest.approx(side)
    # 1 eV/Å³ is 1602.18 kbar
    assert row["stress / meV Å⁻³"] == pytest.approx(
        1e3 / 1602.18 * np.sqrt((3 + 2**2) / 6), rel=1e-5
    )
    assert row["stress / %"] == pytest.approx(100 * np.sqrt((3 + 2**2) / 3))
    assert row["force / meV Å⁻¹"] == 0


def test_a_diffusion_coefficient_is_said_in_a_millionth_with_its_doubt():
    known = {"value": 1e-5, "error": 1e-6, "n_effective": 6}
    assert summaries.diffusion(known) == "10.0 ± 1.0 (n = 6)"


def test_model_errors_without_frames_has_no_numbers():
    assert summaries.model_errors([], {}) == {"frames": 0}


def test_spread_of_an_error_is_that_of_normal_numbers():
    rng = np.random.default_rng(5)
    frames = [two_waters() for _ in range(100)]
    said = {
        "energy_eV": [frame.info[ENERGY] for frame in frames],
        "forces_eV_A": [f.arrays[FORCES] + 0.1 * rng.normal(size=(6, 3)) for f in frames],
        "stress_eV_A3": [frame.info[STRESS] for frame in frames],
    }
    found = summaries.model_errors_with_spread(frames, said, n_blocks=20)
    force = found["force / meV Å⁻¹"]
    assert force.value == pytest.approx(100, rel=0.1)
    # root mean square of n normal numbers: relative error 1/sqrt(2 n)
    assert force.error == pytest.approx(force.value / np.sqrt(2 * 1800), rel=0.5)
    assert found["energy / meV atom⁻¹"][:2] == (0, 0)
    few = summaries.model_errors_with_spread(frames[:9], {k: v[:9] for k, v in said.items()})
    assert np.isnan(few["force / meV Å⁻¹"].error)
    assert few["force / meV Å⁻¹"].n_effective == 1


def noisy(frames, scale):
    rng = np.random.default_rng(7)
    sizes = scale * np.linspace(0.5, 2, len(frames))  # some frames are harder, for any model
    return {
        "energy_eV": [frame.info[ENERGY] for frame in frames],
        "forces_eV_A": [
            f.arrays[FORCES] + s * rng.normal(size=(6, 3))
            for f, s in zip(frames, sizes, strict=True)
        ],
        "stress_eV_A3": [frame.info[STRESS] for frame in frames],
    }


def test_a_change_of_errors_is_sharper_than_the_errors():
    frames = [two_waters() for _ in range(50)]
    one, other = noisy(frames, 0.1), noisy(frames, 0.08)  # the same noise, a fifth smaller
    force = "force / meV Å⁻¹"
    change = summaries.error_changes(frames, one, other)[force]
    assert change.value == pytest.approx(-20)
    assert change.error == pytest.approx(0, abs=1e-9)
    apart = summaries.error_changes(frames, one, other, relative=False)[force]
    alone = summaries.model_errors_with_spread(frames, one)[force]
    assert apart.value == pytest.approx(-0.2 * alone.value)
    assert apart.error == pytest.approx(0.2 * alone.error)
    assert alone.error > 0.1 * alone.value
    few = [{key: values[:9] for key, values in said.items()} for said in (one, other)]
    assert np.isnan(summaries.error_changes(frames[:9], *few)[force].error)


def test_component_errors_are_those_of_the_forces_in_percent():
    frames = [two_waters() for _ in range(20)]
    said = noisy(frames, 0.1)
    found, plain = (
        summaries.component_errors(frames, said),
        summaries.force_errors(frames, said),
    )
    for name, part in plain.items():
        assert found[name].value == pytest.approx(100 * part.relative)
        assert found[name].error > 0
    ratio = plain["intermolecular"].relative / plain["vibration"].relative
    assert found[summaries.RATIO].value == pytest.approx(ratio)


def test_sets_table():
    row = summaries.sets({"a": [two_waters(), two_waters()]}).loc["a"]
    assert row["frames"] == 2
    assert row["atoms per frame"] == "6"
    assert row["largest force on an atom / eV Å⁻¹"] == 3.0
    assert row["force RMS per component / eV Å⁻¹"] == 1.25  # of 1, 2 and 3, two thirds being zero


REFERENCE = {
    "observables": {
        "density": {
            "value": 1.0,
            "error": 0.01,
            "problems": ["only one sampler"],
            "samplers": {
                "mace": {
                    "sampled": 1.02,
                    "sampled_error": 0.01,
                    "value": 1.0,
                    "error": 0.01,
                    "estimator": "gaussian",
                    "other": {"error": 0.05, "value": 0.99},  # as in the stored file, sorted
                    "sigma_beta_delta_energy": 1.234,
                    "n_effective": 25.0,
                    "n_effective_exponential": 21.0,
                    "problems": [],
                }
            },
        }
    },
    "failures": {},
    "left_out": {"deep_potential-r1": "unstable bond broken"},
}


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1.14, 0.013, "1.140 ± 0.013"),
        (0.87, 0.00025, "0.87000 ± 0.00025"),
        (0.7, 0.0421, "0.700 ± 0.042"),
        (0.5, 0.0997, "0.50 ± 0.10"),
        (12.34, 9.96, "12 ± 10"),
        (1484.0, 231.0, "1480 ± 230"),
        (0.02, 0.0, "0.02 ± 0"),
        (1.00000002, 1.9e-29, "1 ± 1.9e-29"),
        (1484.0, np.nan, "1484 ± nan"),
    ],
)
def test_the_error_has_two_digits_and_the_value_as_many_decimals(value, error, text):
    assert summaries.plus_minus(value, error) == text


def test_an_estimate_in_words():
    assert summaries.estimate(Estimate(0.7981, 0.0391, 14.6)) == "0.798 ± 0.039 (n = 15)"
    assert summaries.estimate(Estimate(1.0, np.nan, 1)) == "1 (a single sample, no error)"
    assert summaries.estimate(Estimate(1481.0, 231.0, 5)) == "1480 ± 230 (n = 5)"
    assert summaries.estimate(Estimate(0.848, 0.013, 1.34)) == "0.848 ± 0.013 (n = 1.3)"
    assert summaries.estimate(None) == "not available"


def test_reference_gives_a_reason_instead_of_a_number():
    said = summaries.reference_verdict(REFERENCE, "density")
    assert said == "not available: only one sampler"
    assert "no model" in summaries.reference_verdict(REFERENCE, "rdf:O-H")
    many = {"observables": {"density": {"problems": [f"{n} frames" for n in range(9)]}}}
    said = summaries.reference_verdict(many, "density")
    assert said == "not available: 0 frames; 1 frames; and 7 more reasons"
    few = {"observables": {"density": {"problems": ["a: 5.0 effective frames, needed are 20"]}}}
    assert summaries.why_not(few, "density") == "a: 5.0 effective frames of the 20 needed"
    samplers = [{"problems": p, "n_effective": n} for p, n in ([[], 30.2], [[], 41], [["few"], 2])]
    trusted = {"value": 1.0, "error": 0.01, "p_value": 0.3, "problems": []}
    trusted["samplers"] = dict(enumerate(samplers))
    said = summaries.reference_verdict({"observables": {"density": trusted}}, "density")
    assert said == "1.000 ± 0.010 (n = 71, 2 samplers, which agree with p = 0.30)"
    assert summaries.trusted_samplers(REFERENCE, "density") == ["mace"]
    assert summaries.trusted_samplers(REFERENCE, "rdf:O-H") == []


def test_reference_table_lists_samplers_and_what_was_left_out():
    table = summaries.reference_density(REFERENCE)
    assert table.loc["mace", "verdict"] == "trusted"
    assert table.loc["mace", "own density / g cm⁻³"] == "1.020 ± 0.010"
    assert table.loc["mace", "the other estimator / g cm⁻³"] == "0.990 ± 0.050"
    assert table.loc["deep_potential-r1", "verdict"] == "not used: unstable bond broken"
    lone = copy.deepcopy(REFERENCE)
    lone["observables"]["density"]["samplers"]["mace"]["n_effective_exponential"] = 0.01
    said = summaries.reference_density(lone).loc["mace", "the other estimator / g cm⁻³"]
    assert said == "0.99 (less than one effective frame)"
    silent = {"observables": {}, "failures": {}, "left_out": {"a": "unstable"}}
    assert list(summaries.reference_density(silent).index) == ["a"]


def test_score_without_reference_is_no_number():
    rng = np.random.default_rng(0)
    options = {"lived_ps": [1.0], "planned_ps": 2.0, "rng": rng}
    none = liquid_score(deviations={}, **options)
    some = liquid_score(deviations={"density": Estimate(0.02, 0.0, np.inf)}, **options)
    table = summaries.scores({"none": none, "some": some})
    assert table.loc["none", "score"] == "not available"
    assert table.loc["some", "score"] == "0.25"
    assert table.loc["some", "density: Δ / g cm⁻³"] == "0.02 ± 0 (n = inf)"
    assert table.loc["some", "density: term"] == "0.50 (0.50 to 0.50)"
    assert table.loc["some", "survival"] == "0.5 (a single sample, no error)"
    assert summaries.score_sentence(none).startswith("score between 0 and 0.5, the survival")
    assert summaries.score_sentence(some).startswith("score 0.25")


def test_missing_observables_are_listed_with_their_reason():
    table = summaries.missing({"a": {"missing": {"density": "too short"}}, "b": {"missing": {}}})
    assert table.to_numpy().tolist() == [["a", "density", "too short"]]
    assert summaries.missing({}).empty


def scanned(gap_A: float, scan: str, edge_A: float = EDGE_A) -> Atoms:
    frame = two_waters(gap_A)
    frame.set_cell([edge_A] * 3)
    frame.info["source"] = scan
    return frame


def test_scan_pressure_is_the_molecular_one():
    frame = scanned(2.5, "a")
    # forces within the molecules, balanced in each, and the stress of their virial alone
    pull = np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 0, 0]])
    frame.arrays[FORCES] = np.tile(pull, (2, 1))
    virial = 2 * (pull[1] * 0.96)[0]
    inside = np.array([-virial / EDGE_A**3, 0, 0, 0, 0, 0])
    outside = np.array([-1, -1, -1, 0, 0, 0]) * 1e3 * bar
    frame.info[STRESS] = inside + outside
    said = {"forces_eV_A": [np.zeros((6, 3))], "stress_eV_A3": [3 * outside]}
    (row,) = summaries.scan_pressures([frame], said).to_dict("records")
    assert row["reference_kbar"] == pytest.approx(1.0)
    assert row["predicted_kbar"] == pytest.approx(3.0)
    assert row["error_kbar"] == pytest.approx(2.0)
    assert (row["scan"], row["composition"]) == ("a", "W:2")


def test_pressure_errors_are_pooled_in_intervals_of_density():
    errors = {"density_g_cm3": [0.2, 0.3, 0.9], "error_kbar": [3.0, -4.0, 1.0]}
    found = summaries.pressure_errors_by_density(pd.DataFrame(errors), [0.2, 0.4, 0.6, 1.0])
    assert found.to_list() == pytest.approx([np.sqrt(12.5), 1.0])
    assert found.index.to_list() == pytest.approx([0.3, 0.8], abs=0.01)


def test_widest_scans_leave_the_smallest_gaps():
    edges = {"a": (8, 9, 16), "b": (8, 10, 12, 16), "c": (15, 16)}
    frames = [scanned(2.5, name, edge) for name, some in edges.items() for edge in some]
    said = {
        "forces_eV_A": [np.zeros((6, 3))] * len(frames),
        "stress_eV_A3": [np.zeros(6)] * len(frames),
    }
    table = summaries.scan_pressures(frames, said)
    assert table[table["scan"] == "a"]["density_g_cm3"].is_monotonic_increasing
    assert summaries.widest_scans(table, 2) == ["b", "a"]


def water(stretch: float = 1.0) -> Atoms:
    atoms = Atoms("OH2", [[0, 0, 0], [stretch, 0, 0], [0, 1, 0]])
    atoms.info |= {"bonds": np.array([[0, 1], [0, 2]]), "composition": "W:1"}
    return atoms


def test_resampling_gives_a_mean_its_usual_standard_error():
    values = np.random.default_rng(0).normal(5, 1, 400)
    value, error = summaries.resampled(np.mean, values, seed=1).split(" ± ")
    assert float(value) == pytest.approx(values.mean(), abs=1e-3)
    assert float(error) == pytest.approx(values.std(ddof=1) / 20, rel=0.1)
    same = summaries.resampled(lambda a, b: np.corrcoef(a, b)[0, 1], values, 2 * values, seed=1)
    assert float(same.split(" ± ")[1]) < 1e-10  # resampled together


def test_largest_strain_has_a_sign():
    assert summaries.largest_strain(water(1.3), water()) == pytest.approx(0.3)
    assert summaries.largest_strain(water(0.8), water()) == pytest.approx(-0.2)
    with pytest.raises(ValueError, match="allowed is OH2"):
        summaries.largest_strain(Atoms("H2", info={"bonds": [[0, 1]]}), water())


def test_strained_molecules_are_above_the_lowest_frame_of_the_reference():
    frames = [water(1.3), water(1.1)]
    for frame, energy in zip(frames, (-10.0, -12.0), strict=True):
        frame.info[ENERGY] = energy
        frame.arrays[FORCES] = np.zeros((3, 3))
    said = {"energy_eV": [-13.0, -12.5], "forces_eV_A": [np.full((3, 3), 0.5), np.zeros((3, 3))]}
    table = summaries.strained_molecules(frames, said, {"W": water()})
    np.testing.assert_allclose(table["strain_percent"], [30, 10])
    np.testing.assert_allclose(table["reference_eV"], [2, 0])
    np.testing.assert_allclose(table["predicted_eV"], [-0.5, 0])  # a way out
    np.testing.assert_allclose(table["force_error_eV_A"], [0.5, 0])


def test_trainings_of_several_seeds():
    def record(last: float, n_reports: int = 10) -> dict:
        share = np.arange(1, n_reports + 1) / n_reports
        forces = np.where(share > 0.8, last, 0.10)
        curve = [
            {"samples": 100 * (i + 1), "forces_rmse_eV_A": f, "energy_rmse_eV_atom": 0.002}
            for i, f in enumerate(forces)
        ]
        return {"n_training": 50, "learning_curve": curve}

    records = {("a", "X"): [record(0.08), record(0.06)], ("b", "X"): [record(0.11)]}
    table = summaries.trainings(records, {("a", "X"): [600, 660], ("b", "X"): [300]})
    assert table.loc[("a", "X"), "validation force / meV Å⁻¹"] == "70 ± 14"
    assert table.loc[("a", "X"), "force error fell by / %"] == "30 ± 14"
    assert table.loc[("b", "X"), "force error fell by / %"] == "-10"  # it rose
    assert table.loc[("a", "X"), "passes"] == 20 and table.loc[("b", "X"), "seeds"] == 1
    assert table.loc[("b", "X"), "core time / min"] == "5"
    few = summaries.trainings({("a", "X"): [record(0.05, 2)]}, {("a", "X"): [60]})
    assert few.loc[("a", "X"), "force error fell by / %"] == "50"  # of two reports
