"""Evaluation without moving scores.

A site counts its patients of either class in each bin of the score; the counts are added up
over the sites, and every metric follows from the sum.
"""

from __future__ import annotations

from shared.metrics.binary import (
    Confusion,
    auprc,
    auroc,
    auroc_bounds,
    balanced_accuracy,
    brier,
    confusion,
    ece,
    f1,
    sensitivity,
    snap_threshold,
    specificity,
)
from shared.metrics.histogram import (
    SCORE_BINS,
    Histogram,
    bin_edges,
    bin_of,
    bin_of_probability,
    bin_probabilities,
)
from shared.metrics.interval import auroc_interval, delong_variance, newcombe_interval
from shared.metrics.summary import BinaryMetrics, summarise, summarise_site, suppressed

__all__ = [
    "SCORE_BINS",
    "BinaryMetrics",
    "Confusion",
    "Histogram",
    "auprc",
    "auroc",
    "auroc_bounds",
    "auroc_interval",
    "balanced_accuracy",
    "bin_edges",
    "bin_of",
    "bin_of_probability",
    "bin_probabilities",
    "brier",
    "confusion",
    "delong_variance",
    "ece",
    "f1",
    "newcombe_interval",
    "sensitivity",
    "snap_threshold",
    "specificity",
    "summarise",
    "summarise_site",
    "suppressed",
]
