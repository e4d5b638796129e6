"""Counts of an outcome with several labels, of which a patient has any number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from shared.metrics.classes.label_pairs import LabelPairs
from shared.metrics.histogram import SCORE_BINS, Histogram

MISSING = -1
"""Stands for a label that is not known of a patient."""
MOST_LABELS = 100


@dataclass(frozen=True)
class LabelCounts:
    """A histogram of model scores for each label; a patient without a label is not in its one.

    `pairs` say how the scores of two labels go together, for the interval of a mean over labels;
    counts for others do without. Raises ValueError without labels, for more than MOST_LABELS, for
    histograms of grades, and for pairs of other patients.
    """

    histograms: tuple[Histogram, ...]
    pairs: LabelPairs | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.histograms) <= MOST_LABELS:
            raise ValueError(
                f"There are {len(self.histograms)} labels; 1 to {MOST_LABELS} are possible."
            )
        if any(one.bins != SCORE_BINS for one in self.histograms):
            raise ValueError(f"The histogram of a label has not {SCORE_BINS} bins.")
        if self.pairs is not None:
            self.pairs.require_of(self.histograms)

    @classmethod
    def empty(cls, labels: int) -> LabelCounts:
        """No patients: the neutral element of `+`."""
        return cls((Histogram.empty(),) * labels, LabelPairs.empty(labels))

    @classmethod
    def from_bins(cls, bins: ArrayLike, labels: ArrayLike) -> LabelCounts:
        """Count patients: bins from `bin_of` and labels (0, 1 or MISSING), both (patients, labels).

        Raises ValueError for other labels, differing shapes and bins outside 0 to SCORE_BINS - 1.
        """
        own, known = (np.asarray(one, dtype=np.int64) for one in (bins, labels))
        if own.ndim != 2 or own.shape != known.shape:
            raise ValueError(
                f"The bins have shape {own.shape} and the labels {known.shape}; both must be "
                "(patients, labels)."
            )
        held = known != MISSING
        return cls(
            tuple(
                Histogram.from_bins(own[held[:, one], one], known[held[:, one], one])
                for one in range(own.shape[1])
            ),
            LabelPairs.from_bins(own, known),
        )

    def __add__(self, other: LabelCounts) -> LabelCounts:
        """Both sites' patients together. Raises ValueError where the numbers of labels differ."""
        if len(self.histograms) != len(other.histograms):
            raise ValueError(
                f"Counts of {len(self.histograms)} and {len(other.histograms)} labels cannot be "
                "added; all sites must have the same labels."
            )
        return LabelCounts(
            tuple(a + b for a, b in zip(self.histograms, other.histograms, strict=True)),
            self.pairs + other.pairs if self.pairs and other.pairs else None,
        )

    @property
    def labels(self) -> int:
        """The number of labels."""
        return len(self.histograms)

    @property
    def support(self) -> tuple[tuple[int, int], ...]:
        """For each label, the patients who have it and those who do not."""
        return tuple(one.totals for one in self.histograms)
