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
from shared.metrics.classes.label_pairs import LabelPairs
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

_PAIRS, _BOTH = "label-pair-patients", "label-pair-products"
_FIRST, _SECOND = "label-pair-first", "label-pair-second"


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
    """Counts by label as values of a MetricRecord: the labels' histograms one behind the other.

    ValueError for counts without their pairs.
    """
    if own.pairs is None:
        raise ValueError("Counts by label are sent with their pairs alone.")
    above = np.triu_indices(own.labels, 1)
    pairs = {
        _PAIRS: own.pairs.patients[above],
        _FIRST: own.pairs.bins[above],
        _SECOND: own.pairs.bins.transpose(1, 0, 3, 2)[above],
        _BOTH: own.pairs.products[above],
    }
    values = histograms_to_values(own.histograms, prefix)
    return values | {f"{prefix}{key}": array.ravel().tolist() for key, array in pairs.items()}


def label_counts_from_metrics(
    metrics: MetricRecord, labels: int, prefix: str = "", most: int = MOST_OF_A_SITE
) -> LabelCounts:
    """Read counts of so many labels; ProtocolError where no site can have them."""
    histograms = histograms_from_metrics(metrics, labels, prefix, most)
    shape = labels * (labels - 1) // 2, 2, 2
    patients, first, second, both = (
        np.array(
            counts(metrics, f"{prefix}{key}", 4 * shape[0], SCORE_BINS * most * largest),
            dtype=np.int64,
        ).reshape(shape)
        for key, largest in (
            (_PAIRS, 1), (_FIRST, SCORE_BINS), (_SECOND, SCORE_BINS), (_BOTH, SCORE_BINS**2),
        )
    )  # fmt: skip
    try:
        return LabelCounts(
            histograms,
            LabelPairs(
                _both_ways(patients, patients, labels),
                _both_ways(first, second, labels),
                _both_ways(both, both, labels),
            ),
        )
    except ValueError as error:
        raise ProtocolError(f"invalid counts by label: {error}") from error


def _both_ways(
    above: NDArray[np.int64], below: NDArray[np.int64], labels: int
) -> NDArray[np.int64]:
    """Sums of all pairs (labels, labels, 2, 2) of those of one order and of the other."""
    sums = np.zeros((labels, labels, 2, 2), dtype=np.int64)
    rows, columns = np.triu_indices(labels, 1)
    sums[rows, columns] = above
    sums[columns, rows] = below.transpose(0, 2, 1)
    return sums


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
