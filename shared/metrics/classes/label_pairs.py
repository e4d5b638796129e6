"""How the scores of two labels go together: sums over the patients of whom both are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.histogram import SCORE_BINS, Histogram

Sums = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LabelPairs:
    """Sums for each two different labels and their classes (0 or 1), int64 of (L, L, 2, 2).

    `patients` [j, k, a, b]: those whose label j is a and whose label k is b; `bins`: the sum of the
    bins of j's score over them; `products`: of the products of both scores' bins. Zero where j is
    k. A commutative monoid. Raises ValueError where no patients can have such sums.
    """

    patients: Sums
    bins: Sums
    products: Sums

    def __post_init__(self) -> None:
        for name in ("patients", "bins", "products"):
            # A frozen dataclass can set its own fields only this way.
            object.__setattr__(self, name, _sums(name, getattr(self, name)))
        labels, last = len(self.patients), SCORE_BINS - 1
        if any(one.shape != (labels, labels, 2, 2) for one in self._arrays):
            raise ValueError("The sums of pairs of labels must be (labels, labels, 2, 2).")
        own = np.arange(labels)
        possible = (
            all(not one[own, own].any() for one in self._arrays)
            and all(np.array_equal(one, _swapped(one)) for one in (self.patients, self.products))
            and bool((self.bins <= last * self.patients).all())
            and bool((self.products <= last * np.minimum(self.bins, _swapped(self.bins))).all())
        )
        if not possible:
            raise ValueError("No patients have such sums over pairs of labels.")

    @classmethod
    def empty(cls, labels: int) -> LabelPairs:
        """No patients."""
        return cls(*(np.zeros((labels, labels, 2, 2), dtype=np.int64) for _ in range(3)))

    @classmethod
    def from_bins(cls, bins: Sums, labels: Sums) -> LabelPairs:
        """Count bins and labels (0, 1, or else not known), both (patients, labels)."""
        known = np.stack([labels == 0, labels == 1], axis=-1).astype(np.int64)
        binned = known * bins[:, :, None]
        found = [
            np.einsum("pja,pkb->jkab", first, second)
            for first, second in ((known, known), (binned, known), (binned, binned))
        ]
        own = np.arange(labels.shape[1])
        for one in found:
            one[own, own] = 0
        return cls(*found)

    def __add__(self, other: LabelPairs) -> LabelPairs:
        return LabelPairs(*(a + b for a, b in zip(self._arrays, other._arrays, strict=True)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LabelPairs):
            return NotImplemented
        return all(map(np.array_equal, self._arrays, other._arrays))

    def __hash__(self) -> int:
        return hash(tuple(one.tobytes() for one in self._arrays))

    @property
    def _arrays(self) -> tuple[Sums, Sums, Sums]:
        return self.patients, self.bins, self.products

    def require_of(self, histograms: Sequence[Histogram]) -> None:
        """ValueError where these are pairs of other labels, or of more patients."""
        totals = np.array([one.totals[::-1] for one in histograms])
        if (
            len(self.patients) != len(totals)
            or (self.patients.sum(axis=3).max(axis=1, initial=0) > totals).any()
        ):
            raise ValueError("The pairs of labels are of more patients than the labels.")


def _swapped(sums: Sums) -> Sums:
    return sums.transpose(1, 0, 3, 2)


def _sums(name: str, values: Sums) -> Sums:
    own = np.asarray(values)
    if own.dtype.kind not in "iu" or (own < 0).any():
        raise ValueError(f"The {name} of pairs of labels must be integers of at least 0.")
    copy = own.astype(np.int64)
    copy.setflags(write=False)
    return copy
