"""What models found that looked for frames they do not know: tables and figures by generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from crosstrain.data import plots
from crosstrain.measure.statistics import Estimate
from crosstrain.simulate.selection import BROKEN, CHOSEN, KNOWN, REASONS, SPARE, TOO_FAR

# What became of a committee's candidates.
REASON_COLOURS = {
    CHOSEN: "#00604A",
    SPARE: "#3FA98A",
    KNOWN: "#D9D9D9",
    TOO_FAR: "#E69F00",
    BROKEN: "#CC3311",
}


def candidates(selections: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Return what became of the candidates of each generation, a row each.

    Where broken ones may be chosen, they are counted apart: they are not *broken* by reason.

    Parameters
    ----------
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    """
    rows = {}
    for number, record in selections.items():
        quantiles = record["deviation_quantiles_eV_A"]
        allowed = {
            "broken, allowed": record["not_intact"],
            "broken, chosen": record["chosen_not_intact"],
        }
        rows[number] = {
            "candidates": record["candidates"],
            **{reason: record["counts"][reason] for reason in REASONS},
            **(allowed if record["not_intact"] > record["counts"][BROKEN] else {}),
            "chosen below the bound": sum(
                record["deviation_eV_A"][i] < record["low_eV_A"] for i in record["chosen"]
            ),
            "not finite": record["not_finite"],
            "new above / eV Å⁻¹": round(record["low_eV_A"], 2),
            "too far above / eV Å⁻¹": round(record["high_eV_A"], 2),
            "median disagreement / eV Å⁻¹": round(quantiles["0.5"], 2) if quantiles else np.nan,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("generation")


def explorations(selections: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Return how many exploring runs of each generation reached their end, a row each.

    Parameters
    ----------
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    """
    rows = {}
    for number, record in selections.items():
        early = Counter(run["reason"] for run in record["runs"] if run["status"] != "completed")
        rows[number] = {
            "runs": len(record["runs"]),
            "completed": len(record["runs"]) - early.total(),
            "ended early": early.total(),
            "because": ", ".join(f"{reason} ({n})" for reason, n in early.items()) or "-",
            "lived / planned": round(float(_parts_lived(record).mean()), 2),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("generation")


def ended_early(selections: Mapping[int, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the exploring runs that did not reach their end, and what happened, a row each.

    Parameters
    ----------
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    """
    rows = [
        {
            "generation": number,
            "molecules": " ".join(f"{k}:{n}" for k, n in run["start"]["composition"].items()),
            "temperature / K": round(run["start"]["temperature_K"]),
            "density / g cm⁻³": round(run["start"]["density_g_cm3"], 2),
            "ended": run["status"],
            "lived / ps": run["time_ps"],
            "planned / ps": run["planned_ps"],
            "what happened": run["detail"] or run["reason"],
        }
        for number, record in selections.items()
        for run in record["runs"]
        if run["status"] != "completed"
    ]
    return pd.DataFrame(rows)


def first_and_last(selections: Mapping[int, Mapping[str, Any]], *, seed: int = 0) -> pd.DataFrame:
    """Return what changed from the first generation to the last, a row for each quantity.

    Parameters
    ----------
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    seed : int
        Of the bootstrap.

    Notes
    -----
    Standard errors are from a bootstrap over the exploring runs: the candidates of one run are
    alike. Bounds have none, and neither has a quantity that is the same whichever runs are drawn.
    What changed by less than twice the errors of both generations is *not clear*.
    """
    bound_eV_A = selections[min(selections)]["low_eV_A"]
    first, last = (
        _of_generation(selections[number], bound_eV_A, np.random.default_rng(seed))
        for number in (min(selections), max(selections))
    )
    rows = {
        name: {"first": _said(first[name]), "last": _said(last[name])}
        | {"it": _change(first[name], last[name])}
        for name in first
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def _of_generation(
    record: Mapping[str, Any], bound_eV_A: float, rng: np.random.Generator
) -> dict[str, Estimate]:
    runs, deviation = record["runs"], np.array(record["deviation_eV_A"], dtype=float)
    of_run = np.array(record["run_of_candidate"])
    ended = np.array([run["status"] == "completed" for run in runs])
    lived = _parts_lived(record)
    is_known = np.array(record["reasons"]) == KNOWN

    def read(drawn: NDArray[np.integer]) -> dict[str, float]:
        these = np.concatenate([np.flatnonzero(of_run == run) for run in drawn])
        finite = deviation[these][np.isfinite(deviation[these])]
        return {
            "runs that reached their end / all": ended[drawn].mean(),
            "lived / planned time, exploring": lived[drawn].mean(),
            "median disagreement / eV Å⁻¹": np.median(finite) if len(finite) else np.nan,
            "known / all candidates": _share(is_known[these]),
            "below the first generation's bound / all": _share(deviation[these] < bound_eV_A),
        }

    found = read(np.arange(len(runs)))
    again = pd.DataFrame([read(rng.integers(len(runs), size=len(runs))) for _ in range(400)])
    bounds = {"new above / eV Å⁻¹": "low_eV_A", "too far above / eV Å⁻¹": "high_eV_A"}
    known = {name: Estimate(value, again[name].std(), len(runs)) for name, value in found.items()}
    return known | {name: Estimate(record[key], 0.0, np.inf) for name, key in bounds.items()}


def _parts_lived(record: Mapping[str, Any]) -> NDArray[np.float64]:
    """The part of the planned time that each exploring run lived."""
    return np.array([run["time_ps"] / run["planned_ps"] for run in record["runs"]])


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else np.nan


def _said(known: Estimate) -> str:
    return f"{known.value:.2f} ± {known.error:.2f}" if known.error else f"{known.value:.2f}"


def _change(first: Estimate, last: Estimate) -> str:
    change, error = last.value - first.value, np.hypot(first.error, last.error)
    if np.isnan(change):
        return "cannot be told"
    if abs(change) <= 2 * error:
        return "stayed" if change == 0 else "not clear"
    return "rose" if change > 0 else "fell"


def disagreements(ax: Axes, selections: Mapping[int, Mapping[str, Any]]) -> None:
    """Draw the disagreement about every candidate by generation, coloured by what became of it.

    Bars mark the bounds: below the lower a frame counts as known, above the upper as too far. A
    disagreement that is not finite is not drawn.

    Parameters
    ----------
    ax : Axes
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    """
    rng = np.random.default_rng(0)  # where a dot lies across its generation means nothing
    for number, record in selections.items():
        deviation = np.array(record["deviation_eV_A"], dtype=float)
        place = number + rng.uniform(-0.32, 0.32, len(deviation))
        reasons = np.array(record["reasons"])
        for reason, shade in REASON_COLOURS.items():
            these = reasons == reason
            on_top = 3 if reason == CHOSEN else 2
            dots = {"s": 22 if reason == CHOSEN else 8, "color": shade, "linewidths": 0}
            ax.scatter(place[these], deviation[these], alpha=0.8, zorder=on_top, **dots)
        bounds = [record["low_eV_A"], record["high_eV_A"]]
        ax.hlines(bounds, number - 0.4, number + 0.4, color="black", linewidth=1.2, zorder=4)
    plots.logarithmic(ax)
    _generations(ax, selections)
    ax.set_ylabel("largest disagreement / eV Å$^{-1}$")


def reasons(ax: Axes, selections: Mapping[int, Mapping[str, Any]]) -> None:
    """Draw the share of candidates with each fate, a bar for each generation.

    Parameters
    ----------
    ax : Axes
    selections : mapping
        Content of ``selection.json`` by number of the generation.
    """
    numbers = list(selections)
    bottom = np.zeros(len(numbers))
    for reason, shade in REASON_COLOURS.items():
        counts = [selections[n]["counts"][reason] / selections[n]["candidates"] for n in numbers]
        ax.bar(numbers, counts, 0.7, bottom=bottom, color=shade, label=reason)
        bottom += counts
    _generations(ax, selections)
    ax.set(ylabel="share of candidates", ylim=(0, 1))


def disagreement_trend(
    ax: Axes,
    selections: Mapping[int, Mapping[str, Any]],
    *,
    colour: str,
    marker: str,
    beside: float = 0,
) -> None:
    """Draw median and 5 to 95 % range of the disagreement, and its lower bound, by generation.

    Parameters
    ----------
    ax : Axes
    selections : mapping
        Content of ``selection.json`` by number of the generation; one whose disagreements are all
        not finite is left out.
    colour, marker : str
    beside : float
        By how much points stand to the right of their generation, so that bars can be told apart.
    """
    finite = {n: r for n, r in selections.items() if r["deviation_quantiles_eV_A"]}
    levels = [
        [record["deviation_quantiles_eV_A"][level] for record in finite.values()]
        for level in ("0.05", "0.5", "0.95")
    ]
    reach = np.abs(np.array(levels)[[0, 2]] - levels[1]) if finite else None
    places = [number + beside for number in finite]
    ax.errorbar(places, levels[1], yerr=reach, fmt=f"{marker}-", color=colour, capsize=3)
    low = [record["low_eV_A"] for record in finite.values()]
    ax.plot(places, low, "_--", color=colour, linewidth=1, markersize=12)
    plots.logarithmic(ax)
    _generations(ax, selections)
    ax.set_ylabel("largest disagreement / eV Å$^{-1}$")


def exploring(
    ax: Axes,
    selections: Mapping[int, Mapping[str, Any]],
    *,
    colour: str,
    marker: str,
    beside: float = 0,
) -> None:
    """Draw the part of the planned time that exploring runs lived, by generation, and its mean.

    Parameters
    ----------
    ax, selections, colour, marker, beside
        As for `disagreement_trend`.
    """
    lived = {number: _parts_lived(record) for number, record in selections.items()}
    places = [number + beside for number in lived]
    for place, parts in zip(places, lived.values(), strict=True):
        # to the right of the means, whose line would hide them
        style = {"color": colour, "markersize": 8, "alpha": 0.6}
        ax.plot([place + 0.2] * len(parts), parts, "_", **style)
    ax.plot(places, [np.mean(parts) for parts in lived.values()], f"{marker}-", color=colour)
    _generations(ax, selections)
    ax.set(ylabel="lived / planned time, exploring", ylim=(-0.03, 1.05))


def _generations(ax: Axes, selections: Mapping[int, Any]) -> None:
    """Make the x axis one of generations, of those drawn before, too."""
    before = ax.get_xticks() if ax.get_xlabel() == "generation" else []
    known = sorted({*map(int, before), *selections})
    ax.set_xticks(known)
    ax.set(xlim=(known[0] - 0.6, known[-1] + 0.6), xlabel="generation")
