"""Recalibration from counts, against SciPy on the patients' own scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from shared.metrics.binary import brier, ece
from shared.metrics.calibration import (
    apply_temperature,
    calibration_in_the_large,
    fit_temperature,
    probable_recalibration,
    recalibration,
)
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_logits

T = TypeVar("T")
FITS: list[Callable[[Histogram], object]] = [
    calibration_in_the_large,
    recalibration,
    probable_recalibration,
    fit_temperature,
]


def defined(value: T | None) -> T:
    """A fit that must exist here."""
    assert value is not None
    return value


@st.composite
def histograms(draw: st.DrawFn) -> Histogram:
    """A few patients in a few bins, the outermost among them, both classes present or not."""
    bins = st.sampled_from([0, 1, 100, 240, 255, 256, 257, 258, 300, 512, 513])
    one = st.tuples(bins, st.integers(0, 1), st.sampled_from([1, 2, 30, 2**31 - 1]))
    positives, negatives = np.zeros((2, SCORE_BINS), dtype=np.int64)
    for index, label, count in draw(st.lists(one, max_size=8)):
        (positives if label else negatives)[index] = count
    return Histogram(positives, negatives)


def cohort(
    intercept: float, slope: float, patients: int = 4000
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits whose outcomes follow the given recalibration."""
    generator = np.random.default_rng(13)
    logits = generator.normal(-0.5, 1.3, patients)
    truth = expit(intercept + slope * logits)
    return logits, (generator.random(patients) < truth).astype(np.int64)


