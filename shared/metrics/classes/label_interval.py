"""The confidence interval of a mean of AUROCs over labels that the same patients have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from shared.metrics.binary import auroc
from shared.metrics.classes.label_pairs import LabelPairs
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.macro import influences, mean_interval
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.metrics.interval import auroc_interval, delong_variance
from shared.metrics.proportion import normal_quantile


def label_auroc_interval(counts: LabelCounts, level: float = 0.95) -> tuple[float, float] | None:
    """Two-sided interval of the mean AUROC of the labels that have both classes; None of none.

    From `label_auroc_variance`, on the logit scale. Where that is zero or has no estimate, the
    means of both ends of the labels' own intervals, which hold at least as often as they claim.
    Raises ValueError for a level outside the open interval 0 to 1.
    """
    quantile = normal_quantile(level)
    areas = [area for one in counts.histograms if (area := auroc(one)) is not None]
    if not areas:
        return None
    area, variance = sum(areas) / len(areas), label_auroc_variance(counts)
    if variance is None or variance <= 0 or not 0 < area < 1:
        own = [ends for one in counts.histograms if (ends := auroc_interval(one, level))]
        return mean_interval([(1 / len(own), ends) for ends in own])
    half_width = quantile * math.sqrt(variance) / (area * (1 - area))
    low, high = expit(logit(area) - half_width), expit(logit(area) + half_width)
    return min(float(low), area), max(float(high), area)


def label_auroc_variance(counts: LabelCounts) -> float | None:
    """Variance of the mean AUROC of the labels that have both classes.

    The mean of the covariances of all labels with all (DeLong et al., Biometrics 1988;44:837-845).
    A label's variance is exact. The placement values of two labels are taken to go together as
    the scores do within each label's class, of which the sums over pairs say how. None without
    those sums, and where a class of such a label has fewer than two patients.
    """
    held = [index for index, one in enumerate(counts.histograms) if min(one.totals) > 0]
    chosen = [counts.histograms[index] for index in held]
    variances = [delong_variance(one) for one in chosen]
    if counts.pairs is None or not held or None in variances:
        return None
    own = np.array(variances, dtype=np.float64)
    found = _covariances(counts.pairs, chosen, held)
    # No two go further together than each does with itself.
    most = np.sqrt(np.outer(own, own))
    found = np.clip(found, -most, most)
    np.fill_diagonal(found, own)
    return max(float(found.mean()), 0.0)


def _covariances(
    pairs: LabelPairs, histograms: Sequence[Histogram], held: Sequence[int]
) -> NDArray[np.float64]:
    """Covariances of the labels' AUROCs (labels, labels); the diagonal is not in them."""
    chosen = np.ix_(held, held)
    patients, bins, products = (
        one[chosen].astype(np.float64) for one in (pairs.patients, pairs.bins, pairs.products)
    )
    slopes, means = (np.array(one) for one in zip(*map(_lines, histograms), strict=True))
    first, second = means[:, None, :, None], means[None, :, None, :]
    together = (
        products - second * bins - first * bins.transpose(1, 0, 3, 2) + first * second * patients
    )
    return np.asarray(np.einsum("ja,kb,jkab->jk", slopes, slopes, together))


def _lines(histogram: Histogram) -> tuple[list[float], list[float]]:
    """Of the negatives and of the positives: slope of the influence over the bin, mean bin.

    The slope is that of a line which spreads the influence as much as it is spread.
    """
    steps = np.arange(SCORE_BINS)
    slopes, means = [], []
    of_positives, of_negatives = influences(histogram.positives, histogram.negatives)
    for own, influence in (
        (histogram.negatives, of_negatives),
        (histogram.positives, of_positives),
    ):
        shares = own / own.sum()
        mean = float(shares @ steps)
        places, values = steps - mean, influence - float(shares @ influence)
        spread = float(shares @ places**2)
        size = math.sqrt(float(shares @ values**2) / spread) if spread > 0 else 0.0
        slopes.append(math.copysign(size, float(shares @ (places * values))))
        means.append(mean)
    return slopes, means
