"""The evaluation as CSV: a row a metric for a paper, and the points of the curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from server.results.external import CohortOutcome, ExternalEvaluation, Performance
from server.results.shown import Shown
from shared.metrics.scored import CalibrationQuality, Estimate
from shared.plain import spreadsheet_cell

METRICS = (
    "cohort", "subgroup", "group", "metric", "operating_point", "threshold", "estimate", "ci_low",
    "ci_high", "interval", "patients", "positives", "negatives", "audience",
)  # fmt: skip
ROC = ("cohort", "false_positive_rate", "true_positive_rate", "threshold")
RELIABILITY = (
    "cohort", "probabilities", "mean_probability", "patients", "share_positive", "ci_low",
    "ci_high",
)  # fmt: skip
EXACT, WALD = "Clopper-Pearson", "Wald"
BEFORE, AFTER = "uncalibrated", "recalibrated"

Row = tuple[Any, ...]


def metrics_csv(shown: Shown[ExternalEvaluation]) -> str:
    """A row for each cohort, subgroup and metric; without rows for what is not shown."""
    evaluation = shown.value
    audience = evaluation.audience.value
    return csv_text(
        METRICS, (row for one in evaluation.all for row in _rows_of_cohort(one, audience))
    )


def roc_csv(shown: Shown[ExternalEvaluation]) -> str:
    """The corners of each cohort's ROC curve."""
    rows = (
        (_text(one.name), corner.false_positive_rate, corner.true_positive_rate, corner.threshold)
        for one in shown.value.all
        if one.performance is not None
        for corner in one.performance.roc
    )
    return csv_text(ROC, rows)


def reliability_csv(shown: Shown[ExternalEvaluation]) -> str:
    """The groups of each cohort's reliability curve, without and with recalibration."""
    rows = (
        (
            _text(one.name), which, group.mean_probability, group.patients, group.share_positive,
            *group.share_ci95,
        )
        for one in shown.value.all
        for which, quality in _qualities(one.performance)
        for group in quality.reliability
    )  # fmt: skip
    return csv_text(RELIABILITY, rows)


def _rows_of_cohort(cohort: CohortOutcome, audience: str) -> Iterator[Row]:
    parts = [("", "", cohort.performance)]
    parts += [(one.column, one.value, one.performance) for one in cohort.subgroups]
    for column, value, found in parts:
        if found is None:
            continue
        for metric, point, threshold, estimate, interval in _metrics(found):
            yield (
                _text(cohort.name), _text(column), _text(value), metric, point, threshold,
                estimate.value, *(estimate.ci95 or (None, None)),
                interval if estimate.ci95 else "", found.patients, found.positives,
                found.negatives, audience,
            )  # fmt: skip


def _metrics(found: Performance) -> Iterator[tuple[str, str, float | None, Estimate, str]]:
    yield "AUROC", "", None, found.auroc, "DeLong, logit"
    yield "AUPRC", "", None, found.auprc, "binomial, Wilson"
    yield "prevalence", "", None, found.prevalence, EXACT
    for point in found.points:
        for name, share in point.shares:
            yield name.replace("_", " "), point.name, point.threshold, share, EXACT
    for which, quality in _qualities(found):
        for name, value in quality.estimates:
            yield f"{CALIBRATION[name]}, {which}", "", None, value, WALD


CALIBRATION = {
    "brier": "Brier score",
    "ece": "expected calibration error",
    "in_the_large": "calibration in the large",
    "intercept": "calibration intercept",
    "slope": "calibration slope",
}


def _qualities(found: Performance | None) -> Iterator[tuple[str, CalibrationQuality]]:
    if found is not None:
        yield BEFORE, found.before
        if found.after is not None:
            yield AFTER, found.after


def _text(text: str) -> str:
    return spreadsheet_cell(text)


def csv_text(head: Sequence[str], rows: Iterator[Row]) -> str:
    """A table as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return buffer.getvalue()
