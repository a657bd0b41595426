"""Molecules that no model was trained on: where they break, how far they are, what is claimed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
from ase import Atoms
from ase.geometry import find_mic
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray
from pandas import DataFrame

from crosstrain.build.boxes import composition_counts
from crosstrain.build.molecules import rdkit_molecule
from crosstrain.data import summaries
from crosstrain.data.figures import PALETTE
from crosstrain.data.plots import legend_above
from crosstrain.measure.errors import COMPONENTS
from crosstrain.measure.statistics import Estimate
from crosstrain.measure.transfer import Contrast, NotComparable, contrast
from crosstrain.measure.verdicts import (
    Finding,
    RankCorrelation,
    Verdict,
    all_hold,
    bonferroni,
    of_one,
    rank_correlation,
)
from crosstrain.simulate.topology import read_event
from crosstrain.simulate.trajectory import Trajectory

GROUPS = {
    "known": "known: trained on",
    "shape": "small change of shape",
    "chemistry": "other functional chemistry",
}
GROUP_COLOURS = {"known": "#7F7F7F", "shape": PALETTE[2], "chemistry": PALETTE[3]}
GROUP_MARKERS = {"known": "p", "shape": "<", "chemistry": "d"}  # none of a training set
IN_FULL = {
    "EC": "ethylene carbonate",
    "EMC": "ethyl methyl carbonate",
    "DMC": "dimethyl carbonate",
    "DEC": "diethyl carbonate",
    "PC": "propylene carbonate",
    "VC": "vinylene carbonate",
    "GBL": "γ-butyrolactone",
    "DME": "1,2-dimethoxyethane",
}
"""Names of molecules that are known by their initials."""
SPREAD = " ±"
"""Ends the name of a column that holds the standard errors of another one."""
BROKEN_COLOUR, FORMED_COLOUR, COUNT_COLOUR = "#EE6677", "#E69F00", "#000000"
BLOWN_UP_COLOUR = "#AA77CC"
BOND_PIXELS, FONT_PIXELS = 62, 28  # of drawings of 420 x 300 pixels; a large molecule is shrunk
BLOW_UP = "temperature blow-up"
"""Reason (`simulate.dynamics.RunResult`) of a run whose bonds had no time to count as broken."""

Change = tuple[str, tuple[int, int]]
"""``broken`` with the two atoms of a bond, or ``formed between two`` molecules or ``formed within
one`` with those of a new one, or `BLOW_UP` with those of the bond where it shows most, counted
within their molecules."""

POOLED = "sets that pass"
CEILING = "every run reached the end"
"""Why nothing is decided: who would have lived longer is beyond the planned time."""


# --- where molecules break ------------------------------------------------------------------------


def first_change(detail: str, atoms: Atoms) -> Change | None:
    """Return the bond whose change ended a run of a pure liquid, by its place in the molecule.

    What the last frame shows may be another bond: a chain of events is under way by then.

    Parameters
    ----------
    detail : str
        Of the result of the run.
    atoms : Atoms
        Any frame, with ``arrays["molecule"]`` and each molecule with its atoms in the order of
        `crosstrain.build.molecules`.

    Returns
    -------
    Change or None
        None if the run ended otherwise, by boiling off for example.
    """
    event = read_event(detail)
    if event is None:
        return None
    kind, pair = event
    molecule = atoms.arrays["molecule"]
    if kind == "formed":
        kind += " between two" if len(set(molecule[list(pair)])) == 2 else " within one"
    return kind, _places(pair, atoms)


def blown_up_at(track: Trajectory) -> Change:
    """Return the bond whose length changed by the largest factor from the first to the last frame.

    A temperature blow-up takes a few femtoseconds, in which no bond stays broken for long enough to
    count. Where forces are wrong is seen all the same.

    Parameters
    ----------
    track : Trajectory
        Of a pure liquid, as for `first_change`, with ``info["bonds"]``.
    """
    bonds = np.asarray(track.reference.info["bonds"])
    start, end = (_lengths_A(frame, bonds) for frame in track.frames([0, -1]))
    pair = bonds[np.abs(np.log(end / start)).argmax()]
    return BLOW_UP, _places(pair, track.reference)


def _lengths_A(atoms: Atoms, bonds: NDArray[np.integer]) -> NDArray[np.float64]:
    return find_mic(np.diff(atoms.positions[bonds], axis=1)[:, 0], atoms.cell, atoms.pbc)[1]


def _places(pair: Iterable[int], atoms: Atoms) -> tuple[int, int]:
    """Atoms counted within their molecules."""
    molecule = atoms.arrays["molecule"]
    first, second = sorted(int(i - np.flatnonzero(molecule == molecule[i])[0]) for i in pair)
    return first, second


def drawing(ax: Axes, name: str, found: Mapping[Change, int]) -> None:
    """Draw a molecule with the bonds that broke in red, and the atoms that bonded anew in orange.

    Bonds at which runs ended in temperature blow-ups alone are violet.

    Parameters
    ----------
    ax : Axes
    name : str
        A name of `crosstrain.build.molecules.NAMED` or a SMILES string.
    found : mapping of Change to int
        How often; written beside each bond that broke or blew up, and each atom that bonded anew.
    """
    from rdkit.Chem import AllChem
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = rdkit_molecule(name)
    AllChem.Compute2DCoords(mol)
    colours: dict[int, Any] = {}
    for kind, colour in ((BLOW_UP, BLOWN_UP_COLOUR), ("broken", BROKEN_COLOUR)):
        for pair in (pair for of_kind, pair in found if of_kind == kind):
            bond = mol.GetBondBetweenAtoms(*pair)
            count = sum(found.get((each, pair), 0) for each in (BLOW_UP, "broken"))
            bond.SetProp("bondNote", f"x{count}")
            colours[bond.GetIdx()] = to_rgb(colour)
    formed = Counter()
    for (kind, pair), count in found.items():
        formed.update(dict.fromkeys(pair, count) if kind.startswith("formed") else {})
    for i, count in formed.items():
        mol.GetAtomWithIdx(i).SetProp("atomNote", f"x{count}")
    canvas = rdMolDraw2D.MolDraw2DCairo(420, 300)
    options = canvas.drawOptions()
    options.fixedBondLength, options.fixedFontSize = BOND_PIXELS, FONT_PIXELS
    options.annotationFontScale = 1.3
    options.setBondNoteColour(to_rgb(COUNT_COLOUR))
    options.setAtomNoteColour(to_rgb(COUNT_COLOUR))
    rdMolDraw2D.PrepareAndDrawMolecule(
        canvas,
        mol,
        highlightAtoms=sorted(formed),
        highlightAtomColors={i: to_rgb(FORMED_COLOUR) for i in formed},
        highlightBonds=list(colours),
        highlightBondColors=colours,
    )
    ax.imshow(matplotlib.image.imread(io.BytesIO(canvas.GetDrawingText())))
    ax.set_axis_off()


def in_words(name: str, found: Mapping[Change | str, int]) -> str:
    """Return how runs ended early, such as ``C1-O2 broken (3), boiled off (1)``; a dash: none did.

    Parameters
    ----------
    name : str
        As for `drawing`.
    found : mapping of Change or str to int
        How often each bond changed, and each other reason ended a run.
    """
    symbols = [atom.GetSymbol() for atom in rdkit_molecule(name).GetAtoms()]
    said = {}
    for ending, count in found.items():
        words = ending
        if not isinstance(ending, str):
            kind, pair = ending
            kind = f"at a {kind}" if kind == BLOW_UP else kind
            words = f"{'-'.join(f'{symbols[i]}{i}' for i in pair)} {kind}"
        said[words] = count
    ordered = sorted(said.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{words} ({count})" for words, count in ordered) or "-"


# --- errors of forces ---------------------------------------------------------------------------


def pure_clusters(frames: Sequence[Atoms]) -> dict[str, list[int]]:
    """Return the numbers of the frames that hold one kind of molecule, by its name."""
    found: dict[str, list[int]] = {}
    for number, frame in enumerate(frames):
        kinds = list(composition_counts(frame.info["composition"]))
        if len(kinds) == 1:
            found.setdefault(kinds[0], []).append(number)
    return found


def part_of(predicted: Mapping[str, Any], numbers: Sequence[int]) -> dict[str, Any]:
    """Return a prediction (`crosstrain.study.Study.predicted`) for some of its frames."""
    lists = {key: [predicted[key][i] for i in numbers] for key in ("frames", "forces_eV_A")}
    arrays = {key: predicted[key][list(numbers)] for key in ("energy_eV", "stress_eV_A3")}
    return lists | arrays


def errors_with_spread(predicted: Mapping[str, Any]) -> dict[str, float]:
    """Return force errors by component, percent of the component, with standard errors.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.

    Returns
    -------
    dict of str to float
        By component, and by its name with `SPREAD` the standard error from leaving frames out
        (`crosstrain.data.summaries.component_errors`), NaN with too few of them. All are NaN
        without a labelled frame.
    """
    found = dict.fromkeys(COMPONENTS, Estimate(np.nan, np.nan, 0))
    if predicted["frames"]:
        found |= summaries.component_errors(predicted["frames"], predicted)
    values = {name: found[name].value for name in COMPONENTS}
    return values | {f"{name}{SPREAD}": found[name].error for name in COMPONENTS}


def spread_in_words(table: DataFrame, parts: Sequence[str]) -> str:
    """Say how large the standard errors of some columns are beside their values."""
    shares = np.concatenate([table[f"{part}{SPREAD}"] / table[part] for part in parts])
    shares = 100 * shares[np.isfinite(shares)]
    if not len(shares):
        return "too few frames for standard errors"
    middle, most = np.median(shares), shares.max()
    return f"standard errors: {middle:.0f} % of the error in the middle, {most:.0f} % at most"


def cluster_errors(predicted: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return force errors on the published clusters of one kind of molecule, a row for each kind.

    Forces between the molecules of a cluster can be next to nothing, and there are none in a frame
    of a single molecule, so their error is not made relative, and is had from clusters alone.

    Parameters
    ----------
    predicted : mapping
        As `crosstrain.study.Study.predicted` returns it.

    Returns
    -------
    list of dict
        ``molecule``; the numbers of ``clusters`` (two molecules or more) and of ``single
        molecules``; of the clusters ``intermolecular``, the RMSE, and ``reference``, the RMS of
        the reference, meV/Å, NaN without a cluster; and of all ``vibration``, percent. By the name
        of an error with `SPREAD` its standard error from leaving frames out.
    """
    rows = []
    for molecule, numbers in pure_clusters(predicted["frames"]).items():
        clusters = [i for i in numbers if _n_molecules(predicted["frames"][i]) > 1]
        error, size = _between_molecules_meV_A(part_of(predicted, clusters))
        inside = errors_with_spread(part_of(predicted, numbers))
        rows.append(
            {
                "molecule": molecule,
                "clusters": len(clusters),
                "single molecules": len(numbers) - len(clusters),
                "intermolecular": error.value,
                f"intermolecular{SPREAD}": error.error,
                "reference": size,
                **{name: inside[name] for name in ("vibration", f"vibration{SPREAD}")},
            }
        )
    return rows


