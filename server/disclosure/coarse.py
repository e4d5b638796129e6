"""Counts by score in groups that hold no few patients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from shared.metrics.histogram import BINS_PER_LOGIT, SCORE_BINS, Histogram

_STEPS = ((100, BINS_PER_LOGIT // 2), (1000, BINS_PER_LOGIT // 4), (10_000, BINS_PER_LOGIT // 8))
"""Below so many patients groups end at multiples of so many bins; of more, at any bin."""


def coarse(counts: Histogram, hidden: Histogram, min_cell: int) -> Histogram:
    """The counts with neighbouring bins joined, each group's patients in its middle bin.

    Every group holds `min_cell` patients or more, and of `hidden`, some of these patients, as many
    or none; all are one group where that cannot be. Groups end at fixed scores, among them a
    probability of 0.5, rather than at patients' own. Raises ValueError for other than score bins.
    """
    if counts.bins != SCORE_BINS:
        raise ValueError(f"The histogram has {counts.bins} bins and not the {SCORE_BINS} of scores")
    both = [one.positives + one.negatives for one in (counts, hidden)]
    below = [np.concatenate([[0], np.cumsum(patients)]) for patients in both]
    patients = int(below[0][-1])
    step = next((bins for fewest, bins in _STEPS if patients < fewest), 1)
    half = SCORE_BINS // 2
    grid = range(half % step or step, SCORE_BINS, step)

    def enough(low: int, high: int) -> bool:
        held, own = (int(sums[high] - sums[low]) for sums in below)
        return held >= max(min_cell, 1) and (own == 0 or own >= min_cell)

    cuts = [0]
    for cut in grid:
        if enough(cuts[-1], cut):
            cuts.append(cut)
    # What is left above the last cut may be few.
    while len(cuts) > 1 and not enough(cuts[-1], SCORE_BINS):
        cuts.pop()
    cuts.append(SCORE_BINS)
    positives, negatives = (np.zeros(SCORE_BINS, dtype=np.int64) for _ in range(2))
    for low, high in pairwise(cuts):
        middle = (low + high - 1) // 2
        positives[middle] = counts.positives[low:high].sum()
        negatives[middle] = counts.negatives[low:high].sum()
    return Histogram(positives, negatives)
