"""Evaluation without moving scores.

A site counts its patients of either class in each bin of the score; the counts are added up
over the sites, and every metric follows from the sum.
"""

from __future__ import annotations

from shared.metrics.band import RocBand, roc_band
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
from shared.metrics.calibration import (
    Recalibration,
    apply_temperature,
    calibration_in_the_large,
    fit_temperature,
    probable_recalibration,
    recalibration,
)
from shared.metrics.curve import PrecisionRecallPoint, RocPoint, precision_recall_points, roc_points
from shared.metrics.delong import PairedComparison, delong_covariance, delong_test
from shared.metrics.histogram import (
    SCORE_BINS,
    Histogram,
    bin_edges,
    bin_logits,
    bin_of,
    bin_of_probability,
    bin_probabilities,
)
from shared.metrics.interval import auroc_interval, delong_variance, newcombe_interval
from shared.metrics.operating import (
    Share,
    ThresholdPerformance,
    at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
    youden_threshold,
)
from shared.metrics.paired import ClassSums, PairedSums, Placements, placements
from shared.metrics.proportion import clopper_pearson_interval, wilson_interval
from shared.metrics.reliability import ReliabilityGroup, reliability_curve
from shared.metrics.repeats import (
    ResampledComparison,
    SignedRank,
    Spread,
    corrected_resampled_t,
    holm,
    signed_rank,
    spread,
)
from shared.metrics.summary import BinaryMetrics, summarise, summarise_site, suppressed

__all__ = [
    "SCORE_BINS",
    "BinaryMetrics",
    "ClassSums",
    "Confusion",
    "Histogram",
    "PairedComparison",
    "PairedSums",
    "Placements",
    "PrecisionRecallPoint",
    "Recalibration",
    "ReliabilityGroup",
    "ResampledComparison",
    "RocBand",
    "RocPoint",
    "Share",
    "SignedRank",
    "Spread",
    "ThresholdPerformance",
    "apply_temperature",
    "at_threshold",
    "auprc",
    "auroc",
    "auroc_bounds",
    "auroc_interval",
    "balanced_accuracy",
    "bin_edges",
    "bin_logits",
    "bin_of",
    "bin_of_probability",
    "bin_probabilities",
    "brier",
    "calibration_in_the_large",
    "clopper_pearson_interval",
    "confusion",
    "corrected_resampled_t",
    "delong_covariance",
    "delong_test",
    "delong_variance",
    "ece",
    "f1",
    "fit_temperature",
    "holm",
    "newcombe_interval",
    "placements",
    "precision_recall_points",
    "probable_recalibration",
    "recalibration",
    "reliability_curve",
    "roc_band",
    "roc_points",
    "sensitivity",
    "signed_rank",
    "snap_threshold",
    "specificity",
    "spread",
    "summarise",
    "summarise_site",
    "suppressed",
    "threshold_at_sensitivity",
    "threshold_at_specificity",
    "wilson_interval",
    "youden_threshold",
]
