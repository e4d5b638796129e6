"""A run's result as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from server.terminal.progress import as_rounded
from server.terminal.rough import rounds_in_words
from shared.outcome.binary import BINARY
from shared.outcome.counts import are_hidden, shown_totals

_COLUMNS = ("AUROC", "95 % CI", "balanced accuracy", "F1", *(one.word for one in BINARY.classes))


def print_summary(console: Console, summary: Mapping[str, Any], folder: str) -> None:
    """Pooled and per-site metrics, megabytes against a full exchange, where the folder is."""
    rounds = rounds_in_words(summary["rounds"])
    table = Table(title=f"Final model after {rounds}, validation patients")
    table.add_column("site")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=" " not in column or "%" in column)
    table.add_row("all sites", *_cells(summary["pooled"]), style="bold")
    for name, metrics in summary["site"].items():
        table.add_row(name, *_cells(metrics))
    console.print(table)
    if summary.get("quick_look"):
        console.print(
            "A quick look, not a result: small images and few rounds.",
            soft_wrap=True,
        )
    if any(map(are_hidden, summary["site"].values())):
        console.print(
            "-  class smaller than the site's min-cell, a number that would reveal it, or undefined"
        )
    elif any("-" in _cells(one) for one in (summary["pooled"], *summary["site"].values())):
        console.print("-  not defined: the patients evaluated there are all of one class")
    if summary.get("audience") == "owner":
        console.print(
            "For the owner of these folders: nothing is hidden. To hand results on: `fedthaw "
            "report --for-others`, or --set for-others=true from the start.",
            soft_wrap=True,
            highlight=False,
        )
    moved, full = (
        summary["bytes"]["down"] + summary["bytes"]["up"],
        summary["bytes"]["full_exchange"],
    )
    console.print(
        f"Data transferred: {moved / 1e6:,.1f} MB; the whole model in the same rounds: "
        f"{full / 1e6:,.1f} MB ({moved / full:.0%})."
        if full
        else f"Data transferred: {moved / 1e6:,.1f} MB.",
        highlight=False,
    )
    console.print(
        f"{summary['seconds']['total']:.0f} s. Run folder: {folder}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _cells(metrics: Mapping[str, Any]) -> list[str]:
    interval = metrics["auroc_ci95"]
    return [
        _number(metrics["auroc"]),
        "-" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}",
        _number(metrics["balanced_accuracy"]),
        _number(metrics["f1"]),
        *("-" if total is None else str(total) for total in shown_totals(metrics).values()),
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else as_rounded(value, 3)
