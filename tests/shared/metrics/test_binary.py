"""Metrics from counts, against scikit-learn on the patients' own and on their binned scores."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from shared.metrics import binary
from shared.metrics.histogram import Histogram, bin_edges, bin_of, bin_probabilities

T = TypeVar("T")
PROBABILITY_METRICS: list[Callable[[Histogram], object]] = [
    binary.confusion,
    binary.sensitivity,
    binary.specificity,
    binary.balanced_accuracy,
    binary.f1,
    binary.brier,
    binary.ece,
]
Cohort = tuple[NDArray[np.float64], NDArray[np.int64]]


def defined(value: T | None) -> T:
    """The value of a metric that must not be None here."""
    assert value is not None
    return value


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """Logits and labels of 2 to 40 patients, both classes present, ties and edges likely."""
    one = st.floats(-12, 12) | st.integers(-300, 300).map(lambda k: k / 32) | st.just(0.01)
    logits = draw(st.lists(one, min_size=2, max_size=40))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(logits), max_size=len(logits)))
    labels[:2] = [0, 1]
    return np.array(logits), np.array(labels)


def seeded_cohort(seed: int, patients: int = 300, shift: float = 1.2) -> Cohort:
    generator = np.random.default_rng(seed)
    labels = (generator.random(patients) < 0.3).astype(np.int64)
    return generator.normal(shift * (labels - 0.7), 1.5), labels


def binned(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each patient's score becomes: the probability of its bin."""
    return np.asarray(bin_probabilities()[bin_of(logits)])


@given(cohorts(), st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_auroc_of_the_raw_scores_lies_within_the_bounds_for_any_sites(
    cohort: Cohort, sites: list[int]
) -> None:
    logits, labels = cohort
    site = np.array(sites[: len(logits)])
    merged = Histogram.empty()
    for number in range(4):
        merged += Histogram.from_logits(logits[site == number], labels[site == number])
    low, high = defined(binary.auroc_bounds(merged))
    raw = sklearn_metrics.roc_auc_score(labels, logits)
    assert low - 1e-12 <= raw <= high + 1e-12
    assert 0 <= low <= defined(binary.auroc(merged)) <= high <= 1


@given(cohorts())
def test_bounds_are_one_half_of_the_tied_pairs_to_either_side(cohort: Cohort) -> None:
    logits, labels = cohort
    histogram = Histogram.from_logits(logits, labels)
    tied = np.equal.outer(bin_of(logits[labels == 1]), bin_of(logits[labels == 0])).mean()
    area = defined(binary.auroc(histogram))
    assert binary.auroc_bounds(histogram) == pytest.approx((area - tied / 2, area + tied / 2))


@given(st.lists(st.integers(-250, 250), min_size=2, max_size=40, unique=True), st.randoms())
def test_auroc_is_exact_where_scores_are_far_apart(places: list[int], random: Random) -> None:
    logits = np.array(places) / 32 + 0.01
    labels = np.array([random.randint(0, 1) for _ in places])
    labels[:2] = [0, 1]
    histogram = Histogram.from_logits(logits, labels)
    raw = pytest.approx(sklearn_metrics.roc_auc_score(labels, logits), abs=1e-12)
    assert binary.auroc(histogram) == raw
    assert binary.auroc_bounds(histogram) == (binary.auroc(histogram),) * 2


@given(cohorts())
def test_ranking_metrics_equal_scikit_learn_on_the_binned_scores(cohort: Cohort) -> None:
    logits, labels = cohort
    histogram, scores = Histogram.from_logits(logits, labels), binned(logits)
    assert binary.auroc(histogram) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, scores), abs=1e-12
    )
    assert binary.auprc(histogram) == pytest.approx(
        sklearn_metrics.average_precision_score(labels, scores), abs=1e-12
    )


