"""Summaries of frames and results for people: tables with units in their headings, and series."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.units import bar
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from crosstrain.build.boxes import composition_counts, density_g_cm3, whole
from crosstrain.data.frames import ENERGY, FORCES, STRESS
from crosstrain.measure import errors, observables
from crosstrain.measure.forces import split_stress
from crosstrain.measure.molecules import smallest_width
from crosstrain.measure.score import LiquidScore, Term
from crosstrain.measure.statistics import Estimate
from crosstrain.simulate.trajectory import Trajectory

DELTA_UNITS = {"density": " / g cm⁻³"}  # the overlap error of an RDF has none
FARTHEST_CONTACT_A = 6.0
RATIO = "between molecules / vibration"
FIFTH = 0.2  # of the frames that a training sees: reports within are averaged

VALIDATION = {
    "forces_rmse_eV_A": "validation force / meV Å⁻¹",
    "energy_rmse_eV_atom": "validation energy / meV atom⁻¹",
}

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
            "force RMS per component / eV Å⁻¹": round(errors.rms(forces), 2),
            "largest force on an atom / eV Å⁻¹": round(
                float(np.linalg.norm(forces, axis=1).max()), 1
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def nearest_in_words(frame: Atoms, atom: int) -> str:
    """Say which atom of another molecule is nearest to an atom of a box."""
    of = frame.arrays["molecule"]
    others = np.flatnonzero(of != of[atom])
    if not len(others):
        return "there is no other molecule"
    distances_A = frame.get_distances(atom, others, mic=True)
    nearest = others[distances_A.argmin()]
    pair = [f"{frame.symbols[i]}{i} of molecule {of[i]}" for i in (atom, nearest)]
    return f"{pair[0]} is {distances_A.min():.2f} Å from {pair[1]}"


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


# --- models -------------------------------------------------------------------------------------


def training(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a training has come to, for one row of a table.

    Validation errors are the mean over the reports of the last fifth of the frames seen, with
    their scatter; one report may be of a few frames only.

    Parameters
    ----------
    record : mapping
        Content of ``training.json``.
    """
    found = {"training frames": record["n_training"], "frames seen": _seen(record)}
    for quantity, heading in VALIDATION.items():
        last = 1e3 * _reports(record, quantity, 1.0)
        found[heading] = plus_minus(last.mean(), last.std())
    return found


def trainings(
    records: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    core_s: Mapping[tuple[str, str], Sequence[float]],
) -> pd.DataFrame:
    """Return what the trainings of several sets have come to, over their seeds.

    Parameters
    ----------
    records : mapping of (set, architecture) to sequence of mapping
        Content of ``training.json`` of each seed.
    core_s : mapping of (set, architecture) to sequence of float
        What each cost.

    Returns
    -------
    pandas.DataFrame
        Means over seeds with their scatter. The last column is by how much the validation error of
        the forces fell from the middle fifth of the frames seen to the last: a training that is cut
        short would still be falling.
    """
    rows = {}
    for key, seeds in records.items():
        ends = [
            [_reports(seed, "forces_rmse_eV_A", at).mean() for at in (0.6, 1.0)] for seed in seeds
        ]
        fallen = [100 * (1 - last / middle) for middle, last in ends]
        rows[key] = {
            "seeds": len(seeds),
            "training frames": seeds[0]["n_training"],
            "frames seen": _seen(seeds[0]),
            "passes": round(_seen(seeds[0]) / seeds[0]["n_training"]),
            **{
                heading: _over([1e3 * _reports(seed, quantity, 1.0).mean() for seed in seeds])
                for quantity, heading in VALIDATION.items()
            },
            "core time / min": _over([seconds / 60 for seconds in core_s[key]]),
            "force error fell by / %": _over(fallen),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _seen(record: Mapping[str, Any]) -> int:
    return record["learning_curve"][-1]["samples"]


def _reports(record: Mapping[str, Any], quantity: str, end: float) -> NDArray[np.float64]:
    """Reports within a fifth of the frames seen that ends at a share of them."""
    curve = record["learning_curve"]
    share = np.array([point["samples"] for point in curve]) / _seen(record)
    values = np.array([point[quantity] for point in curve])
    within = values[(share > end - FIFTH + 1e-9) & (share <= end + 1e-9)]
    return within if len(within) else values[[np.abs(share - end).argmin()]]


def _over(values: Sequence[float]) -> str:
    """Mean and scatter of seeds; of one seed its value."""
    if len(values) < 2:
        return in_digits(values[0])
    return plus_minus(float(np.mean(values)), float(np.std(values, ddof=1)))


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
        "force / %": 100 * forces["total"].relative,
        "intermolecular / %": 100 * forces["intermolecular"].relative,
        "vibration / %": 100 * forces["vibration"].relative,
    }
    if all(np.ptp(frame.arrays["molecule"]) == 0 for frame in frames):
        found["intermolecular / %"] = np.nan  # nothing acts there, and rounding is no error
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
        "stress / %": 100 * stress.relative,
        "molecular stress / %": 100 * parts["molecular"].relative,
        "pressure bias / kbar": 1e-3 * stress.pressure_bias_bar,
    }


