"""From scores of several classes or labels by patient to what is said of the model at these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from server.results.external import ClassPerformance
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.summary import summarise_counts
from shared.outcome.counts import splits_of
from shared.outcome.outcome import Outcome
from shared.run.patient_scores import PatientScore


@dataclass(frozen=True, repr=False)
class _Counted:
    """A patient as `Outcome.count` takes one."""

    label: int
    scores: Sequence[float]
    bin: int = 0


def class_performance(outcome: Outcome, patients: Sequence[PatientScore]) -> ClassPerformance:
    """All metrics; scores are counted in the bins in which sites count them."""
    counted = [_Counted(one.truth, one.scores) for one in patients]
    counts = cast("ClassCounts | LabelCounts", outcome.count(counted))
    return ClassPerformance(
        metrics=summarise_counts(outcome.names, counts),
        splits=splits_of(outcome, counts),
        counts=counts,
    )
