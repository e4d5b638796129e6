"""Performance as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.estimates import with_interval as value_with_interval
from server.report.html import Html, joined, paragraph, table
from server.report.numbers import NOT_SHOWN, count
from server.results.external import CohortOutcome, FindingSubgroup, Performance
from shared.metrics.scored import Estimate

PERFORMANCE = (
    "with the finding", "without", "prevalence", "AUROC", "AUPRC", "sensitivity", "specificity",
    "Brier score", "recalibrated",
)  # fmt: skip


def performance_table(
    caption: str, head: str, parts: Sequence[CohortOutcome | FindingSubgroup]
) -> Html:
    """A row for each of these patients, and what the columns are."""
    rows = [(one.title, *_cells(one.performance)) for one in parts]
    note = "Brier score before and after the run's recalibration."
    points = [one.performance.points[0] for one in parts if one.performance is not None]
    if points:
        first = points[0]
        note = (
            f"Sensitivity and specificity at the run's first operating point ({first.title}, "
            f"{first.threshold:.3f}). {note} "
            "Threshold and recalibration were chosen on the run's validation patients."
        )
    return joined(table(caption, (head, *PERFORMANCE), rows), paragraph(note, class_="note"))


def _cells(found: Performance | None) -> tuple[str, ...]:
    """A cell for each of `PERFORMANCE`, at the first operating point."""
    if found is None:
        return (NOT_SHOWN,) * len(PERFORMANCE)
    point = found.points[0]
    return (
        count(found.positives),
        count(found.negatives),
        with_interval(found.prevalence),
        with_interval(found.auroc),
        with_interval(found.auprc),
        with_interval(point.sensitivity),
        with_interval(point.specificity),
        with_interval(found.before.brier),
        "none" if found.after is None else with_interval(found.after.brier),
    )


def with_interval(estimate: Estimate) -> str:
    """The value, and its interval in brackets where it has one."""
    return value_with_interval(estimate.value, estimate.ci95)
