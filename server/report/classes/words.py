"""The names of classes, cuts and labels in tables and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from server.report.data import ClassCohort, Report
from server.report.numbers import listed
from server.terminal.decimals import patients_by_label
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


def patients_of(metrics: ClassMetrics | LabelMetrics) -> str:
    """How many patients were evaluated; of labels the fewest and the most of whom one is known."""
    if isinstance(metrics, ClassMetrics):
        return f"{metrics.patients or 0:,}"
    return patients_by_label(
        one.positives + one.negatives
        for one in metrics.labels.values()
        if one.positives is not None and one.negatives is not None
    )


def mean_of_fewer(kind: str, areas: int | None, of_sites: Mapping[str, int | None]) -> str | None:
    """A sentence on the sites whose mean AUROC is over fewer than that of all sites; None for none.

    `areas` and `of_sites` are `auroc_of`, of all sites and of each.
    """
    fewer = [name for name, own in of_sites.items() if own and areas and own < areas]
    if not fewer:
        return None
    parts = {"classes": "classes", "ordinal": "cuts", "labels": "labels"}[kind]
    return (
        f"The mean AUROC of {listed(fewer)} is over fewer {parts} than that of all sites, as no "
        "patients on one side of the others were evaluated there: do not compare it with other "
        "sites'."
    )


def first(report: Report) -> ClassCohort | None:
    """The cohort to be judged by, None where nothing was evaluated yet."""
    return report.classes[0] if report.classes else None
