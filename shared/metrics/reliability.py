"""The reliability curve: how often what was given a probability happened."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import Histogram
from shared.metrics.proportion import wilson_interval
from shared.metrics.scores import merged_cuts, probabilities_of


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
    min_cell: int = 0,
    probabilities: ArrayLike | None = None,
) -> tuple[ReliabilityGroup, ...]:
    """The groups in ascending order of probability; at most `groups` of them.

    Groups are intervals of probability of equal width, closed below, as for `ece`. A score bin
    falls, whole, where its probability falls. A group with fewer than `min_cell` patients, or with
    none, is joined with its lower neighbour, the lowest with its upper one; without `min_cell`
    patients in all there are no groups. `probabilities` are the bins' after recalibration
    (`probabilities_of`). Raises ValueError for fewer than one group, a negative `min_cell`, and a
    histogram of grades.
    """
    shares = probabilities_of(histogram, probabilities)
    if groups < 1:
        raise ValueError(f"groups is {groups}; a reliability curve needs one or more.")
    positives: list[int] = histogram.positives.tolist()
    patients: list[int] = (histogram.positives + histogram.negatives).tolist()
    group_of = np.minimum(np.floor(shares * groups), groups - 1)
    cuts = [int(cut) for cut in np.searchsorted(group_of, np.arange(groups + 1))]
    return tuple(
        _group(positives[low:high], patients[low:high], shares[low:high])
        for low, high in pairwise(merged_cuts(cuts, patients, min_cell))
    )


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
