"""Counts of several labels, of which some are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.metrics.classes.labels import MISSING, LabelCounts
from shared.metrics.histogram import SCORE_BINS, Histogram


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_each_label_counts_the_patients_of_whom_it_is_known(
    patients: int, labels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, SCORE_BINS, (patients, labels))
    known = rng.integers(-1, 2, (patients, labels))
    counts = LabelCounts.from_bins(bins, known)
    assert counts.labels == labels
    for label, histogram in enumerate(counts.histograms):
        held = [int(one) for one in known[:, label] if one != MISSING]
        assert counts.support[label] == (held.count(1), held.count(0))
        for place in bins[:, label]:
            at = bins[:, label] == place
            assert histogram.positives[place] == (known[at, label] == 1).sum()
            assert histogram.negatives[place] == (known[at, label] == 0).sum()
    half = patients // 2
    parts = [LabelCounts.from_bins(bins[:half], known[:half])]
    parts.append(LabelCounts.from_bins(bins[half:], known[half:]))
    assert sum(parts, start=LabelCounts.empty(labels)) == counts


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="both must be"):
        LabelCounts.from_bins([[1, 2]], [[1]])
    with pytest.raises(ValueError, match="A label is 2"):
        LabelCounts.from_bins([[1, 2]], [[1, 2]])
    with pytest.raises(ValueError, match="all sites must have the same labels"):
        LabelCounts.empty(2) + LabelCounts.empty(3)
    with pytest.raises(ValueError, match="1 to 100"):
        LabelCounts(())
    with pytest.raises(ValueError, match="has not 514 bins"):
        LabelCounts((Histogram.empty(3),))
