"""Pooled and per-site metrics from the sites' counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from server.evaluation import metrics_by_site, pooled_metrics
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


SITES = {name: Histogram.from_logits(*cohort(i, 40 + i)) for i, name in enumerate("abcd")}


def hidden(suppress: set[str]) -> set[str]:
    shown = metrics_by_site(SITES, suppress)
    for name, metrics in shown.items():
        if metrics["auroc"] is not None:
            assert metrics == summarise(SITES[name]).to_json()
    return {name for name, metrics in shown.items() if metrics["auroc"] is None}


def test_sites_that_suppress_nothing_are_all_shown() -> None:
    assert hidden(set()) == set()


def test_several_suppressed_sites_hide_each_other() -> None:
    assert hidden({"c", "d"}) == {"c", "d"}


def test_one_suppressed_site_takes_the_smallest_other_along() -> None:
    # Else the pooled counts minus those shown would be its own.
    assert hidden({"d"}) == {"a", "d"}
    assert hidden({"a"}) == {"a", "b"}


def test_what_is_hidden_is_hidden_whole() -> None:
    assert list(metrics_by_site(SITES, {"c", "d"})["c"].values()) == [None] * 13


def test_a_single_suppressed_site_is_hidden() -> None:
    assert set(metrics_by_site({"a": SITES["a"]}, {"a"})["a"].values()) == {None}
