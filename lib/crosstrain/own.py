"""A liquid of one's own: a profile for it, what its models lack, and what the study says of that.

Everything else is the chain of the study: the profile is an ordinary one, which every command and
notebook takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from crosstrain import compare, judge, matrix, paths
from crosstrain.build.boxes import edge_A
from crosstrain.build.molecules import rdkit_molecule
from crosstrain.data import intake, profiles, summaries
from crosstrain.data.foundation import INTER
from crosstrain.data.profiles import HOTTEST_K, Block, Profile, State
from crosstrain.measure.reweighting import MIN_TOGETHER
from crosstrain.measure.score import TOLERANCES
from crosstrain.measure.transfer import Contrast, Effect
from crosstrain.paths import sha256, write_atomically
from crosstrain.plan import atoms_in, set_of, size_of
from crosstrain.potentials import protocol as potentials
from crosstrain.run.store import Step, upstream
from crosstrain.simulate.dynamics import DENSITY_LIMITS_G_CM3
from crosstrain.study import Study

STATE = "own"
OWN = "own"  # block of the frames that a user brings
FIRST = "classical"  # the set to begin with
TEST = "classical_test"
BLOCKS = (FIRST, "scan", "molecules")
ITERATED = "iterated"
MORE = f"{FIRST}_more"  # block of the study's controls: more frames of the first kind
# What is lacking where a run ends early, by its reason (`simulate.dynamics.RunResult`).
CURES = {
    "bond broken": "molecules",
    "bond formed": "molecules",
    "temperature blow-up": "molecules",
    "non-finite force": "molecules",
    "boil-off": "scan",
    "collapse": "scan",
}
# What a block is, for who reads its name for the first time.
MEANS = {
    "scan": "liquid frames at other volumes, their molecules kept rigid",
    "molecules": "isolated molecules far from equilibrium",
    ITERATED: "frames of the models' own runs about which a committee of them disagrees",
}
# A liquid takes time to boil off: of THF with a MACE of `smoke` 1 to 2 ps.
LEAST_PS = 3.0
LONGEST_PS = 1e6
# Forces between molecules that are this far off are no better than none.
LOST_PERCENT = 100.0
# Where the study would show what a block is worth, the quantity that it is made for first.
SEEN_IN = {
    "scan": ("density_deviation", "own_error"),
    "molecules": ("survival", "own_error"),
    ITERATED: ("score", "own_error"),
}
IN_WORDS = {
    "score": "score",
    "survival": "survival",
    "density_deviation": "density off the reference",
    "own_error": "force error on own runs",
}


class Lack(NamedTuple):
    """Something that a model lacks.

    Attributes
    ----------
    block : str
        Block of frames that should help.
    why : str
        What was seen.
    """

    block: str
    why: str


# --- the profile --------------------------------------------------------------------------------


def profile_for(
    name: str,
    *,
    composition: Mapping[str, int],
    temperature_K: float,
    pressure_bar: float,
    density_g_cm3: float,
    base: Profile,
    architectures: Sequence[str] = (),
    data: Path | None = None,
    duration_ps: float | None = None,
) -> Profile:
    """Return the profile of a liquid of one's own, with the sizes of another profile.

    Ranges of density are those of `base`, moved in proportion to the density of its liquid; ranges
    of temperature are widened to hold the one asked for. Replicas, and the models that sample the
    reference liquid, are as in the first state of `base`.

    Parameters
    ----------
    name : str
        Of the profile and its results, which are kept below ``runs/own``.
    composition : mapping of str to int
        Molecules of the liquid's box, by name or SMILES.
    temperature_K, pressure_bar : float
        Where models are judged.
    density_g_cm3 : float
        A guess.
    base : Profile
        Its budgets and sizes.
    architectures : sequence of str
        Default: those of `base`.
    data : Path, optional
        An extended XYZ file of one's own, examined as `crosstrain.data.intake` does; its frames
        join the first training set and are labelled by the reference method as all others are.
        Labels that they bring are not read.
    duration_ps : float, optional
        Of each run (default: as in `base`).

    Raises
    ------
    ValueError
        If a molecule is not supported, a number out of range, or the file not sound.
    WeightsNotFound
        If an architecture starts from published weights that are not here.
    """
    _check_name(name)
    if not composition or min(composition.values()) < 1:
        raise ValueError(f"composition {dict(composition)}; allowed are 1 or more of each molecule")
    least, most = DENSITY_LIMITS_G_CM3
    if not least <= density_g_cm3 <= most:
        raise ValueError(
            f"density_g_cm3 {density_g_cm3:g}; allowed are {least:g} to {most:g}, what "
            "dynamics takes for a liquid"
        )
    if not 0 < temperature_K <= HOTTEST_K:
        raise ValueError(f"temperature_K {temperature_K:g}; allowed are above 0 to {HOTTEST_K:g}")
    least_ps = base.dynamics.save_every_fs / 1e3
    if duration_ps is not None and not least_ps <= duration_ps <= LONGEST_PS:
        allowed = f"{least_ps:g} to {LONGEST_PS:g}"
        raise ValueError(f"duration_ps {duration_ps:g}; allowed are {allowed}")
    _check_base(base)
    factor = density_g_cm3 / base.liquid.start_density_g_cm3
    boxes = training_boxes(composition)
    blocks = {block: _adapted(base.blocks[block], boxes, factor, temperature_K) for block in BLOCKS}
    first = FIRST
    if data is not None:
        blocks[OWN] = _brought(data, composition)
        first = f"{FIRST}+{OWN}"
    known = base.training.architectures
    chosen = {a: known.get(a, {}) for a in (architectures or known)}
    values = base.model_dump(mode="json", exclude_none=True) | {
        "name": name,
        "purpose": f"a liquid of one's own, at the size of '{base.name}'",
        "store": f"runs/own/{name}/data",
        "blocks": {block: about.model_dump() for block, about in blocks.items()},
        "tests": {TEST: _adapted(base.tests[TEST], boxes, factor, temperature_K).model_dump()},
        "training": base.training.model_dump(exclude_none=True)
        | {"sets": [first], "rows": [], "names": {}, "architectures": chosen},
        "liquid": _liquid(base, composition, temperature_K, pressure_bar, density_g_cm3),
    }
    if duration_ps is not None:
        values["dynamics"]["duration_ps"] = duration_ps
    values["training"].pop("search", None)
    values["reference"].pop("stand_in_every", None)
    for section in profiles.OF_THE_STUDY:
        values.pop(section, None)
    values |= _reference_models(base)
    if base.iteration:
        makers = {maker: block for block, maker in base.iteration.blocks.items()}
        values["iteration"] = _ranges(values["iteration"], factor, temperature_K) | {
            "compositions": boxes,
            "start": FIRST,
            "blocks": {makers.get(a, f"{a}_{ITERATED}"): a for a in chosen},
        }
    profile = Profile.model_validate(values)
    for architecture, settings in profile.training.architectures.items():
        if base_model := getattr(potentials.settings(architecture, settings), "base", ""):
            potentials.checked_weights(potentials.published(base_model))
    return profile


def _check_name(name: str) -> None:
    if not name.replace("_", "").isalnum():
        raise ValueError(f"name {name!r}; allowed are letters, digits and _")


def _check_base(base: Profile) -> None:
    lacking = [f"block {block}" for block in BLOCKS if block not in base.blocks]
    lacking += [] if TEST in base.tests else [f"test {TEST}"]
    if lacking:
        raise ValueError(
            f"profile {base.name!r} has no {', '.join(lacking)}; allowed is one with blocks "
            f"{', '.join(BLOCKS)} and test {TEST}"
        )


def training_boxes(composition: Mapping[str, int]) -> list[dict[str, int]]:
    """Return the boxes to train on: the liquid's own, and of a mixture each pure liquid too.

    A pure box has about as many atoms as that of the liquid.
    """
    n_atoms = atoms_in(composition)
    pure = [{name: max(1, round(n_atoms / size_of(name)))} for name in composition]
    return [dict(composition), *(pure if len(composition) > 1 else [])]


def _adapted(
    block: Block, boxes: list[dict[str, int]], factor: float, temperature_K: float
) -> Block:
    options = _ranges(block.options, factor, temperature_K)
    if "compositions" in options:
        options["compositions"] = boxes
    if "molecules" in options:
        options["molecules"] = sorted({name for box in boxes for name in box})
    if "every" in options:  # frames take the compositions in turn, and all shall be scanned
        options["every"] = _coprime(options["every"], len(boxes))
    return block.model_copy(update={"options": options})


def _coprime(number: int, other: int) -> int:
    while np.gcd(number, other) > 1:
        number += 1
    return number


def _ranges(values: Mapping[str, Any], factor: float, temperature_K: float) -> dict[str, Any]:
    """Return values with their ranges of density and temperature moved to the liquid."""
    moved = dict(values)
    if "density_g_cm3" in moved:
        moved["density_g_cm3"] = [round(factor * end, 3) for end in moved["density_g_cm3"]]
    if "temperature_K" in moved:
        low, high = moved["temperature_K"]
        moved["temperature_K"] = [min(low, temperature_K), max(high, temperature_K)]
    return moved


def _reference_models(base: Profile) -> dict[str, Any]:
    """What samples the reference liquid of `base`, to be fine-tuned on frames of one's own."""
    named = _samplers(base)
    if not named:
        return {}
    tuning = base.foundation.fine_tuning.model_dump(exclude_none=True)
    sampling = {name.partition("-")[0] for name in named}
    variants = {name: about for name, about in tuning["variants"].items() if name in sampling}
    sizes = list(dict.fromkeys(map(set_of, named)))
    tuning |= {"variants": variants, "sizes": sizes, "sets": [], "states": [STATE]}
    return {"foundation": {"models": {}, "fine_tuning": tuning}}