def test_auroc_of_an_ordinal_grade_is_exact() -> None:
    generator = np.random.default_rng(5)
    grades, labels = generator.integers(1, 5, 163), generator.integers(0, 2, 163)
    histogram = Histogram.from_bins(grades - 1, labels, 4)
    assert binary.auroc(histogram) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, grades), abs=1e-12
    )
    assert binary.auprc(histogram) == pytest.approx(
        sklearn_metrics.average_precision_score(labels, grades), abs=1e-12
    )


@given(cohorts(), st.sampled_from([0.1, 0.5, 0.73, 0.999, 1e-9]))
def test_confusion_equals_scikit_learn_on_the_raw_scores(cohort: Cohort, threshold: float) -> None:
    logits, labels = cohort
    histogram = Histogram.from_logits(logits, labels)
    table = binary.confusion(histogram, threshold)
    snapped = np.log(table.threshold / (1 - table.threshold))
    predicted = logits >= np.round(snapped * 32) / 32
    expected = sklearn_metrics.confusion_matrix(labels, predicted, labels=[0, 1])
    assert [
        [table.true_negatives, table.false_positives],
        [table.false_negatives, table.true_positives],
    ] == expected.tolist()
    arguments = histogram, threshold
    assert binary.sensitivity(*arguments) == pytest.approx(
        sklearn_metrics.recall_score(labels, predicted)
    )
    assert binary.specificity(*arguments) == pytest.approx(
        sklearn_metrics.recall_score(labels, predicted, pos_label=0)
    )
    assert binary.balanced_accuracy(*arguments) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, predicted)
    )
    assert binary.f1(*arguments) == pytest.approx(sklearn_metrics.f1_score(labels, predicted))


def test_a_score_of_one_half_is_predicted_positive() -> None:
    table = binary.confusion(Histogram.from_logits([0.0, np.nextafter(0.0, -1)], [1, 1]))
    assert (table.true_positives, table.false_negatives, table.threshold) == (1, 1, 0.5)


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_threshold_snaps_to_the_next_edge(threshold: float) -> None:
    snapped = binary.snap_threshold(threshold)
    edges = 1 / (1 + np.exp(-bin_edges()))
    assert np.isclose(edges, snapped, rtol=1e-12, atol=0).sum() == 1
    assert binary.snap_threshold(snapped) == snapped
    if edges[0] < threshold < edges[-1]:
        distance = np.log(snapped / (1 - snapped)) - np.log(threshold / (1 - threshold))
        assert abs(distance) <= 1 / 64 + 1e-9
    else:
        assert snapped == pytest.approx(edges[0] if threshold < 0.5 else edges[-1])


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, np.nan, np.inf])
def test_a_threshold_outside_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match=f"The threshold is {threshold:g}"):
        binary.confusion(Histogram.empty(), threshold)


@given(cohorts())
def test_brier_equals_scikit_learn_on_the_binned_scores(cohort: Cohort) -> None:
    logits, labels = cohort
    brier = defined(binary.brier(Histogram.from_logits(logits, labels)))
    assert brier == pytest.approx(sklearn_metrics.brier_score_loss(labels, binned(logits)))
    raw = sklearn_metrics.brier_score_loss(labels, 1 / (1 + np.exp(-logits)))
    assert abs(brier - raw) < 0.008


def slow_ece(labels: NDArray[np.int64], scores: NDArray[np.float64], bins: int) -> float:
    """The published definition, patient by patient."""
    error = 0.0
    for index in range(bins):
        inside = [
            (y, p)
            for y, p in zip(labels, scores, strict=True)
            if index / bins <= p < (index + 1) / bins
        ]
        if inside:
            rate, mean = np.mean(inside, axis=0)
            error += len(inside) / len(labels) * abs(rate - mean)
    return error


@given(cohorts(), st.sampled_from([1, 2, 10, 15]))
def test_ece_equals_its_definition_on_the_binned_scores(cohort: Cohort, bins: int) -> None:
    logits, labels = cohort
    expected = slow_ece(labels, binned(logits), bins)
    result = binary.ece(Histogram.from_logits(logits, labels), bins)
    assert result == pytest.approx(expected, abs=1e-12)


