"""The metrics object of summary.json."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from shared.metrics import binary
from shared.metrics.histogram import Histogram
from shared.metrics.interval import auroc_interval
from shared.metrics.summary import BinaryMetrics, summarise, summarise_site, suppressed

KEYS = [
    "auroc",
    "auroc_bounds",
    "auroc_ci95",
    "auprc",
    "balanced_accuracy",
    "f1",
    "sensitivity",
    "specificity",
    "threshold",
    "brier",
    "ece",
    "positives",
    "negatives",
]


def cohort(
    positives: int = 12, negatives: int = 20
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = np.repeat([1, 0], [positives, negatives])
    return np.random.default_rng(4).normal(labels - 0.5, 1), labels


def test_the_keys_are_those_of_summary_json() -> None:
    assert list(summarise(Histogram.from_logits(*cohort())).to_json()) == KEYS


def test_every_metric_stands_under_its_own_name() -> None:
    logits, labels = cohort()
    histogram = Histogram.from_logits(logits, labels)
    result = summarise(histogram)
    predicted = logits >= 0
    assert result.auroc == binary.auroc(histogram)
    assert result.auroc_bounds == binary.auroc_bounds(histogram)
    assert result.auroc_ci95 == auroc_interval(histogram, 0.95)
    assert result.auprc == binary.auprc(histogram)
    assert result.balanced_accuracy == sklearn_metrics.balanced_accuracy_score(labels, predicted)
    assert result.f1 == pytest.approx(sklearn_metrics.f1_score(labels, predicted))
    assert result.sensitivity == sklearn_metrics.recall_score(labels, predicted)
    assert result.specificity == sklearn_metrics.recall_score(labels, predicted, pos_label=0)
    assert result.threshold == 0.5
    assert result.brier == binary.brier(histogram)
    assert result.ece == binary.ece(histogram)
    assert (result.positives, result.negatives) == (12, 20)


def test_the_threshold_is_reported_as_applied() -> None:
    histogram = Histogram.from_logits(*cohort())
    result, usual = summarise(histogram, threshold=0.3), summarise(histogram)
    assert result.threshold == binary.confusion(histogram, 0.3).threshold
    assert result.threshold != 0.3
    for name in ("sensitivity", "specificity", "balanced_accuracy", "f1"):
        assert getattr(result, name) == getattr(binary, name)(histogram, 0.3)
        assert getattr(result, name) != getattr(usual, name)


def test_json_has_lists_for_pairs_and_survives_a_round_trip() -> None:
    values = summarise(Histogram.from_logits(*cohort())).to_json()
    assert isinstance(values["auroc_bounds"], list)
    assert isinstance(values["auroc_ci95"], list)
    assert json.loads(json.dumps(values, allow_nan=False)) == values


@pytest.mark.parametrize("labels", [[], [0, 0, 0], [1, 1, 1]])
def test_undefined_metrics_are_null(labels: list[int]) -> None:
    values = summarise(Histogram.from_logits([0.3] * len(labels), labels)).to_json()
    for key in ("auroc", "auroc_bounds", "auroc_ci95", "auprc", "balanced_accuracy"):
        assert values[key] is None
    assert (values["positives"], values["negatives"]) == (labels.count(1), labels.count(0))
    assert values["threshold"] == 0.5


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_a_site_is_shown_only_with_enough_patients_of_either_class(
    positives: int, negatives: int, min_cell: int
) -> None:
    histogram = Histogram.from_logits(*cohort(positives, negatives))
    shown = positives >= min_cell and negatives >= min_cell
    expected = summarise(histogram) if shown else suppressed()
    assert summarise_site(histogram, min_cell) == expected


def test_a_suppressed_site_shows_nothing_at_all() -> None:
    assert suppressed().to_json() == dict.fromkeys(KEYS)


def test_a_site_takes_the_threshold_too() -> None:
    histogram = Histogram.from_logits(*cohort())
    assert summarise_site(histogram, 5, threshold=0.3) == summarise(histogram, 0.3)


def test_a_negative_min_cell_is_refused() -> None:
    with pytest.raises(ValueError, match="min-cell is -1"):
        summarise_site(Histogram.empty(), -1)


def test_metrics_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BinaryMetrics().auroc = 1.0  # type: ignore[misc]  # the assignment is what is tested
