"""Judge a model by its liquid: what a trajectory shows, the reference liquid, and the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms

from crosstrain.data import frames as fr
from crosstrain.measure import observables, reweighting, score, statistics
from crosstrain.measure.molecules import centres_of_mass
from crosstrain.measure.score import LiquidScore, own_error
from crosstrain.measure.statistics import Estimate
from crosstrain.simulate.trajectory import Trajectory

# A term of the score for a liquid that fell apart before it could be measured.
NOTHING_TO_MEASURE = Estimate(np.inf, 0.0, 0.0)
# A reference liquid that vouches for nothing.
NO_REFERENCE: Mapping[str, Any] = {"observables": {}, "r_A": [], "left_out": {}, "failures": {}}


def observe(
    trajectory: Trajectory, run: Mapping[str, Any], *, rdf: Mapping[str, Any]
) -> dict[str, Any]:
    """Return density and radial distribution functions of a run, with errors.

    Parameters
    ----------
    trajectory : Trajectory
    run : mapping
        Status, reason and times of the run, kept beside its observables.
    rdf : mapping
        ``pairs`` (for example ``["O-H"]``), ``r_max_A`` and ``n_bins``.

    Returns
    -------
    dict
        Plain JSON values. An observable that could not be had is None, and ``missing`` says why.
    """
    mass = trajectory.reference.get_masses()
    density = observables.density_g_cm3(mass, trajectory.thermo["volume_A3"])
    seen = {**run, "density_g_cm3": None, "rdf": dict.fromkeys(rdf["pairs"]), "missing": {}}
    try:
        found = statistics.equilibrated(density)
        estimate = statistics.mean_from(density, found)
    except ValueError as error:
        return seen | {"missing": {"density": str(error), "rdf": str(error)}}
    seen["density_g_cm3"] = _plain(estimate)
    seen["equilibrated_ps"] = float(trajectory.thermo["time_ps"][found.start])
    kept = trajectory.time_ps >= seen["equilibrated_ps"]
    for pair in rdf["pairs"]:
        try:
            r, g = _rdf(
                trajectory.positions[kept], trajectory.cells[kept], trajectory.reference, pair, rdf
            )
            known = statistics.column_errors(g)
        except ValueError as error:
            seen["missing"][f"rdf:{pair}"] = str(error)
            continue
        seen["rdf"][pair] = {
            "r_A": r.tolist(),
            "g": g.mean(axis=0).tolist(),
            "error": known.error.tolist(),
            "n_effective": known.n_effective,
        }
    return seen


def diffusion(
    trajectory: Trajectory, run: Mapping[str, Any], *, fit_window_ps: tuple[float, float]
) -> dict[str, Any]:
    """Return the self-diffusion coefficients of a run at constant volume, for each species.

    Parameters
    ----------
    trajectory : Trajectory
        Unwrapped.
    run : mapping
        Status, reason and times of the run, kept beside.
    fit_window_ps : tuple of float
        First and last lag of the fit.

    Returns
    -------
    dict
        Plain JSON values. ``D_cm2_s`` holds value, error and number of molecules by formula of
        the species, after the potential energy has come to rest (``equilibrated_ps``); no
        finite-size correction is in it. What could not be had is in ``missing``.
    """
    atoms, times = trajectory.reference, trajectory.time_ps
    molecule, masses = atoms.arrays["molecule"], atoms.get_masses()
    seen = {**run, "D_cm2_s": {}, "missing": {}, "fit_window_ps": list(fit_window_ps)}
    if run["status"] != "completed":
        reason = f"{run['status']} {run['reason']}".strip()
        return seen | {"missing": {"self-diffusion": reason}}
    seen["box_A"] = float(np.cbrt(abs(np.linalg.det(trajectory.cells[-1]))))
    species = [atoms[molecule == k].get_chemical_formula() for k in np.unique(molecule)]
    try:
        start = statistics.equilibrated(trajectory.thermo["potential_energy_eV"]).start
        seen["equilibrated_ps"] = float(trajectory.thermo["time_ps"][start])
        kept = times >= seen["equilibrated_ps"]
        centres = centres_of_mass(trajectory.positions[kept].astype(float), masses, molecule)
        msd = observables.mean_squared_displacement(centres, np.bincount(molecule, masses))
        for name in sorted(set(species)):
            estimate = observables.self_diffusion(
                msd[:, np.array(species) == name],
                frame_interval_fs=1e3 * (times[1] - times[0]),
                fit_window_fs=(1e3 * fit_window_ps[0], 1e3 * fit_window_ps[1]),
            )
            seen["D_cm2_s"][name] = _plain(estimate)
    except ValueError as error:
        seen["missing"]["self-diffusion"] = str(error)
    return seen


def sampled(times_ps: Sequence[float], equilibrated_ps: float) -> list[int]:
    """Return which frames of a run sample its model's ensemble: those after equilibration.

    The first frame is none of them, wherever equilibration is found to end: the run starts from
    it, another force field made it.

    Parameters
    ----------
    times_ps : sequence of float
        Of the frames.
    equilibrated_ps : float
    """
    return [i for i, time_ps in enumerate(times_ps) if time_ps > 0 and time_ps >= equilibrated_ps]


def while_it_lived(predicted: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model says of frames of its run, of one that ended early up to its end.

    The frames after it, while the event lasted and was not yet sure, are of another substance.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it, of relabelled frames of a run.
    seen : mapping
        Content of ``observed.json`` of the run.
    """
    if seen["status"] == "completed":
        return dict(predicted)
    times_ps = [frame.info["time_ps"] for frame in predicted["frames"]]
    kept = [i for i, time_ps in enumerate(times_ps) if time_ps < seen["time_ps"]]
    return {name: [values[i] for i in kept] for name, values in predicted.items()} | {
        "energy_eV": np.asarray(predicted["energy_eV"])[kept],
        "stress_eV_A3": np.asarray(predicted["stress_eV_A3"])[kept],
    }