def test_ece_tells_calibrated_from_overconfident_scores() -> None:
    generator = np.random.default_rng(2)
    logits = generator.normal(0, 1.5, 20_000)
    labels = generator.random(20_000) < 1 / (1 + np.exp(-logits))
    assert defined(binary.ece(Histogram.from_logits(logits, labels))) < 0.02
    assert defined(binary.ece(Histogram.from_logits(3 * logits, labels))) > 0.1


@pytest.mark.parametrize("seed", range(3))
def test_binned_metrics_are_close_to_those_of_the_raw_scores(seed: int) -> None:
    logits, labels = seeded_cohort(seed)
    histogram, scores = Histogram.from_logits(logits, labels), 1 / (1 + np.exp(-logits))
    low, high = defined(binary.auroc_bounds(histogram))
    assert high - low < 0.01
    assert binary.auroc(histogram) == pytest.approx(
        sklearn_metrics.roc_auc_score(labels, scores), abs=0.002
    )
    assert binary.auprc(histogram) == pytest.approx(
        sklearn_metrics.average_precision_score(labels, scores), abs=0.01
    )
    assert binary.brier(histogram) == pytest.approx(
        sklearn_metrics.brier_score_loss(labels, scores), abs=1e-3
    )
    assert binary.balanced_accuracy(histogram) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, scores >= 0.5)
    )


def test_perfect_and_inverted_order() -> None:
    logits = np.array([-2.0, -1.0, 1.0, 2.0])
    assert binary.auroc(Histogram.from_logits(logits, [0, 0, 1, 1])) == 1
    assert binary.auroc(Histogram.from_logits(logits, [1, 1, 0, 0])) == 0
    assert binary.auprc(Histogram.from_logits(logits, [0, 0, 1, 1])) == 1


def test_all_scores_in_one_bin_say_nothing() -> None:
    histogram = Histogram.from_logits([0.001, 0.002, 0.003], [0, 1, 0])
    assert binary.auroc(histogram) == 0.5
    assert binary.auroc_bounds(histogram) == (0, 1)
    assert binary.auprc(histogram) == pytest.approx(1 / 3)


@pytest.mark.parametrize("metric", [binary.auroc, binary.auroc_bounds, binary.auprc])
@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_ranking_is_undefined_without_both_classes(
    metric: Callable[[Histogram], object], labels: list[int]
) -> None:
    assert metric(Histogram.from_logits([0.5] * len(labels), labels)) is None


def test_metrics_with_a_class_missing() -> None:
    negatives = Histogram.from_logits([-1.0, 1.0], [0, 0])
    assert binary.sensitivity(negatives) is None
    assert binary.balanced_accuracy(negatives) is None
    assert binary.specificity(negatives) == 0.5
    assert binary.f1(negatives) == 0
    positives = Histogram.from_logits([-1.0, 1.0], [1, 1])
    assert binary.specificity(positives) is None
    assert binary.balanced_accuracy(positives) is None
    assert binary.sensitivity(positives) == 0.5


def test_f1_is_undefined_where_nothing_is_positive() -> None:
    assert binary.f1(Histogram.from_logits([-1.0], [0])) is None


def test_nothing_is_defined_without_patients() -> None:
    for metric in PROBABILITY_METRICS:
        if metric is not binary.confusion:
            assert metric(Histogram.empty()) is None


@pytest.mark.parametrize("metric", PROBABILITY_METRICS)
def test_a_grade_is_no_probability(metric: Callable[[Histogram], object]) -> None:
    with pytest.raises(ValueError, match="The histogram has 4 bins"):
        metric(Histogram.empty(4))


def test_ece_needs_an_interval() -> None:
    with pytest.raises(ValueError, match="bins is 0"):
        binary.ece(Histogram.empty(), bins=0)


def test_large_counts_stay_exact() -> None:
    many = 2**31 - 1
    histogram = Histogram(np.array([0, many, many]), np.array([many, many, 0]))
    assert binary.auroc(histogram) == 0.875
    assert binary.auroc_bounds(histogram) == (0.75, 1.0)