def loss(odds: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Negative log-likelihood, patient by patient."""
    return float(np.logaddexp(0, np.where(labels == 1, -odds, odds)).sum())


@pytest.mark.parametrize(("intercept", "slope"), [(0, 1), (0.4, 0.5), (-1, 2), (0, -0.7)])
def test_recalibration_is_the_logistic_regression_of_the_raw_scores(
    intercept: float, slope: float
) -> None:
    logits, labels = cohort(intercept, slope)
    result = defined(recalibration(Histogram.from_logits(logits, labels)))
    expected = minimize(lambda w: loss(w[0] + w[1] * logits, labels), [0, 0], tol=1e-10)
    assert (result.intercept, result.slope) == pytest.approx(tuple(expected.x), abs=0.01)
    assert (result.intercept, result.slope) == pytest.approx((intercept, slope), abs=0.2)


@pytest.mark.parametrize(
    ("intercept", "slope", "patients", "usable"),
    [(0.4, 0.5, 4000, True), (0, -0.7, 4000, False), (0, 1, 12, False)],
)
def test_a_recalibration_of_few_or_inverted_scores_is_none_for_others(
    intercept: float, slope: float, patients: int, *, usable: bool
) -> None:
    histogram = Histogram.from_logits(*cohort(intercept, slope, patients))
    fit = recalibration(histogram)
    assert fit is not None
    assert probable_recalibration(histogram) == (fit if usable else None)


@pytest.mark.parametrize("shift", [0, 0.8, -2])
def test_calibration_in_the_large_is_the_shift_of_the_raw_scores(shift: float) -> None:
    logits, labels = cohort(shift, 1)
    result = calibration_in_the_large(Histogram.from_logits(logits, labels))
    expected = minimize_scalar(lambda a: loss(a + logits, labels))
    assert result == pytest.approx(expected.x, abs=0.01)


@pytest.mark.parametrize("temperature", [0.4, 1, 2.5])
def test_the_temperature_is_that_of_the_raw_scores(temperature: float) -> None:
    logits, labels = cohort(0, 1 / temperature)
    result = fit_temperature(Histogram.from_logits(logits, labels))
    expected = minimize_scalar(
        lambda t: loss(logits / t, labels), bounds=(0.05, 20), method="bounded"
    )
    assert result == pytest.approx(expected.x, rel=0.01)
    assert result == pytest.approx(temperature, rel=0.15)


@given(histograms())
def test_a_recalibration_solves_the_equations_of_greatest_likelihood(histogram: Histogram) -> None:
    result = recalibration(histogram)
    of_positives, of_negatives = (
        np.flatnonzero(c) for c in (histogram.positives, histogram.negatives)
    )
    apart = (
        not len(of_positives)
        or not len(of_negatives)
        or min(of_positives) >= max(of_negatives)
        or min(of_negatives) >= max(of_positives)
    )
    assert (result is None) == apart
    if result is not None:
        patients = histogram.positives + histogram.negatives
        expected = patients * expit(result.intercept + result.slope * bin_logits())
        total = patients.sum()
        assert expected.sum() / total == pytest.approx(histogram.total_positives / total, abs=1e-9)
        moment = np.dot(expected - histogram.positives, bin_logits()) / total
        assert moment == pytest.approx(0, abs=1e-8)


@given(histograms())
def test_calibration_in_the_large_makes_the_mean_the_share_of_positives(
    histogram: Histogram,
) -> None:
    shift = calibration_in_the_large(histogram)
    if min(histogram.total_positives, histogram.total_negatives) == 0:
        assert shift is None
    else:
        patients = histogram.positives + histogram.negatives
        mean = np.dot(patients, expit(bin_logits() + defined(shift))) / patients.sum()
        assert mean == pytest.approx(histogram.total_positives / patients.sum(), abs=1e-9)


@given(histograms(), st.floats(0.05, 20))
def test_no_other_temperature_in_range_is_likelier(histogram: Histogram, other: float) -> None:
    temperature = fit_temperature(histogram)

    def mean_loss(t: float) -> float:
        odds = bin_logits() / t
        whole = np.dot(histogram.positives, np.logaddexp(0, -odds))
        whole += np.dot(histogram.negatives, np.logaddexp(0, odds))
        return float(whole / (histogram.positives + histogram.negatives).sum())

    if temperature is not None:
        assert 0.05 <= temperature <= 20
        assert mean_loss(temperature) <= mean_loss(other) + 1e-9
    elif min(histogram.total_positives, histogram.total_negatives) > 0:
        # Every patient is on the right side of 0.5: the most extreme scores are the likeliest.
        assert mean_loss(0.05) <= mean_loss(other)
        assert np.all(bin_logits()[histogram.positives > 0] > 0)
        assert np.all(bin_logits()[histogram.negatives > 0] < 0)


def test_temperatures_out_of_range_are_its_ends() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 2, 500)
    inverted = Histogram.from_logits(-2.0 * labels + 1, labels)
    assert fit_temperature(inverted) == 20
    timid = np.where(labels == 1, 0.02, -0.02)
    timid[0] = -timid[0]
    assert fit_temperature(Histogram.from_logits(timid, labels)) == 0.05


def test_scaling_mends_overconfident_scores() -> None:
    logits, labels = cohort(0, 0.4)
    histogram = Histogram.from_logits(logits, labels)
    scaled = apply_temperature(bin_logits(), defined(fit_temperature(histogram)))
    assert defined(ece(histogram, probabilities=scaled)) < 0.03 < 0.1 < defined(ece(histogram))
    assert defined(brier(histogram, scaled)) < defined(brier(histogram)) - 0.01


def test_applying_a_temperature() -> None:
    logits = np.array([-40.0, -1.0, 0.0, 2.0])
    np.testing.assert_allclose(apply_temperature(logits, 2), 1 / (1 + np.exp(-logits / 2)))
    np.testing.assert_allclose(
        apply_temperature(bin_logits(), 1.0), 1 / (1 + np.exp(-bin_logits()))
    )
    for temperature in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=f"The temperature is {temperature:g}"):
            apply_temperature(logits, temperature)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_there_is_no_fit_without_both_classes(
    fit: Callable[[Histogram], object], labels: list[int]
) -> None:
    assert fit(Histogram.from_logits([-1.0, 1.0][: len(labels)], labels)) is None


def test_there_is_no_slope_nor_temperature_where_the_classes_lie_apart() -> None:
    separable = Histogram.from_logits([-1.0, -0.5, 0.5, 1.0], [0, 0, 1, 1])
    assert recalibration(separable) is None
    assert fit_temperature(separable) is None
    assert calibration_in_the_large(separable) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("fit", FITS)
def test_grades_cannot_be_recalibrated(fit: Callable[[Histogram], object]) -> None:
    with pytest.raises(ValueError, match="The histogram has 4 bins"):
        fit(Histogram.empty(4))
