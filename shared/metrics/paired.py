"""Two scorings of the same patients compared (DeLong et al., Biometrics 1988;44:837-845).

It takes two steps, since the comparison needs each patient's place under both scorings. First
the sites' histograms of either scoring are added up, and `placements` are taken of the sums.
Then each site adds up its patients' placement values (`PairedSums.of`), and `delong_test`
follows from the sum over the sites. Scorings may differ in their bins: scores against grades.

Placement values times 2 N and 2 P are integers, and so are all sums of them: they are the same
in whatever order sites are added. They are Python's integers and may exceed 64 bits.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shared.metrics.histogram import Histogram
from shared.metrics.labels import is_positive


@dataclass(frozen=True)
class Placements:
    """Where a patient of each bin stands among those of the other class; one integer a bin.

    `of_positives` is twice the negatives in lower bins plus those in the same bin, of 2 N;
    `of_negatives` twice the positives in higher bins plus those in the same bin, of 2 P.
    `positives` (P) and `negatives` (N) are the patients of all sites.
    """

    of_positives: tuple[int, ...]
    of_negatives: tuple[int, ...]
    positives: int
    negatives: int


def placements(histogram: Histogram) -> Placements:
    """The placement values of each bin of all sites' patients, times 2 N and 2 P."""
    positives: list[int] = histogram.positives.tolist()
    negatives: list[int] = histogram.negatives.tolist()
    below = zip(accumulate(negatives), negatives, strict=True)
    above = zip(accumulate(positives), positives, strict=True)
    return Placements(
        of_positives=tuple(2 * upto - own for upto, own in below),
        of_negatives=tuple(2 * (sum(positives) - upto) + own for upto, own in above),
        positives=sum(positives),
        negatives=sum(negatives),
    )


@dataclass(frozen=True)
class ClassSums:
    """Placement values of one class's patients under scorings A and B, added up; integers.

    The patients, the sums of V_A and V_B, and those of V_A^2, V_B^2 and V_A V_B.
    """

    patients: int = 0
    a: int = 0
    b: int = 0
    aa: int = 0
    bb: int = 0
    ab: int = 0

    @classmethod
    def of(cls, pairs: Counter[tuple[int, int]]) -> ClassSums:
        """The sums over patients, given as the number of them with each pair (V_A, V_B)."""
        return cls(
            patients=pairs.total(),
            a=sum(count * a for (a, _), count in pairs.items()),
            b=sum(count * b for (_, b), count in pairs.items()),
            aa=sum(count * a**2 for (a, _), count in pairs.items()),
            bb=sum(count * b**2 for (_, b), count in pairs.items()),
            ab=sum(count * a * b for (a, b), count in pairs.items()),
        )

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(
            self.patients + other.patients,
            self.a + other.a,
            self.b + other.b,
            self.aa + other.aa,
            self.bb + other.bb,
            self.ab + other.ab,
        )


@dataclass(frozen=True)
class PairedSums:
    """A commutative monoid: what a site adds up in the second step, and the sum over sites.

    `pooled_positives` and `pooled_negatives` are P and N of the placements that were used; only
    sums with the same can be added.
    """

    positives: ClassSums
    negatives: ClassSums
    pooled_positives: int
    pooled_negatives: int

    @classmethod
    def of(
        cls,
        bins_a: ArrayLike,
        bins_b: ArrayLike,
        labels: ArrayLike,
        placements_a: Placements,
        placements_b: Placements,
    ) -> PairedSums:
        """Add up a site's patients: their bins under A and B, and labels 0 or 1.

        All three of shape (patients,). Raises ValueError for differing shapes, other labels,
        bins that the placements have not, and placements of differing patients.
        """
        _require_same_patients(placements_a, placements_b)
        a, b = _bins("A", bins_a, placements_a), _bins("B", bins_b, placements_b)
        positive = is_positive(labels, a) & is_positive(labels, b)
        of_positives = placements_a.of_positives, placements_b.of_positives
        of_negatives = placements_a.of_negatives, placements_b.of_negatives
        return cls(
            ClassSums.of(_pairs(a[positive], b[positive], *of_positives)),
            ClassSums.of(_pairs(a[~positive], b[~positive], *of_negatives)),
            placements_a.positives,
            placements_a.negatives,
        )

    @classmethod
    def empty(cls, pooled: Placements) -> PairedSums:
        """No patients: the neutral element of `+` for sums from these placements."""
        return cls(ClassSums(), ClassSums(), pooled.positives, pooled.negatives)

    def __add__(self, other: PairedSums) -> PairedSums:
        """Both sites' patients. Raises ValueError where their placements' P or N differ."""
        own = self.pooled_positives, self.pooled_negatives
        others = other.pooled_positives, other.pooled_negatives
        if own != others:
            raise ValueError(
                f"Sums of placements among {own} and {others} positives and negatives cannot be "
                "added; all sites must use the same placements."
            )
        return PairedSums(self.positives + other.positives, self.negatives + other.negatives, *own)


def _pairs(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    values_a: tuple[int, ...],
    values_b: tuple[int, ...],
) -> Counter[tuple[int, int]]:
    bins = zip(a.tolist(), b.tolist(), strict=True)
    return Counter((values_a[in_a], values_b[in_b]) for in_a, in_b in bins)


def _require_same_patients(a: Placements, b: Placements) -> None:
    if (a.positives, a.negatives) != (b.positives, b.negatives):
        raise ValueError(
            f"Scoring A has {a.positives} positives and {a.negatives} negatives, B {b.positives} "
            f"and {b.negatives}; both must be of the same patients."
        )


def _bins(name: str, bins: ArrayLike, pooled: Placements) -> NDArray[np.int64]:
    values, count = np.asarray(bins), len(pooled.of_positives)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"The bins under {name} are of type {values.dtype}; whole numbers only.")
    wrong = values[(values < 0) | (values >= count)]
    if wrong.size:
        raise ValueError(f"A bin under {name} is {wrong[0]}; it must lie in 0 to {count - 1}.")
    return values.astype(np.int64)
