"""The liquid of the reference method from frames of a model's ensemble.

Frames come from the canonical or isothermal-isobaric ensemble of a model and are relabelled with
the reference: ΔE = E_ref - E_model of each frame, at equal temperature and pressure. A constant in
ΔE has no effect. Averages over the reference's ensemble then follow in two ways:

- exponential, ⟨A⟩_ref = ⟨A e^(-βΔE)⟩ / ⟨e^(-βΔE)⟩: no assumption (R. W. Zwanzig, J. Chem. Phys.
  1954, 22, 1420), but few frames carry all the weight once σ(ΔE) is a few k_B T;
- Gaussian, ⟨A⟩_ref = ⟨A⟩ - β cov(A, ΔE): the first cumulant, exact if A and ΔE are jointly normal,
  with an error of about σ_A βσ(ΔE) / √N.

What can be trusted is decided by the constants below and told by ``problems``: an estimate is
trustworthy when it has none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike
from scipy.special import chdtrc

from crosstrain.measure.molecules import Floats
from crosstrain.measure.statistics import MIN_SAMPLES, correlated_error, statistical_inefficiency

MIN_EXPONENTIAL = 20.0
"""Independent frames that must carry an exponential estimate; below it its error is too small."""
MIN_GAUSSIAN = 5.0
"""The same for a Gaussian one: with fewer its error itself is uncertain by more than a third."""
MIN_TOGETHER = 40.0
"""Independent frames that must carry a value of the reference liquid, of all samplers together."""
MAX_SIGMA = 3.0
"""Largest βσ(ΔE) of a Gaussian estimate: beyond it, a few hundred frames cannot show that the
distribution is normal where it matters."""
MIN_P_VALUE = 0.01
"""Agreement of samplers, and normality, are rejected below this probability (corrected for the
number of bins)."""
MIN_P_ESTIMATORS = 0.001
"""The same for the two estimators: errors of the exponential one have long tails, so that at 0.01
jointly normal data would be rejected several times as often."""


@dataclass(frozen=True)
class Reweighted:
    """An average over the reference's ensemble from one sampler by one estimator.

    Attributes
    ----------
    estimator
        "exponential" or "gaussian".
    value, error
        Mean and standard error, of the shape of one frame's observable.
    n_frames
        Number of frames.
    n_effective
        Independent frames: n / g with the statistical inefficiency g of ΔE, or of what each frame
        adds to the estimate if that leaves fewer (of many bins their median), or as many as the
        run itself has, if that is known; for the exponential
        estimator the smaller of Kish's (Σw)² / Σw² / g and its expectation n e^(-σ²) / g for
        normal ΔE. Kish's number alone is too large just when the frames that matter were missed.
    sigma
        βσ(ΔE), without unit.
    problems
        Why the estimate must not be trusted; empty if it may be.
    """

    estimator: str
    value: Floats
    error: Floats
    n_frames: int
    n_effective: float
    sigma: float
    problems: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against the estimate."""
        return not self.problems


@dataclass(frozen=True)
class Correction:
    """What one sampler says about the reference liquid.

    Attributes
    ----------
    sampled, sampled_error
        Mean and standard error in the sampler's own ensemble.
    exponential, gaussian
        The two estimates for the reference's ensemble.
    p_value
        Probability that the two differ by as much beyond the quoted error as seen, if they were
        equal; NaN unless each can be trusted by itself (a Gaussian estimate of something that is
        not normal differs, and tells nothing).
    """

    sampled: Floats
    sampled_error: Floats
    exponential: Reweighted
    gaussian: Reweighted
    p_value: float

    @property
    def quoted(self) -> Reweighted:
        """The Gaussian estimate, unless only the exponential one can be trusted.

        Where both can be, they agree to within its error, which is the more honest one.
        """
        if self.exponential.trustworthy and not self.gaussian.trustworthy:
            return self.exponential
        return self.gaussian

    @property
    def other(self) -> Reweighted:
        """The estimate that is not quoted."""
        return self.gaussian if self.quoted is self.exponential else self.exponential

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the quoted estimate, or a disagreement where both can be trusted."""
        if self.p_value < MIN_P_ESTIMATORS:
            return (f"the two estimators disagree (p = {self.p_value:.1g})",)
        return self.quoted.problems


@dataclass(frozen=True)
class ReferenceValue:
    """An observable of the reference liquid, combined from independent samplers.

    Attributes
    ----------
    value, error
        Mean weighted by independent frames, and the larger of its propagated error and the
        scatter of the samplers.
    p_value
        Probability of a scatter as large as seen, if all samplers agreed (NaN for one sampler).
    samplers
        The correction from each sampler that went in.
    problems
        Why the value must not be trusted; empty if it may be.
    """

    value: Floats
    error: Floats
    p_value: float
    samplers: Mapping[str, Correction]
    problems: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether at least two samplers, each without problems, agree and are long enough."""
        return not self.problems


