"""The variance of a mean of AUROCs against DeLong's of the patients' own scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.metrics.classes.contrasts import (
    Contrast,
    against_rest,
    mean_auroc,
    one_against_one,
)
from shared.metrics.classes.copula import Copula
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.macro import mean_auroc_interval, mean_auroc_variance
from shared.metrics.histogram import SCORE_BINS, bin_of
from shared.metrics.interval import auroc_interval, delong_variance


def cohort(
    seed: int, patients: int, classes: int, *, ordinal: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64], ClassCounts]:
    rng = np.random.default_rng(seed)
    labels = np.arange(patients) % classes
    if ordinal:
        latent = labels + rng.standard_t(4, patients)
        logits = latent[:, None] - np.arange(classes - 1) - 0.5
        logits += 0.3 * rng.normal(size=logits.shape)
    else:
        raw = rng.standard_t(4, (patients, classes))
        raw[np.arange(patients), labels] += 1.3
        shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        logits = np.log(shares) - np.log1p(-shares)
    bins = bin_of(logits)
    return bins, labels, ClassCounts.from_bins(bins, labels, labels, classes)


def slow_variance(
    bins: NDArray[np.int64], labels: NDArray[np.int64], contrasts: tuple[Contrast, ...]
) -> float:
    """The sum of each patient's squared influence, with all pairs of patients compared."""
    influence = np.zeros(len(labels))
    for one in contrasts:
        scores = bins[:, one.score]
        high, low = (np.isin(labels, side) for side in (one.positive, one.negative))
        ahead = np.sign(scores[high][:, None] - scores[low][None, :]) / 2 + 0.5
        for side, mean, number in (
            (high, ahead.mean(1), high.sum()),
            (low, ahead.mean(0), low.sum()),
        ):
            influence[side] += one.weight * (mean - ahead.mean()) / math.sqrt(number * (number - 1))
    return float((influence**2).sum())


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 40), st.integers(2, 4), st.booleans())
def test_the_variance_of_one_auroc_is_that_of_delong(
    seed: int, patients: int, classes: int, ordinal: bool
) -> None:
    _, _, counts = cohort(seed, max(patients, 2 * classes), classes, ordinal=ordinal)
    for one in against_rest(counts):
        alone = Contrast(one.score, one.positive, one.negative)
        expected = delong_variance(counts.split_by(one.score))
        assert mean_auroc_variance(counts, [alone]) == pytest.approx(expected, abs=1e-12)
        found = mean_auroc_interval(counts, [alone])
        assert found == pytest.approx(auroc_interval(counts.split_by(one.score)), abs=1e-9)


@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("ordinal", [False, True])
def test_the_variance_of_a_mean_is_that_of_the_patients_own_scores(
    classes: int, ordinal: bool
) -> None:
    bins, labels, counts = cohort(classes, 600, classes, ordinal=ordinal)
    kinds = [against_rest(counts), against_rest(counts, by_support=True)]
    kinds += [] if ordinal else [one_against_one(counts)]
    for contrasts in kinds:
        expected = slow_variance(bins, labels, contrasts)
        assert mean_auroc_variance(counts, contrasts) == pytest.approx(expected, rel=0.06)
        # Which neither independence nor perfect correlation would give.
        own = [(one.weight, delong_variance(one.histogram(counts)) or 0.0) for one in contrasts]
        assert expected < 0.9 * sum(weight * math.sqrt(each) for weight, each in own) ** 2
        assert sum(w**2 * each for w, each in own) != pytest.approx(expected, rel=0.1)


def test_covariances_are_exact_where_scores_are_normal_or_the_same() -> None:
    rng = np.random.default_rng(4)
    normal = rng.multivariate_normal([0, 1], [[1, -0.7], [-0.7, 1]], 100_000)
    for logits in (normal, np.stack([normal[:, 0], normal[:, 0] ** 3 / 3], axis=1)):
        bins = bin_of(logits)
        labels = np.zeros(len(bins), dtype=np.int64)
        counts = ClassCounts.from_bins(bins, labels, labels, 2)
        values = np.stack([np.arange(SCORE_BINS) > 300, np.arange(SCORE_BINS) ** 2 / 1e5])
        found = Copula.of_class(counts, 0).covariances(values.astype(float))
        expected = np.cov(values[0][bins[:, 0]], values[1][bins[:, 1]], bias=True)
        np.testing.assert_allclose(found, expected, rtol=0.03)


def test_perfect_separation_of_few_patients_is_not_taken_for_certainty() -> None:
    bins = [[500, 10, 10], [500, 10, 10], [10, 500, 10], [10, 500, 10], [10, 10, 500]]
    labels = [0, 0, 1, 1, 2]
    counts = ClassCounts.from_bins(bins, labels, labels, 3)
    rest = against_rest(counts)
    assert mean_auroc(counts, rest) == 1
    assert mean_auroc_variance(counts, rest) is None
    low, high = mean_auroc_interval(counts, rest) or (1.0, 0.0)
    assert (low < 0.8, high) == (True, 1.0)
    assert mean_auroc_interval(ClassCounts.empty(3, 3), ()) is None
    with pytest.raises(ValueError, match="no score of each class"):
        one_against_one(ClassCounts.empty(2, 3))
