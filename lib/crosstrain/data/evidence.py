"""What the transfer matrix says of the blocks and of the paper's claims, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from crosstrain.measure import transfer, verdicts
from crosstrain.measure.transfer import (
    Better,
    Cells,
    Contrast,
    Effect,
    Efficiency,
    NotComparable,
    Run,
    State,
)


@dataclass(frozen=True)
class Design:
    """Which rows and architectures play which part.

    Attributes
    ----------
    base
        The simple set that blocks are added to.
    control
        The base with more frames of its own kind.
    iterated_control
        The same with as many frames as an iterated block adds.
    simplest
        Rows without dynamics by a model and without blocks made by intuition.
    intuition
        The row with the blocks made by human intuition.
    makers
        Architecture that made each iterated block.
    simpler, other
        The architecture that the paper calls simpler, and the other.
    """

    base: str
    control: str
    iterated_control: str
    simplest: Sequence[str]
    intuition: str
    makers: Mapping[str, str]
    simpler: str
    other: str

    def row(self, block: str) -> str:
        """The row of the base with a block."""
        return f"{self.base}+{block}"

    def control_of(self, row: str) -> str:
        """The control that a row is compared with; an iterated block has its own."""
        return self.iterated_control if row in map(self.row, self.makers) else self.control

    def receiver(self, maker: str) -> str:
        """The architecture that did not make a block."""
        return self.other if maker == self.simpler else self.simpler


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and what the study says of it.

    Attributes
    ----------
    number
        Of its place in the abstract, or that it is of the preprint's.
    text
        The claim, in our words.
    rule
        Which effects must be above zero.
    effects
        By name.
    finding
        The verdict.
    n_wide
        For how many the intervals of the effects are widened.
    """

    number: str
    text: str
    rule: str
    effects: Mapping[str, Effect]
    finding: verdicts.Finding
    n_wide: int = 1


def gains(
    cells: Cells,
    rows: Sequence[str],
    base: str,
    architectures: Sequence[str],
    *,
    better: Better,
    confidence: float = 0.95,
) -> dict[tuple[str, str], Effect]:
    """Return the gain of each row over the base by (row, architecture); the base has none.

    Parameters
    ----------
    cells, rows, base, architectures, better, confidence
        As for `crosstrain.measure.transfer.gain`.
    """
    return {
        (row, architecture): transfer.attempt(
            transfer.gain,
            cells,
            row,
            base,
            architecture,
            better=better,
            confidence=confidence,
        )
        for row in rows
        if row != base
        for architecture in architectures
    }


def interactions(
    cells: Cells,
    rows: Sequence[str],
    base: str,
    architectures: tuple[str, str],
    *,
    better: Better,
    confidence: float = 0.95,
) -> dict[str, Effect]:
    """Return by row how much more the first architecture gains over the base than the second.

    Parameters
    ----------
    cells, rows, base, architectures, better, confidence
        As for `gains`.
    """
    return {
        row: transfer.attempt(
            transfer.difference_of_gains,
            cells,
            row,
            base,
            architectures,
            better=better,
            confidence=confidence,
        )
        for row in rows
        if row != base
    }


def differences(
    cells: Cells, rows: Sequence[str], base: str, architectures: Sequence[str], *, better: Better
) -> dict[tuple[str, str], float]:
    """Return by (row, architecture) the difference of the means of row and base, where both are.

    Unlike a gain it has no interval, and one seed is enough.
    """
    found = {}
    for row in rows:
        for architecture in architectures:
            one, other = (transfer.cell(cells, r, architecture).mean for r in (row, base))
            if row != base and one is not None and other is not None:
                found[row, architecture] = (one - other) * (1 if better == "higher" else -1)
    return found


def effect_text(effect: Effect) -> str:
    """Return an effect with its interval, or why there is none."""
    if isinstance(effect, NotComparable):
        return effect.cause
    return f"{effect.value:+.3g} ({effect.lower:+.3g} to {effect.upper:+.3g})"


