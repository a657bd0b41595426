"""Liquid score: one number in [0, 1] for how well, and how long, a model holds the liquid."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from crosstrain.measure.molecules import Floats
from crosstrain.measure.statistics import Estimate

TOLERANCES: Mapping[str, float] = MappingProxyType({"density": 0.02, "rdf": 0.05})
"""Deviation at which a term is 1/2, by kind: density in g/cm³, RDF overlap error."""
WEIGHTS: Mapping[str, float] = MappingProxyType({"density": 1.0, "rdf": 1.0})
"""Weight of a kind; its members share it equally."""


@dataclass(frozen=True)
class Term:
    """What one observable adds to the score.

    Attributes
    ----------
    deviation, deviation_error
        Δ from the reference liquid and its standard error.
    n_effective
        Independent samples of the model's own liquid behind Δ.
    tolerance
        τ, in the unit of Δ.
    weight
        Share in the mean; the weights of all terms sum to 1.
    value
        1 / (1 + (Δ/τ)²).
    lower, upper
        Its confidence limits, see `liquid_score`.
    """

    deviation: float
    deviation_error: float
    n_effective: float
    tolerance: float
    weight: float
    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class LiquidScore:
    """Liquid score with everything it is made of.

    Attributes
    ----------
    value
        survival × agreement, or NaN if the model was not run or nothing can be compared.
    lower, upper
        Limits of the confidence interval, see `liquid_score`.
    survival, survival_error
        Mean lived time / planned time, NaN if not run, and its standard error over the replicas,
        NaN for a single one.
    agreement
        Weighted mean of the terms; NaN without any term.
    n_replicas
        Number of runs behind `survival`.
    terms
        One per observable that was compared.
    """

    value: float
    lower: float
    upper: float
    survival: float
    survival_error: float
    agreement: float
    n_replicas: int
    terms: Mapping[str, Term]


def rdf_overlap_error(r: ArrayLike, g: ArrayLike, g_reference: ArrayLike) -> float:
    r"""Part of two radial distribution functions that does not overlap.

    .. math:: \Delta = \frac{\int |g - g_{ref}|\, dr}{\int (g + g_{ref})\, dr}

    It is 0 for equal functions, 1 for functions without overlap, and symmetric.

    Parameters
    ----------
    r
        Bin centres, evenly spaced, shape (n_bins,), Å.
    g, g_reference
        The two functions on these bins, shape (n_bins,). Values may be slightly below 0, as a
        reweighted function can have; they count as 0.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If shapes differ, bins are uneven, a value is not finite, or both functions vanish.

    References
    ----------
    One minus the RDF score of C. Schran et al., Proc. Natl. Acad. Sci. 2021, 118, e2110077118.
    """
    one, other = _check_curves(r, g=g, g_reference=g_reference)
    return float(np.abs(one - other).sum() / (one + other).sum())


def rdf_deviation(
    r: ArrayLike,
    g: ArrayLike,
    g_error: ArrayLike,
    g_reference: ArrayLike,
    g_reference_error: ArrayLike,
    *,
    g_noise: ArrayLike | None = None,
) -> Estimate:
    """Overlap error of two noisy radial distribution functions, without the share of the noise.

    Noise makes even equal liquids differ: normal errors σ(r) of the difference alone give the
    overlap error Δ₀ = √(2/π) ∫σ dr / ∫(g + g_ref) dr on average. It is removed in quadrature,
    Δ = √(Δ_raw² - Δ₀²), at least 0.

    Parameters
    ----------
    r, g, g_reference
        As in `rdf_overlap_error`.
    g_error, g_reference_error
        Standard errors of the two functions, shape (n_bins,).
    g_noise
        What is removed as noise of g, shape (n_bins,): its error as it is on average, where
        `g_error` is a cautious one. Too much of it would hide deviations.

    Returns
    -------
    Estimate
        Its error, ∫σ dr / ∫(g + g_ref) dr, is the upper limit that errors fully correlated
        between the bins would have. ``n_effective`` is infinite: a normal error.

    Raises
    ------
    ValueError
        As `rdf_overlap_error`, or if an error is negative.
    """
    raw = rdf_overlap_error(r, g, g_reference)
    given = {"g_error": g_error, "g_reference_error": g_reference_error}
    given["g_noise"] = g_error if g_noise is None else g_noise
    one, other, *errors = _check_curves(r, g=g, g_reference=g_reference, **given)
    for name, error in given.items():
        if np.min(error) < 0:
            raise ValueError(f"{name} has the minimum {np.min(error)}, allowed are values from 0")
    own, of_reference, noise = errors
    both = (one + other).sum()
    floor = np.sqrt(2 / np.pi) * np.hypot(noise, of_reference).sum() / both
    error = float(np.hypot(own, of_reference).sum() / both)
    return Estimate(float(np.sqrt(max(raw**2 - floor**2, 0.0))), error, np.inf)


def density_deviation(model: Estimate, reference: Estimate) -> Estimate:
    """Difference of two densities, g/cm³, with their errors added in quadrature.

    Raises
    ------
    ValueError
        If a value is not finite, or an error is not finite and not negative.
    """
    for name, density in (("model", model), ("reference", reference)):
        if not (np.isfinite(density.value) and np.isfinite(density.error) and density.error >= 0):
            raise ValueError(f"{name} is {density}, allowed are finite values and errors from 0")
    return Estimate(
        model.value - reference.value,
        float(np.hypot(model.error, reference.error)),
        min(model.n_effective, reference.n_effective),
    )


def survival_fraction(lived_ps: ArrayLike, planned_ps: float) -> float:
    """Mean lived time over planned time, averaged over the replicas.

    It is the area under the Kaplan-Meier curve up to the planned time, where every run that did
    not fail was followed to its end: a model that loses half its runs half way has 0.75. It grades
    unstable models by how long they lived, and depends on the planned time, which therefore must
    be the same for all models that are compared.

    Parameters
    ----------
    lived_ps
        Time until the end of each replica, shape (n_replicas,), ps. A run stopped from outside
        before its end is unfinished, not short-lived: leave it out or finish it.
    planned_ps
        Time that each replica was meant to run, ps.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If there is no replica or a time is outside 0..planned_ps.
    """
    return float(_lived_fractions(lived_ps, planned_ps).mean())


def liquid_score(
    *,
    lived_ps: ArrayLike | None,
    planned_ps: float,
    deviations: Mapping[str, Estimate | None],
    rng: np.random.Generator,
    tolerances: Mapping[str, float] = TOLERANCES,
    weights: Mapping[str, float] = WEIGHTS,
    confidence: float = 0.95,
    n_resamples: int = 2000,
) -> LiquidScore:
    """Survival fraction times the mean of 1/(1 + (Δ/τ)²) over the available observables.

    A model that does not survive keeps, of its agreement, the fraction of the planned time that
    it lived. Its observables are those of the time before its end. If it died before one could be
    measured, pass ``Estimate(inf, 0, 0)`` for a term of 0; ``None`` says that the observable is
    *not available* (never measured, or the reference liquid has no trustworthy value), and it is
    left out of the mean. A model that was not run has the score NaN, not 0.

    Parameters
    ----------
    lived_ps, planned_ps
        As in `survival_fraction`; ``lived_ps`` is None if the model was not run.
    deviations
        Δ of each observable by name; the name up to a colon is its kind ("density",
        "rdf:O-H"), which selects tolerance and weight.
    rng
        Source of the bootstrap over replicas.
    tolerances
        τ by kind.
    weights
        Weight by kind, shared equally by its available members, so that a score does not depend
        on how many radial distribution functions are listed.
    confidence, n_resamples
        Level of the interval, and number of bootstrap samples.

    Returns
    -------
    LiquidScore
        Its limits are those of the survival (resampled replicas) times those of the agreement.
        A term's limits are its values at the limits of Δ (Student's t), and 1 if these enclose
        0: noise alone makes Δ too large, never too small, so the interval may reach far above
        the value. All terms come from the same runs, so their limits are added, as of errors that
        are fully correlated. Replicas that all lived equally long add no width, so look at
        ``n_replicas``: with n of n alive, failure rates up to 1 - 0.05^(1/n) remain possible.

    Raises
    ------
    ValueError
        If a kind has no tolerance or weight, or a number is out of its range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}, allowed are values between 0 and 1")
    available = {name: d for name, d in deviations.items() if d is not None}
    for name, deviation in available.items():
        _check_deviation(name, deviation)
    terms = _terms(available, tolerances, weights, confidence)
    agreement = sum(term.weight * term.value for term in terms.values()) if terms else np.nan
    if lived_ps is None:
        return LiquidScore(np.nan, np.nan, np.nan, np.nan, np.nan, agreement, 0, terms)
    lived = _lived_fractions(lived_ps, planned_ps)
    value = lived.mean() * agreement

    tail = (1 - confidence) / 2
    sampled = rng.choice(lived, size=(n_resamples, lived.size)).mean(axis=1)
    low, high = np.quantile(sampled, [tail, 1 - tail])
    return LiquidScore(
        value=float(value),
        lower=float(low * sum(t.weight * t.lower for t in terms.values())) if terms else np.nan,
        upper=float(high * sum(t.weight * t.upper for t in terms.values())) if terms else np.nan,
        survival=float(lived.mean()),
        survival_error=float(lived.std(ddof=1) / np.sqrt(lived.size)) if lived.size > 1 else np.nan,
        agreement=float(agreement),
        n_replicas=lived.size,
        terms=terms,
    )


