"""Summaries of frames and results for people: tables with units in their headings, and series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.units import bar
from numpy.typing import NDArray

from crosstrain.build.boxes import density_g_cm3, whole
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.measure import errors, observables
from crosstrain.measure.molecules import smallest_width
from crosstrain.measure.score import LiquidScore
from crosstrain.simulate.trajectory import Trajectory

FARTHEST_CONTACT_A = 6.0

Prediction = Mapping[str, Any]

# --- frames -------------------------------------------------------------------------------------


def sets(frames: Mapping[str, Sequence[Atoms]]) -> pd.DataFrame:
    """Return what labelled sets hold, a row each.

    Parameters
    ----------
    frames : mapping of str to sequence of Atoms
        By name of the set.
    """
    rows = {}
    for name, members in frames.items():
        densities = [density_g_cm3(frame) for frame in members if frame.pbc.all()]
        forces = np.concatenate([frame.arrays[FORCES] for frame in members])
        rows[name] = {
            "frames": len(members),
            "compositions": len({frame.info["composition"] for frame in members}),
            "atoms per frame": _span([len(frame) for frame in members], "{:d}"),
            "density / g cm⁻³": _span(densities, "{:.2f}") if densities else "isolated",
            "force RMS / eV Å⁻¹": round(errors.rms(forces), 2),
            "largest force / eV Å⁻¹": round(float(np.linalg.norm(forces, axis=1).max()), 1),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def nearest_contact_A(frame: Atoms) -> float:
    """Return the smallest distance between atoms of different molecules, Å; NaN if above 6 Å."""
    first, second, image, distances = neighbor_list("ijSd", whole(frame), FARTHEST_CONTACT_A)
    molecule = frame.arrays["molecule"]
    apart = (molecule[first] != molecule[second]) | image.any(axis=1)
    return float(distances[apart].min()) if apart.any() else np.nan


def about(frame: Atoms) -> str:
    """Return composition, temperature of preparation and density of a frame in a line."""
    said = [frame.info["composition"]]
    if "temperature_K" in frame.info:
        said.append(f"{frame.info['temperature_K']:.0f} K")
    if frame.pbc.all():
        said.append(f"{density_g_cm3(frame):.2f} g/cm³")
    return ", ".join(said)


def preparation(frames: Mapping[str, Sequence[Atoms]]) -> pd.DataFrame:
    """Return how periodic frames were prepared, a row each.

    Parameters
    ----------
    frames : mapping of str to sequence of Atoms
        By name of the set.
    """
    rows = [
        {
            "set": name,
            "density / g cm$^{-3}$": density_g_cm3(frame),
            "temperature / K": frame.info.get("temperature_K", np.nan),
            "nearest contact / Å": nearest_contact_A(frame),
        }
        for name, members in frames.items()
        for frame in members
        if frame.pbc.all()
    ]
    return pd.DataFrame(rows)


def mean_rdfs(
    frames: Sequence[Atoms], pairs: Sequence[str], n_bins: int = 40
) -> dict[str, observables.RadialDistribution]:
    """Return the mean intermolecular g(r) of frames of any composition.

    Parameters
    ----------
    frames : sequence of Atoms
        Periodic frames.
    pairs : sequence of str
        Pairs of elements that occur in every frame, such as ``O-H``.
    n_bins : int
        Up to half the width of the smallest box.
    """
    r_max = 0.5 * min(smallest_width(frame.cell.array) for frame in frames)
    found = {}
    for pair in pairs:
        curves = [
            observables.element_rdf(
                [frame.positions],
                frame.cell.array,
                frame.arrays["molecule"],
                frame.get_chemical_symbols(),
                pair=tuple(pair.split("-")),
                n_bins=n_bins,
                r_max=r_max,
            )
            for frame in frames
        ]
        mean = np.mean([curve.g[0] for curve in curves], axis=0)
        found[pair] = observables.RadialDistribution(curves[0].r, mean)
    return found


def labels(
    frames: Mapping[str, Sequence[Atoms]], atom_energies: Mapping[str, float]
) -> pd.DataFrame:
    """Return energy, pressure and density of labelled periodic frames, a row for each.

    Parameters
    ----------
    frames : mapping of str to sequence of Atoms
        By name of the set; isolated molecules are left out.
    atom_energies : mapping of str to float
        Energy of each isolated atom, eV.
    """
    tables = []
    for name, members in frames.items():
        members = [frame for frame in members if frame.pbc.all()]
        energies = [frame.info[ENERGY] for frame in members]
        columns = {
            "set": name,
            "energy / eV per atom": atomisation_energies(members, energies, atom_energies),
            "pressure / kbar": [-frame.info[STRESS][:3].mean() / bar / 1e3 for frame in members],
            "density / g cm$^{-3}$": [density_g_cm3(frame) for frame in members],
        }
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def force_sizes(frames: Mapping[str, Sequence[Atoms]]) -> pd.DataFrame:
    """Return the size of the labelled force on every atom, a row for each."""
    tables = []
    for name, members in frames.items():
        sizes = np.concatenate([np.linalg.norm(f.arrays[FORCES], axis=1) for f in members])
        tables.append(pd.DataFrame({"set": name, "force / eV Å$^{-1}$": sizes}))
    return pd.concat(tables, ignore_index=True)


def relative_energies(compared: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return energies of DFT and of the reference method, each about its mean, meV per atom.

    Parameters
    ----------
    compared : DataFrame
        With ``dft_energy_eV``, ``energy_eV`` and ``atoms``, frames of one composition.
    """
    per_atom = [1e3 * compared[name] / compared["atoms"] for name in ("dft_energy_eV", "energy_eV")]
    dft, ours = (energies - energies.mean() for energies in per_atom)
    return dft, ours


