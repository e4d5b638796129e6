"""AUROCs among several classes: each of some patients against others by one score; their mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shared.metrics.binary import auroc
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.histogram import Histogram


@dataclass(frozen=True)
class Contrast:
    """Some classes against others by one score, and its weight in a mean of AUROCs."""

    score: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    weight: float = 1.0

    def histogram(self, counts: ClassCounts) -> Histogram:
        """The patients of these classes, by this score."""
        own = counts.scores[self.score]
        return Histogram(own[list(self.positive)].sum(axis=0), own[list(self.negative)].sum(axis=0))


def against_rest(counts: ClassCounts, *, by_support: bool = False) -> tuple[Contrast, ...]:
    """Each score's split of all patients (`ClassCounts.split_by`), where neither side is empty.

    Of a nominal outcome one class against the rest, of an ordinal one the classes above each cut
    against those up to it. Of the same weight, or, with `by_support`, weighted by the positives.
    """
    support, found = np.array(counts.support), []
    for score in range(counts.score_count):
        high = counts.is_high(score)
        positive, negative = (tuple(np.flatnonzero(side).tolist()) for side in (high, ~high))
        weight = float(support[high].sum()) if by_support else 1.0
        found.append(Contrast(score, positive, negative, weight))
    return _weighted(counts, found)


def one_against_one(counts: ClassCounts) -> tuple[Contrast, ...]:
    """Each pair of classes, by either's score (Hand and Till, Machine Learning 2001;45:171-186).

    Of the pairs of which both classes have patients. ValueError for an ordinal outcome, which has
    no score of a class.
    """
    if counts.ordinal:
        raise ValueError("An ordinal outcome has no score of each class.")
    classes = range(counts.classes)
    return _weighted(counts, [Contrast(a, (a,), (b,)) for a in classes for b in classes if a != b])


def mean_auroc(counts: ClassCounts, contrasts: Sequence[Contrast]) -> float | None:
    """The weighted mean of their AUROCs, 0 to 1; None of none."""
    areas = [(one.weight, auroc(one.histogram(counts))) for one in contrasts]
    return sum(weight * area for weight, area in areas if area is not None) if areas else None


def _weighted(counts: ClassCounts, contrasts: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """Those of which both sides have patients, with weights that add up to 1."""
    support = np.array(counts.support)
    held = [
        one
        for one in contrasts
        if support[list(one.positive)].sum() and support[list(one.negative)].sum()
    ]
    total = sum(one.weight for one in held)
    return tuple(replace(one, weight=one.weight / total) for one in held)
