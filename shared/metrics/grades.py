"""Counts of patients by an ordinal clinical grade and class, mergeable over sites."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import isfinite

from shared.metrics.histogram import Histogram

MOST_LEVELS = 20
"""More grades than that are no grades but measurements, which could identify patients."""


def is_grade(values: Collection[float]) -> bool:
    """Whether the values of a site's patients, one a patient, are those of a grade.

    Else they are a measurement, which could identify patients: more than MOST_LEVELS of them
    differ, or, where patients are few, more than half as many as there are patients.
    """
    levels = len(set(values))
    return levels <= min(MOST_LEVELS, len(values) // 2)


@dataclass(frozen=True)
class GradeCounts:
    """Patients of either class at each grade; grades ascending, all finite and different.

    A commutative monoid: `+` takes the grades of both. Raises ValueError for other grades, lengths
    that differ, negative counts, and more than MOST_LEVELS grades.
    """

    levels: tuple[float, ...]
    positives: tuple[int, ...]
    negatives: tuple[int, ...]

    def __post_init__(self) -> None:
        if not len(self.levels) == len(self.positives) == len(self.negatives):
            raise ValueError("Grades and counts differ in number.")
        if len(self.levels) > MOST_LEVELS:
            raise ValueError(f"There are {len(self.levels)} grades; at most {MOST_LEVELS} are.")
        if not all(map(isfinite, self.levels)):
            raise ValueError("A grade is not finite.")
        if any(low >= high for low, high in zip(self.levels, self.levels[1:], strict=False)):
            raise ValueError(f"The grades {self.levels} are not ascending.")
        if min((*self.positives, *self.negatives), default=0) < 0:
            raise ValueError("A count is negative.")

    @property
    def by_class(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Patients at each grade, of the positive class and of the negative one."""
        return self.positives, self.negatives

    @property
    def totals(self) -> tuple[int, int]:
        """Patients of the positive class and of the negative one."""
        return sum(self.positives), sum(self.negatives)

    @classmethod
    def of(cls, patients: Iterable[tuple[float, int]]) -> GradeCounts:
        """Count patients, each a grade and a label of 0 or 1."""
        counts = Counter((float(grade), int(label)) for grade, label in patients)
        levels = tuple(sorted({grade for grade, _ in counts}))
        return cls(
            levels,
            tuple(counts[level, 1] for level in levels),
            tuple(counts[level, 0] for level in levels),
        )

    def __add__(self, other: GradeCounts) -> GradeCounts:
        positives = Counter(dict(zip(self.levels, self.positives, strict=True)))
        positives.update(dict(zip(other.levels, other.positives, strict=True)))
        negatives = Counter(dict(zip(self.levels, self.negatives, strict=True)))
        negatives.update(dict(zip(other.levels, other.negatives, strict=True)))
        levels = tuple(sorted({*self.levels, *other.levels}))
        return GradeCounts(
            levels,
            tuple(positives[level] for level in levels),
            tuple(negatives[level] for level in levels),
        )

    def histogram(self) -> Histogram:
        """One bin a grade, so that its AUROC is exact; ValueError without grades."""
        if not self.levels:
            raise ValueError("Nobody has a grade.")
        return Histogram(list(self.positives), list(self.negatives))  # type: ignore[arg-type]
