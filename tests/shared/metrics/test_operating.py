"""Operating points, against scikit-learn's ROC curve and slow searches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_curve

from shared.metrics.binary import confusion, sensitivity, snap_threshold, specificity
from shared.metrics.histogram import Histogram, bin_edges, bin_of
from shared.metrics.operating import (
    at_threshold,
    threshold_at_sensitivity,
    threshold_at_specificity,
    youden_threshold,
)

Cohort = tuple[NDArray[np.float64], NDArray[np.int64]]
shares = st.sampled_from([0.0, 0.07, 0.29, 0.5, 2 / 3, 0.8, 0.9, 1.0]) | st.floats(0, 1)


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """Logits and labels of 0 to 30 patients, the outermost bins among them."""
    place = st.integers(-20, 20).map(lambda k: k / 2) | st.integers(-3, 3).map(lambda k: k / 32)
    patients = draw(st.lists(st.tuples(place, st.integers(0, 1)), max_size=30))
    return np.array([z for z, _ in patients]), np.array([y for _, y in patients], dtype=np.int64)


def probabilities() -> list[float]:
    """All thresholds that can be chosen."""
    return [float(p) for p in 1 / (1 + np.exp(-bin_edges()))]


def rates(cohort: Cohort, edge: float) -> tuple[float, float]:
    """Sensitivity and specificity at a logit, from the raw scores; 1 where a class is missing."""
    logits, labels = cohort
    hits, rejections = logits[labels == 1] >= edge, logits[labels == 0] < edge
    return (
        float(np.mean(hits)) if hits.size else 1.0,
        float(np.mean(rejections)) if rejections.size else 1.0,
    )


@given(cohorts())
def test_youdens_threshold_is_where_scikit_learns_curve_is_highest(cohort: Cohort) -> None:
    logits, labels = cohort
    histogram = Histogram.from_logits(logits, labels)
    threshold = youden_threshold(histogram)
    if not 0 < labels.sum() < len(labels):
        assert threshold is None
        return
    assert threshold is not None
    # The curve's other points, all called positive or none, are beyond the thresholds.
    false_rates, true_rates, first = roc_curve(labels, bin_of(logits), drop_intermediate=False)
    inside = (first > 0) & (first < 514)
    best = np.max((true_rates - false_rates)[inside], initial=sum(rates(cohort, 8)) - 1)
    reached = (sensitivity(histogram, threshold) or 0) + (specificity(histogram, threshold) or 0)
    assert reached - 1 == pytest.approx(best)


def test_ties_go_to_the_highest_sensitivity_and_the_middle_of_the_gap() -> None:
    # J is 1/2 at thresholds between -1 and 0 (all positives) and between 1 and 2 (half of them).
    logits, labels = [-1.0, -0.0, 1.0, 2.0], [0, 1, 0, 1]
    assert youden_threshold(Histogram.from_logits(logits, labels)) == pytest.approx(
        1 / (1 + np.exp(0.5)), abs=0.01
    )
    apart = Histogram.from_logits([-3.01, 1.01], [0, 1])
    assert youden_threshold(apart) == pytest.approx(1 / (1 + np.exp(1)), abs=0.01)


@given(cohorts(), shares)
def test_the_highest_threshold_that_reaches_a_sensitivity(cohort: Cohort, share: float) -> None:
    histogram = Histogram.from_logits(*cohort)
    threshold = threshold_at_sensitivity(histogram, share)
    reaching = [
        p
        for p, edge in zip(probabilities(), bin_edges(), strict=True)
        if cohort[1].any() and rates(cohort, edge)[0] >= share
    ]
    assert threshold == (pytest.approx(max(reaching)) if reaching else None)


@given(cohorts(), shares)
def test_the_lowest_threshold_that_reaches_a_specificity(cohort: Cohort, share: float) -> None:
    histogram = Histogram.from_logits(*cohort)
    threshold = threshold_at_specificity(histogram, share)
    reaching = [
        p
        for p, edge in zip(probabilities(), bin_edges(), strict=True)
        if (cohort[1] == 0).any() and rates(cohort, edge)[1] >= share
    ]
    assert threshold == (pytest.approx(min(reaching)) if reaching else None)


def test_a_share_is_reached_in_spite_of_rounding() -> None:
    logits = np.repeat([2.0, -2.0], [7, 93])
    histogram = Histogram.from_logits(logits, np.ones(100, dtype=np.int64))
    assert 0.07 * 100 > 7
    threshold = threshold_at_sensitivity(histogram, 0.07)
    assert threshold == pytest.approx(1 / (1 + np.exp(-2.0)))


@given(cohorts())
def test_a_chosen_threshold_is_applied_as_it_is(cohort: Cohort) -> None:
    histogram = Histogram.from_logits(*cohort)
    for threshold in (
        youden_threshold(histogram),
        threshold_at_sensitivity(histogram, 0.9),
        threshold_at_specificity(histogram, 0.9),
    ):
        if threshold is not None:
            assert snap_threshold(threshold) == threshold
            assert at_threshold(histogram, threshold).confusion.threshold == threshold


@given(cohorts(), st.sampled_from([0.1, 0.5, 0.9]))
def test_shares_and_their_exact_intervals(cohort: Cohort, threshold: float) -> None:
    histogram = Histogram.from_logits(*cohort)
    point, table = at_threshold(histogram, threshold), confusion(histogram, threshold)
    assert point.confusion == table
    predicted = cohort[0] >= np.log(table.threshold / (1 - table.threshold)) - 1e-9
    sick = cohort[1] == 1
    for share, those, among in (
        (point.sensitivity, predicted, sick),
        (point.specificity, ~predicted, ~sick),
        (point.positive_predictive_value, sick, predicted),
        (point.negative_predictive_value, ~sick, ~predicted),
    ):
        if not among.any():
            assert share is None
            continue
        assert share is not None
        expected = stats.binomtest(int((those & among).sum()), int(among.sum()))
        interval = expected.proportion_ci(0.95, "exact")
        assert share.value == pytest.approx(expected.statistic)
        assert share.ci95 == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_positives_below_all_thresholds_cannot_be_reached() -> None:
    histogram = Histogram.from_logits([-9.0, 1.0, 9.0, -1.0], [1, 1, 0, 0])
    assert threshold_at_sensitivity(histogram, 0.5) is not None
    assert threshold_at_sensitivity(histogram, 0.51) is None
    assert threshold_at_specificity(histogram, 0.5) is not None
    assert threshold_at_specificity(histogram, 0.51) is None


@pytest.mark.parametrize("choose", [threshold_at_sensitivity, threshold_at_specificity])
@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_a_share_outside_0_to_1_is_refused(
    choose: Callable[[Histogram, float], float | None], share: float
) -> None:
    with pytest.raises(ValueError, match=f"asked for is {share:g}; it must lie in 0 to 1"):
        choose(Histogram.empty(), share)


@pytest.mark.parametrize(
    "choose", [youden_threshold, lambda h: threshold_at_sensitivity(h, 0.9), at_threshold]
)
def test_grades_have_no_threshold(choose: Callable[..., object]) -> None:
    arguments = (0.5,) if choose is at_threshold else ()
    with pytest.raises(ValueError, match="The histogram has 4 bins"):
        choose(Histogram.empty(4), *arguments)