def own_error(score: LiquidScore, errors: Mapping[str, float], *, n_points: int = 200) -> float:
    """Standard error of a score from the noise of its own runs, where the reference is exact.

    What the reference is off by moves all models together, so it must not count as noise of each
    when models are compared.

    Parameters
    ----------
    score
        What `liquid_score` returned.
    errors
        Standard error of each term's Δ from the model's own runs alone.
    n_points
        Of the normal distribution of Δ, at equal probabilities.

    Returns
    -------
    float
        Survival times the sum of the standard deviations of the weighted terms, for the terms come
        from the same runs, and in quadrature agreement times the standard error of the survival.
        NaN without any term.
    """
    if not score.terms:
        return np.nan
    normal = ndtri((np.arange(n_points) + 0.5) / n_points)
    spread = {
        name: np.std(_closeness(term.deviation + errors[name] * normal, term.tolerance))
        for name, term in score.terms.items()
        if np.isfinite(term.deviation)
    }
    of_terms = sum(score.terms[name].weight * value for name, value in spread.items())
    of_survival = score.agreement * np.nan_to_num(score.survival_error)
    return float(np.hypot(score.survival * of_terms, of_survival))


def _terms(
    deviations: Mapping[str, Estimate],
    tolerances: Mapping[str, float],
    weights: Mapping[str, float],
    confidence: float,
) -> dict[str, Term]:
    kinds = {name: name.split(":")[0] for name in deviations}
    shares = {}
    for name, kind in kinds.items():
        tolerance, weight = tolerances.get(kind), weights.get(kind)
        if tolerance is None or not tolerance > 0:
            raise ValueError(f"tolerances[{kind!r}] is {tolerance}, allowed are values above 0")
        if weight is None or not weight > 0:
            raise ValueError(f"weights[{kind!r}] is {weight}, allowed are values above 0")
        shares[name] = weight / list(kinds.values()).count(kind)
    total = sum(shares.values())
    return {
        name: _term(deviation, tolerances[kinds[name]], shares[name] / total, confidence)
        for name, deviation in deviations.items()
    }


