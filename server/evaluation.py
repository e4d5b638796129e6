"""From the sites' histograms to pooled and per-site metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from shared.metrics.histogram import Histogram
from shared.metrics.summary import summarise, suppressed


def pooled_metrics(histograms: Iterable[Histogram]) -> dict[str, Any]:
    """Metrics of all patients together, as in summary.json."""
    return summarise(sum(histograms, start=Histogram.empty())).to_json()


def metrics_by_site(
    histograms: Mapping[str, Histogram], suppress: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """Each site's metrics; all null for the sites that suppress their own values.

    Where just one does, the smallest of the others is nulled too: the pooled counts minus those
    shown would be the suppressed ones.
    """
    hidden = hidden_sites(histograms, suppress)
    return {
        name: (suppressed() if name in hidden else summarise(histogram)).to_json()
        for name, histogram in histograms.items()
    }


def hidden_sites(histograms: Mapping[str, Histogram], suppress: Collection[str]) -> set[str]:
    """The suppressed sites, and one more where there is exactly one."""
    hidden = set(suppress)
    shown = sorted(set(histograms) - hidden, key=lambda name: (_patients(histograms[name]), name))
    return hidden | set(shown[:1]) if len(hidden) == 1 else hidden


def _patients(histogram: Histogram) -> int:
    return histogram.total_positives + histogram.total_negatives
