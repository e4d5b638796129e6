"""A run's result as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from server.terminal.classes import (
    add_sites,
    cells_of_classes,
    print_classes,
)
from server.terminal.decimals import aligned, interval_or_dash, number_or_dash
from server.terminal.rough import rounds_in_words
from shared.outcome.binary import BINARY
from shared.outcome.counts import KIND, are_hidden, shown_totals

_COLUMNS = ("AUROC", "95 % CI", "balanced accuracy", "F1", *(one.word for one in BINARY.classes))


def print_summary(console: Console, summary: Mapping[str, Any], folder: str) -> None:
    """Pooled and per-site metrics, megabytes against a full exchange, where the folder is."""
    if KIND in summary["pooled"]:
        print_classes(console, summary)
    else:
        _print_finding(console, summary)
    if summary.get("quick_look"):
        console.print(
            "A quick look, not a result: small images and few rounds.",
            soft_wrap=True,
        )
    if any(map(are_hidden, summary["site"].values())):
        console.print(
            "-  class smaller than the site's min-cell, a number that would reveal it, or undefined"
        )
    elif _has_undefined(summary):
        console.print("-  not defined: the patients evaluated there are all of one class")
    _print_cost(console, summary, folder)


def _has_undefined(summary: Mapping[str, Any]) -> bool:
    cells = cells_of_classes if KIND in summary["pooled"] else _cells
    return any("-" in cells(one) for one in (summary["pooled"], *summary["site"].values()))


def _print_finding(console: Console, summary: Mapping[str, Any]) -> None:
    table = Table(
        title=f"Final model after {rounds_in_words(summary['rounds'])}, validation patients"
    )
    table.add_column("site")
    for column in _COLUMNS:
        table.add_column(column, justify="right", no_wrap=" " not in column or "%" in column)
    cells = map(_cells, (summary["pooled"], *summary["site"].values()))
    add_sites(table, aligned(cells), summary["site"])
    console.print(table)


def _print_cost(console: Console, summary: Mapping[str, Any], folder: str) -> None:
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
    return [
        number_or_dash(metrics["auroc"]),
        interval_or_dash(metrics["auroc_ci95"]),
        number_or_dash(metrics["balanced_accuracy"]),
        number_or_dash(metrics["f1"]),
        *("-" if total is None else str(total) for total in shown_totals(metrics).values()),
    ]
