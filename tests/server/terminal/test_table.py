"""The result as a table."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from server.terminal.table import print_summary
from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed


@pytest.fixture
def metrics() -> dict[str, Any]:
    values = summarise(Histogram.from_logits([-2, -1, 1, 0.5, 2], [0, 0, 0, 1, 1])).to_json()
    return {**values, "auroc": 0.8125, "auroc_ci95": [0.61, 0.92], "f1": 0.5}


@pytest.fixture
def summary(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        "rounds": 30,
        "pooled": metrics,
        "site": {"east": metrics, "north": suppressed().to_json()},
        "bytes": {"down": 1_200_000_000, "up": 34_000_000, "full_exchange": 2_468_000_000},
        "seconds": {"total": 61.4},
    }


def printed(summary: dict[str, Any], folder: str = "runs/first") -> str:
    output = io.StringIO()
    print_summary(Console(file=output, width=120, force_terminal=False), summary, folder)
    return output.getvalue()


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"│ {name}")]
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_every_metric_in_its_column(summary: dict[str, Any]) -> None:
    text = printed(summary)
    pooled = summary["pooled"]
    balanced = f"{pooled['balanced_accuracy']:.3f}"
    values = ["0.812", "0.61 to 0.92", balanced, "0.5", "2", "3"]
    assert row(text, "all sites") == ["all sites", *values]
    assert row(text, "east") == ["east", *values]
    assert "after 30 rounds" in text


def test_a_suppressed_site_shows_nothing(summary: dict[str, Any]) -> None:
    text = printed(summary)
    assert row(text, "north") == ["north", *["-"] * 6]
    assert "-  class smaller than the site's min-cell" in text
    del summary["site"]["north"]
    assert "min-cell" not in printed(summary)


def test_what_was_moved(summary: dict[str, Any]) -> None:
    text = printed(summary)
    assert (
        "Data transferred: 1,234.0 MB; the whole model in the same rounds: 2,468.0 MB (50%)."
        in text
    )
    summary["bytes"] = {"down": 10, "up": 0, "full_exchange": 0}
    assert "Data transferred: 0.0 MB.\n" in printed(summary)


@pytest.mark.parametrize("folder", ["/data/[bold]/run", "runs/[/x]", "/" + "long/" * 60])
def test_the_folder_can_be_copied_from_the_terminal(summary: dict[str, Any], folder: str) -> None:
    assert f"61 s. Run folder: {folder}\n" in printed(summary, folder)


def test_an_owner_reads_why_a_number_is_missing(summary: dict[str, Any]) -> None:
    """Nothing is hidden from them, but patients of one class have no AUROC."""
    one_class = summarise(Histogram.from_logits([-1, 2, 3], [0, 0, 0])).to_json()
    summary["site"]["north"] = one_class
    text = printed({**summary, "audience": "owner"})
    assert row(text, "north")[1:3] == ["-", "-"]
    assert row(text, "north")[5:] == ["0", "3"]
    assert "-  not defined: the patients evaluated there are all of one class" in text
    assert "min-cell" not in text
