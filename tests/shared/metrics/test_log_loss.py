from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sklearn_log_loss

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_logits, bin_of
from shared.metrics.log_loss import log_loss

patients = st.lists(
    st.tuples(st.integers(0, SCORE_BINS - 1), st.integers(0, 1)), min_size=2, max_size=40
)


@settings(max_examples=50)
@given(patients)
def test_the_log_loss_of_the_middles_of_the_bins(patients: list[tuple[int, int]]) -> None:
    bins, labels = map(np.array, zip(*patients, strict=True))
    found = log_loss(Histogram.from_bins(bins, labels))
    assert found is not None
    chance = 1 / (1 + np.exp(-bin_logits()[bins]))
    assert found.mean == pytest.approx(sklearn_log_loss(labels, chance, labels=[0, 1]))
    own = [sklearn_log_loss([y], [p], labels=[0, 1]) for y, p in zip(labels, chance, strict=True)]
    assert found.error == pytest.approx(np.std(own, ddof=1) / len(own) ** 0.5, abs=1e-12)


def test_of_classes_it_is_that_of_each_patient_s_own_class() -> None:
    logits = np.array([[-2.0, 1.0, 0.0], [3.0, -1.0, -4.0], [0.5, 0.5, -1.0], [1.0, 0.0, 2.0]])
    labels = np.array([1, 0, 2, 2])
    counts = ClassCounts.from_bins(bin_of(logits), labels, labels, 3)
    own = bin_logits()[bin_of(logits)][np.arange(4), labels]
    each = -np.log(1 / (1 + np.exp(-own)))
    found = log_loss(counts)
    assert found is not None
    assert found.mean == pytest.approx(each.mean())
    assert found.error == pytest.approx(each.std(ddof=1) / 2)


def test_of_cuts_and_labels_it_is_their_mean() -> None:
    bins, labels = bin_of([[2.0, -1.0], [-3.0, -5.0], [1.0, 0.0]]), np.array([2, 0, 1])
    cuts = [log_loss(Histogram.from_bins(bins[:, cut], labels > cut)) for cut in range(2)]
    ordinal = log_loss(ClassCounts.from_bins(bins, labels, labels, 3))
    of_labels = log_loss(
        LabelCounts(tuple(Histogram.from_bins(bins[:, cut], labels > cut) for cut in range(2)))
    )
    means = [one.mean for one in cuts if one]
    assert ordinal is not None
    assert ordinal.mean == pytest.approx(sum(means) / 2)
    assert of_labels == ordinal


def test_of_nobody_there_is_none_and_of_one_patient_no_error() -> None:
    assert log_loss(Histogram.empty()) is None
    one = log_loss(Histogram.from_logits([100.0], [0]))
    assert one is not None
    assert (round(one.mean, 2), one.error) == (8.02, 0.0)


def test_of_grades_it_says_nothing() -> None:
    with pytest.raises(ValueError, match="bins"):
        log_loss(Histogram.from_grades([1.0], [1], [1.0, 2.0]))
