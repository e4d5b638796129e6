"""Probabilities given for the bins, and cuts between them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from shared.metrics.binary import brier, ece
from shared.metrics.histogram import Histogram, bin_logits, bin_of, bin_probabilities
from shared.metrics.scores import merged_cuts, probabilities_of


def test_the_middle_logits_lie_inside_their_bins() -> None:
    np.testing.assert_array_equal(bin_of(bin_logits()), np.arange(514))
    np.testing.assert_array_equal(np.diff(bin_logits()), 1 / 32)


def test_metrics_take_the_probabilities_that_are_given() -> None:
    generator = np.random.default_rng(9)
    labels = generator.integers(0, 2, 200)
    logits = generator.normal(labels, 3)
    histogram = Histogram.from_logits(logits, labels)
    halved = 1 / (1 + np.exp(-bin_logits() / 2))
    scores = halved[bin_of(logits)]
    assert brier(histogram, halved) == pytest.approx(
        sklearn_metrics.brier_score_loss(labels, scores)
    )
    tenths = np.floor(10 * scores)
    gaps = [abs((labels - scores)[tenths == tenth].sum()) for tenth in range(10)]
    assert ece(histogram, probabilities=halved) == pytest.approx(sum(gaps) / 200)
    assert ece(histogram, probabilities=bin_probabilities()) == ece(histogram)


def test_certain_probabilities_fall_in_the_outer_intervals() -> None:
    histogram = Histogram.from_logits([-9.0, 9.0], [0, 0])
    certain = (bin_logits() > 0).astype(np.float64)
    assert ece(histogram, probabilities=certain) == 0.5
    assert brier(histogram, certain) == 0.5


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.zeros(4), r"shape \(4,\); it must be \(514,\)"),
        (np.linspace(1, 0, 514), "must not fall"),
        (np.linspace(0, 1.1, 514), "must lie in 0 to 1"),
        (np.full(514, np.nan), "must lie in 0 to 1"),
    ],
)
def test_what_are_no_probabilities_of_bins_are_refused(
    probabilities: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        probabilities_of(Histogram.empty(), probabilities)


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.sets(st.integers(1, 11)),
    st.integers(0, 9),
)
def test_ranges_between_cuts_are_large_enough_and_no_cut_is_left_out_needlessly(
    patients: list[int], inner: set[int], min_cell: int
) -> None:
    cuts = [0, *sorted(cut for cut in inner if cut < len(patients)), len(patients)]
    smallest = max(min_cell, 1)
    kept = merged_cuts(cuts, patients, min_cell)
    if sum(patients) < smallest:
        assert kept == []
        return
    assert (kept[0], kept[-1]) == (0, len(patients))
    assert set(kept) <= set(cuts)
    for low, high in itertools.pairwise(kept):
        assert sum(patients[low:high]) >= smallest
        between = [cut for cut in cuts if low < cut < high]
        if low > 0:
            assert all(sum(patients[cut:high]) < smallest for cut in between)


def test_a_negative_min_cell_is_refused_for_cuts() -> None:
    with pytest.raises(ValueError, match="min-cell is -1"):
        merged_cuts([0, 1], [3], -1)