def _n_molecules(frame: Atoms) -> int:
    return sum(composition_counts(frame.info["composition"]).values())


def _between_molecules_meV_A(predicted: Mapping[str, Any]) -> tuple[Estimate, float]:
    """Return the RMSE of the forces between molecules, and the RMS of the reference's."""
    frames = predicted["frames"]
    if not frames:
        return Estimate(np.nan, np.nan, 0), np.nan
    error = summaries.errors_between_molecules(frames, predicted)["meV_A"]
    relative = summaries.force_errors(frames, predicted)["intermolecular"].relative
    return error, error.value / relative


def by_part(
    table: DataFrame, parts: Sequence[str], keys: Sequence[str], molecules: Sequence[str]
) -> DataFrame:
    """Return means of columns: a row for each of them and each model, a column for each molecule.

    Parameters
    ----------
    table : DataFrame
        With ``molecule``, the keys and the parts.
    parts : sequence of str
        Columns to average.
    keys : sequence of str
        Columns that tell models apart.
    molecules : sequence of str
        From left to right; one that the table lacks is left out.
    """
    means = table.groupby([*keys, "molecule"], sort=False)[list(parts)].mean()
    stacked = {part: means[part].unstack(sort=False) for part in parts}
    present = set(table["molecule"])
    found = pd.concat(stacked, names=["part"])
    return found.reindex(columns=[molecule for molecule in molecules if molecule in present])