def model_errors_with_spread(
    frames: Sequence[Atoms], predicted: Prediction, *, n_blocks: int = 5
) -> dict[str, Estimate]:
    """Return a model's errors on frames of a trajectory, each with its own standard error.

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled frames in the order of time.
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.
    n_blocks : int
        Blocks of consecutive frames that are left out in turn (jackknife [1]_); they count as the
        independent samples. Without two frames in each the standard error is NaN.

    Returns
    -------
    dict of str to Estimate
        By heading of `model_errors`.

    References
    ----------
    .. [1] M. H. Quenouille, Biometrika 1956, 43, 353.
    """

    def measure(kept: NDArray[np.int64]) -> dict[str, float]:
        found = model_errors(*_some(frames, predicted, kept))
        return {name: value for name, value in found.items() if name != "frames"}

    return _jackknife(measure, len(frames), n_blocks)


def error_changes(
    frames: Sequence[Atoms],
    before: Prediction,
    after: Prediction,
    *,
    relative: bool = True,
    n_blocks: int = 5,
) -> dict[str, Estimate]:
    """Return by how much errors of one model differ from those of another on the same frames.

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled frames in the order of time.
    before, after : mapping
        As `crosstrain.study.Study.predicted` returns them.
    relative : bool
        In percent of the former error; else the difference, in the unit of the error.
    n_blocks : int
        As for `model_errors_with_spread`; a block is left out of both models together, so what
        makes frames hard for both is in no standard error.
    """

    def measure(kept: NDArray[np.int64]) -> dict[str, float]:
        one, other = (model_errors(*_some(frames, said, kept)) for said in (before, after))
        changes = {name: other[name] - error for name, error in one.items() if name != "frames"}
        if not relative:
            return changes
        return {n: 100 * change / one[n] if one[n] else np.nan for n, change in changes.items()}

    return _jackknife(measure, len(frames), n_blocks)


def component_errors(
    frames: Sequence[Atoms], predicted: Prediction, *, n_blocks: int = 5
) -> dict[str, Estimate]:
    """Return force errors in percent of each component, with standard errors, and a ratio.

    Parameters
    ----------
    frames, predicted, n_blocks
        As for `model_errors_with_spread`.

    Returns
    -------
    dict of str to Estimate
        By component, in percent; `RATIO`: of the relative errors of intermolecular force and
        vibration.
    """

    def measure(kept: NDArray[np.int64]) -> dict[str, float]:
        parts = force_errors(*_some(frames, predicted, kept))
        found = {name: 100 * part.relative for name, part in parts.items()}
        return found | {RATIO: found["intermolecular"] / found["vibration"]}

    return _jackknife(measure, len(frames), n_blocks)


