"""Metrics of a binary outcome, computed from counts alone.

AUROC and AUPRC need the order of the bins only, so they hold for ordinal grades as well. The
others read a bin as a probability and take histograms of model scores (SCORE_BINS bins).
A metric is None where it is undefined: with a class missing, or a denominator of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, logit

from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.scores import probabilities_of, require_scores


def auroc(histogram: Histogram) -> float | None:
    """Area under the ROC curve of the binned scores, 0 to 1; ties count one half.

    None where a class is missing. Equals the Mann-Whitney statistic U / (P N) (Hanley and
    McNeil, Radiology 1982;143:29-36).
    """
    pairs = histogram.total_positives * histogram.total_negatives
    if pairs == 0:
        return None
    concordant, tied = _ranked_pairs(histogram)
    return (2 * concordant + tied) / (2 * pairs)


def auroc_bounds(histogram: Histogram) -> tuple[float, float] | None:
    """The lowest and highest AUROC that the unbinned scores can have; each 0 to 1.

    Only pairs within a bin are undecided, so they are the AUROC -+ 1/2 sum_b p_b n_b / (P N);
    both equal the AUROC where no bin holds both classes. For ordinal grades, whose ties are
    true ties, the AUROC itself is exact. None where a class is missing.
    """
    pairs = histogram.total_positives * histogram.total_negatives
    if pairs == 0:
        return None
    concordant, tied = _ranked_pairs(histogram)
    return concordant / pairs, (concordant + tied) / pairs


def auprc(histogram: Histogram) -> float | None:
    """Average precision of the binned scores, 0 to 1: sum_b (R_b - R_b+1) Pr_b.

    R_b and Pr_b are recall and precision when bins b and above are called positive; the
    definition of scikit-learn's `average_precision_score`, without interpolation. None where a
    class is missing.
    """
    if histogram.total_positives == 0 or histogram.total_negatives == 0:
        return None
    positives, negatives = histogram.positives[::-1], histogram.negatives[::-1]
    held = positives > 0
    true_positives = np.cumsum(positives)[held]
    called = np.cumsum(positives + negatives)[held]
    precision = true_positives / called
    return float(np.sum(positives[held] * precision) / histogram.total_positives)


@dataclass(frozen=True)
class Confusion:
    """Patients by prediction and class; `threshold` is the probability that was applied."""

    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    threshold: float

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """True and false positives, true and false negatives."""
        return (
            self.true_positives, self.false_positives, self.true_negatives, self.false_negatives,
        )  # fmt: skip


def snap_threshold(threshold: float) -> float:
    """The probability of the bin edge next to `threshold` in logits, at most 1/64 logit off.

    0.5 is an edge; thresholds beyond the outermost edges (0.00034 and 0.99966) move to these.
    Raises ValueError outside the open interval 0 to 1.
    """
    return float(expit(bin_edges()[_edge_index(threshold)]))


def confusion(histogram: Histogram, threshold: float = 0.5) -> Confusion:
    """Predictions at a probability threshold, snapped to a bin edge (`snap_threshold`).

    A score at the threshold or above it is predicted positive. Raises ValueError for a
    threshold outside the open interval 0 to 1, and for a histogram of ordinal grades.
    """
    require_scores(histogram)
    first_positive_bin = _edge_index(threshold) + 1
    true_positives = sum(histogram.positives[first_positive_bin:].tolist())
    false_positives = sum(histogram.negatives[first_positive_bin:].tolist())
    return Confusion(
        true_positives=true_positives,
        false_positives=false_positives,
        true_negatives=histogram.total_negatives - false_positives,
        false_negatives=histogram.total_positives - true_positives,
        threshold=snap_threshold(threshold),
    )


def sensitivity(histogram: Histogram, threshold: float = 0.5) -> float | None:
    """Share of the positives that are predicted positive; None without positives."""
    table = confusion(histogram, threshold)
    return _ratio(table.true_positives, table.true_positives + table.false_negatives)


def specificity(histogram: Histogram, threshold: float = 0.5) -> float | None:
    """Share of the negatives that are predicted negative; None without negatives."""
    table = confusion(histogram, threshold)
    return _ratio(table.true_negatives, table.true_negatives + table.false_positives)


def balanced_accuracy(histogram: Histogram, threshold: float = 0.5) -> float | None:
    """Mean of sensitivity and specificity; None where a class is missing."""
    shares = sensitivity(histogram, threshold), specificity(histogram, threshold)
    if shares[0] is None or shares[1] is None:
        return None
    return (shares[0] + shares[1]) / 2


def f1(histogram: Histogram, threshold: float = 0.5) -> float | None:
    """F1 of the positive class, 2 TP / (2 TP + FP + FN).

    None where nothing is positive, neither in truth nor by prediction.
    """
    table = confusion(histogram, threshold)
    doubled = 2 * table.true_positives
    return _ratio(doubled, doubled + table.false_positives + table.false_negatives)


def brier(histogram: Histogram, probabilities: ArrayLike | None = None) -> float | None:
    """Mean squared difference of probability and outcome, 0 to 1; None without patients.

    Each patient counts with the probability of the bin (`bin_probabilities`), which moves the
    mean by less than 0.008; or with those given, as after recalibration (`probabilities_of`).
    """
    shares = probabilities_of(histogram, probabilities)
    patients = histogram.total_positives + histogram.total_negatives
    if patients == 0:
        return None
    squares = histogram.positives * (1 - shares) ** 2
    squares += histogram.negatives * shares**2
    return float(squares.sum() / patients)


def ece(
    histogram: Histogram, bins: int = 10, probabilities: ArrayLike | None = None
) -> float | None:
    """Expected calibration error, 0 to 1, over `bins` equal-width intervals of probability.

    The mean of |share of positives - mean probability| in the intervals, weighted by their
    patients (Naeini et al., AAAI 2015; Guo et al., ICML 2017). Intervals are closed below; a
    score bin falls, whole, where its probability falls (`bin_probabilities`, or those given, as
    for `brier`). None without patients. Raises ValueError for fewer than one interval.
    """
    shares = probabilities_of(histogram, probabilities)
    if bins < 1:
        raise ValueError(f"bins is {bins}; calibration needs one interval of probability or more.")
    patients = histogram.total_positives + histogram.total_negatives
    if patients == 0:
        return None
    interval = np.minimum(np.floor(shares * bins).astype(np.int64), bins - 1)
    counts = histogram.positives + histogram.negatives
    # An interval's weight cancels the division by its patients, which may be none.
    gaps = np.bincount(interval, weights=histogram.positives - counts * shares)
    return float(np.abs(gaps).sum() / patients)


def _ranked_pairs(histogram: Histogram) -> tuple[int, int]:
    """Pairs of a positive with a negative in a lower bin, and in the same bin.

    Python's integers, so that the products are exact for any number of patients; of the bins that
    hold a positive alone, which are few.
    """
    bins = np.flatnonzero(histogram.positives)
    lower = np.cumsum(histogram.negatives) - histogram.negatives
    positives: list[int] = histogram.positives[bins].tolist()
    negatives: list[int] = histogram.negatives[bins].tolist()
    concordant = sum(p * below for p, below in zip(positives, lower[bins].tolist(), strict=True))
    tied = sum(p * n for p, n in zip(positives, negatives, strict=True))
    return concordant, tied


def _edge_index(threshold: float) -> int:
    if not 0 < threshold < 1:
        raise ValueError(f"The threshold is {threshold:g}; it must lie between 0 and 1.")
    return int(np.argmin(np.abs(bin_edges() - logit(threshold))))


def _ratio(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
