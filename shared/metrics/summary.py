"""The metrics of summary.json, of all sites together and of one site."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from shared.metrics import binary
from shared.metrics.histogram import Histogram
from shared.metrics.interval import auroc_interval


@dataclass(frozen=True)
class BinaryMetrics:
    """The object `pooled` of summary.json; None where undefined or suppressed.

    Shares, areas, probabilities and errors lie in 0 to 1. `threshold` is the probability that
    was applied, `auroc_ci95` the 95 % confidence interval, `auroc_bounds` what binning leaves
    open of the AUROC.
    """

    auroc: float | None = None
    auroc_bounds: tuple[float, float] | None = None
    auroc_ci95: tuple[float, float] | None = None
    auprc: float | None = None
    balanced_accuracy: float | None = None
    f1: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    threshold: float | None = None
    brier: float | None = None
    ece: float | None = None
    positives: int | None = None
    negatives: int | None = None

    def to_json(self) -> dict[str, float | int | list[float] | None]:
        """The object as JSON has it: pairs are lists, None is null."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }


def summarise(histogram: Histogram, threshold: float = 0.5) -> BinaryMetrics:
    """All metrics of a histogram of model scores, at a probability threshold.

    The threshold is snapped to a bin edge, and reported as applied. Raises ValueError for a
    threshold outside the open interval 0 to 1, and for a histogram of ordinal grades.
    """
    return BinaryMetrics(
        auroc=binary.auroc(histogram),
        auroc_bounds=binary.auroc_bounds(histogram),
        auroc_ci95=auroc_interval(histogram, level=0.95),
        auprc=binary.auprc(histogram),
        balanced_accuracy=binary.balanced_accuracy(histogram, threshold),
        f1=binary.f1(histogram, threshold),
        sensitivity=binary.sensitivity(histogram, threshold),
        specificity=binary.specificity(histogram, threshold),
        threshold=binary.snap_threshold(threshold),
        brier=binary.brier(histogram),
        ece=binary.ece(histogram),
        positives=histogram.total_positives,
        negatives=histogram.total_negatives,
    )


def suppressed() -> BinaryMetrics:
    """What is shown of a site with too few patients: nothing, not even their number."""
    return BinaryMetrics()


def summarise_site(histogram: Histogram, min_cell: int, threshold: float = 0.5) -> BinaryMetrics:
    """A site's metrics; suppressed where either class has fewer than `min_cell` patients.

    A `min_cell` of 0 suppresses nothing. Raises ValueError for a negative one, and as
    `summarise` does.
    """
    if min_cell < 0:
        raise ValueError(f"min-cell is {min_cell}; it must be 0 or more.")
    if min(histogram.total_positives, histogram.total_negatives) < min_cell:
        return suppressed()
    return summarise(histogram, threshold)