def effects(found: Mapping[tuple[str, str], Effect]) -> pd.DataFrame:
    """Return effects in a table.

    Parameters
    ----------
    found : mapping of (row, column) to Effect
    """
    rows = {
        key: {
            "effect (interval)": effect_text(effect),
            "p": f"{effect.p_value:.2g}" if isinstance(effect, Contrast) else "-",
            "seeds": "/".join(map(str, effect.n_seeds)) if isinstance(effect, Contrast) else "-",
        }
        for key, effect in found.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def exceptions(one: transfer.Cell) -> str:
    """Return which seeds of a cell with a value are not whole, else if it has one seed only."""
    others = (State.UNSTABLE, State.FAILED, State.NOT_RUN)
    said = [f"{one.counts[state]} {state.value}" for state in others if one.counts[state]]
    return ", ".join(said) or ("1 seed" if one.error is None else "")


def parts_table(found: Mapping[str, Cells], rows: Sequence[str], form: str) -> pd.DataFrame:
    """Return means over seeds with their standard errors, or why there is none.

    In brackets stands what `exceptions` says.

    Parameters
    ----------
    found : mapping of str to Cells
        By heading.
    rows : sequence of str
        Of the matrix.
    form : str
        Format of the numbers.
    """

    def text(one: transfer.Cell) -> str:
        if one.mean is None:
            return one.state.value
        said = f"{one.mean:{form}}" + ("" if one.error is None else f" ± {one.error:{form}}")
        return said + (f" ({why})" if (why := exceptions(one)) else "")

    keys = dict.fromkeys(key for cells in found.values() for key in cells if key[0] in rows)
    table = {
        heading: {key: text(transfer.cell(cells, *key)) for key in keys}
        for heading, cells in found.items()
    }
    return pd.DataFrame(table)


def frames_table(n_added: Mapping[str, int], against: Mapping[str, str]) -> pd.DataFrame:
    """Return how many frames rows add to the base, and how many the controls of some of them add.

    Parameters
    ----------
    n_added : mapping of str to int
        By row.
    against : mapping of str to str
        Control by row. Of a control that is not in `n_added` no number is said.
    """
    rows = {}
    for row, n_frames in n_added.items():
        control = against.get(row, "-")
        n_control, equal = n_added.get(control, "-"), "-"
        if control in n_added:
            equal = "yes" if n_frames == n_control else "no"
        said = {"adds frames": n_frames, "compared with": control, "which adds": n_control}
        rows[row] = said | {"as many": equal}
    return pd.DataFrame.from_dict(rows, orient="index")


def efficiencies(found: Mapping[tuple[str, str, str, str], Efficiency]) -> pd.DataFrame:
    """Return transfer efficiencies in a table, with both gains over the control.

    Parameters
    ----------
    found : mapping of (row, control, maker, receiver) to Efficiency
    """
    columns = ["row", "against", "from", "to"]
    columns += ["efficiency", "interval", "gain from", "gain to", "reason"]
    rows = [
        [
            *key,
            "not given" if e.value is None else f"{e.value:.2f}",
            "-" if e.value is None else f"{e.lower:.2f} to {e.upper:.2f}",
            *(effect_text(g) if g else "not comparable" for g in (e.maker, e.receiver)),
            e.reason,
        ]
        for key, e in found.items()
    ]
    return pd.DataFrame(rows, columns=columns)


def claims(
    cells: Cells,
    errors: tuple[Cells, Cells],
    rows: Sequence[str],
    design: Design,
    *,
    better: Better,
    confidence: float = 0.95,
) -> list[Claim]:
    """Judge the paper's claims that the matrix can speak about.

    Parameters
    ----------
    cells : Cells
        The quantity in which effects are measured.
    errors : tuple of Cells
        Force errors on the models' own runs, and on a fixed set.
    rows : sequence of str
        Of the matrix.
    design : Design
    better : str
        Whether more of the quantity is better.
    confidence : float
        Of each verdict: where one effect among several is enough to support or to refute it,
        intervals are widened for their number.
    """
    simpler, other, more = design.simpler, design.other, design.iterated_control
    effect = partial(_effect, cells=cells, better=better)
    of_all = partial(verdicts.of_all, confidence=confidence)
    types = [row for row in rows if row not in (design.base, design.control, more)]
    # the sign of a difference between architectures is free, so either may be the larger
    wide = verdicts.bonferroni(confidence, len(types))
    differ = {
        row: _magnitude(
            effect(transfer.difference_of_gains, row, design.base, (other, simpler), wide)
        )
        for row in types
    }
    simple = {
        row: effect(transfer.advantage, row, (other, simpler), confidence)
        for row in design.simplest
    }
    own_block = {
        f"{design.row(block)} by {simpler}": effect(
            transfer.gain, design.row(block), more, simpler, confidence
        )
        for block, maker in design.makers.items()
        if maker == simpler
    }
    intuition = {
        f"{design.intuition} by {architecture}": effect(
            transfer.gain, design.intuition, design.control, architecture, confidence
        )
        for architecture in (simpler, other)
    }
    wide = verdicts.bonferroni(confidence, len(design.makers))
    automatic = {
        design.row(block): effect(
            transfer.difference_of_gains,
            design.row(block),
            more,
            (maker, design.receiver(maker)),
            wide,
        )
        for block, maker in design.makers.items()
    }
    harder = {
        f"{design.base} by {architecture}": _harder(
            *(each.get((design.base, architecture), ()) for each in errors), confidence
        )
        for architecture in (simpler, other)
    }
    return [
        Claim(
            "2",
            "The benefit of a type of training configuration differs between the architectures.",
            f"on any row the gains over {design.base} differ, whichever is larger",
            differ,
            verdicts.of_any(list(differ.values())),
            len(types),
        ),
        Claim(
            "4a",
            "MACE does well with even the simplest sets (here: better than Deep Potential).",
            f"{other} minus {simpler}, on every one of the simplest rows",
            simple,
            of_all(list(simple.values())),
        ),
        Claim(
            "4b",
            "The simpler architecture needs further iterative training.",
            f"its own iterated block gains over {more}",
            own_block,
            of_all(list(own_block.values())),
        ),
        Claim(
            "5a",
            "Configurations designed by human intuition to correct a systematic deficiency often "
            "transfer well between algorithms (here: by the liquid; the deficiency: notebook 06).",
            f"they gain over {design.control} for both architectures",
            intuition,
            of_all(list(intuition.values())),
        ),
        Claim(
            "5b",
            "Configurations generated by one model do not necessarily help the other.",
            f"for any iterated block: gain over {more} of the maker minus that of the other "
            "(whether it helps its maker at all is asked in notebook 07)",
            automatic,
            verdicts.of_any(list(automatic.values())),
            len(design.makers),
        ),
        Claim(
            "preprint",
            "Trajectory properties are a more stringent test than errors on a fixed set.",
            "for both architectures: force error on own runs minus that on the fixed set",
            harder,
            of_all(list(harder.values())),
        ),
    ]


def claims_table(found: Sequence[Claim], labels: Mapping[str, str]) -> pd.DataFrame:
    """Return claims with the evidence and the verdict, a row each.

    Parameters
    ----------
    found : sequence of Claim
    labels : mapping of str to str
        Of the architectures, for people.
    """

    def named(text: str) -> str:
        for name, label in labels.items():
            text = text.replace(f"by {name}", f"by {label}").replace(
                f"{name} minus", f"{label} minus"
            )
            text = text.replace(f"minus {name}", f"minus {label}")
        return text

    rows = [
        {
            "claim": f"{claim.number}. {claim.text}",
            "supported if above zero": named(claim.rule),
            "evidence": "; ".join(
                f"{named(name)}: {effect_text(effect)}" for name, effect in claim.effects.items()
            )
            or "no such row",
            "intervals": f"widened for {claim.n_wide}" if claim.n_wide > 1 else "plain",
            "verdict": str(claim.finding),
        }
        for claim in found
    ]
    return pd.DataFrame(rows)


def _effect(function, *args, cells: Cells, better: Better) -> Effect:
    """Call a function of `transfer`; the last argument is the confidence."""
    *rest, confidence = args
    return transfer.attempt(function, cells, *rest, better=better, confidence=confidence)


def _magnitude(effect: Effect) -> Effect:
    """An effect without its sign: a difference of either sign is a difference."""
    if isinstance(effect, NotComparable) or effect.value >= 0:
        return effect
    return replace(effect, value=-effect.value, lower=-effect.upper, upper=-effect.lower)


def _harder(own: Sequence[Run], fixed: Sequence[Run], confidence: float) -> Effect:
    """Error on a model's own run minus that on the fixed set, over the seeds that have both."""
    runs = list(zip(own, fixed, strict=True))
    both = [a.value - b.value for a, b in runs if a.value is not None and b.value is not None]
    if len(both) < 2:
        reasons = [a.state.value for a, b in runs if a.value is None or b.value is None]
        cause = reasons[0] if reasons else "too few seeds" if runs else "not run"
        return NotComparable(f"{len(both)} seeds have both errors, allowed are at least 2", cause)
    return transfer.attempt(transfer.contrast, [(1.0, both)], confidence=confidence)
