"""An evaluation on other cohorts as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.results.external import (
    AnyEvaluation,
    ClassEvaluation,
    ClassPerformance,
    ExternalEvaluation,
    Performance,
)
from server.results.shown import Audience
from server.terminal.decimals import aligned, as_rounded, interval_or_dash, patients_by_label
from shared.metrics.classes.results import ClassMetrics
from shared.metrics.scored import Estimate
from shared.outcome.binary import BINARY
from shared.outcome.registry import parse_outcome
from shared.plain import shown

_COLUMNS = (
    "AUROC", "95 % CI", "sens.", "spec.", "Brier", "/".join(one.word for one in BINARY.classes),
)  # fmt: skip
_OF_CLASSES = {
    "classes": {"accuracy": "accuracy", "balanced acc.": "balanced_accuracy", "Brier": "brier"},
    "ordinal": {
        "accuracy": "accuracy",
        "balanced acc.": "balanced_accuracy",
        "w. kappa": "kappa_quadratic",
    },
    "labels": {"AUPRC": "auprc", "balanced acc.": "balanced_accuracy", "Brier": "brier"},
}
"""By the outcome's kind: column -> the metric that it has."""
_NAME = 12
"""Letters that a cohort's name has in a line, however many columns there are."""


def print_evaluation(evaluation: AnyEvaluation, folder: Path | None) -> None:
    """A row for each cohort, those of its subgroups, and where all of it was written."""
    console = Console()
    metrics: Mapping[str, str] = {}
    heads: Sequence[str] = _COLUMNS
    if isinstance(evaluation, ClassEvaluation):
        metrics = _OF_CLASSES[parse_outcome(evaluation.outcome).kind]
        heads = ("mean AUROC", "95 % CI", *metrics, "patients")
    title = Text(f"All patients of each cohort: {', '.join(evaluation.findings)}")
    table = _table(title, "cohort", heads)
    _fill(
        table,
        [one.name for one in evaluation.all],
        [_cells(one.performance, heads, metrics) for one in evaluation.all],
    )
    console.print(table)
    for one in evaluation.all:
        for column in dict.fromkeys(group.column for group in one.subgroups):
            table = _table(Text(shown(f"{one.name} by {column}")), shown(column), heads)
            groups = [group for group in one.subgroups if group.column == column]
            _fill(
                table,
                [shown(group.value) for group in groups],
                [_cells(group.performance, heads, metrics) for group in groups],
            )
            console.print(table)
    for line in _lines(evaluation, folder):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(title: Text, first: str, heads: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column(Text(first), overflow="fold", min_width=_NAME)
    for column in heads:
        one_line = " " not in column or "%" in column
        table.add_column(column, justify="right", no_wrap=one_line)
    return table


def _fill(table: Table, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    for name, own in zip(names, aligned(cells), strict=True):
        table.add_row(Text(name), *own)


def _cells(
    found: Performance | ClassPerformance | None, heads: Sequence[str], metrics: Mapping[str, str]
) -> list[str]:
    if found is None:
        return ["-"] * len(heads)
    if isinstance(found, ClassPerformance):
        return _class_cells(found, metrics)
    point, limits = found.points[0], found.auroc.ci95
    return [
        _number(found.auroc),
        interval_or_dash(limits),
        _number(point.sensitivity),
        _number(point.specificity),
        _number(found.before.brier),
        f"{found.positives}/{found.negatives}",
    ]


def _class_cells(found: ClassPerformance, columns: Mapping[str, str]) -> list[str]:
    metrics = found.metrics
    patients = (
        str(metrics.patients)
        if isinstance(metrics, ClassMetrics)
        else patients_by_label(
            one.positives + one.negatives
            for one in metrics.labels.values()
            if one.positives is not None and one.negatives is not None
        )
    )
    return [
        _number(Estimate(metrics.auroc)),
        interval_or_dash(metrics.auroc_ci95),
        *(_number(Estimate(getattr(metrics, name))) for name in columns.values()),
        patients,
    ]


def _number(estimate: Estimate) -> str:
    return "-" if estimate.value is None else as_rounded(estimate.value)


def _lines(evaluation: AnyEvaluation, folder: Path | None) -> list[str]:
    lines = []
    points = []
    if isinstance(evaluation, ExternalEvaluation):
        points = [one.performance.points[0] for one in evaluation.all if one.performance]
    if points:
        where = "chosen on the run's validation patients" if evaluation.chosen.points else "default"
        lines.append(
            f"Sensitivity and specificity at {points[0].title}, threshold "
            f"{points[0].threshold:.3f} ({where})."
        )
    if evaluation.audience is Audience.OTHERS:
        lines.append("For others: small numbers are hidden (-), the rest is rounded.")
    if folder is not None:
        lines.append(f"Results: {folder} (report.html, metrics.csv, evaluation.json)")
        if evaluation.audience is Audience.OWNER:
            lines.append(
                "For the owner of these folders: nothing is hidden there, and private-scores.csv "
                "names patients. To hand results on: --for-others."
            )
    return lines
