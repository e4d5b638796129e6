"""Metrics of several labels against scikit-learn, label by label."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from shared.metrics.classes.labels import MISSING, LabelCounts
from shared.metrics.classes.results import LabelMetrics
from shared.metrics.classes.summary import summarise_counts
from shared.metrics.histogram import bin_of
from shared.metrics.summary import summarise


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_each_label_is_a_binary_outcome_and_the_means_are_over_labels(
    labels: int, patients: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.integers(-8, 8, (patients, labels)) / 2
    known = rng.integers(-1, 2, (patients, labels))
    counts = LabelCounts.from_bins(bin_of(logits), known)
    found = cast(LabelMetrics, summarise_counts("abc"[:labels], counts))
    areas, precisions = [], []
    for label, (own, histogram) in enumerate(
        zip(found.labels.values(), counts.histograms, strict=True)
    ):
        assert own == summarise(histogram)
        held = known[:, label] != MISSING
        true, scores = known[held, label], logits[held, label]
        if len({*true.tolist()}) < 2:
            assert own.auroc is None
            continue
        areas.append(sk.roc_auc_score(true, scores))
        precisions.append(sk.average_precision_score(true, scores))
        assert (own.auroc, own.auprc) == pytest.approx((areas[-1], precisions[-1]))
    assert found.auroc_of == len(areas)
    if areas:
        assert found.auroc == pytest.approx(np.mean(areas))
        assert found.auprc == pytest.approx(np.mean(precisions))
        low, high = found.auroc_ci95 or (2, -1)
        assert low <= cast(float, found.auroc) <= high
    else:
        assert (found.auroc, found.auroc_ci95, found.auprc_ci95) == (None, None, None)
    assert list(found.to_json()["labels"]) == list("abc"[:labels])
