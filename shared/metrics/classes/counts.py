"""Counts of patients by the scores of several classes: all of a site's scores that ever travels.

Like a histogram of a binary outcome they are a commutative monoid: they are summed over sites, and
every metric is computed from the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import MAX_COUNT, SCORE_BINS, Histogram

MOST_CLASSES = 20
"""So that the counts of one site stay below 2 MB in memory."""


@dataclass(frozen=True, eq=False)
class ClassCounts:
    """Patients of K classes by each of S scores and by predicted class, of one site or of several.

    `scores` (S, K, SCORE_BINS): for each score, the patients of each true class in each bin of its
    logit. A nominal outcome has the probability of each class, S = K; an ordinal one P(Y > k) for
    each class but the last, S = K - 1.
    `confusion` (K true, K predicted): patients.
    `products` (K, S, S): for the patients of each true class, the sums of the products of the bins
    of two scores. They say how scores go together, which the interval of a macro average needs.

    All int64, copied, and not writeable. Raises ValueError for other shapes and types, negative
    counts and counts above MAX_COUNT, and where the three are not of the same patients.
    """

    scores: NDArray[np.int64]
    confusion: NDArray[np.int64]
    products: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, most in ("scores", MAX_COUNT), ("confusion", MAX_COUNT), ("products", None):
            # A frozen dataclass can set its own fields only this way.
            object.__setattr__(self, name, _integers(name, getattr(self, name), most))
        _require_shapes(self)
        _require_same_patients(self)

    @classmethod
    def empty(cls, scores: int, classes: int) -> ClassCounts:
        """No patients: the neutral element of `+`."""
        return cls(
            np.zeros((scores, classes, SCORE_BINS), dtype=np.int64),
            np.zeros((classes, classes), dtype=np.int64),
            np.zeros((classes, scores, scores), dtype=np.int64),
        )

    @classmethod
    def from_bins(
        cls, bins: ArrayLike, labels: ArrayLike, predicted: ArrayLike, classes: int
    ) -> ClassCounts:
        """Count patients: bins (patients, S) from `bin_of`, true and predicted class (patients,).

        Raises ValueError for differing lengths, bins outside 0 to SCORE_BINS - 1 and classes
        outside 0 to `classes` - 1.
        """
        own = np.asarray(bins, dtype=np.int64)
        true, called = (np.asarray(one, dtype=np.int64) for one in (labels, predicted))
        if own.ndim != 2 or not own.shape[:1] == true.shape == called.shape:
            raise ValueError(
                f"The bins have shape {own.shape}, the labels {true.shape} and the predictions "
                f"{called.shape}; they must be (patients, scores), (patients,) and (patients,)."
            )
        _require_within("bin", own, SCORE_BINS)
        _require_within("class", np.concatenate([true, called]), classes)
        empty = cls.empty(own.shape[1], classes)
        scores, confusion, products = (
            one.copy() for one in (empty.scores, empty.confusion, empty.products)
        )
        np.add.at(confusion, (true, called), 1)
        for score, column in enumerate(own.T):
            np.add.at(scores[score], (true, column), 1)
        for label in range(classes):
            of_class = own[true == label]
            products[label] = of_class.T @ of_class
        return cls(scores, confusion, products)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        """Both sites' patients together. Raises ValueError where scores or classes differ."""
        if self.scores.shape != other.scores.shape:
            raise ValueError(
                f"Counts of {self.score_count} scores of {self.classes} classes and of "
                f"{other.score_count} of {other.classes} cannot be added; all sites must have the "
                "same classes."
            )
        return ClassCounts(
            self.scores + other.scores,
            self.confusion + other.confusion,
            self.products + other.products,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassCounts):
            return NotImplemented
        return all(map(np.array_equal, self._arrays, other._arrays))

    def __hash__(self) -> int:
        return hash(tuple(one.tobytes() for one in self._arrays))

    @property
    def _arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        return self.scores, self.confusion, self.products

    @property
    def classes(self) -> int:
        """The number of classes, K."""
        return len(self.confusion)

    @property
    def score_count(self) -> int:
        """The number of scores, S."""
        return len(self.scores)

    @property
    def ordinal(self) -> bool:
        """Whether the scores are P(Y > k), not the probability of each class."""
        return self.score_count < self.classes

    @property
    def support(self) -> tuple[int, ...]:
        """Patients of each true class."""
        return tuple(self.confusion.sum(axis=1).tolist())

    @property
    def patients(self) -> int:
        """Patients of all classes."""
        return sum(self.support)

    def is_high(self, score: int) -> NDArray[np.bool_]:
        """Which classes that score should give a high value, shape (K,).

        Of a nominal outcome one class, of an ordinal one the classes above `score`. IndexError for
        a score that there is not.
        """
        place = range(self.score_count)[score]
        classes = np.arange(self.classes)
        return np.asarray(classes > place if self.ordinal else classes == place)

    def split_by(self, score: int) -> Histogram:
        """All patients by that score; those of a class that it should give a high value, positive.

        IndexError for a score that there is not.
        """
        own, high = self.scores[score], self.is_high(score)
        return Histogram(own[high].sum(axis=0), own[~high].sum(axis=0))

    def pair(self, score: int, positive: int, negative: int) -> Histogram:
        """The patients of two classes alone, by one score; the rest are not in it."""
        return Histogram(self.scores[score, positive], self.scores[score, negative])


