"""A score histogram as values of a message's metrics."""

from __future__ import annotations

import numpy as np
from flwr.app import MetricRecord

from shared.errors import ProtocolError
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.protocol.records import counts


def histogram_to_values(histogram: Histogram, prefix: str = "") -> dict[str, list[int]]:
    """A histogram as values of a MetricRecord."""
    return {
        f"{prefix}positives": [int(count) for count in histogram.positives],
        f"{prefix}negatives": [int(count) for count in histogram.negatives],
    }


def histogram_from_metrics(metrics: MetricRecord, prefix: str = "") -> Histogram:
    """Read a histogram; ProtocolError where its counts are not counts."""
    positives = counts(metrics, f"{prefix}positives", SCORE_BINS)
    negatives = counts(metrics, f"{prefix}negatives", SCORE_BINS)
    try:
        return Histogram(np.array(positives), np.array(negatives))
    except ValueError as error:
        raise ProtocolError(f"the histogram is none: {error}") from error
