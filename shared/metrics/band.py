"""A confidence band of the ROC curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from shared.metrics.curve import roc_points
from shared.metrics.histogram import Histogram
from shared.metrics.proportion import normal_quantile

Point = tuple[float, float]


@dataclass(frozen=True)
class RocBand:
    """Corners (false, true positive rate) of the lines below and above, from (0, 0) to (1, 1)."""

    lower: tuple[Point, ...]
    upper: tuple[Point, ...]


def roc_band(histogram: Histogram, level: float = 0.95, min_cell: int = 0) -> RocBand | None:
    """A band that holds the true ROC curve of the bins as a whole, at least as often as `level`.

    The simultaneous joint confidence regions of Campbell (Stat Med 1994;13:499-508): the curve of
    `roc_points` moved to the upper left and to the lower right by Kolmogorov-Smirnov limits of
    either class's distribution, each at the square root of `level`; those of Massart (Ann Probab
    1990;18:1269-1283) hold at any number of patients. The band is simultaneous, because a shaded
    area is read as a claim on the curve and not on one point of it, and it assumes nothing of the
    scores; so it is wide. None where there are no `roc_points`. Raises ValueError for a level
    outside the open interval 0 to 1, and for a negative `min_cell`.
    """
    normal_quantile(level)
    points = roc_points(histogram, min_cell)
    if not points:
        return None
    right = _limit(histogram.total_negatives, 1 - math.sqrt(level))
    down = _limit(histogram.total_positives, 1 - math.sqrt(level))
    curve = [(point.false_positive_rate, point.true_positive_rate) for point in points]
    # Mirrored at the diagonal, the line above is one below.
    mirrored = _moved([(y, x) for x, y in curve], right=down, down=right)
    return RocBand(
        lower=tuple(_moved(curve, right, down)), upper=tuple((x, y) for y, x in mirrored)
    )


def _limit(patients: int, outside: float) -> float:
    """What a distribution function strays from the true one at most, save in that share."""
    return math.sqrt(math.log(2 / outside) / (2 * patients))


def _moved(curve: list[Point], right: float, down: float) -> list[Point]:
    """The line through the moved points, within the unit square and joined to its corners."""
    line = [(0.0, 0.0)]
    for start, end in pairwise((x + right, y - down) for x, y in curve):
        enters = _reaches(start[1], end[1], 0.0)
        leaves = _reaches(start[0], end[0], 1.0)
        if enters <= leaves and end[1] >= 0 and start[0] <= 1:
            line += [_between(start, end, enters), _between(start, end, leaves)]
    line += [(1.0, line[-1][1]), (1.0, 1.0)]
    return [point for index, point in enumerate(line) if index == 0 or point != line[index - 1]]


def _reaches(low: float, high: float, bound: float) -> float:
    """Where on the way up from `low` to `high` the bound lies; 0 where before, 1 where beyond."""
    if bound <= low:
        return 0.0
    return 1.0 if bound >= high else (bound - low) / (high - low)


def _between(start: Point, end: Point, fraction: float) -> Point:
    if fraction == 1:
        return end
    # Rounding must not lead beyond the end, so that the line never turns back.
    x, y = (min(a + fraction * (b - a), b) for a, b in zip(start, end, strict=True))
    return min(x, 1.0), max(y, 0.0)
