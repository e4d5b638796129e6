"""Patients by their exact scores, for metrics of one's own patients, whose scores need no bins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from shared.metrics import binary
from shared.metrics.binary import Confusion
from shared.metrics.calibration import (
    Recalibration,
    calibration_in_the_large,
    recalibration,
    recalibration_errors,
    shift_error,
)
from shared.metrics.histogram import Histogram, bin_of_probability, bin_probabilities
from shared.metrics.interval import auprc_interval, auroc_interval
from shared.metrics.labels import is_positive
from shared.metrics.operating import ThresholdPerformance, performance_of
from shared.metrics.proportion import normal_quantile
from shared.metrics.reliability import ReliabilityGroup, reliability_curve

_FARTHEST = 36.0
"""Logits beyond are taken for it: a probability so near 1 is 1 in float64, and has no logit."""


@dataclass(frozen=True)
class Estimate:
    """A metric and its 95 % CI; None is not defined, not to be had, or not to be shown."""

    value: float | None = None
    ci95: tuple[float, float] | None = None


@dataclass(frozen=True)
class CalibrationQuality:
    """What the probabilities of these patients are worth.

    `in_the_large`, `intercept` and `slope` as of `shared.metrics.calibration`, with Wald intervals.
    `ece` has none: resampling makes a calibration error larger. In simulated cohorts of 150
    patients a percentile bootstrap held the true one in 0 to 17 %, a basic one in 51 to 88 %.
    """

    brier: Estimate
    ece: Estimate
    in_the_large: Estimate
    intercept: Estimate
    slope: Estimate
    reliability: tuple[ReliabilityGroup, ...]

    @property
    def estimates(self) -> tuple[tuple[str, Estimate], ...]:
        """All but the curve, by name."""
        return (
            ("brier", self.brier),
            ("ece", self.ece),
            ("in_the_large", self.in_the_large),
            ("intercept", self.intercept),
            ("slope", self.slope),
        )


@dataclass(frozen=True, eq=False)
class Scored:
    """Patients by score and class, one bin for each score that occurs.

    `probabilities`, ascending, has the bins' scores; shape (bins,). Without patients there is one
    empty bin. Of `binned` counts the scores are those of the bins.
    """

    histogram: Histogram
    probabilities: NDArray[np.float64]

    @classmethod
    def of(cls, probabilities: ArrayLike, labels: ArrayLike) -> Scored:
        """One probability a patient; both of shape (patients,), labels 0 or 1.

        Raises ValueError for NaN, values outside [0, 1], other labels and differing lengths.
        """
        values = np.asarray(probabilities, dtype=np.float64)
        if not np.all((values >= 0) & (values <= 1)):
            raise ValueError("A score lies outside 0 to 1.")
        scores, bins = np.unique(values, return_inverse=True)
        is_positive(labels, bins)
        if not values.size:
            return cls(Histogram.empty(1), np.array([0.5]))
        return cls(Histogram.from_bins(bins, labels, scores.size), scores)

    @classmethod
    def of_bins(cls, histogram: Histogram) -> Scored:
        """Patients counted in score bins, each with the probability of its bin."""
        return cls(histogram, bin_probabilities())

    @property
    def binned(self) -> Histogram:
        """The same patients in score bins."""
        bins = bin_of_probability(self.probabilities)
        positives = np.repeat(bins, self.histogram.positives)
        negatives = np.repeat(bins, self.histogram.negatives)
        labels = [1] * positives.size + [0] * negatives.size
        return Histogram.from_bins(np.concatenate([positives, negatives]), labels, 514)

    @property
    def patients(self) -> int:
        """Patients of both classes."""
        return self.histogram.patients

    def auroc(self) -> Estimate:
        """The AUROC with DeLong's interval (`auroc_interval`)."""
        return Estimate(binary.auroc(self.histogram), auroc_interval(self.histogram))

    def auprc(self) -> Estimate:
        """Average precision, with the interval of `auprc_interval`."""
        return Estimate(binary.auprc(self.histogram), auprc_interval(self.histogram))

    def at(self, threshold: float) -> ThresholdPerformance:
        """Counts and shares where a score at the threshold (0 to 1) or above it is positive."""
        called = self.probabilities >= threshold
        hits = int(self.histogram.positives[called].sum())
        alarms = int(self.histogram.negatives[called].sum())
        positives, negatives = self.histogram.totals
        return performance_of(
            Confusion(hits, alarms, negatives - alarms, positives - hits, threshold)
        )

    def recalibrated(self, intercept: float, slope: float) -> Scored:
        """The same patients with the probabilities expit(intercept + slope * logit of the score).

        ValueError for a slope that is not above 0, which would turn the order round.
        """
        if not slope > 0:
            raise ValueError(f"The slope is {slope:g}; it must be above 0.")
        return Scored(self.histogram, expit(intercept + slope * logit(self.probabilities)))

    def calibration(self, min_cell: int = 0) -> CalibrationQuality:
        """The calibration of these probabilities; groups of the curve hold `min_cell` or more."""
        merged = self._of_different_logits()
        logits = _logits(merged.probabilities)
        shift, fit = (
            calibration_in_the_large(merged.histogram, logits),
            recalibration(merged.histogram, logits),
        )
        intercept, slope = _fitted(merged.histogram, fit, logits)
        return CalibrationQuality(
            brier=self._brier(),
            ece=Estimate(binary.ece(self.histogram, probabilities=self.probabilities)),
            in_the_large=Estimate()
            if shift is None
            else _wald(shift, shift_error(merged.histogram, shift, logits)),
            intercept=intercept,
            slope=slope,
            reliability=reliability_curve(
                self.histogram, min_cell=min_cell, probabilities=self.probabilities
            ),
        )

    def _brier(self) -> Estimate:
        """With the normal interval of a mean of squared errors, cut to [0, 1]."""
        mean = binary.brier(self.histogram, self.probabilities)
        patients = self.histogram.patients
        if mean is None or patients < 2:
            return Estimate(mean)
        of_positives, of_negatives = (1 - self.probabilities) ** 2, self.probabilities**2
        squares = np.dot(self.histogram.positives, (of_positives - mean) ** 2)
        squares += np.dot(self.histogram.negatives, (of_negatives - mean) ** 2)
        error = math.sqrt(float(squares) / (patients - 1) / patients)
        low, high = _wald(mean, error).ci95 or (mean, mean)
        return Estimate(mean, (max(low, 0.0), min(high, 1.0)))

    def _of_different_logits(self) -> Scored:
        """Scores so near 0 or 1 that their logits are taken for the farthest are one bin."""
        ends = expit([-_FARTHEST, _FARTHEST])
        values, bins = np.unique(np.clip(self.probabilities, *ends), return_inverse=True)
        positives, negatives = (np.zeros(values.size, dtype=np.int64) for _ in range(2))
        np.add.at(positives, bins, self.histogram.positives)
        np.add.at(negatives, bins, self.histogram.negatives)
        return Scored(Histogram(positives, negatives), values)


def _logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.clip(logit(probabilities), -_FARTHEST, _FARTHEST))


def _fitted(
    histogram: Histogram, fit: Recalibration | None, logits: NDArray[np.float64]
) -> tuple[Estimate, Estimate]:
    if fit is None:
        return Estimate(), Estimate()
    errors = recalibration_errors(histogram, fit, logits)
    return _wald(fit.intercept, errors.intercept), _wald(fit.slope, errors.slope)


def _wald(value: float, error: float) -> Estimate:
    half_width = normal_quantile(0.95) * error
    return Estimate(value, (value - half_width, value + half_width))