def errors_between_molecules(
    frames: Sequence[Atoms], predicted: Prediction, *, n_blocks: int = 5
) -> dict[str, Estimate]:
    """Return the error of the forces between molecules, with standard errors.

    Parameters
    ----------
    frames, predicted, n_blocks
        As for `model_errors_with_spread`.

    Returns
    -------
    dict of str to Estimate
        ``meV_A``, root mean square, and ``percent`` of that of the forces themselves.
    """

    def measure(kept: NDArray[np.int64]) -> dict[str, float]:
        found = force_errors(*_some(frames, predicted, kept))["intermolecular"]
        return {"meV_A": 1e3 * found.rmse, "percent": 100 * found.relative}

    return _jackknife(measure, len(frames), n_blocks)


def _some(
    frames: Sequence[Atoms], predicted: Prediction, kept: NDArray[np.int64]
) -> tuple[list[Atoms], dict[str, Any]]:
    """Some of the frames, by number, and what a model said of them."""
    part = {
        "energy_eV": np.asarray(predicted["energy_eV"])[kept],
        "forces_eV_A": [predicted["forces_eV_A"][i] for i in kept],
        "stress_eV_A3": np.asarray(predicted["stress_eV_A3"])[kept],
    }
    return [frames[i] for i in kept], part


def _jackknife(
    measure: Callable[[NDArray[np.int64]], dict[str, float]], n_frames: int, n_blocks: int
) -> dict[str, Estimate]:
    """What is measured on all frames, with the scatter from leaving out blocks of them in turn."""
    every = np.arange(n_frames)
    found = measure(every)
    if n_frames < 2 * n_blocks:
        return {name: Estimate(value, np.nan, 1) for name, value in found.items()}
    without = [measure(np.setdiff1d(every, block)) for block in np.array_split(every, n_blocks)]
    spread = {
        name: np.sqrt(n_blocks - 1) * np.std([each[name] for each in without]) for name in found
    }
    return {name: Estimate(value, spread[name], n_blocks) for name, value in found.items()}


def values(rows: Mapping[Any, Mapping[str, Estimate]]) -> pd.DataFrame:
    """Return the numbers of several rows of estimates without their errors."""
    plain = {key: {name: e.value for name, e in row.items()} for key, row in rows.items()}
    return pd.DataFrame.from_dict(plain, orient="index")


def error_table(rows: Mapping[Any, Mapping[str, Estimate]]) -> pd.DataFrame:
    """Return rows of `model_errors_with_spread` as text, without an error where none is known."""
    said = {key: {name: with_error(e) for name, e in row.items()} for key, row in rows.items()}
    return pd.DataFrame.from_dict(said, orient="index").fillna("-")


def force_errors(frames: Sequence[Atoms], predicted: Prediction) -> dict[str, errors.Deviation]:
    """Return force errors of a model by component, as `crosstrain.measure.errors.force_errors`."""
    labels = [frame.arrays[FORCES] for frame in frames]
    return errors.force_errors(frames, labels, predicted["forces_eV_A"])


def scan_pressures(frames: Sequence[Atoms], predicted: Prediction) -> pd.DataFrame:
    """Return the molecular pressure along rigid volume scans, a row for each frame.

    The molecular pressure is what a rigid change of the volume works against; the stress inside
    the molecules, which such a scan leaves as it was, is not in it
    (`crosstrain.measure.forces.split_stress`).

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled frames of scans.
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.

    Returns
    -------
    DataFrame
        ``scan`` (frame that was scaled), ``composition``, ``density_g_cm3``, ``reference_kbar``,
        ``predicted_kbar`` and ``error_kbar``; each scan in the order of density.
    """
    rows = [
        {
            "scan": frame.info["source"],
            "composition": frame.info["composition"],
            "density_g_cm3": density_g_cm3(frame),
            "reference_kbar": _molecular_kbar(frame, frame.arrays[FORCES], frame.info[STRESS]),
            "predicted_kbar": _molecular_kbar(frame, said, stress),
        }
        for frame, said, stress in zip(
            frames, predicted["forces_eV_A"], predicted["stress_eV_A3"], strict=True
        )
    ]
    table = pd.DataFrame(rows).sort_values(["scan", "density_g_cm3"], kind="stable")
    return table.assign(error_kbar=table["predicted_kbar"] - table["reference_kbar"])


