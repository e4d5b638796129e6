"""Recalibration of model scores, fitted to a histogram.

Each patient counts with the middle logit of the bin (`bin_logits`): inner ones are at most 1/64
off, those beyond -+8 are taken for -+(8 + 1/64). A fit is None where no finite one exists, which
few patients make likely: with a class missing, or with the classes apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from shared.metrics.histogram import Histogram, bin_logits
from shared.metrics.root import root
from shared.metrics.scores import require_scores

# What divides logits by more than 20, or multiplies them by more, is no calibration but another
# model: 20 leaves no probability between the outermost bins outside 0.4 to 0.6.
TEMPERATURES = 1 / 20, 20.0
_LONG = 10_000
FEWEST = 10
"""Patients of either class below which intercept and slope are chance's more than the model's."""


@dataclass(frozen=True)
class Recalibration:
    """logit(p) = intercept + slope * logit of the score; 0 and 1 where calibrated.

    A slope below 1 means that scores are too extreme.
    """

    intercept: float
    slope: float


def calibration_in_the_large(
    histogram: Histogram, logits: NDArray[np.float64] | None = None
) -> float | None:
    """The shift of all logits that makes the mean probability the share of positives.

    The intercept of a logistic regression with the logit as its offset (Cox, Biometrika
    1958;45:562-565); above 0 where probabilities are too low. None where a class is missing.
    `logits` are the bins', `bin_logits` where they are not given. Raises ValueError for a
    histogram of ordinal grades without them.
    """
    logits = _logits_of(histogram, logits)
    if histogram.total_positives == 0 or histogram.total_negatives == 0:
        return None
    return _shift(histogram, logits)


def recalibration(
    histogram: Histogram, logits: NDArray[np.float64] | None = None
) -> Recalibration | None:
    """Calibration intercept and slope: the logistic regression of the outcome on the logit.

    Cox, Biometrika 1958;45:562-565; maximum likelihood. None where a class is
    missing or the classes do not overlap: one lies in bins at or above all of the other's, so
    that the slope has no finite estimate (Albert and Anderson, Biometrika 1984;71:1-10). `logits`
    are the bins', ascending and all different; `bin_logits` where they are not given. Raises
    ValueError for a histogram of ordinal grades without them.
    """
    logits = _logits_of(histogram, logits)
    of_positives, of_negatives = (
        np.flatnonzero(counts) for counts in (histogram.positives, histogram.negatives)
    )
    if not of_positives.size or not of_negatives.size:
        return None
    if of_positives[0] >= of_negatives[-1] or of_negatives[0] >= of_positives[-1]:
        return None
    intercept, slope = _logistic_regression(histogram, logits)
    return Recalibration(intercept, slope)


@dataclass(frozen=True)
class CalibrationErrors:
    """Standard errors of an intercept and slope that were fitted together."""

    intercept: float
    slope: float


def shift_error(histogram: Histogram, shift: float, logits: NDArray[np.float64]) -> float:
    """The standard error of `calibration_in_the_large`, from the information at its maximum."""
    expected = expit(logits + shift)
    return float(1 / np.sqrt(np.dot(histogram.by_bin, expected * (1 - expected))))


def recalibration_errors(
    histogram: Histogram, fit: Recalibration, logits: NDArray[np.float64]
) -> CalibrationErrors:
    """Standard errors of a `recalibration`, from the information matrix at its maximum."""
    expected = expit(fit.intercept + fit.slope * logits)
    weights = histogram.by_bin * expected * (1 - expected)
    design = np.stack([np.ones_like(logits), logits])
    variances = np.diag(np.linalg.inv((design * weights) @ design.T))
    return CalibrationErrors(float(np.sqrt(variances[0])), float(np.sqrt(variances[1])))


def probable_recalibration(histogram: Histogram) -> Recalibration | None:
    """The `recalibration` where it may make probabilities of other patients' scores.

    None where a class has fewer than `FEWEST` patients, and where the slope leaves `TEMPERATURES`:
    scores that positives do not have higher give no probability. Raises as `recalibration`.
    """
    fit = recalibration(histogram)
    if fit is None or min(histogram.total_positives, histogram.total_negatives) < FEWEST:
        return None
    lowest, highest = TEMPERATURES
    return fit if lowest <= fit.slope <= highest else None


def fit_temperature(histogram: Histogram) -> float | None:
    """The temperature T whose probabilities sigmoid(logit / T) are the likeliest, 1/20 to 20.

    Guo et al., ICML 2017; the negative log-likelihood is convex in 1 / T. At 20 the scores are
    worth next to nothing, as where positives do not have the higher ones. None where a class is
    missing, and where each patient is on the right side of 0.5, so that more extreme scores
    would be likelier without end. Raises ValueError for a histogram of ordinal grades.
    """
    require_scores(histogram)
    if histogram.total_positives == 0 or histogram.total_negatives == 0:
        return None
    logits, patients = bin_logits(), histogram.positives + histogram.negatives
    wrong_side = histogram.positives[logits < 0].any() or histogram.negatives[logits > 0].any()
    if not wrong_side:
        return None
    of_positives = float(np.dot(histogram.positives, logits))

    def slope(inverse: float) -> float:
        """The derivative of the negative log-likelihood by 1 / T, which never falls."""
        return float(np.dot(patients, logits * expit(inverse * logits))) - of_positives

    lowest, highest = TEMPERATURES
    if slope(1 / highest) >= 0:
        return highest
    if slope(1 / lowest) <= 0:
        return lowest
    return float(np.clip(1 / root(slope, 1 / highest, 1 / lowest), lowest, highest))


def apply_temperature(logits: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """The probabilities sigmoid(logit / T); same shape as `logits`.

    Of `bin_logits` these are the probabilities that `brier`, `ece` and `reliability_curve` take.
    Raises ValueError for a temperature that is not above 0.
    """
    if not 0 < temperature < np.inf:
        raise ValueError(f"The temperature is {temperature:g}; it must be above 0.")
    return np.asarray(expit(np.asarray(logits, dtype=np.float64) / temperature))


def _logits_of(histogram: Histogram, logits: NDArray[np.float64] | None) -> NDArray[np.float64]:
    if logits is not None:
        return logits
    require_scores(histogram)
    return bin_logits()


def _logistic_regression(histogram: Histogram, logits: NDArray[np.float64]) -> tuple[float, float]:
    """Intercept and slope of greatest likelihood, where the classes overlap.

    Both derivatives of the likelihood are monotone, so a root within a root finds them at any
    counts, where Newton's method can meet a curvature of zero.
    """
    patients = histogram.by_bin
    of_positives = _dot(histogram.positives, logits)

    def excess(slope: float) -> float:
        expected = expit(slope * logits + _shift(histogram, slope * logits))
        return _dot(patients, logits * expected) - of_positives

    bound = 1.0
    while not excess(-bound) < 0 < excess(bound):
        bound *= 2
    slope = root(excess, -bound, bound)
    return _shift(histogram, slope * logits), slope


def _shift(histogram: Histogram, odds: NDArray[np.float64]) -> float:
    """What to add to the log odds for as many expected positives as there are."""
    patients, positives = histogram.by_bin, histogram.total_positives

    def excess(shift: float) -> float:
        return _dot(patients, expit(odds + shift)) - positives

    # MAX_COUNT bounds the odds of a class: 50 beyond all log odds, all would be of the other.
    bound = 50.0 + float(np.abs(odds).max())
    return root(excess, -bound, bound)


def _dot(counts: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Their product; of long vectors without BLAS, whose threads wait for busy cores."""
    if counts.size <= _LONG:
        return float(np.dot(counts, values))
    return float((counts * values).sum())
