"""Confidence intervals of a mean of AUROCs, from counts and sums of products alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from shared.metrics.classes.contrasts import Contrast, mean_auroc
from shared.metrics.classes.copula import Copula, copulas
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.histogram import SCORE_BINS
from shared.metrics.interval import auroc_interval
from shared.metrics.proportion import normal_quantile


def mean_auroc_interval(
    counts: ClassCounts,
    contrasts: Sequence[Contrast],
    level: float = 0.95,
    joint: Sequence[Copula | None] | None = None,
) -> tuple[float, float] | None:
    """Two-sided confidence interval of the weighted mean of AUROCs, within [0, 1]; None of none.

    DeLong's variance of the mean (`mean_auroc_variance`), on the logit scale as for one AUROC.
    Where it is zero or has no estimate, the weighted means of both ends of the contrasts' own
    intervals: these hold at least as often as they claim, however the AUROCs go together.
    `joint` are the counts' `copulas`, where they are computed already. Raises ValueError for a
    level outside the open interval 0 to 1.
    """
    quantile = normal_quantile(level)
    area = mean_auroc(counts, contrasts)
    if area is None:
        return None
    variance = mean_auroc_variance(counts, contrasts, joint)
    if variance is None or variance <= 0 or not 0 < area < 1:
        own = [(one.weight, auroc_interval(one.histogram(counts), level)) for one in contrasts]
        return mean_interval([(weight, ends) for weight, ends in own if ends is not None])
    half_width = quantile * math.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) - half_width), expit(logit(area) + half_width)
    return min(float(low), area), max(float(high), area)


def mean_interval(
    weighted: Sequence[tuple[float, tuple[float, float]]],
) -> tuple[float, float] | None:
    """The weighted means of the ends of intervals; weights add up to 1. None of none.

    A standard deviation of a mean is at most the mean of the standard deviations, so this is an
    interval of the mean whatever the correlations, and too wide unless all are 1.
    """
    if not weighted:
        return None
    low, high = (sum(weight * ends[side] for weight, ends in weighted) for side in (0, 1))
    return max(low, 0.0), min(high, 1.0)


def mean_auroc_variance(
    counts: ClassCounts,
    contrasts: Sequence[Contrast],
    joint: Sequence[Copula | None] | None = None,
) -> float | None:
    """Variance of a weighted mean of AUROCs (DeLong et al., Biometrics 1988;44:837-845).

    The sum over patients of the square of each one's influence, which is the sum over contrasts of
    the patient's placement value, less its mean, over the patients of that side. For a single
    contrast this is `delong_variance`. Counts say how influences by one score vary; how those by
    two scores of a class go together follows from the sums of products (`Copula`). None where
    a side of a contrast has fewer than two patients.
    """
    influence = np.zeros((counts.classes, counts.score_count, SCORE_BINS))
    for one in contrasts:
        histogram = one.histogram(counts)
        if min(histogram.totals) < 2:
            return None
        of_positives, of_negatives = influences(histogram.positives, histogram.negatives)
        influence[list(one.positive), one.score] += one.weight * of_positives
        influence[list(one.negative), one.score] += one.weight * of_negatives
    return sum(
        _squares(own, influence[label], patients)
        for label, (own, patients) in enumerate(
            zip(joint or copulas(counts), counts.support, strict=True)
        )
        if own is not None
    )


def influences(
    positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a positive, and a negative, in each bin adds to an AUROC's error.

    Both (bins,), of counts with two patients or more each; the squares of all patients' influences
    add up to `delong_variance`.
    """
    held = positives.sum(), negatives.sum()
    below = (np.cumsum(negatives) - negatives / 2) / held[1]
    above = 1 - (np.cumsum(positives) - positives / 2) / held[0]
    area = float(positives @ below) / held[0]
    return (
        (below - area) / math.sqrt(held[0] * (held[0] - 1)),
        (above - area) / math.sqrt(held[1] * (held[1] - 1)),
    )


def _squares(joint: Copula, influence: NDArray[np.float64], patients: int) -> float:
    """The sum over a class's patients of the square of the sum of influences over the scores."""
    mean = float((joint.shares * influence).sum())
    spread = float(joint.covariances(influence).sum())
    return patients * (max(spread, 0.0) + mean**2)
