"""The names of classes, cuts and labels in tables and sentences."""

from __future__ import annotations

from dataclasses import dataclass

from server.report.data import ClassCohort, Report
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.outcome.outcome import Outcome

KINDS = {"classes": "class", "ordinal": "cut", "labels": "label"}
"""By the kind of the outcome, what each curve is of."""


@dataclass(frozen=True)
class View:
    """What is predicted, and from how many patients on something is shown; 0 hides nothing."""

    outcome: Outcome
    min_cell: int

    @property
    def kind(self) -> str:
        """classes, ordinal or labels."""
        return self.outcome.kind


def view_of(report: Report) -> View:
    """The view of a run's page."""
    return View(report.config.predicts, report.min_cell)


def kind_of(report: Report) -> str:
    """classes, ordinal or labels."""
    return report.config.predicts.kind


def split_name(view: View, name: str) -> str:
    """What a curve is of: a class or label, or all classes from one upward."""
    return (
        f"{name} or higher" if view.kind == "ordinal" and name != view.outcome.names[-1] else name
    )


def patients_of(metrics: ClassMetrics | LabelMetrics) -> int:
    """Patients evaluated; of labels those of whom the best known one is known."""
    if isinstance(metrics, ClassMetrics):
        return metrics.patients or 0
    known = [(one.positives or 0) + (one.negatives or 0) for one in metrics.labels.values()]
    return max(known, default=0)


def first(report: Report) -> ClassCohort | None:
    """The cohort to be judged by, None where nothing was evaluated yet."""
    return report.classes[0] if report.classes else None
