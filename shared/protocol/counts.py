"""A site's counts, of whichever outcome, as values of a message's metrics."""

from __future__ import annotations

from flwr.app import MetricRecord

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.kinds import Counts
from shared.metrics.histogram import Histogram
from shared.outcome.outcome import Outcome
from shared.protocol.classes import (
    class_counts_from_metrics,
    class_counts_to_values,
    label_counts_from_metrics,
    label_counts_to_values,
)
from shared.protocol.histogram import histogram_from_metrics, histogram_to_values


def counts_to_values(counts: Counts) -> dict[str, list[int]]:
    """The counts as values of a MetricRecord."""
    if isinstance(counts, Histogram):
        return histogram_to_values(counts)
    if isinstance(counts, ClassCounts):
        return class_counts_to_values(counts)
    return label_counts_to_values(counts)


def counts_from_metrics(metrics: MetricRecord, outcome: Outcome) -> Counts:
    """Read one site's counts of this outcome; ProtocolError where no site can have them."""
    nobody = outcome.empty()
    if isinstance(nobody, Histogram):
        return histogram_from_metrics(metrics)
    if isinstance(nobody, ClassCounts):
        return class_counts_from_metrics(metrics, nobody.score_count, nobody.classes)
    return label_counts_from_metrics(metrics, nobody.labels)
