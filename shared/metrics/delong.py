"""The paired test of two AUROCs, from sums of placement values alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.paired import ClassSums, PairedSums
from shared.metrics.proportion import normal_quantile


@dataclass(frozen=True)
class PairedComparison:
    """AUROC of scoring A minus that of B among the same patients, -1 to 1, and what it is worth.

    Of several repeats these are the mean AUROCs, and the standard error is that of the mean for
    chance in the choice of patients; chance from repeat to repeat is not in it.

    `ci95` is the difference -+ 1.96 standard errors, cut to [-1, 1]; `p` is two-sided. Where the
    standard error is zero, the normal approximation does not hold and there is no `ci95`: p is 1
    (z 0) for a difference of zero, and without a value otherwise, so that a perfect separation of
    few patients is not taken for certainty. Where a class has one patient, there is no standard
    error and none of what follows from it.
    """

    auroc_a: float
    auroc_b: float
    difference: float
    standard_error: float | None = None
    ci95: tuple[float, float] | None = None
    z: float | None = None
    p: float | None = None


def delong_test(sums: PairedSums) -> PairedComparison | None:
    """DeLong's test of the two scorings; None where a class is missing.

    Raises ValueError where the sums do not hold all the patients of the placements, as when a
    site took part in the first step only, or do not belong to them.
    """
    _require_whole(sums)
    pairs = 2 * sums.pooled_positives * sums.pooled_negatives * sums.repeats
    if pairs == 0:
        return None
    a, b = sums.positives.a / pairs, sums.positives.b / pairs
    # One division of exact integers, so that scorings that agree differ by exactly zero.
    difference = (sums.positives.a - sums.positives.b) / pairs
    return paired_comparison(a, b, difference, _standard_error(sums))


def paired_comparison(
    a: float, b: float, difference: float, error: float | None
) -> PairedComparison:
    """What the standard error of a difference of areas says of it."""
    if error is None:
        return PairedComparison(a, b, difference)
    if error == 0:
        z, p = (0.0, 1.0) if difference == 0 else (None, None)
        return PairedComparison(a, b, difference, error, z=z, p=p)
    ci95, z, p = normal_inference(difference, error)
    return PairedComparison(a, b, difference, error, ci95, z, p)


def normal_inference(difference: float, error: float) -> tuple[tuple[float, float], float, float]:
    """95 % CI cut to [-1, 1], z and two-sided p of a difference of areas; `error` > 0."""
    half_width, z = normal_quantile(0.95) * error, difference / error
    ci95 = max(difference - half_width, -1.0), min(difference + half_width, 1.0)
    return ci95, z, math.erfc(abs(z) / math.sqrt(2))


def delong_covariance(sums: PairedSums) -> NDArray[np.float64] | None:
    """Covariance matrix of the two AUROCs, shape (2, 2), A first.

    Its diagonal has the variances of `delong_variance`. None where a class has fewer than two
    patients. Raises ValueError as `delong_test` does.
    """
    _require_whole(sums)
    if min(sums.positives.patients, sums.negatives.patients) < 2:
        return None
    of_positives, of_negatives = _deviations(sums.positives), _deviations(sums.negatives)
    aa, bb, ab = (_variance(sums, p, n) for p, n in zip(of_positives, of_negatives, strict=True))
    return np.array([[aa, ab], [ab, bb]])


def _standard_error(sums: PairedSums) -> float | None:
    if min(sums.positives.patients, sums.negatives.patients) < 2:
        return None
    of_positives, of_negatives = (
        aa + bb - 2 * ab for aa, bb, ab in map(_deviations, (sums.positives, sums.negatives))
    )
    return math.sqrt(_variance(sums, of_positives, of_negatives))


def _deviations(sums: ClassSums) -> tuple[int, int, int]:
    """Patients times the sums of (V_A - mean)^2, (V_B - mean)^2 and of their product; exact."""
    return (
        sums.patients * sums.aa - sums.a**2,
        sums.patients * sums.bb - sums.b**2,
        sums.patients * sums.ab - sums.a * sums.b,
    )


def _variance(sums: PairedSums, of_positives: int, of_negatives: int) -> float:
    """A (co)variance of AUROCs from the deviations of either class; 0 exactly where these are."""
    positives, negatives = sums.pooled_positives, sums.pooled_negatives
    scale = (2 * positives * negatives * sums.repeats) ** 2
    return of_positives / (scale * (positives - 1)) + of_negatives / (scale * (negatives - 1))


def _require_whole(sums: PairedSums) -> None:
    held = sums.positives.patients, sums.negatives.patients
    pooled = sums.pooled_positives, sums.pooled_negatives
    if held != pooled:
        raise ValueError(
            f"The sums hold {held} positives and negatives and the placements {pooled}; every "
            "site must take part in both steps with the same patients."
        )
    # The AUROC is the mean placement value of either class; times 2 P N it is an integer.
    areas_differ = sums.positives.a != sums.negatives.a or sums.positives.b != sums.negatives.b
    if areas_differ:
        raise ValueError(
            "The sums over positives and over negatives give different AUROCs; they are not of "
            "the patients whose histograms the placements were taken of."
        )