def reweight(
    observable: ArrayLike,
    delta_energy_eV: ArrayLike,
    *,
    temperature_K: float,
    n_independent: float = np.inf,
) -> Correction:
    """Both estimates from one sampler, and whether they agree.

    Parameters
    ----------
    observable
        A of each frame, in the order of time, shape (n_frames,) or (n_frames, n_bins).
    delta_energy_eV
        E_ref - E_model of each frame (whole box, not per atom), shape (n_frames,).
    temperature_K
        Temperature of the run, K.
    n_independent
        Independent samples of the run that the frames are from, if known. Few frames far apart
        make the correlation in time look shorter than it is, so that their own number is too large
        as a rule; it is held to this one, and errors grow with it.

    Returns
    -------
    Correction
        Errors are linearised (the influence of each frame) and corrected for the correlation in
        time. Of the exponential estimate they are, for normal ΔE, too small by a quarter at
        ``n_effective`` of 20, and by more below. The Gaussian one lacks the next cumulant,
        β²⟨δA δΔE²⟩/2, which vanishes for jointly normal A and ΔE; a problem is reported if it is
        significantly larger than the quoted error.

    Raises
    ------
    ValueError
        If shapes do not fit, frames are fewer than 10, a value is not finite, ΔE is constant, or
        n_independent is below 1.
    """
    if not n_independent >= 1:
        raise ValueError(f"n_independent is {n_independent}, allowed are values from 1")
    a, u = _check(observable, delta_energy_eV, temperature_K)
    exponential, influence_e = _exponential(a, u, n_independent)
    gaussian, influence_g = _gaussian(a, u, n_independent)
    p_value = np.nan
    if exponential.trustworthy and gaussian.trustworthy:
        # The same frames are behind both, so the error of the difference is that of the
        # difference of the influences: small, so that only what exceeds the quoted error matters.
        error = correlated_error(influence_e - influence_g)
        excess = np.abs(exponential.value - gaussian.value) - gaussian.error
        p_value = _p_value(_squared_ratio(np.maximum(excess, 0.0), error), 1)
    sampled_error = _error(a, n_independent)
    return Correction(a.mean(axis=0), sampled_error, exponential, gaussian, p_value)


def combine_samplers(corrections: Mapping[str, Correction]) -> ReferenceValue:
    """Combine sampling models, taken as independent, into one value of the reference liquid.

    Each sampler is weighted by its independent frames. Inverse squared errors as weights would
    bias the value: where by chance the covariance with ΔE comes out small, so does its error.
    Samplers with problems are left out if at least one has none. Runs with the same start and the
    same random numbers are not independent: then the samplers agree too easily.

    Parameters
    ----------
    corrections
        One per sampling model, of the same observable and the same bins.

    Returns
    -------
    ReferenceValue
        Trustworthy only if at least two samplers without problems agree, with `MIN_TOGETHER`
        independent frames.

    Raises
    ------
    ValueError
        If nothing is given or the observables differ in shape.
    """
    if not corrections:
        raise ValueError("corrections is empty, allowed is at least one sampler")
    shapes = {name: c.quoted.value.shape for name, c in corrections.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"corrections holds the shapes {shapes}, allowed is one shape for all")
    sound = {name: c for name, c in corrections.items() if not c.problems}
    used = sound or dict(corrections)
    problems = []
    if not sound:
        problems = [f"{name}: {text}" for name, c in used.items() for text in c.problems]

    values = np.array([c.quoted.value for c in used.values()])
    variances = np.array([c.quoted.error**2 for c in used.values()])
    n_effective = np.array([c.quoted.n_effective for c in used.values()])
    weights = n_effective / n_effective.sum()
    if sound:
        problems += _too_few(n_effective.sum(), MIN_TOGETHER, " of all samplers")
    value = np.tensordot(weights, values, 1)
    error = np.sqrt(np.tensordot(weights**2, variances, 1))
    p_value = np.nan
    if len(used) == 1:
        problems.append("only one sampler, agreement of two is needed")
    else:
        scatter = np.sqrt(np.tensordot(weights, (values - value) ** 2, 1) / (len(used) - 1))
        error = np.maximum(error, scatter)
        p_value = _p_value(_disagreement(values, variances), len(used) - 1)
        if p_value < MIN_P_VALUE:
            problems.append(f"the samplers disagree (p = {p_value:.1g})")
    return ReferenceValue(value, error, p_value, dict(used), tuple(problems))


def _check(
    observable: ArrayLike, delta_energy_eV: ArrayLike, temperature_K: float
) -> tuple[Floats, Floats]:
    """The observable, and βΔE without its mean."""
    a, delta = np.asarray(observable, dtype=float), np.asarray(delta_energy_eV, dtype=float)
    if delta.ndim != 1 or a.ndim not in (1, 2) or len(a) != len(delta):
        raise ValueError(
            f"observable has shape {a.shape} and delta_energy_eV {delta.shape}, allowed are "
            "(n_frames,) or (n_frames, n_bins), and (n_frames,)"
        )
    if not np.isfinite(a).all():
        raise ValueError(f"observable{np.argwhere(~np.isfinite(a))[0].tolist()} is not finite")
    if not np.isfinite(delta).all():
        raise ValueError(f"delta_energy_eV[{np.flatnonzero(~np.isfinite(delta))[0]}] is not finite")
    if len(delta) < MIN_SAMPLES or np.ptp(delta) == 0:
        raise ValueError(
            f"delta_energy_eV has {len(delta)} frames and a spread of {np.std(delta):g} eV, "
            f"allowed are at least {MIN_SAMPLES} frames that are not all equal"
        )
    if not temperature_K > 0:
        raise ValueError(f"temperature_K is {temperature_K}, allowed are values above 0")
    return a, (delta - delta.mean()) / (kB * temperature_K)


