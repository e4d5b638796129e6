"""Operating points: a threshold is chosen on one histogram and applied to another.

A threshold chosen and judged on the same patients looks better than it is. Thresholds are the
probabilities of the inner bin edges (0.00034 to 0.99966), at which nothing is snapped; a score at
the threshold or above it is predicted positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from shared.metrics.binary import Confusion, confusion
from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.proportion import clopper_pearson_interval
from shared.metrics.scores import require_scores


def youden_threshold(histogram: Histogram) -> float | None:
    """The threshold of the greatest sensitivity + specificity - 1 (Youden, Cancer 1950;3:32-35).

    Of thresholds that share it, one of the highest sensitivity; of those that predict the same
    for all patients, the middle one (the lower of two). None where a class is missing. Raises
    ValueError for a histogram of ordinal grades.
    """
    positives, negatives = histogram.total_positives, histogram.total_negatives
    true_positives, false_positives = _predicted_positive(histogram)
    if positives == 0 or negatives == 0:
        return None
    # J times P N, in Python's integers: exact, so that ties are ties.
    gains = [
        hits * negatives - alarms * positives
        for hits, alarms in zip(true_positives, false_positives, strict=True)
    ]
    first = gains.index(max(gains))
    same = [
        edge
        for edge in range(first, len(gains))
        if (true_positives[edge], false_positives[edge])
        == (true_positives[first], false_positives[first])
    ]
    return _threshold(same[(len(same) - 1) // 2])


def threshold_at_sensitivity(histogram: Histogram, sensitivity: float) -> float | None:
    """The highest threshold whose sensitivity is `sensitivity` (0 to 1) or more.

    None without positives, and where too many of them lie below all thresholds. Raises ValueError
    for a share outside [0, 1], and for a histogram of ordinal grades.
    """
    _require_share("sensitivity", sensitivity)
    true_positives, _ = _predicted_positive(histogram)
    total = histogram.total_positives
    # Shares are compared as quotients: 7 of 100 reach 0.07, but not 0.07 * 100 in floating point.
    reaching = [edge for edge, n in enumerate(true_positives) if total and n / total >= sensitivity]
    return _threshold(reaching[-1]) if reaching else None


def threshold_at_specificity(histogram: Histogram, specificity: float) -> float | None:
    """The lowest threshold whose specificity is `specificity` (0 to 1) or more.

    None without negatives, and where too many of them lie above all thresholds. Raises ValueError
    as `threshold_at_sensitivity` does.
    """
    _require_share("specificity", specificity)
    _, false_positives = _predicted_positive(histogram)
    total = histogram.total_negatives
    reaching = [
        edge
        for edge, alarms in enumerate(false_positives)
        if total and (total - alarms) / total >= specificity
    ]
    return _threshold(reaching[0]) if reaching else None


@dataclass(frozen=True)
class Share:
    """A share of patients with its exact 95 % CI (`clopper_pearson_interval`)."""

    value: float
    ci95: tuple[float, float]


@dataclass(frozen=True)
class ThresholdPerformance:
    """What a threshold does; shares are None where their denominator is zero.

    The predictive values hold at the share of positives among these very patients.
    """

    confusion: Confusion
    sensitivity: Share | None
    specificity: Share | None
    positive_predictive_value: Share | None
    negative_predictive_value: Share | None


def at_threshold(histogram: Histogram, threshold: float) -> ThresholdPerformance:
    """Counts and shares at a probability threshold, snapped to a bin edge as for `confusion`.

    The intervals are exact, because what is claimed of a threshold must hold at any size. Raises
    ValueError for a threshold outside the open interval 0 to 1, and for a histogram of grades.
    """
    return performance_of(confusion(histogram, threshold))


def performance_of(table: Confusion) -> ThresholdPerformance:
    """The shares that follow from the counts, with exact intervals."""
    return ThresholdPerformance(
        confusion=table,
        sensitivity=_share(table.true_positives, table.false_negatives),
        specificity=_share(table.true_negatives, table.false_positives),
        positive_predictive_value=_share(table.true_positives, table.false_positives),
        negative_predictive_value=_share(table.true_negatives, table.false_negatives),
    )


def _share(those: int, others: int) -> Share | None:
    total = those + others
    return Share(those / total, clopper_pearson_interval(those, total)) if total else None


def _predicted_positive(histogram: Histogram) -> tuple[list[int], list[int]]:
    """True and false positives with each edge, ascending, as the threshold."""
    require_scores(histogram)

    def above(counts: NDArray[np.int64]) -> list[int]:
        upward: list[int] = np.cumsum(counts[::-1])[::-1].tolist()
        return upward[1:]

    return above(histogram.positives), above(histogram.negatives)


def _threshold(edge: int) -> float:
    return float(expit(bin_edges()[edge]))


def _require_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"The {name} asked for is {share:g}; it must lie in 0 to 1.")
