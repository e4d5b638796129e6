"""Counts of patients by score and class: all that is ever sent of a site's scores.

Histograms are a commutative monoid: they are summed over sites, and every metric is computed
from the sum. Model scores are counted in bins that are uniform in the logit, so that they are
narrow where probabilities are near 0 or 1; ordinal grades are counted one bin a grade.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit

from shared.metrics.labels import is_positive

LOGIT_LIMIT = 8.0
BINS_PER_LOGIT = 32
INNER_BINS = int(2 * LOGIT_LIMIT * BINS_PER_LOGIT)
SCORE_BINS = INNER_BINS + 2
# Far above any cohort, and far enough below 2**63 that no sum over bins and sites overflows.
MAX_COUNT = 2**31 - 1


def bin_edges() -> NDArray[np.float64]:
    """The edges between the score bins in logits, ascending from -8 to 8 by 1/32; shape (513,).

    Every edge is an exact binary fraction, and 0 (probability 0.5) is one of them. Bin 0 lies
    below the first edge, bin 513 from the last edge upward.
    """
    half = INNER_BINS // 2
    return np.arange(-half, half + 1) / BINS_PER_LOGIT


def bin_of(logits: ArrayLike) -> NDArray[np.int64]:
    """The score bin of each logit, 0 to 513; same shape as `logits`.

    A logit on an edge belongs to the bin above it; infinities belong to the ends.
    Raises ValueError for NaN.
    """
    values = np.asarray(logits, dtype=np.float64)
    missing = int(np.isnan(values).sum())
    if missing:
        raise ValueError(
            f"{missing} of {values.size} scores are NaN; a score must be a number to be counted."
        )
    return np.asarray(np.searchsorted(bin_edges(), values, side="right"), dtype=np.int64)


def bin_of_probability(probabilities: ArrayLike) -> NDArray[np.int64]:
    """The score bin of each probability, 0 to 513; same shape as `probabilities`.

    Raises ValueError for NaN and for values outside [0, 1].
    """
    values = np.asarray(probabilities, dtype=np.float64)
    outside = values[(values < 0) | (values > 1)]
    if outside.size:
        raise ValueError(f"A probability is {outside[0]:g}; it must lie in 0 to 1.")
    return bin_of(logit(values))


def bin_logits() -> NDArray[np.float64]:
    """The middle logit of each score bin, ascending; shape (514,).

    The open ends take the middle of the bin of the same width next to the limit (-+(8 + 1/64)).
    """
    half = INNER_BINS // 2
    return (np.arange(-half - 1, half + 1) + 0.5) / BINS_PER_LOGIT


def bin_probabilities() -> NDArray[np.float64]:
    """The probability that stands for each score bin, ascending; shape (514,).

    It is the sigmoid of `bin_logits`, so it is off by less than 0.004 at 0.5, and by less than
    0.00034 in the ends.
    """
    return np.asarray(expit(bin_logits()))


@dataclass(frozen=True, eq=False)
class Histogram:
    """Patients of either class in each bin; int64 of shape (bins,), bins in ascending order.

    Any number of bins is allowed; model scores have SCORE_BINS of them. The counts are copied
    and cannot be written to. Raises ValueError where they are not vectors of the same length, not
    integers, negative, or above MAX_COUNT.
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]

    def __post_init__(self) -> None:
        # A frozen dataclass can set its own fields only this way.
        object.__setattr__(self, "positives", _counts("positives", self.positives))
        object.__setattr__(self, "negatives", _counts("negatives", self.negatives))
        if len(self.positives) != len(self.negatives):
            raise ValueError(
                f"positives has {len(self.positives)} bins and negatives {len(self.negatives)}; "
                "both classes must be counted in the same bins."
            )

    @classmethod
    def empty(cls, bins: int = SCORE_BINS) -> Histogram:
        """No patients: the neutral element of `+`."""
        return cls(np.zeros(bins, dtype=np.int64), np.zeros(bins, dtype=np.int64))

    @classmethod
    def from_logits(cls, logits: ArrayLike, labels: ArrayLike) -> Histogram:
        """Count one logit a patient; both of shape (patients,), labels 0 or 1.

        Raises ValueError for NaN, other labels and differing lengths.
        """
        return cls.from_bins(bin_of(logits), labels, SCORE_BINS)

    @classmethod
    def from_bins(cls, bins: ArrayLike, labels: ArrayLike, count: int = SCORE_BINS) -> Histogram:
        """Count one bin a patient; bins and labels of shape (patients,), labels 0 or 1.

        Raises ValueError for other labels, differing lengths and bins outside 0 to count - 1.
        """
        values = np.asarray(bins, dtype=np.int64)
        positive = is_positive(labels, values)
        if values.size and not 0 <= values.min() <= values.max() < count:
            raise ValueError(f"A bin lies outside 0 to {count - 1}.")
        return cls(
            np.bincount(values[positive], minlength=count),
            np.bincount(values[~positive], minlength=count),
        )

    def __add__(self, other: Histogram) -> Histogram:
        """Both sites' patients together. Raises ValueError where the numbers of bins differ."""
        if self.bins != other.bins:
            raise ValueError(
                f"Histograms of {self.bins} and {other.bins} bins cannot be added; "
                "all sites must count in the same bins."
            )
        return Histogram(self.positives + other.positives, self.negatives + other.negatives)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return np.array_equal(self.positives, other.positives) and np.array_equal(
            self.negatives, other.negatives
        )

    def __hash__(self) -> int:
        return hash((self.positives.tobytes(), self.negatives.tobytes()))

    @property
    def bins(self) -> int:
        """The number of bins."""
        return len(self.positives)

    @property
    def by_class(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Patients in each bin, of the positive class and of the negative one."""
        return self.positives, self.negatives

    @property
    def by_bin(self) -> NDArray[np.int64]:
        """Patients in each bin, of both classes."""
        return np.asarray(self.positives + self.negatives)

    @property
    def totals(self) -> tuple[int, int]:
        """Patients of the positive class and of the negative one."""
        return self.total_positives, self.total_negatives

    @property
    def patients(self) -> int:
        """Patients of both classes."""
        return sum(self.totals)

    def moved(self, bins: NDArray[np.int64]) -> Histogram:
        """The same patients with those of each bin counted in another, one entry of `bins` a bin.

        Raises ValueError for bins that there are not.
        """
        if bins.shape != (self.bins,) or not 0 <= bins.min() <= bins.max() < self.bins:
            raise ValueError(f"The new bins must be {self.bins} of 0 to {self.bins - 1}.")
        positives, negatives = (np.zeros(self.bins, dtype=np.int64) for _ in range(2))
        np.add.at(positives, bins, self.positives)
        np.add.at(negatives, bins, self.negatives)
        return Histogram(positives, negatives)

    @property
    def total_positives(self) -> int:
        """Patients of the positive class."""
        return sum(self.positives.tolist())

    @property
    def total_negatives(self) -> int:
        """Patients of the negative class."""
        return sum(self.negatives.tolist())


def _counts(name: str, values: ArrayLike) -> NDArray[np.int64]:
    """A read-only copy of one class's counts, checked."""
    counts = np.asarray(values)
    if counts.ndim != 1 or counts.size == 0:
        raise ValueError(f"{name} has shape {counts.shape}; it must be (bins,), one bin or more.")
    if counts.dtype.kind not in "iu":
        raise ValueError(f"{name} is of type {counts.dtype}; counts must be integers.")
    wrong = counts[(counts < 0) | (counts > MAX_COUNT)]
    if wrong.size:
        raise ValueError(f"A count of {name} is {wrong[0]}; it must lie in 0 to {MAX_COUNT}.")
    copy = counts.astype(np.int64)
    copy.setflags(write=False)
    return copy


def summed(histograms: Iterable[Histogram]) -> Histogram:
    """All patients of several histograms of model scores together; none of none."""
    return sum(histograms, start=Histogram.empty())
