"""Pooled and per-site metrics from the sites' counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from server.evaluation import pooled_metrics, site_metrics
from shared.metrics.histogram import Histogram, bin_edges
from shared.metrics.summary import summarise


def cohort(seed: int, count: int) -> tuple[list[float], list[int]]:
    """Logits in the middle of bins, so that binning loses nothing."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    bins = np.clip(np.round((generator.normal(labels, 2) + 8) * 32).astype(int), 0, 511)
    return (bin_edges()[bins] + 1 / 64).tolist(), labels.tolist()


def test_pooled_is_of_all_patients_together_not_a_mean_of_sites() -> None:
    cohorts = [cohort(1, 60), cohort(2, 11), cohort(3, 25)]
    logits = [value for scores, _ in cohorts for value in scores]
    labels = [value for _, classes in cohorts for value in classes]
    pooled = pooled_metrics(Histogram.from_logits(*part) for part in cohorts)
    assert pooled["auroc"] == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    assert (pooled["positives"], pooled["negatives"]) == (sum(labels), len(labels) - sum(labels))
    assert json.loads(json.dumps(pooled)) == pooled


def test_nobody_at_all() -> None:
    assert pooled_metrics([])["auroc"] is None


def test_a_site_that_suppresses_its_values_shows_none() -> None:
    histogram = Histogram.from_logits(*cohort(1, 40))
    assert set(site_metrics(histogram, suppress=True).values()) == {None}
    assert site_metrics(histogram, suppress=False) == summarise(histogram).to_json()