def reference_liquid(
    samplers: Mapping[str, tuple[Sequence[Atoms], np.ndarray, float]],
    *,
    temperature_K: float,
    rdf: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the reference method's own liquid, reweighted from models' ensembles.

    Parameters
    ----------
    samplers : mapping
        For each sampling model its relabelled equilibrated frames, in the order of time, the
        model's energies (eV) of them, and the independent samples of the density in its runs,
        of which a few frames can never hold more.
    temperature_K : float
    rdf : mapping
        As for `observe`.

    Returns
    -------
    dict
        For ``density`` and each ``rdf:<pair>``: value, error, ``p_value`` of the samplers'
        agreement (None for one sampler), problems (why it must not be trusted; empty if it may
        be) and what each sampler says, by the estimator that is quoted and by the ``other``.
    """
    corrections: dict[str, dict[str, reweighting.Correction]] = {}
    failures: dict[str, str] = {}
    names = ["density", *(f"rdf:{pair}" for pair in rdf["pairs"])]
    for sampler, (frames, energies, n_independent) in samplers.items():
        delta = np.array([frame.info[fr.ENERGY] for frame in frames]) - energies
        for name in names:
            try:
                series = _series(name, frames, rdf)
                correction = reweighting.reweight(
                    series, delta, temperature_K=temperature_K, n_independent=n_independent
                )
            except ValueError as error:
                failures[f"{sampler}, {name}"] = str(error)
            else:
                corrections.setdefault(name, {})[sampler] = correction
    return {
        "temperature_K": temperature_K,
        "r_A": bin_centres_A(rdf).tolist(),
        "failures": failures,
        "observables": {k: _combined(v) for k, v in corrections.items()},
    }


def _series(name: str, frames: Sequence[Atoms], rdf: Mapping[str, Any]) -> np.ndarray:
    """Density (n_frames,), or a radial distribution function (n_frames, n_bins)."""
    first = frames[0]
    if name == "density":
        volumes = [frame.get_volume() for frame in frames]
        return observables.density_g_cm3(first.get_masses(), volumes)
    positions = [frame.positions for frame in frames]
    cells = [frame.cell.array for frame in frames]
    return _rdf(positions, cells, first, name.removeprefix("rdf:"), rdf).g


def _rdf(
    positions: Sequence[np.ndarray] | np.ndarray,
    cells: Sequence[np.ndarray] | np.ndarray,
    atoms: Atoms,
    pair: str,
    rdf: Mapping[str, Any],
) -> observables.RadialDistribution:
    return observables.element_rdf(
        positions,
        cells,
        atoms.arrays["molecule"],
        atoms.get_chemical_symbols(),
        pair=tuple(pair.split("-")),
        n_bins=rdf["n_bins"],
        r_max=rdf["r_max_A"],
    )


def bin_centres_A(rdf: Mapping[str, Any]) -> np.ndarray:
    """Return the bin centres (Å) of the radial distribution functions."""
    return (np.arange(rdf["n_bins"]) + 0.5) * rdf["r_max_A"] / rdf["n_bins"]


def _combined(corrections: Mapping[str, reweighting.Correction]) -> dict[str, Any]:
    combined = reweighting.combine_samplers(corrections)
    return {
        "value": np.asarray(combined.value).tolist(),
        "error": np.asarray(combined.error).tolist(),
        "p_value": None if np.isnan(combined.p_value) else combined.p_value,
        "problems": list(combined.problems),
        "samplers": {
            name: {
                "sampled": np.asarray(c.sampled).tolist(),
                "sampled_error": np.asarray(c.sampled_error).tolist(),
                "estimator": c.quoted.estimator,
                "value": np.asarray(c.quoted.value).tolist(),
                "error": np.asarray(c.quoted.error).tolist(),
                "other": {
                    "value": np.asarray(c.other.value).tolist(),
                    "error": np.asarray(c.other.error).tolist(),
                },
                "n_frames": c.quoted.n_frames,
                "n_effective": c.quoted.n_effective,
                "n_effective_exponential": c.exponential.n_effective,
                "sigma_beta_delta_energy": c.quoted.sigma,
                "problems": list(c.problems),
            }
            for name, c in corrections.items()
        },
    }


def liquid_score(
    observed: Sequence[Mapping[str, Any]],
    reference: Mapping[str, Any],
    *,
    rng: np.random.Generator,
    tolerances: Mapping[str, float] = score.TOLERANCES,
    weights: Mapping[str, float] = score.WEIGHTS,
) -> score.LiquidScore:
    """Return the liquid score of a model from its replicas.

    Parameters
    ----------
    observed : sequence of mapping
        What `observe` returned for each replica.
    reference : mapping
        What `reference_liquid` returned. Observables that it does not vouch for are left out.
    rng, tolerances, weights
        As for `crosstrain.measure.score.liquid_score`.
    """
    return score.liquid_score(
        lived_ps=[run["time_ps"] for run in observed],
        planned_ps=observed[0]["planned_ps"],
        deviations=deviations(observed, reference),
        rng=rng,
        tolerances=tolerances,
        weights=weights,
    )


def deviations(
    observed: Sequence[Mapping[str, Any]], reference: Mapping[str, Any]
) -> dict[str, Estimate]:
    """Return how far a model's replicas are off the reference, by trusted observable.

    A run that ended early had no time to find its density: it counts only if all did, and then for
    the time that it lived.

    Parameters
    ----------
    observed, reference
        As for `liquid_score`.

    Returns
    -------
    dict
        ``density`` in g/cm³, signed; ``rdf:<pair>`` the overlap error without the share of the
        noise. Infinite where the runs have nothing to measure.
    """
    whole = [run for run in observed if run["status"] == "completed"] or observed
    return {
        name: _deviation(name, whole, value, reference["r_A"])
        for name, value in reference["observables"].items()
        if not value["problems"]
    }


def score_error(
    score: LiquidScore, observed: Sequence[Mapping[str, Any]], reference: Mapping[str, Any]
) -> float:
    """Return the standard error of a score from the model's own runs alone; NaN without terms.

    Parameters
    ----------
    score : LiquidScore
        What `liquid_score` returned for the other two.
    observed, reference
        As for `liquid_score`.
    """
    exact = {
        name: value | {"error": np.zeros_like(value["error"], dtype=float)}
        for name, value in reference["observables"].items()
    }
    own = deviations(observed, {**reference, "observables": exact})
    return own_error(score, {name: deviation.error for name, deviation in own.items()})


def mean_density(observed: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """Return the density (g/cm³) over the replicas that gave one, or None."""
    known = [Estimate(**run["density_g_cm3"]) for run in observed if run["density_g_cm3"]]
    return statistics.combine_replicas(known) if known else None


def mean_rdf(observed: Sequence[Mapping[str, Any]], pair: str) -> dict[str, np.ndarray] | None:
    """Return a radial distribution function over the replicas, or None.

    By name: r (Å), g, its standard error, its noise (see `statistics.replica_noise`) and its
    independent samples.
    """
    known = [run["rdf"][pair] for run in observed if run["rdf"][pair]]
    if not known:
        return None
    bins = [
        [Estimate(run["g"][k], run["error"][k], run["n_effective"]) for run in known]
        for k in range(len(known[0]["g"]))
    ]
    merged = [statistics.combine_replicas(each) for each in bins]
    return {
        "r_A": np.array(known[0]["r_A"]),
        "g": np.array([m.value for m in merged]),
        "error": np.array([m.error for m in merged]),
        "noise": np.array([statistics.replica_noise(each) for each in bins]),
        "n_effective": np.array([m.n_effective for m in merged]),
    }


def _deviation(
    name: str,
    observed: Sequence[Mapping[str, Any]],
    value: Mapping[str, Any],
    grid: Sequence[float],
) -> Estimate:
    if name == "density":
        density = mean_density(observed)
        if density is None:
            return NOTHING_TO_MEASURE
        return score.density_deviation(density, Estimate(value["value"], value["error"], np.inf))
    curve = mean_rdf(observed, name.removeprefix("rdf:"))
    if curve is None:
        return NOTHING_TO_MEASURE
    deviation = score.rdf_deviation(
        grid,
        curve["g"],
        curve["error"],
        value["value"],
        value["error"],
        g_noise=curve["noise"],
    )
    return deviation._replace(n_effective=float(curve["n_effective"].min()))


def _plain(estimate: Estimate) -> dict[str, float]:
    return {name: float(value) for name, value in estimate._asdict().items()}
