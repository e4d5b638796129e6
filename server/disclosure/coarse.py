"""Counts by score in groups that hold no few patients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shared.metrics.histogram import BINS_PER_LOGIT, SCORE_BINS, Histogram

_STEPS = ((1000, BINS_PER_LOGIT // 4), (10_000, BINS_PER_LOGIT // 8))
"""Below so many patients groups end at multiples of so many bins; of more, at any bin."""


def coarse(
    counts: Histogram, hidden: Histogram, min_cell: int, *, at_start: bool = False
) -> Histogram:
    """The counts with neighbouring bins joined, each group's patients in the mean bin of all.

    Every group holds `min_cell` patients or more, and of `hidden`, some of these patients, as many
    or none; all are one group where that cannot be. Groups end at fixed scores, among them a
    probability of 0.5, rather than at patients' own. With `at_start` the patients are in each
    group's first bin. Raises ValueError for other than score bins.
    """
    if counts.bins != SCORE_BINS:
        raise ValueError(f"The histogram has {counts.bins} bins and not the {SCORE_BINS} of scores")
    own = hidden.positives + hidden.negatives
    cuts = _cuts(counts.positives + counts.negatives, own, min_cell)
    positives, negatives = (np.zeros(SCORE_BINS, dtype=np.int64) for _ in range(2))
    for low, high in pairwise(cuts):
        held = (counts.positives + counts.negatives)[low:high]
        mean = np.dot(held, np.arange(low, high)) / held.sum() if held.any() else low
        place = low if at_start else round(mean)
        positives[place] = counts.positives[low:high].sum()
        negatives[place] = counts.negatives[low:high].sum()
    return Histogram(positives, negatives)


def _cuts(patients: NDArray[np.int64], hidden: NDArray[np.int64], min_cell: int) -> list[int]:
    """The bins at which groups begin, and after them the one at which the last ends."""
    below, behind = (np.concatenate([[0], np.cumsum(one)]) for one in (patients, hidden))
    step = next((bins for fewest, bins in _STEPS if below[-1] < fewest), 1)
    grid = [0, *range(SCORE_BINS // 2 % step or step, SCORE_BINS, step), SCORE_BINS]
    if not below[-1]:
        return [0, SCORE_BINS]
    first = sum(below[cut] == 0 for cut in grid) - 1
    last = sum(below[cut] < below[-1] for cut in grid)

    def enough(low: int, high: int) -> bool:
        own = behind[high] - behind[low]
        return bool(below[high] - below[low] >= max(min_cell, 1) and (not own or own >= min_cell))

    cuts, end = [grid[first]], grid[last]
    for cut in grid[first + 1 : last]:
        if enough(cuts[-1], cut):
            cuts.append(cut)
    # What is left above the last cut may be few.
    while len(cuts) > 1 and not enough(cuts[-1], end):
        cuts.pop()
    return [*cuts, end]
