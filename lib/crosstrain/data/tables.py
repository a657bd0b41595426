"""Tables of results: plain results in, `pandas.DataFrame` with units in the headings out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms

from crosstrain.build.boxes import density_g_cm3
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.measure import errors
from crosstrain.measure.score import LiquidScore

Prediction = Mapping[str, Any]


def sets(frames: Mapping[str, Sequence[Atoms]]) -> pd.DataFrame:
    """Return what labelled sets hold, a row each.

    Parameters
    ----------
    frames : mapping of str to sequence of Atoms
        Periodic frames by name of the set.
    """
    rows = {}
    for name, members in frames.items():
        densities = [density_g_cm3(frame) for frame in members]
        forces = np.concatenate([frame.arrays[FORCES] for frame in members])
        rows[name] = {
            "frames": len(members),
            "compositions": len({frame.info["composition"] for frame in members}),
            "atoms per frame": _span([len(frame) for frame in members], "{:d}"),
            "density / g cm⁻³": _span(densities, "{:.2f}"),
            "force RMS / eV Å⁻¹": round(errors.rms(forces), 2),
            "largest force / eV Å⁻¹": round(float(np.linalg.norm(forces, axis=1).max()), 1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def model_errors(frames: Sequence[Atoms], predicted: Prediction) -> dict[str, float]:
    """Return a model's errors on labelled frames, for one row of a table.

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled periodic frames.
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.
    """
    energy = errors.energy_errors(
        [frame.info[ENERGY] for frame in frames],
        predicted["energy_eV"],
        errors.element_counts(frames),
    )
    forces = force_errors(frames, predicted)
    stress = errors.stress_errors(
        [frame.info[STRESS] for frame in frames], predicted["stress_eV_A3"]
    )
    return {
        "frames": len(frames),
        "energy / meV atom⁻¹": 1e3 * energy.rmse,
        "energy, offset removed / meV atom⁻¹": 1e3 * energy.rmse_offset_removed,
        "force / meV Å⁻¹": 1e3 * forces["total"].rmse,
        "intermolecular / %": 100 * forces["intermolecular"].relative,
        "vibration / %": 100 * forces["vibration"].relative,
        "stress / meV Å⁻³": 1e3 * stress.rmse,
        "pressure bias / kbar": 1e-3 * stress.pressure_bias_bar,
    }


def force_errors(frames: Sequence[Atoms], predicted: Prediction) -> dict[str, errors.Deviation]:
    """Return force errors of a model by component, as `crosstrain.measure.errors.force_errors`."""
    labels = [frame.arrays[FORCES] for frame in frames]
    return errors.force_errors(frames, labels, predicted["forces_eV_A"])


def atomisation_energies(
    frames: Sequence[Atoms], energies_eV: Sequence[float], atom_energies: Mapping[str, float]
) -> np.ndarray:
    """Return energies per atom relative to isolated atoms, eV, shape (n_frames,)."""
    isolated = [sum(atom_energies[symbol] for symbol in frame.symbols) for frame in frames]
    return (np.asarray(energies_eV) - isolated) / [len(frame) for frame in frames]


def runs(records: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return how runs ended, a row each.

    Parameters
    ----------
    records : mapping
        Content of ``run.json`` by name of the run.
    """
    rows = {
        name: {
            "ended": run["status"],
            "reason": run["reason"] or "-",
            "lived / ps": run["time_ps"],
            "planned / ps": run["planned_ps"],
            "what happened": run["detail"] or "-",
        }
        for name, run in records.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def reference_density(reference: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each sampling model says about the reference's density, and the verdict.

    Parameters
    ----------
    reference : mapping
        Content of ``reference.json``.
    """
    density = reference["observables"].get("density", {"samplers": {}})
    rows = {
        name: {
            "own density / g cm⁻³": plus_minus(said["sampled"], said["sampled_error"]),
            "corrected / g cm⁻³": plus_minus(said["value"], said["error"]),
            "estimator": said["estimator"],
            "σ(βΔE)": round(said["sigma_beta_delta_energy"], 2),
            "independent frames": round(said["n_effective"], 1),
            "verdict": "; ".join(said["problems"]) or "trusted",
        }
        for name, said in density["samplers"].items()
    }
    silent = reference["left_out"] | reference["failures"]
    rows |= {name: {"verdict": f"not used: {reason}"} for name, reason in silent.items()}
    return pd.DataFrame.from_dict(rows, orient="index").fillna("-")


def why_not(reference: Mapping[str, Any], observable: str) -> str:
    """Return why the reference gives no value of an observable, or '' if it does.

    Parameters
    ----------
    reference : mapping
        Content of ``reference.json``.
    observable : str
        Such as ``density`` or ``rdf:O-H``.
    """
    found = reference["observables"].get(observable)
    if found is not None:
        return "; ".join(found["problems"])
    return "no model gave a run that could be reweighted"


def scores(found: Mapping[str, LiquidScore]) -> pd.DataFrame:
    """Return liquid scores with every part they are made of.

    Parameters
    ----------
    found : mapping of str to LiquidScore
        By name of the model.
    """
    rows = {}
    for name, score in found.items():
        rows[name] = {
            "survival": f"{score.survival:.2f}",
            **{f"{term}: Δ": f"{part.deviation:.3f}" for term, part in score.terms.items()},
            **{f"{term}: term": f"{part.value:.2f}" for term, part in score.terms.items()},
            "agreement": _or_none(score.agreement),
            "score": _or_none(score.value),
            "95 % interval": _or_none(score.lower, score.upper),
            "replicas": score.n_replicas,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def plus_minus(value: float, error: float, digits: int = 3) -> str:
    """Return a value with its standard error, such as ``1.023 ± 0.008``."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _or_none(*values: float) -> str:
    return "not available" if np.isnan(values).any() else " to ".join(f"{v:.2f}" for v in values)


def _span(values: Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