def _exponential(a: Floats, u: Floats, n_independent: float) -> tuple[Reweighted, Floats]:
    """The estimate and the influence of each frame on it."""
    weight = np.exp(u.min() - u)
    weight /= weight.sum()
    value = weight @ a
    influence = (len(u) * weight * (a - value).T).T
    kish = min(1.0 / np.sum(weight**2), len(u) * np.exp(-u.var()))
    g = max(statistical_inefficiency(u), len(u) / n_independent)
    n_effective = min(kish / g, _independent(influence))
    problems = _too_few(n_effective, MIN_EXPONENTIAL)
    error = _error(influence, n_independent)
    return _reweighted("exponential", value, error, u, n_effective, problems), influence


def _gaussian(a: Floats, u: Floats, n_independent: float) -> tuple[Reweighted, Floats]:
    """The estimate and the influence of each frame on it."""
    n = len(u)
    da = a - a.mean(axis=0)
    product = (da.T * u).T
    covariance = product.mean(axis=0)
    influence = da - (product - covariance)
    n_effective = min(n / statistical_inefficiency(u), _independent(influence), n_independent)
    # Bessel's correction, for as many samples as are independent; of fewer than two none is known.
    bessel = max(n_effective, 2.0) / (max(n_effective, 2.0) - 1)
    value = a.mean(axis=0) - bessel * covariance
    influence = da - bessel * (product - covariance)
    problems = _too_few(n_effective, MIN_GAUSSIAN)
    error = _error(influence, n_independent)
    if u.std() > MAX_SIGMA:
        problems += (f"βσ(ΔE) is {u.std():.1f}, allowed is up to {MAX_SIGMA:g}",)
    if _next_cumulant_matters(da, u, error):
        problems += ("A and ΔE are not jointly normal: the next cumulant exceeds the error",)
    return _reweighted("gaussian", value, error, u, n_effective, problems), influence


def _independent(influence: Floats) -> float:
    """Independent ones among the contributions of frames; the median over bins that vary."""
    bins = [each for each in influence.reshape(len(influence), -1).T if np.ptp(each) > 0]
    if not bins:
        return float(len(influence))
    return float(np.median([len(each) / statistical_inefficiency(each) for each in bins]))


def _error(influence: Floats, n_independent: float) -> Floats:
    """Standard error of the mean of the contributions, as of no more than so many samples."""
    return correlated_error(influence) * max(1.0, _independent(influence) / n_independent) ** 0.5


def _next_cumulant_matters(da: Floats, u: Floats, error: Floats) -> bool:
    third = (da.T * u**2).T
    cumulant = third.mean(axis=0)
    # The means and the covariance that the third moment contains are estimates as well.
    influence = third - cumulant - 2 * np.multiply.outer(u, u @ da / len(u)) - u.var() * da
    excess = np.maximum(np.abs(cumulant) / 2 - error, 0.0)
    return _p_value(_squared_ratio(excess, correlated_error(influence) / 2), 1) < MIN_P_VALUE


def _too_few(n_effective: float, needed: float, where: str = "") -> tuple[str, ...]:
    if n_effective >= needed:
        return ()
    return (f"{n_effective:.1f} effective frames{where}, needed are {needed:g}",)


def _reweighted(
    estimator: str,
    value: Floats,
    error: Floats,
    u: Floats,
    n_effective: float,
    problems: tuple[str, ...],
) -> Reweighted:
    return Reweighted(
        estimator=estimator,
        value=np.asarray(value),
        error=error,
        n_frames=len(u),
        n_effective=float(n_effective),
        sigma=float(u.std()),
        problems=problems,
    )


def _squared_ratio(difference: Floats, error: Floats) -> Floats:
    """(difference / error)², and 0 where there is no error, as in a bin that no pair reaches."""
    size = np.asarray(difference, dtype=float)
    return np.divide(size, error, out=np.zeros_like(size), where=np.asarray(error) > 0) ** 2


def _disagreement(values: Floats, variances: Floats) -> Floats:
    """χ² of the samplers (first axis) about their mean, for each bin."""
    total = variances.sum(axis=0)
    weights = 1.0 / np.maximum(variances, 1e-12 * np.where(total > 0, total, 1.0))
    mean = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return np.where(total > 0, (weights * (values - mean) ** 2).sum(axis=0), 0.0)


def _p_value(chi2: Floats, freedom: int) -> float:
    """Smallest χ² probability of all bins, times their number (Bonferroni)."""
    return float(min(1.0, np.size(chi2) * chdtrc(freedom, np.max(chi2))))
