"""The curves of a histogram: ROC, and precision over recall.

Any histogram has them, ordinal grades too. With few patients a step of a curve is one patient, so
`min_cell` leaves out points until each step holds that many.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from scipy.special import expit

from shared.metrics.histogram import SCORE_BINS, Histogram, bin_edges
from shared.metrics.scores import merged_cuts


@dataclass(frozen=True)
class RocPoint:
    """False and true positive rate (0 to 1) when bins from `first_bin` upward are called positive.

    `threshold` is the lowest probability that is called positive; None for grades, and where
    nothing is called positive.
    """

    false_positive_rate: float
    true_positive_rate: float
    first_bin: int
    threshold: float | None


def roc_points(
    histogram: Histogram, min_cell: int = 0, *, convex: bool = False
) -> tuple[RocPoint, ...]:
    """The ROC curve from (0, 0) to (1, 1), one point for each bin with patients.

    With `convex`, the points of its convex hull alone (Provost and Fawcett, Machine Learning
    2001;42:203-231), which is what a choice among thresholds can reach. Neighbouring points are
    `min_cell` patients or more apart; with fewer patients in all there are no points. Empty where
    a class is missing. Raises ValueError for a negative `min_cell`.
    """
    called = _called_positive(histogram, min_cell)
    positives, negatives = histogram.total_positives, histogram.total_negatives
    if positives == 0 or negatives == 0:
        return ()
    if convex:
        called = _hull(called)
    return tuple(
        RocPoint(alarms / negatives, hits / positives, first, _threshold(first, histogram.bins))
        for first, hits, alarms in called
    )


@dataclass(frozen=True)
class PrecisionRecallPoint:
    """Recall and precision (0 to 1) when bins from `first_bin` upward are called positive.

    `threshold` as of `RocPoint`.
    """

    recall: float
    precision: float
    first_bin: int
    threshold: float | None


def precision_recall_points(
    histogram: Histogram, min_cell: int = 0
) -> tuple[PrecisionRecallPoint, ...]:
    """Precision over recall, from the highest threshold to the lowest, with recall 1.

    There is no point at which nothing is called positive, since it has no precision. Points are
    thinned as by `roc_points`. Empty where a class is missing. Raises ValueError for a negative
    `min_cell`.
    """
    called = _called_positive(histogram, min_cell)
    positives = histogram.total_positives
    if positives == 0 or histogram.total_negatives == 0:
        return ()
    return tuple(
        PrecisionRecallPoint(
            hits / positives, hits / (hits + alarms), first, _threshold(first, histogram.bins)
        )
        for first, hits, alarms in called[1:]
    )


def _called_positive(histogram: Histogram, min_cell: int) -> list[tuple[int, int, int]]:
    """First positive bin, true and false positives; from none called positive to all."""
    positives: list[int] = histogram.positives.tolist()
    negatives: list[int] = histogram.negatives.tolist()
    patients = [p + n for p, n in zip(positives, negatives, strict=True)]
    cuts = merged_cuts(range(histogram.bins + 1), patients, min_cell)
    upward_positives = [0, *accumulate(reversed(positives))][::-1]
    upward_negatives = [0, *accumulate(reversed(negatives))][::-1]
    return [(cut, upward_positives[cut], upward_negatives[cut]) for cut in reversed(cuts)]


def _hull(called: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """The corners of the upper convex hull, in the order given; exact, in integers."""
    hull: list[tuple[int, int, int]] = []
    for point in called:
        while len(hull) > 1 and not _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return hull


def _turns_down(*corners: tuple[int, int, int]) -> bool:
    """Whether the way through the three points bends to the right at the second."""
    (_, *first), (_, *second), (_, *third) = corners
    rise, run = second[0] - first[0], second[1] - first[1]
    next_rise, next_run = third[0] - second[0], third[1] - second[1]
    return rise * next_run > next_rise * run


def _threshold(first_bin: int, bins: int) -> float | None:
    if bins != SCORE_BINS or first_bin == bins:
        return None
    return float(expit(bin_edges()[first_bin - 1])) if first_bin else 0.0
