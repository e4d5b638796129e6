"""The confidence interval of a mean of AUROCs over labels that the same patients have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import expit, logit

from shared.metrics.binary import auroc
from shared.metrics.classes.copula import Array, Copula
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
    A label's variance is exact. How the placement values of two labels go together follows from
    the sums over pairs (`Copula`). None without those sums, and where a class of such a label has
    fewer than two patients.
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


def _covariances(pairs: LabelPairs, histograms: Sequence[Histogram], held: Sequence[int]) -> Array:
    """Covariances of the labels' AUROCs (labels, labels); the diagonal is not in them.

    Of each class of one label and class of the other: the covariance of the placement values among
    the patients of both, and the product of how far both groups lie from their own classes.
    """
    chosen = np.ix_(held, held)
    patients, bins, products = (
        one[chosen].astype(np.float64) for one in (pairs.patients, pairs.bins, pairs.products)
    )
    some = np.maximum(patients, 1)
    first = bins / some
    second = _swapped(first)
    together = np.where(patients > 0, products / some - first * second, 0.0)
    shares, influence = _by_class(histograms)
    copula = Copula.of(shares, _flat(together))
    means = (shares @ np.arange(SCORE_BINS)).reshape(-1, 2)
    slopes = copula.slopes(influence).reshape(-1, 2)
    apart = np.where(
        patients > 0, slopes[:, None, :, None] * (first - means[:, None, :, None]), 0.0
    )
    found = _unflat(copula.covariances(influence)) + apart * _swapped(apart)
    return np.asarray((patients * found).sum(axis=(2, 3)))


def _by_class(histograms: Sequence[Histogram]) -> tuple[Array, Array]:
    """Shares of the patients in each bin, and their influence; negatives and positives of each.

    Both (2 labels, bins); the influence is centred.
    """
    shares, influence = [], []
    for one in histograms:
        of_positives, of_negatives = influences(one.positives, one.negatives)
        for own, values in (one.negatives, of_negatives), (one.positives, of_positives):
            shares.append(own / own.sum())
            influence.append(values - float(shares[-1] @ values))
    return np.array(shares), np.array(influence)


def _swapped(cells: Array) -> Array:
    return cells.transpose(1, 0, 3, 2)


def _flat(cells: Array) -> Array:
    """(labels, labels, 2, 2) as (2 labels, 2 labels)."""
    size = 2 * len(cells)
    return cells.transpose(0, 2, 1, 3).reshape(size, size)


def _unflat(matrix: Array) -> Array:
    labels = len(matrix) // 2
    return matrix.reshape(labels, 2, labels, 2).transpose(0, 2, 1, 3)
