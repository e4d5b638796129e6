"""An evaluation on other cohorts as tables on the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from server.results.external import ExternalEvaluation, Performance
from server.results.shown import Audience
from server.terminal.progress import as_rounded
from shared.metrics.scored import Estimate
from shared.outcome.binary import BINARY
from shared.plain import shown

_COLUMNS = (
    "AUROC", "95 % CI", "sens.", "spec.", "Brier", "/".join(one.word for one in BINARY.classes),
)  # fmt: skip


def print_evaluation(evaluation: ExternalEvaluation, folder: Path | None) -> None:
    """A row for each cohort, those of its subgroups, and where all of it was written."""
    console = Console()
    table = _table(Text(f"All patients of each cohort: {', '.join(evaluation.findings)}"), "cohort")
    for one in evaluation.all:
        table.add_row(Text(one.name), *_cells(one.performance))
    console.print(table)
    for one in evaluation.all:
        for column in dict.fromkeys(group.column for group in one.subgroups):
            table = _table(Text(shown(f"{one.name} by {column}")), shown(column))
            for group in one.subgroups:
                if group.column == column:
                    table.add_row(Text(shown(group.value)), *_cells(group.performance))
            console.print(table)
    for line in _lines(evaluation, folder):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(title: Text, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column(Text(first), overflow="fold")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(found: Performance | None) -> list[str]:
    if found is None:
        return ["-"] * len(_COLUMNS)
    point, limits = found.points[0], found.auroc.ci95
    return [
        _number(found.auroc),
        "-" if limits is None else " to ".join(as_rounded(one, 3) for one in limits),
        _number(point.sensitivity),
        _number(point.specificity),
        _number(found.before.brier),
        f"{found.positives}/{found.negatives}",
    ]


def _number(estimate: Estimate) -> str:
    return "-" if estimate.value is None else as_rounded(estimate.value, 3)


def _lines(evaluation: ExternalEvaluation, folder: Path | None) -> list[str]:
    points = [one.performance.points[0] for one in evaluation.all if one.performance]
    lines = []
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
