"""The interval of a mean AUROC over labels against DeLong's of the patients' own scores."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, logit

from shared.metrics.binary import auroc
from shared.metrics.classes.label_interval import label_auroc_interval, label_auroc_variance
from shared.metrics.classes.label_pairs import LabelPairs
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_of
from shared.metrics.interval import auroc_interval, delong_variance


def cohort(patients: int, shared: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins and labels (patients, 4), of which a fifth is missing; noise partly in common."""
    rng = np.random.default_rng(patients)
    size = patients, 4
    noise = math.sqrt(shared) * rng.normal(size=(patients, 1))
    noise = noise + math.sqrt(1 - shared) * rng.normal(size=size)
    labels = (rng.normal(size=(patients, 1)) + rng.normal(size=size) > 0.7).astype(np.int64)
    bins = bin_of(1.3 * (noise + 1.2 * labels))
    labels[rng.random(size) < 0.2] = -1
    return bins, labels


def slow_variance(bins: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    influence = np.zeros(len(bins))
    for scores, own in zip(bins.T, labels.T, strict=True):
        high, low = own == 1, own == 0
        ahead = np.sign(scores[high][:, None] - scores[low][None, :]) / 2 + 0.5
        for side, mean in (high, ahead.mean(1)), (low, ahead.mean(0)):
            number = int(side.sum())
            influence[side] += (mean - ahead.mean()) / math.sqrt(number * (number - 1))
    return float((influence**2).sum() / bins.shape[1] ** 2)


@pytest.mark.parametrize("shared", [0.0, 0.6])
def test_the_variance_is_that_of_the_patients_own_scores(shared: float) -> None:
    bins, labels = cohort(800, shared)
    counts = LabelCounts.from_bins(bins, labels)
    expected, found = slow_variance(bins, labels), label_auroc_variance(counts)
    assert found == pytest.approx(expected, rel=0.06)
    area = float(np.mean([auroc(one) for one in counts.histograms]))
    half = 1.96 * math.sqrt(found or 0) / (area * (1 - area))
    wanted = expit(logit(area) - half), expit(logit(area) + half)
    assert label_auroc_interval(counts) == pytest.approx(wanted, abs=1e-4)
    independent = np.mean([delong_variance(one) for one in counts.histograms]) / 4
    assert independent < (0.7 if shared else 0.95) * expected


def test_one_label_has_the_interval_of_a_binary_outcome() -> None:
    bins, labels = cohort(60, 0.0)
    counts = LabelCounts.from_bins(bins[:, :1], labels[:, :1])
    assert label_auroc_variance(counts) == pytest.approx(delong_variance(counts.histograms[0]))
    assert label_auroc_interval(counts) == pytest.approx(auroc_interval(counts.histograms[0]))


def test_without_sums_over_pairs_the_interval_is_wider_never_narrower() -> None:
    counts = LabelCounts.from_bins(*cohort(200, 0.3))
    without = dataclasses.replace(counts, pairs=None)
    low, high = label_auroc_interval(counts) or (1.0, 0.0)
    wide_low, wide_high = label_auroc_interval(without) or (1.0, 0.0)
    assert (wide_low < low, wide_high > high) == (True, True)
    assert (without + counts).pairs is None


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 12), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_pairs_are_sums_over_patients(patients: int, labels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    bins = rng.integers(0, SCORE_BINS, (patients, labels))
    known = rng.integers(-1, 2, (patients, labels))
    found = LabelPairs.from_bins(bins, known)
    for j, k, a, b in np.ndindex(labels, labels, 2, 2):
        held = (known[:, j] == a) & (known[:, k] == b) & (j != k)
        assert found.patients[j, k, a, b] == held.sum()
        assert found.bins[j, k, a, b] == bins[held, j].sum()
        assert found.products[j, k, a, b] == (bins[held, j] * bins[held, k]).sum()


def test_pairs_that_no_patients_have_are_refused() -> None:
    counts = LabelCounts.from_bins(*cohort(30, 0.3))
    pairs = counts.pairs
    assert pairs is not None
    for name in ("patients", "bins", "products"):
        for by in (-(10**6), 10**6):
            changed = getattr(pairs, name).copy()
            changed[0, 1, 0, 1] += by
            with pytest.raises(ValueError, match="pairs of labels"):
                dataclasses.replace(pairs, **{name: changed})
    with pytest.raises(ValueError, match="of more patients than the labels"):
        LabelCounts((Histogram.empty(),) * 4, pairs)
    with pytest.raises(ValueError, match="of more patients than the labels"):
        LabelCounts(counts.histograms[:3], pairs)
