"""The reliability curve: how often what was given a probability happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import Histogram
from shared.metrics.proportion import wilson_interval
from shared.metrics.scores import merged_cuts, probabilities_of


class Grouping(Enum):
    """How patients are grouped by their probability."""

    EQUAL_WIDTH = "equal-width"
    EQUAL_COUNT = "equal-count"


@dataclass(frozen=True)
class ReliabilityGroup:
    """Patients of similar probability: how many, their mean probability, the share of positives.

    `share_ci95` is Wilson's 95 % CI of the share.
    """

    patients: float
    """An integer, but in a study, where it is a mean over repeats."""
    mean_probability: float
    share_positive: float
    share_ci95: tuple[float, float]


def reliability_curve(
    histogram: Histogram,
    groups: int = 10,
    grouping: Grouping = Grouping.EQUAL_WIDTH,
    min_cell: int = 0,
    probabilities: ArrayLike | None = None,
) -> tuple[ReliabilityGroup, ...]:
    """The groups in ascending order of probability; at most `groups` of them.

    Groups of equal width are intervals of probability closed below, as for `ece`; groups of equal
    count share the patients out in order. A score bin falls, whole, where its probability or its
    middle patient falls. A group with fewer than `min_cell` patients, or with none, is joined
    with its lower neighbour, the lowest with its upper one; without `min_cell` patients in all
    there are no groups. `probabilities` are the bins' after recalibration (`probabilities_of`).
    Raises ValueError for fewer than one group, a negative `min_cell`, and a histogram of grades.
    """
    shares = probabilities_of(histogram, probabilities)
    if groups < 1:
        raise ValueError(f"groups is {groups}; a reliability curve needs one or more.")
    positives: list[int] = histogram.positives.tolist()
    patients: list[int] = (histogram.positives + histogram.negatives).tolist()
    if grouping is Grouping.EQUAL_WIDTH:
        group_of = np.minimum(np.floor(shares * groups), groups - 1)
    else:
        group_of = _equal_count(patients, groups)
    cuts = [int(cut) for cut in np.searchsorted(group_of, np.arange(groups + 1))]
    return tuple(
        _group(positives[low:high], patients[low:high], shares[low:high])
        for low, high in pairwise(merged_cuts(cuts, patients, min_cell))
    )


def _equal_count(patients: list[int], groups: int) -> NDArray[np.int64]:
    """The group of each bin's middle patient, when all are shared out in order."""
    upto = list(accumulate(patients))
    if upto[-1] == 0:
        return np.zeros(len(patients), dtype=np.int64)
    middles = [2 * end - own for end, own in zip(upto, patients, strict=True)]
    # The empty bins above the last patient would otherwise begin a group of their own.
    return np.array([min(mid * groups // (2 * upto[-1]), groups - 1) for mid in middles])


def _group(
    positives: list[int], patients: list[int], shares: NDArray[np.float64]
) -> ReliabilityGroup:
    held, total = sum(positives), sum(patients)
    return ReliabilityGroup(
        patients=total,
        mean_probability=float(np.dot(patients, shares) / total),
        share_positive=held / total,
        share_ci95=wilson_interval(held, total),
    )
