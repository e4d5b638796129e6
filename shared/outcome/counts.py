"""Counts by class under their names, as messages, summaries and files have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.metrics.histogram import Histogram
from shared.outcome.binary import BINARY


def by_bin(counts: Histogram, prefix: str = "") -> dict[str, list[int]]:
    """Each class's patients in each bin."""
    named = zip(BINARY.keys, counts.by_class, strict=True)
    return {f"{prefix}{key}": own.tolist() for key, own in named}


def totals(counts: Histogram) -> dict[str, int]:
    """Each class's patients."""
    return dict(zip(BINARY.keys, counts.totals, strict=True))


def shown_totals(metrics: Mapping[str, Any]) -> dict[str, int | None]:
    """Class (as tables name it) -> patients, of the metrics of a summary; None where hidden."""
    return {one.word: metrics.get(one.counted_as) for one in BINARY.classes}


def are_hidden(metrics: Mapping[str, Any]) -> bool:
    """Whether these metrics may not be shown, and so have no numbers of patients."""
    return None in shown_totals(metrics).values()
