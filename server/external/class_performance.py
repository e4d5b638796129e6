"""From scores of several classes or labels by patient to what is said of the model at these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from server.disclosure.classes import ManyCounts, splits_of
from server.results.external import ClassPerformance
from shared.metrics.classes.summary import summarise_counts
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
    counts = cast(ManyCounts, outcome.count(counted))
    return ClassPerformance(
        metrics=summarise_counts(outcome.names, counts),
        splits=splits_of(outcome, counts),
        counts=counts,
    )
