"""What the bins of a histogram of model scores stand for, and where to cut between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import SCORE_BINS, Histogram, bin_probabilities


def require_scores(histogram: Histogram) -> None:
    """Raises ValueError for a histogram of ordinal grades, which are no probabilities."""
    if histogram.bins != SCORE_BINS:
        raise ValueError(
            f"The histogram has {histogram.bins} bins; only one of model scores "
            f"({SCORE_BINS} bins) says which probability a bin stands for."
        )


def probabilities_of(
    histogram: Histogram, probabilities: ArrayLike | None = None
) -> NDArray[np.float64]:
    """The probability of each bin: those given, or else `bin_probabilities`; shape (bins,).

    Those given are the bins' probabilities after recalibration, or, of exact scores, the scores
    themselves (`Scored`). Raises ValueError for a histogram of ordinal grades without
    probabilities, and for probabilities of another shape, outside [0, 1], or that fall from one
    bin to the next.
    """
    if probabilities is None:
        require_scores(histogram)
        return bin_probabilities()
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape != (histogram.bins,):
        raise ValueError(
            f"The probabilities have shape {values.shape}; it must be ({histogram.bins},)."
        )
    if not (values[0] >= 0 and values[-1] <= 1 and np.all(np.diff(values) >= 0)):
        raise ValueError("The bins' probabilities must lie in 0 to 1 and must not fall.")
    return values


def merged_cuts(cuts: Sequence[int], patients: Sequence[int], min_cell: int) -> list[int]:
    """Those of the cuts between bins that leave `min_cell` patients or more between neighbours.

    `cuts` ascend from 0 to the number of bins, cut k lying below bin k; `patients` has one count
    a bin. A range with too few patients, or with none, is joined with those below it, the lowest
    with the one above it. Empty where all bins together hold too few. Raises ValueError for a
    negative `min_cell`.
    """
    if min_cell < 0:
        raise ValueError(f"min-cell is {min_cell}; it must be 0 or more.")
    below = list(accumulate(patients, initial=0))
    kept = [cuts[-1]]
    for cut in reversed(cuts[:-1]):
        if below[kept[-1]] - below[cut] >= max(min_cell, 1):
            kept.append(cut)
    if len(kept) == 1:
        return []
    kept[-1] = cuts[0]
    return kept[::-1]