def _integers(name: str, values: ArrayLike, most: int | None) -> NDArray[np.int64]:
    """A read-only copy, checked."""
    own = np.asarray(values)
    if own.dtype.kind not in "iu":
        raise ValueError(f"{name} is of type {own.dtype}; counts must be integers.")
    wrong = own[(own < 0) | (own > most)] if most is not None else own[own < 0]
    if wrong.size:
        allowed = "not be negative" if most is None else f"lie in 0 to {most}"
        raise ValueError(f"A count of {name} is {wrong.flat[0]}; it must {allowed}.")
    copy = own.astype(np.int64)
    copy.setflags(write=False)
    return copy


def _require_shapes(counts: ClassCounts) -> None:
    scores, confusion, products = counts.scores, counts.confusion, counts.products
    classes = len(confusion) if confusion.ndim == 2 else 0
    if not 2 <= classes <= MOST_CLASSES:
        raise ValueError(
            f"The confusion matrix has shape {confusion.shape}; it must be (classes, classes), "
            f"with 2 to {MOST_CLASSES} classes."
        )
    number = len(scores) if scores.ndim == 3 else 0
    expected = (number, classes, SCORE_BINS), (classes, classes), (classes, number, number)
    if (scores.shape, confusion.shape, products.shape) != expected or number not in (
        classes,
        classes - 1,
    ):
        raise ValueError(
            f"Scores, confusion matrix and products have shapes {scores.shape}, {confusion.shape} "
            f"and {products.shape}; of {classes} classes there are {classes} scores, or "
            f"{classes - 1} where they are ordered, in {SCORE_BINS} bins each."
        )


def _require_same_patients(counts: ClassCounts) -> None:
    support = counts.confusion.sum(axis=1)
    if not np.array_equal(
        counts.scores.sum(axis=2), np.broadcast_to(support, counts.scores.shape[:2])
    ):
        raise ValueError(
            "The scores and the confusion matrix count different numbers of patients in a class."
        )
    steps = np.arange(SCORE_BINS, dtype=np.int64)
    squares = (counts.scores @ steps**2).T  # (K, S)
    sums = (counts.scores @ steps).T
    products = counts.products
    diagonal = np.diagonal(products, axis1=1, axis2=2)
    if not np.array_equal(diagonal, squares) or not np.array_equal(
        products, products.transpose(0, 2, 1)
    ):
        raise ValueError("The products are not those of the scores' bins.")
    _require_possible(products, squares, sums, support)


def _require_possible(
    products: NDArray[np.int64],
    squares: NDArray[np.int64],
    sums: NDArray[np.int64],
    support: NDArray[np.int64],
) -> None:
    """By Cauchy and Schwarz, no correlation lies outside -1 to 1. Python's integers: exact."""
    for label, count in enumerate(support.tolist()):
        first, second = sums[label].tolist(), squares[label].tolist()
        spread = [count * square - total**2 for square, total in zip(second, first, strict=True)]
        for a in range(len(first)):
            for b in range(a):
                shared = count * int(products[label, a, b]) - first[a] * first[b]
                if shared**2 > spread[a] * spread[b]:
                    raise ValueError("No patients have such products of the scores' bins.")


def _require_within(what: str, values: NDArray[np.int64], number: int) -> None:
    if values.size and not 0 <= values.min() <= values.max() < number:
        raise ValueError(f"A {what} lies outside 0 to {number - 1}.")
