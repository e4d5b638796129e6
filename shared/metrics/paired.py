"""Two scorings of the same patients compared (DeLong et al., Biometrics 1988;44:837-845).

It takes two steps, since the comparison needs each patient's place under both scorings. First
the sites' histograms of either scoring are added up, and `placements` are taken of the sums.
Then each site adds up its patients' placement values (`PairedSums.of`), and `delong_test`
follows from the sum over the sites. Scorings may differ in their bins: scores against grades.

Where the patients are scored again in several repeats, as in repeated cross-validation, a patient's
value is the sum over the repeats: the test is then of the mean difference, and what chance does to
single repeats of a patient averages out.

Placement values times 2 N and 2 P are integers, and so are all sums of them: they are the same
in whatever order sites are added. They are Python's integers and may exceed 64 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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

    The patients, the sums of V_A and V_B, and those of V_A^2, V_B^2 and V_A V_B. A patient's values
    are those of all repeats together.
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

    `pooled_positives` and `pooled_negatives` are P and N of the placements that were used,
    `repeats` how often the patients were scored; only sums with the same can be added.
    """

    positives: ClassSums
    negatives: ClassSums
    pooled_positives: int
    pooled_negatives: int
    repeats: int = 1

    @property
    def by_class(self) -> tuple[ClassSums, ClassSums]:
        """The placements of the positive class and of the negative one."""
        return self.positives, self.negatives

    @property
    def pooled(self) -> tuple[int, int]:
        """P and N."""
        return self.pooled_positives, self.pooled_negatives

    @classmethod
    def of_classes(
        cls, sums: Sequence[ClassSums], pooled: Sequence[int], repeats: int
    ) -> PairedSums:
        """Build the placements from `by_class` and `pooled`."""
        (positives, negatives), (some, others) = sums, pooled
        return cls(positives, negatives, some, others, repeats)

    @classmethod
    def of(
        cls,
        bins_a: ArrayLike,
        bins_b: ArrayLike,
        labels: ArrayLike,
        placements_a: Placements,
        placements_b: Placements,
    ) -> PairedSums:
        """Add up a site's patients, scored once: their bins under A and B, and labels 0 or 1.

        All three of shape (patients,). Raises ValueError as `of_repeats` does.
        """
        return cls.of_repeats([bins_a], [bins_b], labels, [placements_a], [placements_b])

    @classmethod
    def of_repeats(
        cls,
        bins_a: Sequence[ArrayLike],
        bins_b: Sequence[ArrayLike],
        labels: ArrayLike,
        placements_a: Sequence[Placements],
        placements_b: Sequence[Placements],
    ) -> PairedSums:
        """Add up a site's patients, scored once a repeat; one entry a repeat, labels 0 or 1.

        Bins and labels are of shape (patients,). Raises ValueError for differing shapes, other
        labels, bins that the placements have not, and placements of differing patients.
        """
        _require_same_patients([*placements_a, *placements_b])
        values = zip(
            _values("A", bins_a, labels, placements_a),
            _values("B", bins_b, labels, placements_b),
            strict=True,
        )
        counted: tuple[Counter[tuple[int, int]], ...] = (Counter(), Counter())
        for pair, positive in zip(values, is_positive(labels, np.asarray(bins_a[0])), strict=True):
            counted[int(positive)][pair] += 1
        negatives, positives = map(ClassSums.of, counted)
        return cls(
            positives,
            negatives,
            placements_a[0].positives,
            placements_a[0].negatives,
            len(placements_a),
        )

    @classmethod
    def empty(cls, pooled: Placements, repeats: int = 1) -> PairedSums:
        """No patients: the neutral element of `+` for sums from such placements."""
        return cls(ClassSums(), ClassSums(), pooled.positives, pooled.negatives, repeats)

    def __add__(self, other: PairedSums) -> PairedSums:
        """Both sites' patients. Raises ValueError where P, N or the number of repeats differ."""
        own = self.pooled_positives, self.pooled_negatives, self.repeats
        others = other.pooled_positives, other.pooled_negatives, other.repeats
        if own != others:
            raise ValueError(
                f"Sums of placements among {own} and {others} positives, negatives and repeats "
                "cannot be added; all sites must use the same placements."
            )
        return PairedSums(self.positives + other.positives, self.negatives + other.negatives, *own)


def _values(
    name: str, bins: Sequence[ArrayLike], labels: ArrayLike, placements: Sequence[Placements]
) -> list[int]:
    """Each patient's placement values, added up over the repeats."""
    totals: list[int] = []
    for own, pooled in zip(bins, placements, strict=True):
        found = _bins(name, own, pooled)
        values = [
            (pooled.of_positives if positive else pooled.of_negatives)[number]
            for number, positive in zip(found.tolist(), is_positive(labels, found), strict=True)
        ]
        totals = [a + b for a, b in zip(totals, values, strict=True)] if totals else values
    return totals


def _require_same_patients(placements: Sequence[Placements]) -> None:
    found = sorted({(one.positives, one.negatives) for one in placements})
    if len(found) > 1:
        (some, none), (more, fewer) = found[:2]
        raise ValueError(
            f"One scoring has {some} positives and {none} negatives, another {more} and {fewer}; "
            "all must be of the same patients."
        )


def _bins(name: str, bins: ArrayLike, pooled: Placements) -> NDArray[np.int64]:
    values, count = np.asarray(bins), len(pooled.of_positives)
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(
            f"The bins under {name} are of type {values.dtype}; they must be integers."
        )
    wrong = values[(values < 0) | (values >= count)]
    if wrong.size:
        raise ValueError(f"A bin under {name} is {wrong[0]}; it must lie in 0 to {count - 1}.")
    return values.astype(np.int64)
