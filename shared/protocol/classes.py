"""Counts by class, or by label, as values of a message's metrics.

Most cells of the scores are zero, so that only the others are sent, each as the distance from the
one before and its patients.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from flwr.app import MetricRecord
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS
from shared.protocol.histogram import (
    MOST_OF_A_SITE,
    histograms_from_metrics,
    histograms_to_values,
)
from shared.protocol.records import counts

_STEPS, _PATIENTS = "class-score-steps", "class-score-patients"
_CONFUSION, _PRODUCTS = "class-confusion", "class-products"


def class_counts_to_values(own: ClassCounts, prefix: str = "") -> dict[str, list[int]]:
    """Counts by class as values of a MetricRecord."""
    cells = own.scores.ravel()
    held = np.flatnonzero(cells)
    above = np.triu_indices(own.score_count, 1)
    values = {
        _STEPS: np.diff(held, prepend=-1),
        _PATIENTS: cells[held],
        _CONFUSION: own.confusion.ravel(),
        _PRODUCTS: own.products[:, *above].ravel(),
    }
    return {f"{prefix}{key}": array.tolist() for key, array in values.items()}


def class_counts_from_metrics(
    metrics: MetricRecord, scores: int, classes: int, prefix: str = "", most: int = MOST_OF_A_SITE
) -> ClassCounts:
    """Read counts of so many scores and classes; ProtocolError where no site can have them.

    `most` is the highest count of a cell.
    """
    confusion = counts(metrics, f"{prefix}{_CONFUSION}", classes**2, most)
    cells = _cells(metrics, scores * classes * SCORE_BINS, prefix, most)
    pairs = scores * (scores - 1) // 2
    # The sum of a class's products: at most all its patients in the last bin of both scores.
    largest = classes * most * SCORE_BINS**2
    products = counts(metrics, f"{prefix}{_PRODUCTS}", classes * pairs, largest)
    held = cells.reshape(scores, classes, SCORE_BINS)
    try:
        return ClassCounts(
            held,
            np.array(confusion, dtype=np.int64).reshape(classes, classes),
            _symmetric(np.array(products, dtype=np.int64).reshape(classes, pairs), held),
        )
    except ValueError as error:
        raise ProtocolError(f"invalid counts by class: {error}") from error


def label_counts_to_values(own: LabelCounts, prefix: str = "") -> dict[str, list[int]]:
    """Counts by label as values of a MetricRecord: the labels' histograms one behind the other."""
    return histograms_to_values(own.histograms, prefix)


def label_counts_from_metrics(
    metrics: MetricRecord, labels: int, prefix: str = "", most: int = MOST_OF_A_SITE
) -> LabelCounts:
    """Read counts of so many labels; ProtocolError where no site can have them."""
    return LabelCounts(histograms_from_metrics(metrics, labels, prefix, most))


def _cells(metrics: MetricRecord, number: int, prefix: str, most: int) -> NDArray[np.int64]:
    """The patients of each cell of the scores; shape (number,)."""
    listed = metrics.get(f"{prefix}{_STEPS}")
    length = len(listed) if isinstance(listed, list) else 0
    if length > number:
        raise ProtocolError(f"'{prefix}{_STEPS}' has {length} cells; there are {number}")
    steps = counts(metrics, f"{prefix}{_STEPS}", length, number)
    patients = counts(metrics, f"{prefix}{_PATIENTS}", length, most)
    if min((*steps, *patients), default=1) < 1 or sum(steps) > number:
        raise ProtocolError(f"'{prefix}{_STEPS}' leads to a cell that there is not, or is empty")
    cells = np.zeros(number, dtype=np.int64)
    cells[[place - 1 for place in accumulate(steps)]] = patients
    return cells


def _symmetric(above: NDArray[np.int64], scores: NDArray[np.int64]) -> NDArray[np.int64]:
    """Products (K, S, S) of those above the diagonal (K, pairs); the scores have the diagonal."""
    number, classes, _ = scores.shape
    products = np.zeros((classes, number, number), dtype=np.int64)
    rows, columns = np.triu_indices(number, 1)
    products[:, rows, columns] = above
    products[:, columns, rows] = above
    own = np.arange(number)
    products[:, own, own] = (scores @ np.arange(SCORE_BINS, dtype=np.int64) ** 2).T
    return products
