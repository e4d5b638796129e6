"""From scores by patient to all that is said of the model at these patients."""

from __future__ import annotations

from server.results.external import (
    DEFAULT_POINT,
    Chosen,
    Performance,
    PointOutcome,
    RocCorner,
)
from shared.metrics import binary
from shared.metrics.curve import roc_points
from shared.metrics.operating import Share
from shared.metrics.proportion import clopper_pearson_interval
from shared.metrics.scored import Estimate, Scored
from shared.metrics.summary import BinaryMetrics
from shared.run.finished import OperatingPoint


def performance(scored: Scored, chosen: Chosen) -> Performance:
    """Everything, exactly; nothing is chosen on these patients."""
    positives, negatives = scored.histogram.totals
    after = scored.recalibrated(*chosen.recalibration) if chosen.recalibration else None
    return Performance(
        positives=positives,
        negatives=negatives,
        prevalence=_prevalence(positives, positives + negatives),
        auroc=scored.auroc(),
        auprc=scored.auprc(),
        points=tuple(_at(scored, point) for point in (*chosen.points, DEFAULT_POINT)),
        before=scored.calibration(),
        after=None if after is None else after.calibration(),
        roc=roc_corners(scored),
        counts=scored.binned,
        metrics=metrics_at(scored, DEFAULT_POINT.threshold),
    )


def roc_corners(scored: Scored, min_cell: int = 0) -> tuple[RocCorner, ...]:
    """The ROC curve with the scores at which it steps, each of `min_cell` patients or more."""
    return tuple(
        RocCorner(
            point.false_positive_rate,
            point.true_positive_rate,
            None
            if point.first_bin == scored.histogram.bins
            else float(scored.probabilities[point.first_bin]),
        )
        for point in roc_points(scored.histogram, min_cell)
    )


def point_outcomes(scored: Scored, points: tuple[PointOutcome, ...]) -> tuple[PointOutcome, ...]:
    """The same thresholds at these patients."""
    return tuple(_at(scored, OperatingPoint(point.name, point.threshold)) for point in points)


def _at(scored: Scored, point: OperatingPoint) -> PointOutcome:
    found = scored.at(point.threshold)
    return PointOutcome(
        name=point.name,
        threshold=point.threshold,
        sensitivity=_estimate(found.sensitivity),
        specificity=_estimate(found.specificity),
        positive_predictive_value=_estimate(found.positive_predictive_value),
        negative_predictive_value=_estimate(found.negative_predictive_value),
        counts=found.confusion.cells,
    )


def _prevalence(positives: int, patients: int) -> Estimate:
    if not patients:
        return Estimate()
    return Estimate(positives / patients, clopper_pearson_interval(positives, patients))


def _estimate(share: Share | None) -> Estimate:
    return Estimate() if share is None else Estimate(share.value, share.ci95)


def metrics_at(scored: Scored, threshold: float) -> BinaryMetrics:
    """The object `pooled` of summary.json, of exact scores: its AUROC has no bounds but itself."""
    area, found = scored.auroc(), scored.at(threshold)
    hits, alarms, _, misses = found.confusion.cells
    sensitivity, specificity = (
        _estimate(found.sensitivity).value,
        _estimate(found.specificity).value,
    )
    both = sensitivity is not None and specificity is not None
    doubled = 2 * hits + alarms + misses
    return BinaryMetrics(
        auroc=area.value,
        auroc_bounds=None if area.value is None else (area.value, area.value),
        auroc_ci95=area.ci95,
        auprc=binary.auprc(scored.histogram),
        balanced_accuracy=((sensitivity or 0.0) + (specificity or 0.0)) / 2 if both else None,
        f1=2 * hits / doubled if doubled else None,
        sensitivity=sensitivity,
        specificity=specificity,
        threshold=threshold,
        brier=binary.brier(scored.histogram, scored.probabilities),
        ece=binary.ece(scored.histogram, probabilities=scored.probabilities),
        positives=scored.histogram.total_positives,
        negatives=scored.histogram.total_negatives,
    )