def pressure_errors_by_density(scanned: pd.DataFrame, edges_g_cm3: ArrayLike) -> pd.Series:
    """Return the RMS error of the pressure, kbar, of all scans together in intervals of density.

    Parameters
    ----------
    scanned : DataFrame
        From `scan_pressures`.
    edges_g_cm3 : array_like, shape (n_intervals + 1,)
        Rising; an interval that holds no frame is left out.

    Returns
    -------
    Series
        By the density in the middle of the interval.
    """
    interval = pd.cut(scanned["density_g_cm3"], np.asarray(edges_g_cm3), include_lowest=True)
    found = scanned.groupby(interval, observed=True)["error_kbar"].apply(errors.rms)
    return found.set_axis([part.mid for part in found.index])


def widest_scans(scanned: pd.DataFrame, n: int) -> list[str]:
    """Return up to `n` scans whose points leave the smallest gaps in the range of all densities.

    Parameters
    ----------
    scanned : DataFrame
        From `scan_pressures`.
    n : int
    """
    ends = scanned["density_g_cm3"].agg(["min", "max"])

    def largest_gap(densities: pd.Series) -> float:
        return float(np.diff([ends["min"], *densities, ends["max"]]).max())

    gaps = scanned.groupby("scan", sort=False)["density_g_cm3"].agg(largest_gap)
    return list(gaps.sort_values(kind="stable").index[:n])


def _molecular_kbar(frame: Atoms, said: ArrayLike, stress: ArrayLike) -> float:
    """Molecular pressure, kbar, of forces (eV/Å) and stress (eV/Å³) of a frame."""
    molecular = split_stress(
        stress,
        frame.positions,
        said,
        frame.get_masses(),
        frame.arrays["molecule"],
        cell=frame.cell.array,
        bonds=frame.info["bonds"],
        pbc=frame.pbc,
    ).molecular
    return float(-molecular[:3].mean() / bar / 1e3)


def strained_molecules(
    frames: Sequence[Atoms], predicted: Prediction, relaxed: Mapping[str, Atoms]
) -> pd.DataFrame:
    """Return strain, energy and force error of isolated molecules, a row for each frame.

    Parameters
    ----------
    frames : sequence of Atoms
        Labelled isolated molecules.
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.
    relaxed : mapping of str to Atoms
        Each molecule at rest, by name and with the same order of atoms.

    Returns
    -------
    DataFrame
        ``molecule``, ``strain_percent`` (of the bond whose length changed most), ``reference_eV``
        and ``predicted_eV`` (above the frame of the molecule that is lowest by the reference) and
        ``force_error_eV_A`` (RMSE of the frame).
    """
    rows = [
        {
            "molecule": next(iter(composition_counts(frame.info["composition"]))),
            "reference_eV": frame.info[ENERGY],
            "predicted_eV": float(energy),
            "force_error_eV_A": errors.rms(np.subtract(said, frame.arrays[FORCES])),
        }
        for frame, energy, said in zip(
            frames, predicted["energy_eV"], predicted["forces_eV_A"], strict=True
        )
    ]
    table = pd.DataFrame(rows)
    table["strain_percent"] = [
        100 * largest_strain(frame, relaxed[name])
        for frame, name in zip(frames, table["molecule"], strict=True)
    ]
    lowest = table.groupby("molecule")["reference_eV"].transform("idxmin")
    for column in ("reference_eV", "predicted_eV"):
        table[column] -= table[column].loc[lowest].to_numpy()
    return table


