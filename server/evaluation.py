"""From the sites' histograms to pooled and per-site metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed


def pooled_metrics(histograms: Iterable[Histogram]) -> dict[str, Any]:
    """Metrics of all patients together, as in summary.json."""
    return summarise(sum(histograms, start=Histogram.empty())).to_json()


def site_metrics(histogram: Histogram, *, suppress: bool) -> Mapping[str, Any]:
    """One site's metrics; all null where the site suppresses its own values."""
    return (suppressed() if suppress else summarise(histogram)).to_json()