def _term(deviation: Estimate, tolerance: float, weight: float, confidence: float) -> Term:
    value = _closeness(deviation.value, tolerance)
    return Term(
        *map(float, (*deviation, tolerance, weight, value)),
        *_limits(deviation, tolerance, confidence),
    )


def _closeness(deviation: float | Floats, tolerance: float) -> float | Floats:
    return 1.0 / (1.0 + (deviation / tolerance) ** 2)


def _limits(deviation: Estimate, tolerance: float, confidence: float) -> tuple[float, float]:
    """Confidence limits of a term's value; 0 and 1 where its Δ has too few samples for any."""
    if deviation.error == 0:
        return (_closeness(deviation.value, tolerance),) * 2
    low, high = deviation.interval(confidence)
    if np.isnan(low):
        return 0.0, 1.0
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return _closeness(max(abs(low), abs(high)), tolerance), _closeness(nearest, tolerance)


def _check_deviation(name: str, deviation: Estimate) -> None:
    if np.isnan(deviation.value) or not (np.isfinite(deviation.error) and deviation.error >= 0):
        raise ValueError(
            f"deviations[{name!r}] is {deviation}, allowed are a number with a finite error from "
            "0, or None if it is not available"
        )


def _lived_fractions(lived_ps: ArrayLike, planned_ps: float) -> Floats:
    lived = np.atleast_1d(np.asarray(lived_ps, dtype=float))
    if not planned_ps > 0:
        raise ValueError(f"planned_ps is {planned_ps}, allowed are values above 0")
    # The last step may end a rounding error after the plan.
    inside = (lived >= 0) & (lived <= planned_ps * (1 + 1e-9))
    if lived.ndim != 1 or not lived.size or not inside.all():
        raise ValueError(f"lived_ps is {lived}, allowed are values in 0..{planned_ps}")
    return np.minimum(lived / planned_ps, 1.0)


def _check_curves(r: ArrayLike, **curves: ArrayLike) -> list[Floats]:
    centres = np.asarray(r, dtype=float)
    step = np.diff(centres)
    if centres.ndim != 1 or centres.size < 2 or not np.allclose(step, step[0]) or step[0] <= 0:
        raise ValueError(f"r has shape {centres.shape}, allowed are evenly spaced rising values")
    checked = []
    for name, curve in curves.items():
        values = np.asarray(curve, dtype=float)
        if values.shape != centres.shape or not np.isfinite(values).all():
            raise ValueError(
                f"{name} has shape {values.shape}, allowed is finite {centres.shape}, as r"
            )
        checked.append(np.maximum(values, 0.0))
    if checked[0].sum() + checked[1].sum() == 0:
        raise ValueError("g and g_reference are zero everywhere, there is nothing to compare")
    return checked