def largest_strain(frame: Atoms, relaxed: Atoms) -> float:
    """Return the strain of the bond of a molecule whose length changed most, with its sign.

    Raises
    ------
    ValueError
        If the frame is not of that molecule.
    """
    bonds = np.asarray(frame.info["bonds"])
    if str(frame.symbols) != str(relaxed.symbols) or not np.array_equal(
        bonds, relaxed.info["bonds"]
    ):
        raise ValueError(
            f"frame is {frame.symbols}, allowed is {relaxed.symbols} with the same order and bonds"
        )
    now, rest = (
        np.linalg.norm(atoms.positions[bonds[:, 0]] - atoms.positions[bonds[:, 1]], axis=1)
        for atoms in (frame, relaxed)
    )
    strain = now / rest - 1
    return float(strain[np.abs(strain).argmax()])


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


def states_in_words(frames: Sequence[Atoms]) -> str:
    """Return at which temperatures and densities frames were met, and how these go together."""
    temperatures = np.array([frame.info["temperature_K"] for frame in frames], dtype=float)
    densities = [
        float(observables.density_g_cm3(frame.get_masses(), [frame.get_volume()])[0])
        for frame in frames
    ]
    middle = f"medians {np.median(temperatures):.0f} K and {np.median(densities):.2f} g/cm³"
    if np.ptp(temperatures) == 0 or np.ptp(densities) == 0:
        return middle
    return f"{middle}, correlation of the two {np.corrcoef(temperatures, densities)[0, 1]:.2f}"


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
            "the other estimator / g cm⁻³": _other_estimator(said),
            "σ(βΔE)": round(said["sigma_beta_delta_energy"], 2),
            "independent frames": round(said["n_effective"], 1),
            "verdict": "; ".join(map(_reason, said["problems"])) or "trusted",
        }
        for name, said in density["samplers"].items()
    }
    silent = reference["left_out"] | reference["failures"]
    rows |= {name: {"verdict": f"not used: {reason}"} for name, reason in silent.items()}
    return pd.DataFrame.from_dict(rows, orient="index", dtype=object).fillna("-")


def _other_estimator(said: Mapping[str, Any]) -> str:
    """The estimate that is not quoted, without an error where too few frames carry it for one."""
    if said["estimator"] == "gaussian" and said["n_effective_exponential"] < 1:
        return f"{in_digits(said['other']['value'])} (less than one effective frame)"
    return plus_minus(said["other"]["value"], said["other"]["error"])


def reference_verdict(reference: Mapping[str, Any], observable: str) -> str:
    """Return the reference's value of a scalar observable in words, or why there is none."""
    reasons = why_not(reference, observable).split("; ")
    if any(reasons):
        more = f"; and {len(reasons) - 2} more reasons" if len(reasons) > 3 else ""
        return f"not available: {'; '.join(reasons[:2] if more else reasons)}{more}"
    found, trusted = reference["observables"][observable], trusted_samplers(reference, observable)
    n_effective = sum(found["samplers"][name]["n_effective"] for name in trusted)
    known = plus_minus(found["value"], found["error"])
    agree = f"{len(trusted)} samplers, which agree with p = {found['p_value']:.2f}"
    return f"{known} (n = {n_effective:.0f}, {agree})"


def trusted_samplers(reference: Mapping[str, Any], observable: str) -> list[str]:
    """Return the names of the models whose runs the reference's value of an observable rests on."""
    samplers = reference["observables"].get(observable, {"samplers": {}})["samplers"]
    return [name for name, said in samplers.items() if not said["problems"]]


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
        return "; ".join(map(_reason, found["problems"]))
    return "no model gave a run that could be reweighted"


