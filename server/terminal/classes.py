"""A run's result of several classes or labels, as tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from server.terminal.decimals import aligned, interval_or_dash, number_or_dash
from server.terminal.rough import rounds_in_words
from shared.outcome.binary import BINARY
from shared.outcome.counts import KIND

_OF_SITES: Mapping[str, Mapping[str, str]] = {
    "classes": {"accuracy": "accuracy", "balanced accuracy": "balanced_accuracy"},
    "ordinal": {
        "accuracy": "accuracy",
        "balanced accuracy": "balanced_accuracy",
        "weighted kappa": "kappa_quadratic",
    },
    "labels": {"balanced accuracy": "balanced_accuracy", "F1": "f1"},
}
"""By the outcome's kind: column -> key of the metrics, all means over classes or labels."""
_MEANS = {
    "classes": "AUROC: mean over the classes, each against the rest.",
    "ordinal": "AUROC: mean over the cuts between lower and higher classes.",
    "labels": "Every column: mean over the labels.",
}


def print_classes(console: Console, summary: Mapping[str, Any]) -> None:
    """A row for each site, and a row for each class, cut or label at all sites together."""
    kind = summary["pooled"][KIND]
    table = Table(
        title=f"Final model after {rounds_in_words(summary['rounds'])}, validation patients",
        caption=" ".join(filter(None, (_MEANS[kind], _fewer(summary)))),
    )
    table.add_column("site")
    for column in ("AUROC", "95 % CI", *_OF_SITES[kind]):
        table.add_column(column, justify="right", no_wrap=" " not in column or "%" in column)
    cells = map(cells_of_classes, (summary["pooled"], *summary["site"].values()))
    add_sites(table, aligned(cells), summary["site"])
    console.print(table)
    _print_each(console, summary["pooled"])


def _fewer(summary: Mapping[str, Any]) -> str:
    """Which sites' means are over fewer than that of all sites, as they lack patients."""
    of_all = summary["pooled"].get("auroc_of") or 0
    fewer = [
        name for name, own in summary["site"].items() if 0 < (own.get("auroc_of") or 0) < of_all
    ]
    return f"Over fewer of them at {', '.join(fewer)}, which lack patients." if fewer else ""


def cells_of_classes(metrics: Mapping[str, Any]) -> list[str]:
    """The cells of a site's row, behind its name."""
    return [
        number_or_dash(metrics["auroc"]),
        interval_or_dash(metrics["auroc_ci95"]),
        *(number_or_dash(metrics[key]) for key in _OF_SITES[metrics[KIND]].values()),
    ]


def _print_each(console: Console, pooled: Mapping[str, Any]) -> None:
    if labels := pooled.get("labels"):
        rows = [
            [
                name,
                number_or_dash(one["auroc"]),
                interval_or_dash(one["auroc_ci95"]),
                number_or_dash(one["sensitivity"]),
                number_or_dash(one["specificity"]),
                *(count(one[key]) for key in BINARY.keys),
            ]
            for name, one in labels.items()
        ]
        columns = ("label", "AUROC", "95 % CI", "sens.", "spec.", "with it", "without")
        _print_table(console, "Each label, all sites", columns, rows)
        return
    own = pooled.get("cuts") or {}
    of_classes = [
        [
            name,
            *_area(own.get(name, one)),
            number_or_dash(one["sensitivity"]),
            count(one["support"]),
        ]
        for name, one in (pooled.get("classes") or {}).items()
    ]
    area = "AUROC from it upward" if own else "AUROC"
    of_class = ("class", area, "95 % CI", "sensitivity", "patients")
    if of_classes:
        _print_table(console, "Each class, all sites", of_class, of_classes)


def _area(metrics: Mapping[str, Any]) -> tuple[str, str]:
    return number_or_dash(metrics.get("auroc")), interval_or_dash(metrics.get("auroc_ci95"))


def _print_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=title)
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap="%" in column)
    for row in aligned(rows):
        table.add_row(*row)
    console.print(table)


def add_sites(table: Table, cells: Sequence[Sequence[str]], sites: Iterable[str]) -> None:
    """A row for all sites, then one for each; `cells` are those behind the names."""
    for name, own in zip(("all sites", *sites), cells, strict=True):
        table.add_row(name, *own)
    table.rows[0].style = "bold"


def count(value: int | None) -> str:
    """Patients, or a dash where they are not shown."""
    return "-" if value is None else str(value)
