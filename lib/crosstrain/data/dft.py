"""Models of the published DFT frames: errors by block, who wins, and densities to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.units import bar
from matplotlib.axes import Axes
from pandas import DataFrame

from crosstrain.build.boxes import density_g_cm3
from crosstrain.data import summaries
from crosstrain.data.frames import STRESS
from crosstrain.data.profiles import Split
from crosstrain.measure import errors
from crosstrain.measure.transfer import Effect, attempt, contrast
from crosstrain.measure.verdicts import Finding, Verdict, of_one

TRAIN, VALIDATE, TEST = "train", "validate", "test"
MARKERS = {TRAIN: "o", VALIDATE: "s", TEST: "o"}
COMPONENTS = ("translation", "rotation", "vibration", "total")

KNOWN_DENSITIES = {
    298.15: (1.0948, "experiment, x_EC = 0.336, 25 °C: Wang et al. 2022"),
    500.0: (0.924, "the group's MACE of its full set, ± 0.02 between seeds: Svahn et al. 2026"),
}
"""Density (g/cm³) of liquid EC/EMC near x_EC = 1/3 and 1 atm, and where it is from, by
temperature (K). Doi 10.1016/j.xcrp.2022.101047 and, digitised, 10.1021/acs.jctc.5c02043."""
NEAR_K = 5.0


def known_density(temperature_K: float) -> tuple[float, str] | None:
    """Return a density (g/cm³) to compare with, and where it is from; None if there is none."""
    near = [T for T in KNOWN_DENSITIES if abs(T - temperature_K) <= NEAR_K]
    return KNOWN_DENSITIES[near[0]] if near else None


def roles(split: Split) -> dict[int, str]:
    """Return what each block of a split is for, in the order of the file."""
    of = {TRAIN: split.train, VALIDATE: split.validate_on, TEST: split.test}
    found = {block: role for role, blocks in of.items() for block in blocks}
    return dict(sorted(found.items()))


def block_errors(predicted: Mapping[str, Any], split: Split) -> DataFrame:
    """Return a model's errors on the blocks of the published set, a row each.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it, of frames with ``info["block"]``.
    split : Split
        That the model was trained on; blocks in none of its parts are left out.

    Returns
    -------
    DataFrame
        ``block``, ``role``, ``temperature_K``, mean ``density_g_cm3``, force errors by component
        in percent of the component, ``force_meV_A`` (RMSE) and ``pressure_kbar`` (RMSE).
    """
    frames = predicted["frames"]
    rows = []
    for block, role in roles(split).items():
        these = [i for i, frame in enumerate(frames) if frame.info["block"] == block]
        if not these:
            continue
        part = {key: [predicted[key][i] for i in these] for key in ("frames", "forces_eV_A")}
        found = summaries.force_errors(part["frames"], part)
        labels = np.array([frame.info[STRESS] for frame in part["frames"]])
        said = np.asarray(predicted["stress_eV_A3"])[these]
        row = {
            "block": block,
            "role": role,
            "temperature_K": part["frames"][0].info["temperature_K"],
            "density_g_cm3": np.mean([density_g_cm3(frame) for frame in part["frames"]]),
            **{name: 100 * found[name].relative for name in COMPONENTS},
            "force_meV_A": 1e3 * found["total"].rmse,
            "pressure_kbar": 1e-3 * errors.rms((said - labels)[:, :3].mean(axis=1)) / bar,
        }
        rows.append(row)
    return DataFrame(rows)


def by_block(
    ax: Axes, tables: Mapping[str, DataFrame], column: str, colours: Mapping[str, str]
) -> None:
    """Draw an error of several models by block: hollow where a block was trained on.

    Parameters
    ----------
    ax : Axes
    tables : mapping of str to DataFrame
        From `block_errors`, by name of the architecture.
    column : str
    colours : mapping of str to str
        By the same names.
    """
    for name, table in tables.items():
        ax.plot(table["block"], table[column], "-", color=colours[name], linewidth=0.8)
        for role, marker in MARKERS.items():
            mine = table[table["role"] == role]
            face = colours[name] if role == TEST else "white"
            style = {"color": colours[name], "markerfacecolor": face, "linestyle": ""}
            ax.plot(mine["block"], mine[column], marker, **style)
        ticks = [f"{row.temperature_K:g} K\n{row.density_g_cm3:.2f}" for row in table.itertuples()]
        ax.set_xticks(table["block"], ticks, fontsize=7.5)
    ax.set_xlabel("block: temperature, density / g cm$^{-3}$")


def log_ratios(table: DataFrame, other: DataFrame, column: str) -> np.ndarray:
    """Return ln(error / error of the other) for each test block, shape (n_blocks,).

    Raises
    ------
    ValueError
        If the two were not tested on the same blocks.
    """
    mine, others = (t[t["role"] == TEST].set_index("block")[column] for t in (table, other))
    if list(mine.index) != list(others.index):
        blocks = f"{list(mine.index)} and {list(others.index)}"
        raise ValueError(f"test blocks are {blocks}; allowed are the same")
    return np.log(mine.to_numpy() / others.to_numpy())


def mean_effect(
    values: Sequence[float], *, rng: np.random.Generator, confidence: float = 0.95
) -> Effect:
    """Return the mean over blocks with its interval (Student's t), or why there is none."""
    return attempt(contrast, [(1.0, values)], rng=rng, confidence=confidence)


def winner(effect: Effect, mine: str, other: str) -> str:
    """Return the name of the one with the smaller error, given the mean of `log_ratios`."""
    found = of_one(effect)
    if not found.is_clear:
        return f"undecided ({found.reason})"
    return other if found.verdict is Verdict.SUPPORTED else mine


def winner_changes(winners: Sequence[str], names: Sequence[str]) -> Finding:
    """Judge 'the method of the labels changes who wins': both sides must have a clear winner.

    Parameters
    ----------
    winners : sequence of str
        From `winner`, for each method of labels.
    names : sequence of str
        The architectures.
    """
    if not set(winners) <= set(names):
        return Finding(Verdict.UNDECIDED, "no clear winner for every kind of labels")
    return Finding(Verdict.SUPPORTED if len(set(winners)) > 1 else Verdict.NOT_SUPPORTED)


def density_row(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a run ended and its density, for one row of a table.

    Parameters
    ----------
    seen : mapping
        Content of ``observed.json``.
    """
    density = seen["density_g_cm3"]
    is_whole = seen["status"] == "completed" and density
    said = summaries.plus_minus(density["value"], density["error"]) if is_whole else "-"
    return {
        "ended": seen["reason"] or seen["status"],
        "lived / ps": seen["time_ps"],
        "density / g cm⁻³": said,
        "independent samples": round(density["n_effective"], 1) if is_whole else "-",
    }
