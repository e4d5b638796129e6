"""Held-out counts against scikit-learn on the scores behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import brier_score_loss, precision_score, recall_score

from server.study.held_out import Fold, brier_scores, pooled, rates_at, recalibrated
from shared.metrics.histogram import Histogram, bin_logits


@dataclass(frozen=True)
class Scores:
    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    threshold: float
    temperature: float | None

    def fold(self) -> Fold:
        counts = Histogram.from_logits(self.logits, self.labels)
        return Fold(counts, {"youden": self.threshold}, self.temperature)


@pytest.fixture
def folds() -> list[Scores]:
    """Scores in the middle of bins, thresholds on edges, so that binning loses nothing."""
    rng, middles = np.random.default_rng(3), bin_logits()[100:-100]
    return [
        Scores(
            rng.choice(middles, size),
            rng.permutation(np.repeat([0, 1], [size // 2, size - size // 2])),
            float(expit(edge)),
            temperature,
        )
        for size, edge, temperature in ((31, -0.5, 1.75), (42, 0.25, 0.5), (27, 1.0, None))
    ]


def test_rates_are_those_of_each_folds_own_threshold(folds: list[Scores]) -> None:
    labels = np.concatenate([one.labels for one in folds])
    called = np.concatenate([expit(one.logits) >= one.threshold for one in folds]).astype(int)
    found = rates_at([one.fold() for one in folds], "youden")
    assert found.sensitivity == pytest.approx(recall_score(labels, called))
    assert found.specificity == pytest.approx(recall_score(labels, called, pos_label=0))
    assert found.positive_predictive_value == pytest.approx(precision_score(labels, called))
    assert found.negative_predictive_value == pytest.approx(
        precision_score(labels, called, pos_label=0)
    )
    assert found.balanced_accuracy == pytest.approx(
        (recall_score(labels, called) + recall_score(labels, called, pos_label=0)) / 2
    )


def test_an_unknown_point_is_judged_as_trained(folds: list[Scores]) -> None:
    labels = np.concatenate([one.labels for one in folds])
    called = np.concatenate([one.logits >= 0 for one in folds]).astype(int)
    found = rates_at([one.fold() for one in folds], "sensitivity-0.9")
    assert found.sensitivity == pytest.approx(recall_score(labels, called))


def test_rates_of_nobody_are_none() -> None:
    nobody = [Fold(Histogram.from_logits([-3.0, -2.0], [0, 1]), {"youden": 0.9}, None)]
    found = rates_at(nobody, "youden")
    assert (found.positive_predictive_value, found.sensitivity) == (None, 0.0)
    assert rates_at([Fold(Histogram.empty(), {}, None)], "youden").balanced_accuracy is None


def test_brier_scores_before_and_after_temperature(folds: list[Scores]) -> None:
    labels = np.concatenate([one.labels for one in folds])
    raw, after = brier_scores([one.fold() for one in folds])
    assert raw == pytest.approx(
        brier_score_loss(labels, np.concatenate([expit(one.logits) for one in folds]))
    )
    tempered = [expit(one.logits / (one.temperature or 1.0)) for one in folds]
    assert after == pytest.approx(brier_score_loss(labels, np.concatenate(tempered)))


def test_recalibrated_counts_are_those_of_the_tempered_scores(folds: list[Scores]) -> None:
    cells = [one.fold() for one in folds]
    tempered = [one.logits / (one.temperature or 1.0) for one in folds]
    labels = np.concatenate([one.labels for one in folds])
    expected = Histogram.from_logits(np.concatenate(tempered), labels)
    found = recalibrated(cells)
    np.testing.assert_array_equal(found.positives, expected.positives)
    np.testing.assert_array_equal(found.negatives, expected.negatives)
    whole = Histogram.from_logits(np.concatenate([one.logits for one in folds]), labels)
    np.testing.assert_array_equal(pooled(cells).positives, whole.positives)
