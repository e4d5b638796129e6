"""The reliability curve, against scikit-learn and patient by patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.calibration import calibration_curve

from shared.metrics.binary import ece
from shared.metrics.histogram import Histogram, bin_logits, bin_of, bin_probabilities
from shared.metrics.reliability import reliability_curve

Cohort = tuple[NDArray[np.float64], NDArray[np.int64]]


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """Logits and labels of 0 to 40 patients, ties likely."""
    one = st.tuples(st.integers(-300, 300).map(lambda k: k / 32), st.integers(0, 1))
    patients = draw(st.lists(one, max_size=40))
    return np.array([z for z, _ in patients]), np.array([y for _, y in patients], dtype=np.int64)


def seeded_cohort(patients: int) -> Cohort:
    """Patients each in a bin of its own."""
    generator = np.random.default_rng(3)
    logits = bin_logits()[1:-1][generator.permutation(512)[:patients]]
    return logits, (generator.random(patients) < 1 / (1 + np.exp(-logits / 2))).astype(np.int64)


def expanded(cohort: Cohort) -> NDArray[np.float64]:
    return np.asarray(bin_probabilities()[bin_of(cohort[0])])


@given(cohorts(), st.sampled_from([1, 5, 10, 700]))
def test_groups_of_equal_width_are_scikit_learns(cohort: Cohort, groups: int) -> None:
    logits, labels = cohort
    curve = reliability_curve(Histogram.from_logits(logits, labels), groups)
    if len(labels) == 0:
        assert curve == ()
        return
    # scikit-learn closes its intervals above, but no bin's probability lies on a border.
    share, mean = calibration_curve(labels, expanded(cohort), n_bins=groups, pos_label=1)
    assert [group.share_positive for group in curve] == pytest.approx(share.tolist())
    assert [group.mean_probability for group in curve] == pytest.approx(mean.tolist())


@given(cohorts(), st.integers(1, 12), st.integers(0, 12))
def test_no_shown_group_is_below_min_cell_and_no_patient_is_lost(
    cohort: Cohort, groups: int, min_cell: int
) -> None:
    logits, labels = cohort
    histogram = Histogram.from_logits(logits, labels)
    curve = reliability_curve(histogram, groups, min_cell)
    if len(labels) < max(min_cell, 1):
        assert curve == ()
        return
    assert len(curve) <= groups
    assert all(group.patients >= max(min_cell, 1) for group in curve)
    assert sum(group.patients for group in curve) == len(labels)
    positives = sum(group.patients * group.share_positive for group in curve)
    assert positives == pytest.approx(labels.sum())
    means = [group.mean_probability for group in curve]
    assert means == sorted(means)


@given(cohorts())
def test_ece_is_the_mean_gap_of_the_groups(cohort: Cohort) -> None:
    histogram = Histogram.from_logits(*cohort)
    gaps = [
        group.patients * abs(group.share_positive - group.mean_probability)
        for group in reliability_curve(histogram, groups=10)
    ]
    if gaps:
        assert ece(histogram, bins=10) == pytest.approx(sum(gaps) / len(cohort[0]))


def test_small_groups_join_those_below_them() -> None:
    logits = np.repeat([-3.0, -1.0, 1.0, 3.0], [6, 2, 4, 5])
    labels = np.array([0] * 8 + [1] * 9)
    curve = reliability_curve(Histogram.from_logits(logits, labels), 5, min_cell=5)
    assert [(group.patients, group.share_positive) for group in curve] == [
        (6, 0.0),
        (6, pytest.approx(4 / 6)),
        (5, 1.0),
    ]


def test_the_interval_of_a_share_is_wilsons() -> None:
    labels = np.array([1, 1, 0, 1, 0, 0, 0])
    (group,) = reliability_curve(Histogram.from_logits(np.full(7, 0.3), labels))
    expected = stats.binomtest(3, 7).proportion_ci(0.95, "wilson")
    assert group.share_ci95 == pytest.approx((expected.low, expected.high))


def test_recalibrated_probabilities_give_the_curve_of_rescaled_scores() -> None:
    logits, labels = seeded_cohort(150)
    halved = 1 / (1 + np.exp(-bin_logits() / 2))
    curve = reliability_curve(Histogram.from_logits(logits, labels), 8, probabilities=halved)
    raw = halved[bin_of(logits)]
    mean = sum(group.patients * group.mean_probability for group in curve) / 150
    assert mean == pytest.approx(raw.mean())
    share, means = calibration_curve(labels, raw, n_bins=8)
    assert [group.share_positive for group in curve] == pytest.approx(share.tolist())
    assert [group.mean_probability for group in curve] == pytest.approx(means.tolist())


def test_refusals_of_a_reliability_curve() -> None:
    with pytest.raises(ValueError, match="groups is 0"):
        reliability_curve(Histogram.empty(), groups=0)
    with pytest.raises(ValueError, match="min-cell is -2"):
        reliability_curve(Histogram.empty(), min_cell=-2)
    with pytest.raises(ValueError, match="The histogram has 4 bins"):
        reliability_curve(Histogram.empty(4))
