"""An evaluation of several classes or labels as CSV: a row a metric, and points of the curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from server.external.tables import Row, csv_text
from server.results.external import ClassCohortOutcome, ClassEvaluation, ClassPerformance
from server.results.shown import Audience, Shown
from shared.limits import MIN_CELL
from shared.metrics.classes.results import ClassMetrics, CutResult, LabelMetrics
from shared.metrics.curve import roc_points
from shared.metrics.summary import BinaryMetrics
from shared.plain import spreadsheet_cell

METRICS = (
    "cohort", "subgroup", "group", "class", "metric", "estimate", "ci_low", "ci_high", "patients",
    "audience",
)  # fmt: skip
ROC = ("cohort", "class", "false_positive_rate", "true_positive_rate")
_COUNTS = frozenset({"support", "positives", "negatives", "patients", "threshold", "auroc_of"})


def class_metrics_csv(shown: Shown[ClassEvaluation]) -> str:
    """A row for each cohort, subgroup, class and metric; without rows for what is not shown."""
    evaluation = shown.value
    audience = evaluation.audience.value
    rows = (row for one in evaluation.all for row in _rows_of_cohort(one, audience))
    return csv_text(METRICS, rows)


def class_roc_csv(shown: Shown[ClassEvaluation]) -> str:
    """The corners of each cohort's ROC curves, of each class, cut or label."""
    least = 0 if shown.value.audience is Audience.OWNER else MIN_CELL
    rows = (
        (spreadsheet_cell(one.name), spreadsheet_cell(name), at.false_positive_rate,
         at.true_positive_rate)
        for one in shown.value.all
        if one.performance is not None
        for name, split in one.performance.splits.items()
        if min(split.totals) > 0
        for at in roc_points(split, least)
    )  # fmt: skip
    return csv_text(ROC, rows)


def _rows_of_cohort(cohort: ClassCohortOutcome, audience: str) -> Iterator[Row]:
    parts = [("", "", cohort.performance)]
    parts += [(one.column, one.value, one.performance) for one in cohort.subgroups]
    for column, value, found in parts:
        where = tuple(map(spreadsheet_cell, (cohort.name, column, value)))
        for name, metric, estimate, ends, patients in _metrics(found):
            yield (*where, spreadsheet_cell(name), metric, estimate, *(ends or (None, None)),
                   patients, audience)  # fmt: skip


def _metrics(found: ClassPerformance | None) -> Iterator[tuple[str, str, float, Any, int | None]]:
    if found is None:
        return
    metrics = found.metrics
    whole = metrics.patients if isinstance(metrics, ClassMetrics) else None
    yield from _of("", metrics, whole)
    for name, one in parts_of(metrics).items():
        patients = one.support if hasattr(one, "support") else _both(one)
        yield from _of(name, one, patients)


def parts_of(metrics: ClassMetrics | LabelMetrics) -> dict[str, Any]:
    """The results of each class, cut (named as its lowest class "or higher") and label."""
    if isinstance(metrics, LabelMetrics):
        return dict(metrics.labels)
    cuts = {f"{name} or higher": one for name, one in metrics.cuts.items()}
    return {**metrics.classes, **cuts}


def _both(one: BinaryMetrics | CutResult) -> int | None:
    if one.positives is None or one.negatives is None:
        return None
    return one.positives + one.negatives


def _of(name: str, result: Any, patients: int | None) -> Iterator[tuple[str, str, float, Any, Any]]:
    for key, value in vars(result).items():
        if isinstance(value, float) and key not in _COUNTS:
            yield name, key.replace("_", " "), value, getattr(result, f"{key}_ci95", None), patients
