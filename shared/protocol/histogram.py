"""A score histogram as values of a message's metrics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from flwr.app import MetricRecord

from shared.errors import ProtocolError
from shared.metrics.histogram import MAX_COUNT, SCORE_BINS, Histogram
from shared.outcome.binary import BINARY
from shared.outcome.counts import by_bin
from shared.protocol.records import counts

MOST_OF_A_SITE = 10**6
"""Patients of one site in one bin: so far below MAX_COUNT that no sum over sites exceeds that,
whatever one of them says."""


def histogram_to_values(histogram: Histogram, prefix: str = "") -> dict[str, list[int]]:
    """A histogram as values of a MetricRecord."""
    return by_bin(histogram, prefix)


def histograms_to_values(histograms: Sequence[Histogram], prefix: str = "") -> dict[str, list[int]]:
    """Several histograms, one behind the other in the same lists."""
    values: dict[str, list[int]] = {f"{prefix}{key}": [] for key in BINARY.keys}
    for histogram in histograms:
        for key, own in histogram_to_values(histogram, prefix).items():
            values[key] += own
    return values


def histograms_from_metrics(
    metrics: MetricRecord, number: int, prefix: str = "", most: int = MAX_COUNT
) -> tuple[Histogram, ...]:
    """Read so many of them; ProtocolError where their counts are not counts, or above `most`."""
    length = SCORE_BINS * number
    listed = [counts(metrics, f"{prefix}{key}", length, most) for key in BINARY.keys]
    starts = range(0, length, SCORE_BINS)
    return tuple(
        _histogram([own[start : start + SCORE_BINS] for own in listed]) for start in starts
    )


def histogram_from_metrics(metrics: MetricRecord, prefix: str = "") -> Histogram:
    """Read that of one site; ProtocolError where no site can have its counts."""
    (found,) = histograms_from_metrics(metrics, 1, prefix, MOST_OF_A_SITE)
    return found


def _histogram(classes: Sequence[Sequence[int]]) -> Histogram:
    try:
        return BINARY.of_classes([np.array(own) for own in classes])
    except ValueError as error:
        raise ProtocolError(f"invalid histogram: {error}") from error
