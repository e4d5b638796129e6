"""Metrics of exact scores against scikit-learn, and intervals against what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    roc_auc_score,
)

from shared.metrics.histogram import Histogram
from shared.metrics.interval import auprc_interval
from shared.metrics.scored import Scored

Patients = tuple[NDArray[np.float64], NDArray[np.int64]]


def cohort(patients: int = 300, seed: int = 0, shift: float = 0.0) -> Patients:
    """Scores with ties, of patients whose risk they overstate."""
    rng = np.random.default_rng(seed)
    logits = np.round(rng.normal(0, 1.5, patients), 1)
    labels = (rng.random(patients) < 1 / (1 + np.exp(-0.6 * logits - shift))).astype(int)
    return 1 / (1 + np.exp(-logits)), labels


def logistic(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    logits = np.log(scores / (1 - scores))[:, None]
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logits, labels)
    return float(fit.intercept_[0]), float(fit.coef_[0, 0])


scored_patients = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=40
).filter(lambda rows: len({label for _, label in rows}) == 2)


@given(scored_patients)
def test_metrics_are_those_of_scikit_learn(rows: list[tuple[float, int]]) -> None:
    scores, labels = map(np.array, zip(*rows, strict=True))
    scored = Scored.of(scores, labels)
    assert scored.auroc().value == pytest.approx(roc_auc_score(labels, scores))
    assert scored.auprc().value == pytest.approx(average_precision_score(labels, scores))
    quality = scored.calibration()
    assert quality.brier.value == pytest.approx(brier_score_loss(labels, scores))
    for estimate in (scored.auroc(), scored.auprc(), quality.brier):
        assert estimate.ci95 is not None
        assert estimate.value is not None
        assert 0 <= estimate.ci95[0] <= estimate.value <= estimate.ci95[1] <= 1
    assert scored.binned.totals == (labels.sum(), (1 - labels).sum())


@given(scored_patients, st.floats(0.01, 0.99))
def test_a_threshold_counts_who_reaches_it(rows: list[tuple[float, int]], at: float) -> None:
    scores, labels = map(np.array, zip(*rows, strict=True))
    found = Scored.of(scores, labels).at(at).confusion
    (tn, fp), (fn, tp) = confusion_matrix(labels, scores >= at, labels=[0, 1])
    assert found.cells == (tp, fp, tn, fn)


def test_calibration_is_the_logistic_regression() -> None:
    scores, labels = cohort()
    quality = Scored.of(scores, labels).calibration()
    intercept, slope = logistic(scores, labels)
    assert quality.intercept.value == pytest.approx(intercept, abs=1e-5)
    assert quality.slope.value == pytest.approx(slope, abs=1e-5)
    assert 0.4 < slope < 0.8


def test_recalibration_moves_probabilities_and_no_ranks() -> None:
    fit = logistic(*cohort(seed=1))
    scores, labels = cohort(seed=2)
    before, after = Scored.of(scores, labels), Scored.of(scores, labels).recalibrated(*fit)
    assert before.auroc() == after.auroc()
    moved = 1 / (1 + np.exp(-fit[0] - fit[1] * np.log(scores / (1 - scores))))
    assert after.calibration().brier.value == pytest.approx(brier_score_loss(labels, moved))
    assert abs((after.calibration().slope.value or 0) - 1) < 0.5
    with pytest.raises(ValueError, match="must be above 0"):
        before.recalibrated(0.0, -1.0)


def test_expected_calibration_error_in_ten_groups() -> None:
    scores, labels = cohort(seed=3)
    gaps = 0.0
    for low in np.arange(10) / 10:
        inside = (scores >= low) & (scores < low + 0.1)
        if inside.any():
            gaps += inside.sum() * abs(labels[inside].mean() - scores[inside].mean())
    ece = Scored.of(scores, labels).calibration().ece
    assert ece.value == pytest.approx(gaps / len(scores))
    assert ece.ci95 is None


@pytest.mark.parametrize("name", ["brier", "in_the_large", "intercept", "slope"])
def test_wald_intervals_hold_the_truth_about_as_often_as_they_claim(name: str) -> None:
    large = dict(Scored.of(*cohort(200_000, seed=99, shift=0.3)).calibration().estimates)
    held = 0
    for seed in range(200):
        found = dict(Scored.of(*cohort(150, seed=seed, shift=0.3)).calibration().estimates)[name]
        assert found.ci95 is not None
        held += found.ci95[0] <= (large[name].value or 0.0) <= found.ci95[1]
    assert 180 <= held <= 199  # 190 are expected; four standard deviations are 12


@pytest.mark.parametrize("positives", [8, 40])
def test_the_interval_of_the_average_precision_holds_the_truth(positives: int) -> None:
    rng = np.random.default_rng(5)
    labels = np.repeat([1, 0], [positives, 3 * positives])

    def drawn(classes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-rng.normal(size=classes.size) - 1.2 * classes)))

    many = np.repeat([1, 0], [50_000, 150_000])
    truth = average_precision_score(many, drawn(many))
    held = 0
    for _ in range(300):
        limits = auprc_interval(Scored.of(drawn(labels), labels).histogram)
        assert limits is not None
        held += limits[0] <= truth <= limits[1]
    assert held >= 280


def test_few_patients_apart_are_no_certainty() -> None:
    perfect = Scored.of([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    assert perfect.auprc().value == 1
    limits = perfect.auprc().ci95
    assert limits is not None
    assert (round(limits[0], 2), limits[1]) == (0.34, 1.0)
    assert perfect.calibration().slope.value is None


@pytest.mark.parametrize("labels", [[1, 1], [0, 0], []])
def test_what_one_class_leaves_undefined(labels: list[int]) -> None:
    scored = Scored.of([0.2, 0.7][: len(labels)], labels)
    quality = scored.calibration()
    undefined = (scored.auroc(), scored.auprc(), quality.slope, quality.in_the_large)
    assert [estimate.value for estimate in undefined] == [None] * 4
    assert (quality.brier.value is None) == (not labels)


def test_scores_of_exactly_0_and_1_have_a_calibration() -> None:
    quality = Scored.of([0.0, 1.0, 1.0, 0.0, 0.5, 0.5], [0, 1, 0, 1, 1, 0]).calibration()
    for name, estimate in quality.estimates:
        assert estimate.value is not None, name
        assert np.isfinite(estimate.value)


@pytest.mark.parametrize(
    ("scores", "labels"), [([0.5, np.nan], [0, 1]), ([1.5], [1]), ([0.5], [2]), ([0.5], [0, 1])]
)
def test_what_is_no_score_is_refused(scores: list[float], labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"score|label"):
        Scored.of(scores, labels)


def test_binned_counts_have_the_scores_of_their_bins() -> None:
    scores, labels = cohort(seed=4)
    exact = Scored.of(scores, labels)
    binned = Scored.of_bins(exact.binned)
    assert exact.binned == Histogram.from_logits(np.log(scores / (1 - scores)), labels)
    assert binned.auroc().value == pytest.approx(exact.auroc().value or 0, abs=0.01)