def _reason(problem: str) -> str:
    """Say a stored problem of a reference in words that read well."""
    return re.sub(r"frames(.*), needed are (\S+)$", r"frames\1 of the \2 needed", problem)


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
            "survival": estimate(Estimate(score.survival, score.survival_error, score.n_replicas)),
            **{
                f"{term}: Δ{DELTA_UNITS.get(term, '')}": _with_n(part)
                for term, part in score.terms.items()
            },
            **{
                f"{term}: term": f"{part.value:.2f} ({_or_none(part.lower, part.upper)})"
                for term, part in score.terms.items()
            },
            "agreement": _or_none(score.agreement),
            "score": _or_none(score.value),
            "95 % interval": _or_none(score.lower, score.upper),
        }
    return pd.DataFrame.from_dict(rows, orient="index").fillna("-")


def _with_n(term: Term) -> str:
    known, n = plus_minus(term.deviation, term.deviation_error), term.n_effective
    return f"{known} (n = {n:.0f})" if n >= 10 else f"{known} (n = {n:.2g})"


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
    """Return a score in words; without a reference value the limits that survival sets."""
    if score.terms:
        interval = f"{score.lower:.2f} to {score.upper:.2f}"
        return f"score {score.value:.2f} ({interval}), n = {score.n_replicas} runs"
    most = in_digits(score.survival)  # for the agreement that multiplies it is 1 at most
    return f"score between 0 and {most}, the survival: no reference value that may be trusted"


def plus_minus(value: float, error: float) -> str:
    """Return a value with its standard error, such as ``1.0230 ± 0.0082`` or ``1480 ± 230``.

    The error has two significant digits, and the value as many decimals as the error. Without an
    error (0, NaN or infinite), or one below 10⁻⁵ of it, the value has three significant digits.
    """
    if not 1e-5 * abs(value) < error < np.inf:
        return f"{in_digits(value)} ± {error:.2g}"
    decimals = 1 - int(f"{error:.1e}".partition("e")[2])
    value, error = round(value, decimals), round(error, decimals)
    return f"{value:.{max(decimals, 0)}f} ± {error:.{max(decimals, 0)}f}"


def resampled(statistic: Callable[..., float], *values: ArrayLike, seed: int) -> str:
    """Return a statistic of values with its standard error by resampling them (bootstrap).

    Parameters
    ----------
    statistic : callable
        Of as many arrays as there are values, such as `numpy.median`.
    *values : array_like, shape (n,)
        Resampled together, as if the n were independent.
    seed : int
        Of the resampling.
    """
    options = {"vectorized": False, "method": "percentile", "n_resamples": 2000}
    found = bootstrap(values, statistic, paired=True, rng=seed, **options)
    return plus_minus(float(statistic(*values)), float(found.standard_error))


def with_error(known: Estimate) -> str:
    """Return a value with its standard error, alone where none is known; ``-`` if it is NaN."""
    if np.isnan(known.value):
        return "-"
    return in_digits(known.value) if np.isnan(known.error) else plus_minus(*known[:2])


def in_digits(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, without an exponent above one."""
    text = f"{value:.{digits}g}"
    return f"{value:.0f}" if "e+" in text else text


def estimate(known: Estimate | None) -> str:
    """Return a number with its standard error and its independent samples, in words."""
    if known is None:
        return "not available"
    if not known.n_effective > 1:
        return f"{in_digits(known.value)} (a single sample, no error)"
    if known.error == 0 and np.isfinite(known.n_effective):
        return f"{in_digits(known.value)} (n = {known.n_effective:.0f}, all alike)"
    count = f"{known.n_effective:{'.0f' if known.n_effective >= 10 else '.2g'}}"
    return f"{plus_minus(known.value, known.error)} (n = {count})"


def diffusion(coefficient: Mapping[str, float]) -> str:
    """Return a self-diffusion coefficient (cm²/s) in 10⁻⁶ cm²/s: error and number of molecules."""
    known = plus_minus(1e6 * coefficient["value"], 1e6 * coefficient["error"])
    return f"{known} (n = {coefficient['n_effective']:.0f})"


def _or_none(*values: float) -> str:
    return "not available" if np.isnan(values).any() else " to ".join(f"{v:.2f}" for v in values)


def _span(values: Sequence[float], form: str) -> str:
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"
