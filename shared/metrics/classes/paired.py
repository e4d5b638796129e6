"""Two scorings' mean AUROCs compared in the same patients, from six sums over the patients.

DeLong's comparison of two AUROCs (Biometrics 1988;44:837-845), of means over several contrasts: of
classes against the rest, of the cuts of ordered classes, or of labels. An AUROC's error is the sum
of what each patient adds to it (its placement value, less the mean, over the patients of its side).
The error of a mean of AUROCs is so too, and that of the difference of two such means: its variance
is the sum over patients of the square of what each adds. Of one contrast this is DeLong's test.

As of a finding it takes two steps. The sites' counts are added up, and from the sums follows what a
patient in each bin adds. Then each site adds up its patients' values under both scorings, each
patient's over all repeats. Values are integers in units of 2^-40, so that sums are the same in
whatever order sites are added. How often the intervals contain the true difference:
`benchmarks/macro_difference.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.binary import auroc
from shared.metrics.classes.macro import influences
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.metrics.paired import ClassSums

Integers = NDArray[np.int64]
NEITHER = -1
"""The side of a patient that a contrast leaves out."""
_UNIT = 2.0**40


@dataclass(frozen=True)
class ContrastSums:
    """Of a site's patients, or of all: sums of their values under scorings A and B.

    A commutative monoid for sums of as many repeats.
    """

    patients: ClassSums
    repeats: int

    def __add__(self, other: ContrastSums) -> ContrastSums:
        """Both sites' patients. Raises ValueError where the numbers of repeats differ."""
        if self.repeats != other.repeats:
            raise ValueError(
                f"Sums over {self.repeats} and {other.repeats} repeats cannot be added."
            )
        return ContrastSums(self.patients + other.patients, self.repeats)


def is_contrast(histogram: Histogram) -> bool:
    """Whether there is an AUROC, which is then in the mean."""
    return min(histogram.totals) > 0


def mean_area(contrasts: Sequence[Histogram]) -> float | None:
    """The mean AUROC of the contrasts that have patients on both sides; None of none."""
    areas = [area for one in contrasts if (area := auroc(one)) is not None]
    return sum(areas) / len(areas) if areas else None


def added_by(contrasts: Sequence[Histogram]) -> Integers:
    """What a patient in each bin adds to the mean AUROC's error, (contrasts, 2, bins), in units.

    The second index is 0 for negatives, 1 for positives. Zero for a contrast with fewer than two
    patients on a side, whose variance has no estimate.
    """
    table = np.zeros((len(contrasts), 2, SCORE_BINS), dtype=np.int64)
    share = _UNIT / max(1, sum(map(is_contrast, contrasts)))
    for own, one in zip(table, contrasts, strict=True):
        if min(one.totals) > 1:
            of_positives, of_negatives = influences(one.positives, one.negatives)
            own[0], own[1] = np.rint(of_negatives * share), np.rint(of_positives * share)
    return table


def sums_of_repeats(
    bins_a: Sequence[Integers],
    bins_b: Sequence[Integers],
    sides: Integers,
    pooled_a: Sequence[Sequence[Histogram]],
    pooled_b: Sequence[Sequence[Histogram]],
) -> ContrastSums:
    """Add up a site's patients, scored once a repeat; one entry a repeat.

    Bins and sides (1, 0 or NEITHER) are (patients, contrasts), `pooled` all sites' contrasts.
    Raises ValueError for differing shapes, and for bins and sides that there are not.
    """
    a, b = (_values(own, sides, pooled) for own, pooled in ((bins_a, pooled_a), (bins_b, pooled_b)))
    return ContrastSums(ClassSums.of(Counter(zip(a, b, strict=True))), len(bins_a))


def compare_means(
    pooled_a: Sequence[Histogram], pooled_b: Sequence[Histogram], sums: ContrastSums
) -> float | None:
    """The standard error of the difference of the mean AUROCs, for chance in the patients.

    None where a contrast has fewer than two patients on a side. Raises ValueError where the sums
    are not of the patients whose contrasts these are.
    """
    own = sums.patients
    rounding = own.patients * len(pooled_a) * sums.repeats
    if max(abs(own.a), abs(own.b)) > rounding:
        raise ValueError(
            "The patients' values do not add up to zero; they are not those of the patients that "
            "were counted."
        )
    if any(min(one.totals) == 1 for one in (*pooled_a, *pooled_b) if is_contrast(one)):
        return None
    return math.sqrt(own.aa + own.bb - 2 * own.ab) / (_UNIT * sums.repeats)


def require_possible_sums(sums: ContrastSums) -> None:
    """ValueError where no patients have such sums: no finite test follows from them."""
    own = sums.patients
    if (
        min(own.aa, own.bb) < 0
        or own.patients * own.aa < own.a**2
        or own.patients * own.bb < own.b**2
        or own.aa * own.bb < own.ab**2
        or own.patients * (own.aa + own.bb - 2 * own.ab) < (own.a - own.b) ** 2
    ):
        raise ValueError("no patients have such sums of values")


def _values(
    bins: Sequence[Integers], sides: Integers, pooled: Sequence[Sequence[Histogram]]
) -> list[int]:
    """Each patient's values, added up over contrasts and repeats."""
    total = np.zeros(len(sides), dtype=np.int64)
    for own, contrasts in zip(bins, pooled, strict=True):
        if own.shape != sides.shape or sides.shape[1:] != (len(contrasts),):
            raise ValueError(
                f"The bins have shape {own.shape} and the sides {sides.shape}; both must be "
                f"(patients, {len(contrasts)})."
            )
        if own.size and not 0 <= own.min() <= own.max() < SCORE_BINS:
            raise ValueError(f"A bin lies outside 0 to {SCORE_BINS - 1}.")
        if own.size and not NEITHER <= sides.min() <= sides.max() <= 1:
            raise ValueError("A side must be 1, 0 or neither.")
        table = added_by(contrasts)
        each = table[np.arange(len(contrasts)), np.maximum(sides, 0), own]
        total += np.where(sides == NEITHER, 0, each).sum(axis=1)
    found: list[int] = total.tolist()
    return found
