"""Models of the published DFT frames: errors by block, who wins, and densities to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ase.units import bar
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from crosstrain.build.boxes import density_g_cm3
from crosstrain.data import summaries
from crosstrain.data.figures import OTHER_MARKER, REFERENCE_COLOUR
from crosstrain.data.frames import STRESS
from crosstrain.data.profiles import Split
from crosstrain.measure import errors
from crosstrain.measure.statistics import Estimate, drift, mean_with_error
from crosstrain.measure.transfer import Contrast, Effect, attempt, contrast
from crosstrain.measure.verdicts import Finding, Verdict, of_one

TRAIN, VALIDATE, TEST = "train", "validate", "test"
FILLS = {TRAIN: "none", VALIDATE: "bottom", TEST: "full"}
COMPONENTS = ("translation", "rotation", "vibration", "total")


class Known(NamedTuple):
    """A density of liquid EC/EMC near x_EC = 1/3 and 1 atm, to compare with.

    Attributes
    ----------
    temperature_K, density_g_cm3
    error_g_cm3
        Standard error; 0 where none was given.
    who
        A key of `LINES`.
    method
        Level of theory of the labels; '' for the experiment.
    source
    """

    temperature_K: float
    density_g_cm3: float
    error_g_cm3: float
    who: str
    method: str
    source: str

    def __str__(self) -> str:
        error = f" ± {self.error_g_cm3:g}" if self.error_g_cm3 else ""
        value = f"{self.density_g_cm3:g}{error} g/cm³"
        return f"{value}: {self.name}, {self.temperature_K:g} K ({self.source})"

    @property
    def name(self) -> str:
        """Who found it, and by which method."""
        return f"{self.who}, {self.method}" if self.method else self.who


# line styles by who found a density
LINES = {"experiment": "-", "the group's MACE": ":", "the group's GAP": "-."}
KNOWN_DENSITIES = (
    Known(298.15, 1.0948, 0.0, "experiment", "", "Wang et al. 2022, x_EC = 0.336"),
    Known(298.0, 1.129, 0.0, "the group's MACE", "PBE-D2", "Svahn et al. 2026"),
    Known(300.0, 1.067, 0.0, "the group's GAP", "PBE-D2", "Magdău et al. 2023"),
    Known(298.0, 1.041, 0.0, "the group's MACE", "PBE-D3", "Svahn et al. 2026"),
    Known(500.0, 0.924, 0.02, "the group's MACE", "PBE-D2", "Svahn et al. 2026, digitised"),
)
"""Doi 10.1016/j.xcrp.2022.101047, 10.1021/acs.jctc.5c02043 and 10.1038/s41524-023-01100-w. The
error at 500 K is the scatter of five seeds."""
NEAR_K = 5.0
REACH = 2.0
"""Standard errors within which two densities agree."""
REACH_OF_A_LINE = 3.0
"""The same for a drift: at 2 one run in twenty would be called drifting by chance."""


def known_densities(temperature_K: float, method: str | None = None) -> list[Known]:
    """Return densities to compare with, by what is known near a temperature.

    Parameters
    ----------
    temperature_K : float
    method : str, optional
        Of the labels of a model, such as `published.DFT_METHOD`: experiment, and what others found
        with models of the same method. Default: all.
    """
    return [
        known
        for known in KNOWN_DENSITIES
        if abs(known.temperature_K - temperature_K) <= NEAR_K
        and (method is None or method.startswith(known.method))
    ]


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
    """Draw an error of several models by block.

    Filled: a block of the test; half filled: of the validation; hollow: trained on.

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
        for role, fill in FILLS.items():
            mine = table[table["role"] == role]
            face = "white" if role == TRAIN else colours[name]
            style = {"fillstyle": fill, "markerfacecolor": face, "markerfacecoloralt": "white"}
            style |= {"color": colours[name], "linestyle": "", "markersize": 7}
            ax.plot(mine["block"], mine[column], OTHER_MARKER, **style)
        ticks = [f"{temperature_K:g}" for temperature_K in table["temperature_K"]]
        ax.set_xticks(table["block"], ticks, fontsize=9.5, rotation=60)


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


def mean_effect(values: Sequence[float], *, confidence: float = 0.95) -> Effect:
    """Return the mean over blocks with its interval (Student's t), or why there is none."""
    return attempt(contrast, [(1.0, values)], confidence=confidence)