# --- models -------------------------------------------------------------------------------------


def training(record: Mapping[str, Any]) -> dict[str, float]:
    """Return what a training has come to, for one row of a table.

    Parameters
    ----------
    record : mapping
        Content of ``training.json``.
    """
    last = record["learning_curve"][-1]
    return {
        "training frames": record["n_training"],
        "frames seen": last["samples"],
        "validation force / meV Å⁻¹": round(1e3 * last["forces_rmse_eV_A"], 1),
        "validation energy / meV atom⁻¹": round(1e3 * last["energy_rmse_eV_atom"], 2),
    }


def model_errors(frames: Sequence[Atoms], predicted: Prediction) -> dict[str, float]:
    """Return a model's errors on labelled frames, for one row of a table.

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled frames; those that are not periodic have no stress.
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.

    Returns
    -------
    dict
        By heading; only the number of frames if there are none.
    """
    if not frames:  # every label of the run failed
        return {"frames": 0}
    energy = errors.energy_errors(
        [frame.info[ENERGY] for frame in frames],
        predicted["energy_eV"],
        errors.element_counts(frames),
    )
    forces = force_errors(frames, predicted)
    found = {
        "frames": len(frames),
        "energy / meV atom⁻¹": 1e3 * energy.rmse,
        "energy, offset removed / meV atom⁻¹": 1e3 * energy.rmse_offset_removed,
        "force / meV Å⁻¹": 1e3 * forces["total"].rmse,
        "intermolecular / %": 100 * forces["intermolecular"].relative,
        "vibration / %": 100 * forces["vibration"].relative,
    }
    periodic = [i for i, frame in enumerate(frames) if frame.pbc.all()]
    if not periodic:
        return found
    chosen = [frames[i] for i in periodic]
    labels = [frame.info[STRESS] for frame in chosen]
    said = np.asarray(predicted["stress_eV_A3"])[periodic]
    stress = errors.stress_errors(labels, said)
    label_forces = [frame.arrays[FORCES] for frame in chosen]
    said_forces = [predicted["forces_eV_A"][i] for i in periodic]
    parts = errors.stress_split_errors(
        chosen, forces=(label_forces, said_forces), stress=(labels, said)
    )
    return found | {
        "stress / meV Å⁻³": 1e3 * stress.rmse,
        "molecular stress / %": 100 * parts["molecular"].relative,
        "pressure bias / kbar": 1e-3 * stress.pressure_bias_bar,
    }


def force_errors(frames: Sequence[Atoms], predicted: Prediction) -> dict[str, errors.Deviation]:
    """Return force errors of a model by component, as `crosstrain.measure.errors.force_errors`."""
    labels = [frame.arrays[FORCES] for frame in frames]
    return errors.force_errors(frames, labels, predicted["forces_eV_A"])


def atomisation_energies(
    frames: Sequence[Atoms], energies_eV: Sequence[float], atom_energies: Mapping[str, float]
) -> NDArray[np.float64]:
    """Return energies per atom relative to isolated atoms, eV, shape (n_frames,)."""
    isolated = [sum(atom_energies[symbol] for symbol in frame.symbols) for frame in frames]
    return (np.asarray(energies_eV) - isolated) / [len(frame) for frame in frames]


# --- liquids ------------------------------------------------------------------------------------


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
            "evaluated by": run["engine"],
        }
        for name, run in records.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def densities_g_cm3(trajectory: Trajectory) -> NDArray[np.float64]:
    """Return the density at every row of a trajectory's thermodynamic table, g/cm³."""
    masses = trajectory.reference.get_masses()
    return observables.density_g_cm3(masses, trajectory.thermo["volume_A3"])


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
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object).fillna("-")


def reference_verdict(reference: Mapping[str, Any], observable: str) -> str:
    """Return the reference's value of a scalar observable in words, or why there is none."""
    reason = why_not(reference, observable)
    if reason:
        return f"not available: {reason}"
    found = reference["observables"][observable]
    return plus_minus(found["value"], found["error"])


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


def missing(observed: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the observables that runs did not give, with the reason, a row each.

    Parameters
    ----------
    observed : mapping
        Content of ``observed.json`` by name of the run.
    """
    rows = [
        {"run": name, "observable": observable, "not available": reason}
        for name, seen in observed.items()
        for observable, reason in seen["missing"].items()
    ]
    return pd.DataFrame(rows, columns=["run", "observable", "not available"])


def score_sentence(score: LiquidScore) -> str:
    """Return a score in words, or why there is none."""
    if score.terms:
        interval = f"{score.lower:.2f} to {score.upper:.2f}"
        return f"score {score.value:.2f} ({interval}), survival {score.survival:.2f}"
    return f"no score, for want of a trusted reference value; survival {score.survival:.2f}"


def training_set(model_name: str) -> str:
    """Return the training set in the name of a model, such as ``packed`` of ``mace-packed-s1``."""
    return model_name.split("-")[1]


def plus_minus(value: float, error: float, digits: int = 3) -> str:
    """Return a value with its standard error, such as ``1.023 ± 0.008``."""
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def diffusion(coefficient: Mapping[str, float]) -> str:
    """Return a self-diffusion coefficient (cm²/s) with its error, in 10⁻⁶ cm²/s."""
    return plus_minus(1e6 * coefficient["value"], 1e6 * coefficient["error"], 1)


def _or_none(*values: float) -> str:
    return "not available" if np.isnan(values).any() else " to ".join(f"{v:.2f}" for v in values)


def _span(values: Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
