from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_logits, bin_of
from shared.metrics.log_loss import chance_log_loss, log_loss, refined_log_loss

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
        log_loss(Histogram.from_bins([0], [1], 2))


overlapping = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=8, max_size=8
).filter(lambda cells: sum(p for p, _ in cells) > 0 and sum(n for _, n in cells) > 0)


def spread(cells: list[tuple[int, int]], first: int, step: int) -> Histogram:
    """(positives, negatives) in bins so far apart."""
    counts = np.zeros((2, SCORE_BINS), dtype=np.int64)
    for place, pair in enumerate(cells):
        counts[:, first + step * place] = pair
    return Histogram(counts[0], counts[1])


@settings(max_examples=15, deadline=None, phases=[Phase.generate])
@given(overlapping)
def test_the_refined_log_loss_is_that_of_a_logistic_regression_that_cannot_fall(
    cells: list[tuple[int, int]],
) -> None:
    counts = spread(cells, 100, 20)
    found = refined_log_loss(counts)
    assert found is not None
    patients = [(100 + 20 * n, y) for n, pair in enumerate(cells) for y in (1, 0)
                for _ in range(pair[1 - y])]  # fmt: skip
    x, y = np.array([bin_logits()[n] for n, _ in patients]), np.array([y for _, y in patients])
    fit = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(x[:, None], y)
    falls = fit.coef_[0, 0] <= 0
    probabilities = np.full(len(y), y.mean()) if falls else fit.predict_proba(x[:, None])[:, 1]
    assert found == pytest.approx(sklearn_log_loss(y, probabilities, labels=[0, 1]), abs=2e-3)
    # Calibration does not matter: the same order, shifted and with other distances.
    assert refined_log_loss(spread(cells, 300, 20)) == pytest.approx(found, abs=1e-6)
    assert refined_log_loss(spread(cells, 450, 3)) == pytest.approx(found, abs=1e-6)


def test_the_refined_log_loss_of_what_cannot_be_fitted() -> None:
    assert refined_log_loss(Histogram.empty()) is None
    one_class = [(1, 0), (2, 0)]
    apart = [(0, 3), (0, 1), (2, 0)]
    assert refined_log_loss(spread(one_class, 10, 1)) == 0.0
    assert refined_log_loss(spread(apart, 10, 1)) == 0.0
    assert refined_log_loss(spread(apart[::-1], 10, 1)) == pytest.approx(
        -(np.log(1 / 3) * 2 + np.log(2 / 3) * 4) / 6
    )


def test_the_refined_log_loss_of_labels_is_their_mean_and_of_classes_the_log_loss() -> None:
    first, second = spread([(1, 2), (2, 1)], 300, 9), spread([(3, 1), (2, 2)], 400, 9)
    own = [refined_log_loss(one) for one in (first, second)]
    assert None not in own
    assert refined_log_loss(LabelCounts((first, second))) == pytest.approx(
        sum(one for one in own if one) / 2
    )
    bins, classes = bin_of([[2.0, -1.0, 0.0], [-3.0, -5.0, 1.0], [1.0, 0.0, 2.0]]), np.arange(3)
    nominal = ClassCounts.from_bins(bins, classes, classes, 3)
    plain = log_loss(nominal)
    assert plain is not None
    assert refined_log_loss(nominal) == plain.mean
    ordinal = ClassCounts.from_bins(bins[:, :2], classes, classes, 3)
    cuts = [refined_log_loss(Histogram.from_bins(bins[:, cut], classes > cut)) for cut in range(2)]
    assert refined_log_loss(ordinal) == pytest.approx(sum(one for one in cuts if one) / 2)


@pytest.mark.parametrize("patients", [32, 200])
def test_scores_that_say_nothing_are_below_chance_in_one_cohort_of_twenty(patients: int) -> None:
    rng = np.random.default_rng(patients)
    below = 0
    for _ in range(400):
        scores, outcomes = rng.normal(size=patients), np.arange(patients) % 3 == 0
        counts = Histogram.from_bins(bin_of(scores), outcomes)
        refined, chance = refined_log_loss(counts), chance_log_loss(counts)
        assert refined is not None
        assert chance is not None
        below += refined < chance
    # Of 400 at 1 in 20 all but one draw in a thousand lie within these.
    assert 8 <= below <= 35


def test_chance_of_labels_cuts_and_classes() -> None:
    assert chance_log_loss(Histogram.empty()) is None
    first, second = spread([(1, 2), (2, 1)], 300, 9), spread([(3, 1), (2, 2)], 400, 9)
    even = np.log(2) - 2.706 / 2 / 6
    assert chance_log_loss(first) == pytest.approx(even)
    own = -(5 * np.log(5 / 8) + 3 * np.log(3 / 8)) / 8 - 2.706 / 2 / 8
    assert chance_log_loss(LabelCounts((first, second))) == pytest.approx((even + own) / 2)
    bins, classes = bin_of([[2.0, -1.0, 0.0], [-3.0, -5.0, 1.0], [1.0, 0.0, 2.0]]), np.arange(3)
    nominal = ClassCounts.from_bins(bins, classes, classes, 3)
    assert chance_log_loss(nominal) == pytest.approx(np.log(3))
    ordinal = ClassCounts.from_bins(bins[:, :2], classes, classes, 3)
    third = -(np.log(1 / 3) + 2 * np.log(2 / 3)) / 3 - 2.706 / 2 / 3
    assert chance_log_loss(ordinal) == pytest.approx(third)