def by_molecule(
    ax: Axes,
    table: DataFrame,
    column: str,
    groups: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """Draw the mean of a column for each molecule, an architecture in each colour.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        With ``molecule``, ``architecture`` and the column; with a column of standard errors, too
        (`SPREAD`), they are drawn.
    column : str
    groups : mapping of str to str
        The group of each molecule, from left to right, which gives its marker; a molecule without a
        value has no point.
    colours : mapping of str to str
        By architecture.
    """
    molecules = list(groups)
    for architecture, shade in colours.items():
        mine = table[table["architecture"] == architecture]
        means = mine.groupby("molecule")[column].mean().reindex(molecules)
        ax.plot(range(len(means)), means, color=shade, linewidth=0.8)
        for place, (group, mean) in enumerate(zip(groups.values(), means, strict=True)):
            ax.plot(place, mean, GROUP_MARKERS[group], color=shade, markersize=7)
        if f"{column}{SPREAD}" in table:
            # of models asked about the same frames: their mean is no surer than each
            error = mine.groupby("molecule")[f"{column}{SPREAD}"].mean().reindex(molecules)
            ax.errorbar(range(len(means)), means, error, fmt="none", ecolor=shade, capsize=3)
    ax.set_xticks(range(len(molecules)), molecules, rotation=90)


def lived_by_error(
    ax: Axes, table: DataFrame, *, groups: Mapping[str, str], colours: Mapping[str, str]
) -> None:
    """Draw how long each run lived against the force error of its model on that molecule.

    Parameters
    ----------
    ax : Axes
    table : DataFrame
        With ``molecule``, ``architecture``, ``total`` (%) and ``lived``, a row for each run.
    groups, colours
        As for `against_distance`.
    """
    for row in table.itertuples():
        marker = GROUP_MARKERS[groups[row.molecule]]
        style = {"color": colours[row.architecture], "markersize": 7, "alpha": 0.6}
        ax.plot(row.total, row.lived, marker, linestyle="", **style)
    ax.set(xlabel="force error / %", ylabel="part of the planned time lived", ylim=(-0.03, 1.05))


def lived_in_spite(table: DataFrame, limit_percent: float) -> DataFrame:
    """Count the runs that reached the end, with forces that are right and with wrong ones.

    Parameters
    ----------
    table : DataFrame
        As for `lived_by_error`.
    limit_percent : float
        The error above which forces count as wrong.

    Returns
    -------
    DataFrame
        A row for each architecture, "n of m runs" in two columns.
    """
    kind = np.where(table["total"] > limit_percent, "above", "up to")
    ended = (table["lived"] == 1).groupby([table["architecture"], kind], sort=False)
    words = ended.agg(lambda lived: f"{lived.sum()} of {len(lived)} runs").unstack(fill_value="-")
    words = words.reindex(columns=["up to", "above"], fill_value="-")
    return words.rename(columns=lambda name: f"error {name} {limit_percent:g} %")


def farthest(lived: DataFrame, start_g_cm3: Mapping[str, float]) -> str:
    """Say which liquid is, by a factor, farthest from the density that it started from.

    Parameters
    ----------
    lived : DataFrame
        With ``training set``, ``architecture``, ``molecule`` and ``density_g_cm3``, the mean of a
        whole run, NaN without one.
    start_g_cm3 : mapping of str to float
        By molecule.
    """
    ratios = lived["density_g_cm3"] / lived["molecule"].map(dict(start_g_cm3))
    if ratios.isna().all():
        return "no liquid has a density"
    row = lived.loc[np.abs(np.log(ratios)).idxmax()]
    ratio = row["density_g_cm3"] / start_g_cm3[row["molecule"]]
    return (
        f"farthest from its start: {row['molecule']} by {row['architecture']} on "
        f"{row['training set']}, {row['density_g_cm3']:.2f} g/cm³ from "
        f"{start_g_cm3[row['molecule']]:g}, a factor of {ratio:.2f}"
    )


# --- how far a molecule is ----------------------------------------------------------------------


def against_distance(
    ax: Axes,
    distance: Mapping[str, float],
    table: DataFrame,
    column: str,
    *,
    groups: Mapping[str, str],
    colours: Mapping[str, str],
) -> None:
    """Draw the mean of a column against the distance of each molecule.

    Parameters
    ----------
    ax : Axes
    distance : mapping of str to float
        By molecule, 1/Å.
    table, column, colours
        As for `by_molecule`; a mean that is not finite is left out.
    groups : mapping of str to str
        The group of each molecule, which gives its marker.

    Notes
    -----
    Points of the architectures stand a little beside each other, around the molecule's distance.
    """
    means = table.groupby(["molecule", "architecture"])[column].mean()
    shift = dict(zip(colours, _beside(len(colours), np.ptp([*distance.values()])), strict=True))
    for (molecule, architecture), value in means[np.isfinite(means)].items():
        style = {"color": colours[architecture], "markersize": 7, "alpha": 0.85}
        place = distance[molecule] + shift[architecture]
        ax.plot(place, value, GROUP_MARKERS[groups[molecule]], **style)
    _name_above(ax, distance)
    ax.set_xlabel("distance from the training set / Å$^{-1}$")


def _beside(number: int, span: float, share: float = 0.018) -> NDArray[np.float64]:
    """Return shifts around 0, `share` of a span apart, for points that would hide each other."""
    return share * span * (np.arange(number) - (number - 1) / 2)


def _name_above(ax: Axes, distance: Mapping[str, float]) -> None:
    """Write the name of each molecule above its distance, with a thread that leads there."""
    ordered = sorted(distance, key=distance.__getitem__)
    places = _apart([distance[molecule] for molecule in ordered])
    for molecule, place in zip(ordered, places, strict=True):
        label = {"rotation": 90, "fontsize": 8, "ha": "center", "va": "bottom", "color": "0.4"}
        thread = {"arrowstyle": "-", "color": "0.8", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
        at = {"xycoords": ax.get_xaxis_transform(), "textcoords": ax.get_xaxis_transform()}
        ax.annotate(
            molecule, (distance[molecule], 1), (place, 1.06), arrowprops=thread, **at, **label
        )


def _apart(rising: Sequence[float], share: float = 0.045) -> list[float]:
    """Return places near rising values, `share` of their range apart at least, for labels."""
    gap, places = share * (rising[-1] - rising[0]), []
    for value in rising:
        places.append(max([value, *(place + gap for place in places[-1:])]))
    return places


def legend(figure: Figure, colours: Mapping[str, str]) -> None:
    """Add a legend above all panels: architectures by colour, groups of molecules by marker.

    Parameters
    ----------
    figure : Figure
        With constrained layout, as `crosstrain.data.figures.use_style` sets it.
    colours : mapping of str to str
        By architecture.
    """
    handles = [Patch(color=shade, label=name) for name, shade in colours.items()]
    handles += [
        Line2D([], [], color="0.5", linestyle="", marker=GROUP_MARKERS[group], label=words)
        for group, words in GROUPS.items()
    ]
    legend_above(figure, handles)


def rank_with_distance(
    distance: Mapping[str, float],
    table: DataFrame,
    column: str,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
) -> RankCorrelation:
    """Return Spearman's rank correlation of the distance with the mean of a column by molecule."""
    means = table.groupby("molecule")[column].mean()
    means = means[np.isfinite(means)]
    x = [distance[molecule] for molecule in means.index]
    return rank_correlation(x, means.to_numpy(), rng=rng, confidence=confidence)


def rank_table(ranks: Mapping[Any, Mapping[str, RankCorrelation]]) -> DataFrame:
    """Return rank correlations with their intervals and p values; a dash: none can be had.

    Parameters
    ----------
    ranks : mapping
        By model, a row each, and by what is correlated with the distance, three columns each.
    """
    rows = {
        key: {
            f"{name}: {column}": words
            for name, rank in of_key.items()
            for column, words in _rank_in_words(rank).items()
        }
        for key, of_key in ranks.items()
    }
    return DataFrame.from_dict(rows, orient="index")


def _rank_in_words(rank: RankCorrelation) -> dict[str, str]:
    if np.isnan(rank.value):
        return dict.fromkeys(("rank", "interval", "p"), "-")
    interval = f"{rank.lower:.2f} to {rank.upper:.2f}"
    return {"rank": f"{rank.value:.2f}", "interval": interval, "p": f"{rank.p_value:.2g}"}


def below(ranks: Mapping[Any, Mapping[str, RankCorrelation]], confidence: float) -> str:
    """Say how many p values are below 1 - confidence."""
    found = [rank for of_key in ranks.values() for rank in of_key.values()]
    p_values = [rank.p_value for rank in found if not np.isnan(rank.value)]
    level = 1 - confidence
    return f"{sum(p < level for p in p_values)} of {len(p_values)} p values below {level:.2g}"


# --- the claim ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Generalisation:
    """What runs of unseen molecules say of one architecture.

    Attributes
    ----------
    survival
        Mean survival fraction of each group.
    kept
        Whether molecules of another shape live as long as the known ones, within the margin.
    lost
        Whether molecules of another chemistry live shorter, by more than the margin.
    claim
        Both together.
    kept_by, lost_by
        The effects behind the two, positive if it is true: with an interval; or the plain
        difference, where no molecule scatters; or None, where there is nothing to compare.
    """

    survival: Mapping[str, float]
    kept: Finding
    lost: Finding
    claim: Finding
    kept_by: Contrast | float | None = None
    lost_by: Contrast | float | None = None

    def in_words(self, part: str) -> str:
        """Return what is said of ``kept`` or ``lost``: effect, interval and verdict."""
        effect, finding = getattr(self, f"{part}_by"), getattr(self, part)
        if effect is None:
            return str(finding)
        if isinstance(effect, Contrast):
            interval = f"{effect.lower:+.2f} to {effect.upper:+.2f}"
            return f"{effect.value:+.2f} ({interval}), {finding}"
        return f"{effect:+.2f} (no error), {finding}"


def generalisation(
    survival: Mapping[str, Sequence[float]],
    *,
    margin: float,
    confidence: float = 0.95,
) -> Generalisation:
    r"""Judge the claim that stability is kept for other shapes and lost for other chemistry.

    With the mean survival S of each group the two effects, positive if the claim is true, are

    .. math:: S_{shape} - S_{known} + m \quad\text{and}\quad S_{known} - S_{chemistry} - m ,

    m being the margin. Each molecule is one datum, so the intervals (Welch's) are those of other
    molecules drawn from the same group. Where no molecule scatters in either group, the plain
    difference decides and the finding says so. Where the known liquids themselves live less than
    1 - m, nothing can be kept or lost, and all is undecided.

    The end of the planned time is a ceiling. Where known molecules and those of another chemistry
    all reach it, nobody knows who would have lived shorter: lost is undecided. So is kept if those
    of another shape reach it, too; if some of another chemistry did not, the time was long enough
    to see molecules fail, and reaching its end counts.

    Parameters
    ----------
    survival : mapping of str to sequence of float
        For ``known``, ``shape`` and ``chemistry`` the survival fraction of each molecule, the mean
        over the models of one architecture.
    margin : float
        Difference of survival that counts as none, in (0, 1).
    confidence : float

    Raises
    ------
    ValueError
        If a group is missing or empty, or the margin is out of range.
    """
    if not 0 < margin < 1:
        raise ValueError(f"margin is {margin}, allowed are values between 0 and 1")
    lacking = [name for name in GROUPS if not len(survival.get(name, ()))]
    if lacking:
        raise ValueError(f"survival has nothing for {lacking[0]!r}; allowed are all of {[*GROUPS]}")
    means = {name: float(np.mean(survival[name])) for name in GROUPS}
    if not _holds_known(means, margin):
        reason = f"the known liquids live {means['known']:.2f} of the planned time"
        nothing = Finding(Verdict.UNDECIDED, reason)
        return Generalisation(means, nothing, nothing, nothing)
    known, shape, chemistry = (np.asarray(survival[name], dtype=float) for name in GROUPS)
    kept = lost = Finding(Verdict.UNDECIDED, CEILING)
    kept_by = lost_by = None
    if not _all_lived(known, chemistry):
        lost, lost_by = _is_longer(known - margin, chemistry, confidence)
    if not _all_lived(known, shape, chemistry):
        kept, kept_by = _is_longer(shape + margin, known, confidence)
    wide = bonferroni(confidence, 2)  # for either of the two can refute the claim
    effects = ((kept, kept_by), (lost, lost_by))
    when_widened = [of_one(e.at(wide)) if isinstance(e, Contrast) else f for f, e in effects]
    claim = all_hold([kept, lost], when_widened)
    return Generalisation(means, kept, lost, claim, kept_by, lost_by)


def judge_models(
    lived: DataFrame,
    groups: Mapping[str, str],
    *,
    margin: float,
    confidence: float = 0.95,
) -> tuple[dict[tuple[str, str], Generalisation], dict[str, list[str]]]:
    """Judge the claim for the models of each training set, and for those sets together that pass.

    A set passes if its known liquids live 1 - margin of the planned time: the mean over models that
    cannot hold these would tell nothing of others.

    Parameters
    ----------
    lived : DataFrame
        With ``training set``, ``architecture``, ``molecule`` and ``lived``, a row for each run.
    groups : mapping of str to str
        The group of each molecule.
    margin, confidence : float
        As for `generalisation`.

    Returns
    -------
    judged : dict of (str, str) to Generalisation
        By training set, or `POOLED` where two or more pass, and architecture.
    passed : dict of str to list of str
        The training sets that pass, by architecture; none without one.
    """

    def judge(runs: DataFrame) -> Generalisation:
        survival = _survival_by_group(runs, groups)
        return generalisation(survival, margin=margin, confidence=confidence)

    keys = ["training set", "architecture"]
    judged = {key: judge(runs) for key, runs in lived.groupby(keys, sort=False)}
    passed: dict[str, list[str]] = {}
    for (row, architecture), found in judged.items():
        if _holds_known(found.survival, margin):
            passed.setdefault(architecture, []).append(row)
    for architecture, rows in passed.items():
        mine = (lived["architecture"] == architecture) & lived["training set"].isin(rows)
        if len(rows) > 1:
            judged[POOLED, architecture] = judge(lived[mine])
    return judged, passed


def _holds_known(means: Mapping[str, float], margin: float) -> bool:
    return means["known"] >= 1 - margin


def _survival_by_group(lived: DataFrame, groups: Mapping[str, str]) -> dict[str, list[float]]:
    """Return the survival fraction of each molecule, the mean over runs, by its group."""
    means = lived.groupby("molecule")["lived"].mean()
    return {group: [float(means[m]) for m in groups if groups[m] == group] for group in GROUPS}


def _all_lived(*groups: NDArray[np.float64]) -> bool:
    return all((group == 1).all() for group in groups)


def _is_longer(
    one: NDArray[np.float64], other: NDArray[np.float64], confidence: float
) -> tuple[Finding, Contrast | float | None]:
    """Return whether one lives longer than the other, and by how much."""
    try:
        effect = contrast([(1.0, one), (-1.0, other)], confidence=confidence)
        return of_one(effect), effect
    except NotComparable as error:
        if error.cause != "no scatter":
            return Finding(Verdict.UNDECIDED, "fewer than two molecules in a group"), None
    difference = float(one.mean() - other.mean())
    verdict = Verdict.SUPPORTED if difference > 0 else Verdict.NOT_SUPPORTED
    return Finding(verdict, "all molecules of a group alike"), difference


def claim_table(judged: Mapping[Any, Generalisation]) -> DataFrame:
    """Return survival by group and what is said of the claim, a row each."""
    rows = {
        key: {
            **{f"S({group})": round(value, 2) for group, value in found.survival.items()},
            "kept": found.in_words("kept"),
            "lost": found.in_words("lost"),
            "claim": str(found.claim),
        }
        for key, found in judged.items()
    }
    return DataFrame.from_dict(rows, orient="index")
