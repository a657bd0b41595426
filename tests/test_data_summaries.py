import numpy as np
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


def test_model_errors_without_frames_has_no_numbers():
    assert summaries.model_errors([], {}) == {"frames": 0}


def test_sets_table():
    row = summaries.sets({"a": [two_waters(), two_waters()]}).loc["a"]
    assert row["frames"] == 2
    assert row["atoms per frame"] == "6"
    assert row["largest force / eV Å⁻¹"] == 3.0


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
                    "sigma_beta_delta_energy": 1.234,
                    "n_effective": 25.0,
                    "problems": [],
                }
            },
        }
    },
    "failures": {},
    "left_out": {"deep_potential-r1": "unstable bond broken"},
}


def test_reference_gives_a_reason_instead_of_a_number():
    said = summaries.reference_verdict(REFERENCE, "density")
    assert said == "not available: only one sampler"
    assert "no model" in summaries.reference_verdict(REFERENCE, "rdf:O-H")
    trusted = {"observables": {"density": {"value": 1.0, "error": 0.01, "problems": []}}}
    assert summaries.reference_verdict(trusted, "density") == "1.000 ± 0.010"


def test_reference_table_lists_samplers_and_what_was_left_out():
    table = summaries.reference_density(REFERENCE)
    assert table.loc["mace", "verdict"] == "trusted"
    assert table.loc["mace", "own density / g cm⁻³"] == "1.020 ± 0.010"
    assert table.loc["deep_potential-r1", "verdict"] == "not used: unstable bond broken"
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
    assert "no score" in summaries.score_sentence(none)
    assert summaries.score_sentence(some).startswith("score 0.25")


def test_missing_observables_are_listed_with_their_reason():
    table = summaries.missing({"a": {"missing": {"density": "too short"}}, "b": {"missing": {}}})
    assert table.to_numpy().tolist() == [["a", "density", "too short"]]
    assert summaries.missing({}).empty
