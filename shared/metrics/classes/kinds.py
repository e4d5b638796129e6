"""The counts of an outcome, of whichever kind."""

from __future__ import annotations

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import Histogram

Counts = Histogram | ClassCounts | LabelCounts


def patients_by_class(counts: Counts) -> tuple[int, ...]:
    """Patients of each class; of labels those who have and have not each, one after another."""
    if isinstance(counts, Histogram):
        return counts.totals
    if isinstance(counts, ClassCounts):
        return counts.support
    return tuple(number for both in counts.support for number in both)


def contrasts_of(counts: ClassCounts | LabelCounts) -> tuple[Histogram, ...]:
    """Binary counts by each score: each class against the rest, each cut, or each label."""
    if isinstance(counts, LabelCounts):
        return counts.histograms
    return tuple(counts.split_by(score) for score in range(counts.score_count))


def most_patients(counts: Counts) -> int:
    """Patients counted; of labels those of the label that is known of most."""
    if isinstance(counts, LabelCounts):
        return max(one.patients for one in counts.histograms)
    return counts.patients