def _samplers(base: Profile) -> dict[str, list[int]] | None:
    """The two last reference models of `base` that are tuned on its first set or a part of it.

    They get as many runs as all of them: the last are tuned on the most frames, and two are the
    fewest that can agree. A run of a number starts from one box and follows one stream of random
    numbers whatever the model, so that each has numbers of its own, after those of the models that
    are judged.
    """
    named, foundation = _first_state(base).reference_models or {}, base.foundation
    sizes = foundation.fine_tuning.sizes if foundation and foundation.fine_tuning else ()
    runs = {name: n for name, n in named.items() if set_of(name) in sizes}
    last, n_runs = list(runs)[-2:], sum(map(len, runs.values()))
    numbers = count(1 + max(_first_state(base).replicas))
    return {name: list(islice(numbers, n_runs // len(last))) for name in last} or None


def _first_state(base: Profile) -> State:
    return next(iter(base.liquid.states.values()))


def _liquid(
    base: Profile,
    composition: Mapping[str, int],
    temperature_K: float,
    pressure_bar: float,
    density_g_cm3: float,
) -> dict[str, Any]:
    """The liquid, with radial distribution functions that fit its box as those of `base` do."""
    liquid = base.liquid
    edge = edge_A(composition, density_g_cm3)
    r_max = liquid.rdf.r_max_A * min(
        1.0, edge / edge_A(liquid.composition, liquid.start_density_g_cm3)
    )
    there = {a.GetSymbol() for name in composition for a in rdkit_molecule(name).GetAtoms()}
    pairs = [pair for pair in liquid.rdf.pairs if set(pair.split("-")) <= there]
    return {
        "composition": dict(composition),
        "states": {
            STATE: State(
                temperature_K=temperature_K,
                pressure_bar=pressure_bar,
                replicas=_first_state(base).replicas,
                reference_models=_samplers(base),
            ).model_dump(exclude_none=True)
        },
        "start_density_g_cm3": density_g_cm3,
        "start_ps": liquid.start_ps,
        "rdf": {
            "pairs": pairs or ["C-H", "H-H"],
            "r_max_A": round(r_max, 2),
            "n_bins": liquid.rdf.n_bins,
        },
    }


def _brought(data: Path, composition: Mapping[str, int]) -> Block:
    molecules = sorted(composition)
    frames = intake.read(data, molecules=molecules, labelled=False).frames
    options = {
        "file": str(data.resolve()),
        "sha256": sha256(data),
        "molecules": molecules,
        "atoms_per_frame": round(float(np.mean([len(frame) for frame in frames])), 1),
    }
    return Block(kind=OWN, frames=len(frames), seed=0, options=options)


def write(profile: Profile, path: Path) -> None:
    """Write a profile as a file that every command takes."""
    values = profile.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, default_flow_style=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.encode())


def path_of(name: str) -> Path:
    """Return where the profile of a liquid of one's own is kept."""
    return paths.runs() / "own" / f"{name}.yml"


def difference(kept: Profile, asked: Profile) -> str:
    """Say in which setting two profiles differ first; '' if in none."""
    pair = [profile.model_dump(mode="json") for profile in (kept, asked)]
    has, wants = (pd.json_normalize(values).to_dict("records")[0] for values in pair)
    differing = (key for key in has | wants if has.get(key) != wants.get(key))
    return next((f"its {k} is {has.get(k)!r}, not {wants.get(k)!r}" for k in differing), "")


def with_block(profile: Profile, block: str) -> Profile:
    """Return a profile that also trains on its last training set with a block added.

    Parameters
    ----------
    profile : Profile
        Of `profile_for`.
    block : str
        One of its blocks, or ``iterated``: what its own models choose.

    Raises
    ------
    ValueError
        If there is no such block, or it is in the set already.
    """
    last = profile.training.sets[-1].split("+")
    iterated = [b for b in (profile.iteration.blocks if profile.iteration else ()) if b not in last]
    known = {b: [b] for b in [*profile.blocks, *iterated] if b not in last}
    if iterated:
        known[ITERATED] = iterated
    if block not in known:
        raise ValueError(f"block {block!r}; allowed are {', '.join(known) or 'none'}")
    sets = [*profile.training.sets, "+".join([*last, *known[block]])]
    training = profile.training.model_copy(update={"sets": sets})
    return profile.model_copy(update={"training": training})


def was_added(profile: Profile, block: str) -> bool:
    """Whether `with_block` added a block (or ``iterated``) to the last training set already."""
    first, last = (set(profile.training.sets[i].split("+")) for i in (0, -1))
    makers = profile.iteration.blocks if profile.iteration else ()
    wanted = set(makers) if block == ITERATED else {block}
    return bool(wanted) and wanted <= last - first


# --- models and what they lack ------------------------------------------------------------------


def needed(study: Study) -> list[Step]:
    """Return the results of every model of a study, and the reference liquids."""
    steps = [step for model in study.models() for step in study.results(model)]
    return steps + [study.reference(state) for state in study.profile.liquid.states]


def core_hours(study: Study) -> float:
    """Estimate of the core hours of all that is needed, from nothing."""
    return sum(step.estimate_s for step in upstream(needed(study))) / 3600


def lacks(study: Study, sets: str) -> dict[str, Lack]:
    """Return what the models of a training set lack, by model; those that lack nothing are absent.

    A run that ended early tells by its reason. A density further than the score's tolerance and two
    standard errors from the reference, or without a trusted one from that of another model of the
    set, asks for scans. What is in the training set already did not help: then iterate. So does a
    run that shows neither, if the forces between molecules are no better than none on its frames.

    Parameters
    ----------
    study : Study
    sets : str
        Training set, as named in the profile.
    """
    (state,) = study.profile.liquid.states
    runs_of = {model: study.liquids(model, state) for model in study.models([sets])}
    observed = {
        model.name: [study.read(study.observed(run), "observed.json") for run in runs]
        for model, runs in runs_of.items()
    }
    densities = {name: judge.mean_density(runs) for name, runs in observed.items()}
    reference = study.read(study.reference(state), "reference.json")
    truth = None
    if not summaries.why_not(reference, "density"):
        truth = reference["observables"]["density"]
    found = {}
    for model, liquids in runs_of.items():
        name, runs = model.name, observed[model.name]
        ended = next((run for run in runs if run["status"] != "completed"), None)
        others = {other: d for other, d in densities.items() if other != name and d}
        others = {o: d for o, d in others.items() if _lived(observed[o])}
        if ended:
            lack = Lack(CURES[ended["reason"]], f"{ended['reason']} at {ended['time_ps']:g} ps")
        elif truth:
            points = {"the reference": (truth["value"], truth["error"])}
            lack = _off(densities[name], points)
        else:
            lack = _off(densities[name], {o: (d.value, d.error) for o, d in others.items()})
        if lack and lack.block in study.blocks_of(sets):
            lack = Lack(ITERATED, f"{lack.why}, with {lack.block} in the set")
        if lack := lack or _lost(study, model, liquids):
            found[name] = lack
    return found


def _lost(study: Study, model: Step, runs: Iterable[Step]) -> Lack | None:
    """Forces between molecules that are no better than none, on frames of a model's own runs."""
    for run in runs:
        said = study.predicted(study.evaluated(model, study.relabelled(run)))
        percent = summaries.model_errors(said["frames"], said).get(INTER, 0.0)
        if percent >= LOST_PERCENT:
            why = f"force between molecules {percent:.0f} % wrong on frames of its own run"
            return Lack(ITERATED, why)
    return None


def to_add(study: Study, sets: str) -> str | None:
    """Return the block that most models of a training set lack and that was not added yet.

    What keeps molecules whole comes first.
    """
    wanted = [lack.block for lack in lacks(study, sets).values()]
    wanted = [block for block in wanted if not was_added(study.profile, block)]
    ranked = sorted(SEEN_IN, key=lambda block: (-wanted.count(block), block != "molecules"))
    return ranked[0] if wanted else None


def _lived(runs: Sequence[Mapping[str, Any]]) -> bool:
    return all(run["status"] == "completed" for run in runs)


def _off(density: Any, others: Mapping[str, tuple[float, float]]) -> Lack | None:
    """A density that is not that of others."""
    if density is None:
        return Lack("scan", "the density does not settle")
    for name, (value, error) in others.items():
        away = abs(density.value - value)
        if away > max(TOLERANCES["density"], 2 * np.hypot(density.error, error)):
            mine = summaries.plus_minus(density.value, density.error)
            said = f"density {mine} g/cm³, {name} {summaries.plus_minus(value, error)}"
            return Lack("scan", said)
    return None


# --- what the study says --------------------------------------------------------------------------


class Guidance(NamedTuple):
    """What the stored results of the study say of adding a block.

    Attributes
    ----------
    lines : list of str
        For people: a line for each row of the study with the block and each row below it.
    has_gain : bool
        Whether there is a gain with an interval among them.
    """

    lines: list[str]
    has_gain: bool


def guidance(
    study: Study,
    block: str,
    architecture: str,
    state: str,
    *,
    known: matrix.Matrix | None = None,
) -> Guidance:
    """Return what the stored results of the study say of adding a block to the first set.

    Gains are those of `crosstrain.compare.gains`, over the first set and over a control, the first
    set with about as many more frames of its own kind. Where no row is stored that adds the block
    alone, the smallest one that has it is used, and the lines say what else that adds.

    Parameters
    ----------
    study : Study
        Of the profile whose results are the guidance.
    block : str
        One of `SEEN_IN`.
    architecture : str
    state : str
        Of the study's liquid.
    known : Matrix, optional
        From `crosstrain.matrix.read`, of all rows (default: it is read).
    """
    known = known or matrix.read(study, state, seed=0)
    lines, has_gain = [], False
    for row in _rows_with(study, block, architecture, known):
        added = matrix.added_blocks(study, row, FIRST)
        if block in added and len(added) > 1:
            others = " and ".join(other for other in added if other != block)
            lines.append(f"{block} alone is not stored; what follows has {others} in it, too")
        for base in _bases(study, row, architecture, known):
            gains = _gains(known, row, base, architecture, SEEN_IN[block])
            has_gain |= any(isinstance(gain, Contrast) for gain in gains.values())
            said = "; ".join(f"{IN_WORDS[q]}: {_words(q, gain)}" for q, gain in gains.items())
            lines.append(f"{_compared(study, row, base)} on {architecture}: {said}")
    nothing = f"{block} on {architecture}: nothing stored in the study"
    return Guidance(lines or [nothing], has_gain)


def guidance_table(study: Study, state: str, *, known: matrix.Matrix | None = None) -> pd.DataFrame:
    """Return every gain that guidance can come from, a column for each quantity.

    Parameters
    ----------
    study, state, known
        As for `guidance`.

    Returns
    -------
    DataFrame
        A row for each pair of training sets and each architecture; none if nothing is stored.
    """
    known = known or matrix.read(study, state, seed=0)
    found = {}
    for architecture in study.profile.training.architectures:
        rows = [row for block in SEEN_IN for row in _rows_with(study, block, architecture, known)]
        for row in dict.fromkeys(rows):
            for base in _bases(study, row, architecture, known):
                gains = _gains(known, row, base, architecture, IN_WORDS)
                found[_compared(study, row, base), architecture] = {
                    IN_WORDS[quantity]: _words(quantity, gain) for quantity, gain in gains.items()
                }
    return pd.DataFrame.from_dict(found, orient="index").sort_index(kind="stable", level=0)


def _rows_with(study: Study, block: str, architecture: str, known: matrix.Matrix) -> list[str]:
    """Return the stored rows that tell what a block is worth to an architecture."""
    if block == ITERATED:
        makers = study.profile.iteration.blocks if study.profile.iteration else {}
        ordered = sorted(makers, key=lambda made: makers[made] != architecture)
        rows = [f"{FIRST}+{made}" for made in ordered]
        return [row for row in rows if _is_stored(known, row, architecture)]
    rows = [
        row
        for row in study.rows()
        if _is_stored(known, row, architecture) and {FIRST, block} <= set(study.blocks_of(row))
    ]
    return sorted(rows, key=lambda row: len(study.blocks_of(row)))[:1]


def _bases(study: Study, row: str, architecture: str, known: matrix.Matrix) -> list[str]:
    """Return what a row is compared with: the first set, and its control if one is stored."""
    size = matrix.n_added(study, row, FIRST)
    controls = [
        other
        for other in study.rows()
        if _is_stored(known, other, architecture)
        and {b.partition(".")[0] for b in matrix.added_blocks(study, other, FIRST)} == {MORE}
    ]
    nearest = sorted(controls, key=lambda other: abs(matrix.n_added(study, other, FIRST) - size))
    return [FIRST, *nearest[:1]]


def _is_stored(known: matrix.Matrix, row: str, architecture: str) -> bool:
    return any(run.value is not None for run in known["survival"].get((row, architecture), ()))


def _gains(
    known: matrix.Matrix,
    row: str,
    base: str,
    architecture: str,
    quantities: Iterable[str],
) -> dict[str, Effect]:
    """Return the gain of a row over another in some quantities."""
    found = {}
    for quantity in quantities:
        better = matrix.QUANTITIES[quantity].better
        gains = compare.gains(known[quantity], [(row, base)], [architecture], better=better)
        found[quantity] = gains[row, base, architecture]
    return found


def _words(quantity: str, gain: Effect) -> str:
    if isinstance(gain, Contrast):
        return compare.in_words(gain, matrix.QUANTITIES[quantity].better)
    return f"not comparable ({gain.in_words()})"


def _compared(study: Study, row: str, base: str) -> str:
    """Say what is compared; of a control, how many frames either adds to the first set."""
    counts = [matrix.n_added(study, each, FIRST) for each in (row, base)]
    return f"{row} over {base}" + (" (+{} over +{} frames)".format(*counts) if counts[1] else "")


def reach(study: Study, state: str) -> str:
    """Return on what the study's guidance was measured: it is a hint elsewhere, not a law."""
    liquid, at = study.profile.liquid, study.profile.liquid.states[state]
    molecules = " ".join(f"{name}:{count}" for name, count in liquid.composition.items())
    return (
        f"measured on {molecules} at {at.temperature_K:g} K and {at.pressure_bar:g} bar against "
        f"{study.profile.reference.method}, seeds {study.profile.training.seeds}: a hint for other "
        "liquids, and a weaker one the less they resemble this one"
    )


def advice(
    study: Study,
    sets: str,
    *,
    base: Study | None = None,
    state: str = "hot",
    known: matrix.Matrix | None = None,
) -> list[str]:
    """Return what the models of a training set lack and what the study says of it, for people.

    Parameters
    ----------
    study : Study
        Of one's own liquid.
    sets : str
        Training set.
    base : Study, optional
        Whose stored results are the guidance (default: of the profile that is shipped).
    state : str
        Of its liquid.
    known : Matrix, optional
        As for `guidance`.
    """
    base = base or Study(announce=False)
    found = lacks(study, sets)
    said = [
        f"{model.name}: nothing lacking that these runs could show"
        for model in study.models([sets])
        if model.name not in found
    ]
    (own_state,) = study.profile.liquid.states
    reference = study.read(study.reference(own_state), "reference.json")
    if why := summaries.why_not(reference, "density"):
        between = "between the models only" if len(study.models([sets])) > 1 else "with nothing"
        said.append(f"densities are compared {between}; of the reference: {why}")
        runs = study.reference(own_state).params["samplers"]
        n_frames = len(runs) * study.profile.dynamics.relabelled_frames
        if n_frames < MIN_TOGETHER:
            said.append(
                f"a score has only its limits at this size, 0 and the survival: at most {n_frames} "
                "frames of the models' runs are relabelled, fewer where a run ends early, and a "
                f"value of the reference needs {MIN_TOGETHER:g}; 'crosstrain new' with --profile "
                "laptop has more"
            )
    if found:
        known = known or matrix.read(base, state, seed=0)
    has_gain = False
    for name, lack in found.items():
        said.append(f"{name} lacks {lack.block} ({MEANS[lack.block]}): {lack.why}")
        told = guidance(base, lack.block, name.partition("-")[0], state, known=known)
        said += [f"  {line}" for line in told.lines]
        has_gain |= told.has_gain
    if has_gain:
        said.append(reach(base, state))
    if any(not was_added(study.profile, lack.block) for lack in found.values()):
        said.append(f"to add it: crosstrain improve {study.profile.name}")
    elif found:
        said.append("all of it was added already: what is left are more frames or a larger budget")
    return said


def in_a_line(thing: Any) -> str:
    """Return what something is, for a table: the first line of its docstring, or its value."""
    if callable(thing):
        return (inspect.getdoc(thing) or "").partition("\n")[0]
    return repr(thing)


def load(name: str) -> Profile:
    """Return the profile of a liquid of one's own.

    Raises
    ------
    ValueError
        If there is none of that name, or the file is not one that `profile_for` made.
    """
    _check_name(name)
    path = path_of(name)
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.yml"))
        raise ValueError(f"liquid {name!r}; allowed are {', '.join(known) or 'none yet'}")
    profile = profiles.load(str(path))
    if list(profile.liquid.states) != [STATE] or FIRST not in profile.blocks:
        raise ValueError(f"{path}: allowed is a profile that 'crosstrain new' has written")
    return profile