def factor(ratios: Sequence[float], effect: Effect) -> str:
    """Return the geometric mean of ratios in words, with its interval where there is one.

    Parameters
    ----------
    ratios : sequence of float
        Their logarithms, from `log_ratios`.
    effect : Effect
        Of these, from `mean_effect`.
    """
    said = f"{np.exp(np.mean(ratios)):.2f}"
    if isinstance(effect, Contrast):
        said += f" ({np.exp(effect.lower):.2f} to {np.exp(effect.upper):.2f})"
    return f"{said} on {len(ratios)} test blocks"


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


def settled_density(
    seen: Mapping[str, Any], time_ps: ArrayLike, density_g_cm3: ArrayLike
) -> Estimate | str:
    """Return the density (g/cm³) of a run, or in words why it has none.

    Parameters
    ----------
    seen : mapping
        Content of ``observed.json``.
    time_ps, density_g_cm3 : array_like, shape (n,)
        Of the run.

    Notes
    -----
    A run has settled if the means of the two halves of the averaged part differ by no more than
    `REACH` standard errors of their difference, each half with the error of its own independent
    samples, and the straight line through that part changes by no more than `REACH_OF_A_LINE` times
    its error (`crosstrain.measure.statistics.drift`).
    """
    if seen["status"] != "completed":
        return "none, ended early"
    known = seen["density_g_cm3"]
    if known is None:
        return "none, too short"
    kept = _averaged(seen, time_ps, density_g_cm3)
    return Estimate(**known) if _halves_agree(kept) and _is_level(kept) else "not settled"


def _averaged(
    seen: Mapping[str, Any], time_ps: ArrayLike, density_g_cm3: ArrayLike
) -> NDArray[np.float64]:
    return np.asarray(density_g_cm3)[np.asarray(time_ps) >= seen["equilibrated_ps"]]


def _is_level(series: np.ndarray) -> bool:
    change = drift(series)
    return abs(change.value) <= REACH_OF_A_LINE * change.error


def _halves_agree(series: np.ndarray) -> bool:
    try:
        halves = [mean_with_error(half, discard=False) for half in np.array_split(series, 2)]
    except ValueError:  # too few samples, or constant
        return False
    error = np.hypot(*(half.error for half in halves))
    return bool(abs(halves[1].value - halves[0].value) <= REACH * error)  # False if that is NaN


def density_row(
    seen: Mapping[str, Any], found: Estimate | str, time_ps: ArrayLike, density_g_cm3: ArrayLike
) -> dict[str, Any]:
    """Return how a run ended and its density, for one row of a table.

    Parameters
    ----------
    seen : mapping
        Content of ``observed.json``.
    found : Estimate or str
        From `settled_density`.
    time_ps, density_g_cm3 : array_like, shape (n,)
        Of the run.
    """
    has_one = isinstance(found, Estimate)
    is_whole = seen["status"] == "completed" and seen["density_g_cm3"] is not None
    kept = _averaged(seen, time_ps, density_g_cm3) if is_whole else None
    return {
        "ended": seen["reason"] or seen["status"],
        "lived / ps": seen["time_ps"],
        "density / g cm⁻³": summaries.plus_minus(*found[:2]) if has_one else found,
        "drift / g cm⁻³": summaries.plus_minus(*drift(kept)[:2]) if is_whole else "-",
        "independent samples": round(found.n_effective, 1) if has_one else "-",
    }


def deviation(found: Estimate, known: Known) -> str:
    """Return how far a density is from a known one, with its error, and whether they agree.

    The error is that of both; they agree if they differ by no more than `REACH` times that.
    """
    off = found.value - known.density_g_cm3
    error = float(np.hypot(found.error, known.error_g_cm3))
    verdict = "agrees" if abs(off) <= REACH * error else "too dense" if off > 0 else "too thin"
    return f"{off:+.3f} ± {error:.3f} from {known.name}: {verdict}"


def density_legend(figure: Figure, colours: Mapping[str, str], methods: Mapping[str, str]) -> None:
    """Add a legend above densities: architectures, methods of labels, what is known.

    Parameters
    ----------
    figure : Figure
    colours : mapping of str to str
        By name of the architecture.
    methods : mapping of str to str
        Line style by method of the labels.
    """
    looks = {f"{m} labels": {"color": "0.5", "linestyle": line} for m, line in methods.items()}
    looks |= {who: {"color": REFERENCE_COLOUR, "linestyle": line} for who, line in LINES.items()}
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    handles += [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
