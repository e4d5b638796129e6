"""DeLong's paired test from sums, against its definition and by simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import roc_auc_score

from shared.metrics.delong import PairedComparison, delong_covariance, delong_test
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_of
from shared.metrics.interval import delong_variance
from shared.metrics.paired import ClassSums, PairedSums, placements

T = TypeVar("T")
Integers = NDArray[np.int64]
Cohort = tuple[Integers, Integers, Integers]
BINS_A, BINS_B = 6, 4


def defined(value: T | None) -> T:
    """The value of a statistic that must not be None here."""
    assert value is not None
    return value


@st.composite
def cohorts(draw: st.DrawFn) -> Cohort:
    """Bins under A, grades under B and labels of 0 to 25 patients; ties and missing classes."""
    one = st.tuples(st.integers(0, BINS_A - 1), st.integers(0, BINS_B - 1), st.integers(0, 1))
    patients = draw(st.lists(one, max_size=25))
    a, b, labels = np.array(patients, dtype=np.int64).reshape(-1, 3).T
    return a, b, labels


def histogram(bins: Integers, labels: Integers, count: int) -> Histogram:
    positives, negatives = (np.bincount(bins[labels == k], minlength=count) for k in (1, 0))
    return Histogram(positives, negatives)


def summed(cohort: Cohort, sites: Integers | None = None, bins: int | None = None) -> PairedSums:
    """Both steps, each site adding up its own patients."""
    a, b, labels = cohort
    pooled_a = placements(histogram(a, labels, bins or BINS_A))
    pooled_b = placements(histogram(b, labels, bins or BINS_B))
    sums = PairedSums.empty(pooled_a)
    sites = np.zeros(len(labels), dtype=np.int64) if sites is None else sites
    for site in range(4):
        here = sites == site
        sums += PairedSums.of(a[here], b[here], labels[here], pooled_a, pooled_b)
    return sums


def slow_covariance(cohort: Cohort) -> NDArray[np.float64]:
    """DeLong et al. 1988, over all pairs of patients."""
    *scorings, labels = cohort
    v10, v01 = [], []
    for scores in scorings:
        x, y = scores[labels == 1].tolist(), scores[labels == 0].tolist()
        kernel = [[float(a > b) + 0.5 * (a == b) for b in y] for a in x]
        v10.append([np.mean(row) for row in kernel])
        v01.append([np.mean(column) for column in zip(*kernel, strict=True)])
    return np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])


@given(cohorts())
def test_the_comparison_equals_delongs_definition(cohort: Cohort) -> None:
    a, b, labels = cohort
    result = delong_test(summed(cohort))
    if not 0 < labels.sum() < len(labels):
        assert result is None
        return
    result = defined(result)
    areas = roc_auc_score(labels, a), roc_auc_score(labels, b)
    assert (result.auroc_a, result.auroc_b) == pytest.approx(areas, abs=1e-12)
    assert result.difference == pytest.approx(areas[0] - areas[1], abs=1e-12)
    if min(labels.sum(), (1 - labels).sum()) < 2:
        rest = result.standard_error, result.ci95, result.z, result.p
        assert rest == (None, None, None, None)
        return
    expected = slow_covariance(cohort)
    error = math.sqrt(max(expected[0, 0] + expected[1, 1] - 2 * expected[0, 1], 0))
    assert result.standard_error == pytest.approx(error, rel=1e-6, abs=1e-7)
    np.testing.assert_allclose(defined(delong_covariance(summed(cohort))), expected, atol=1e-15)
    if result.standard_error:
        z = result.difference / result.standard_error
        assert result.z == pytest.approx(z)
        assert result.p == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
        low, high = defined(result.ci95)
        assert -1 <= low <= result.difference <= high <= 1
        assert low == pytest.approx(max(-1, result.difference - 1.959963984540054 * error))


@given(st.data(), st.integers(1, 4), st.lists(st.integers(0, 1), max_size=15))
def test_of_several_repeats_a_patients_values_are_averaged(
    data: st.DataObject, repeats: int, labelled: list[int]
) -> None:
    """As if each patient's place were the mean of those in all repeats."""
    labels, sites = np.array(labelled, dtype=np.int64), np.arange(len(labelled)) % 3
    bins = st.lists(st.integers(0, 3), min_size=len(labels), max_size=len(labels))
    drawn = [[data.draw(bins) for _ in range(repeats)] for _ in "AB"]
    scorings = [[np.array(one, dtype=np.int64) for one in own] for own in drawn]
    pooled = [[placements(histogram(one, labels, 4)) for one in own] for own in scorings]
    sums = PairedSums.empty(pooled[0][0], repeats)
    for site in range(3):
        here = [[one[sites == site] for one in own] for own in scorings]
        sums += PairedSums.of_repeats(here[0], here[1], labels[sites == site], *pooled)
    result = delong_test(sums)
    if not 0 < labels.sum() < len(labels):
        assert result is None
        return
    result = defined(result)
    areas = [np.mean([roc_auc_score(labels, one) for one in own]) for own in scorings]
    assert (result.auroc_a, result.auroc_b) == pytest.approx(tuple(areas), abs=1e-12)
    if min(labels.sum(), (1 - labels).sum()) < 2:
        assert result.standard_error is None
        return
    variance = sum(
        np.var(_mean_places(scorings[0], own, sign) - _mean_places(scorings[1], own, sign), ddof=1)
        / own.sum()
        for own, sign in ((labels == 1, 1), (labels == 0, -1))
    )
    assert result.standard_error == pytest.approx(math.sqrt(variance), rel=1e-6, abs=1e-7)


def _mean_places(scorings: list[Integers], own: NDArray[np.bool_], sign: int) -> Any:
    """Of each patient of a class: the share of the other class on the right side, by repeat."""
    return np.mean(
        [
            [np.mean(np.heaviside(sign * (x - scores[~own]), 0.5)) for x in scores[own]]
            for scores in scorings
        ],
        axis=0,
    )


@given(cohorts())
def test_the_variances_are_those_of_one_scoring(cohort: Cohort) -> None:
    a, b, labels = cohort
    alone = [delong_variance(histogram(a, labels, BINS_A))]
    alone += [delong_variance(histogram(b, labels, BINS_B))]
    covariance = delong_covariance(summed(cohort))
    if covariance is None:
        assert alone == [None, None]
    else:
        assert np.diag(covariance).tolist() == alone


@given(cohorts())
def test_against_a_scoring_that_ties_everyone_it_is_the_test_of_one_half(cohort: Cohort) -> None:
    a, _, labels = cohort
    result = delong_test(summed((a, np.zeros_like(a), labels)))
    variance = delong_variance(histogram(a, labels, BINS_A))
    if result is not None and variance is not None:
        assert result.difference == pytest.approx(roc_auc_score(labels, a) - 0.5)
        assert result.standard_error == pytest.approx(math.sqrt(variance))


@given(cohorts(), st.lists(st.integers(0, 3), min_size=25, max_size=25))
def test_the_same_sums_come_of_any_sites_in_any_order(cohort: Cohort, sites: list[int]) -> None:
    whole = summed(cohort)
    assert summed(cohort, np.array(sites[: len(cohort[0])], dtype=np.int64)) == whole
    order = np.random.default_rng(len(sites)).permutation(len(cohort[0]))
    a, b, labels = cohort
    assert summed((a[order], b[order], labels[order])) == whole


@given(cohorts())
def test_scorings_that_change_places_change_the_sign_alone(cohort: Cohort) -> None:
    a, b, labels = cohort
    there = delong_test(summed((a, b, labels), bins=BINS_A))
    back = delong_test(summed((b, a, labels), bins=BINS_A))
    if there is None:
        assert back is None
    else:
        back = defined(back)
        assert back.difference == -there.difference
        assert (back.standard_error, back.p) == (there.standard_error, there.p)


@given(cohorts())
def test_a_scoring_does_not_differ_from_itself(cohort: Cohort) -> None:
    a, _, labels = cohort
    result = delong_test(summed((a, a, labels), bins=BINS_A))
    if result is not None:
        assert result.difference == 0
        assert result.ci95 is None
        assert result.p == (None if result.standard_error is None else 1)


def test_perfect_separation_is_not_taken_for_certainty() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    result = delong_test(summed((labels, 1 - labels, labels)))
    assert result == PairedComparison(1.0, 0.0, 1.0, standard_error=0.0)


def test_model_scores_are_compared_with_grades() -> None:
    generator = np.random.default_rng(8)
    labels = (generator.random(163) < 0.4).astype(np.int64)
    scores = bin_of(generator.normal(1.2 * labels, 1.3))
    grades = np.clip(np.round(generator.normal(1.2 + 0.5 * labels, 1)), 0, 3).astype(np.int64)
    pooled = placements(histogram(scores, labels, SCORE_BINS))
    sums = PairedSums.of(
        scores, grades, labels, pooled, placements(histogram(grades, labels, BINS_B))
    )
    covariance = slow_covariance((scores, grades, labels))
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert defined(delong_test(sums)).standard_error == pytest.approx(error, rel=1e-9)


def test_sums_of_many_patients_stay_exact() -> None:
    many = 2**31 - 1
    pooled = placements(Histogram(np.array([0, many]), np.array([many, 0])))
    assert pooled.of_positives == (many, 2 * many)
    assert pooled.of_negatives == (2 * many, many)
    one = PairedSums.of([1], [1], [1], pooled, pooled).positives
    assert one.aa == one.ab == (2 * many) ** 2


def simulated(seed: int, effect: float, repetitions: int) -> list[PairedComparison]:
    """Two correlated scorings of 60 + 90 patients; A is shifted by `effect` more than B."""
    generator = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [60, 90])
    results = []
    for _ in range(repetitions):
        common = generator.normal(1.0 * labels, 1)
        a = bin_of(common + generator.normal(effect * labels, 1))
        b = bin_of(common + generator.normal(0, 1, len(labels)))
        results.append(defined(delong_test(summed((a, b, labels), bins=SCORE_BINS))))
    return results


@pytest.mark.slow
def test_exchangeable_scorings_are_told_apart_as_rarely_as_claimed() -> None:
    results = simulated(seed=1, effect=0.0, repetitions=1000)
    rejected = sum(defined(result.p) < 0.05 for result in results)
    # The limits of 99.9 % of all simulations, were the rate exactly 5 %.
    assert stats.binom.ppf(0.0005, 1000, 0.05) <= rejected <= stats.binom.ppf(0.9995, 1000, 0.05)


@pytest.mark.slow
def test_the_interval_covers_the_true_difference_as_often_as_it_claims() -> None:
    # Scores of A and B are normal with variance 2 in either class, means 1.5 and 1 apart.
    truth = stats.norm.cdf(1.5 / 2) - stats.norm.cdf(1.0 / 2)
    covered = 0
    for result in simulated(seed=2, effect=0.5, repetitions=1000):
        low, high = defined(result.ci95)
        covered += low <= truth <= high
    assert 0.93 < covered / 1000 < 0.97


def test_a_site_that_left_after_the_first_step_is_noticed() -> None:
    cohort = np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0, 1, 1])
    sums = summed(cohort)
    short = replace(sums, positives=ClassSums(1, 1, 1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"hold \(1, 1\) .* the placements \(2, 1\)"):
        delong_test(short)


def test_sums_of_other_patients_are_noticed() -> None:
    labels = np.array([0, 1, 1, 0])
    pooled = placements(histogram(np.array([0, 1, 2, 3]), labels, BINS_A))
    sums = PairedSums.of([0, 1, 2, 3], [0, 3, 2, 3], labels, pooled, pooled)
    with pytest.raises(ValueError, match="different AUROCs"):
        delong_test(sums)
    with pytest.raises(ValueError, match="different AUROCs"):
        delong_covariance(sums)


def test_sums_from_other_placements_cannot_be_added() -> None:
    one = PairedSums.empty(placements(Histogram(np.array([1, 2]), np.array([2, 0]))))
    two = PairedSums.empty(placements(Histogram(np.array([1, 1]), np.array([2, 0]))))
    with pytest.raises(ValueError, match=r"\(3, 2, 1\) and \(2, 2, 1\)"):
        one + two
    with pytest.raises(ValueError, match=r"\(3, 2, 1\) and \(3, 2, 4\)"):
        one + replace(one, repeats=4)


@pytest.mark.parametrize(
    ("bins_a", "bins_b", "labels", "message"),
    [
        ([0, 6], [0, 0], [0, 1], "A bin under A is 6; it must lie in 0 to 5"),
        ([0, 0], [0, -1], [0, 1], "A bin under B is -1"),
        ([0, 0.5], [0, 0], [0, 1], "The bins under A are of type float64"),
        ([0, 0], [0], [0, 1], r"The scores have shape \(1,\)"),
        ([0, 0], [0, 0], [0, 2], "A label is 2"),
    ],
)
def test_a_site_with_wrong_patients_is_refused(
    bins_a: list[int], bins_b: list[int], labels: list[int], message: str
) -> None:
    a, b = placements(Histogram.empty(BINS_A)), placements(Histogram.empty(BINS_B))
    with pytest.raises(ValueError, match=message):
        PairedSums.of(bins_a, bins_b, labels, a, b)


def test_placements_of_different_patients_are_refused() -> None:
    a, b = placements(Histogram.empty(2)), placements(Histogram(np.array([1, 0]), np.array([0, 0])))
    with pytest.raises(
        ValueError, match="One scoring has 0 positives and 0 negatives, another 1 and 0"
    ):
        PairedSums.of([], [], [], a, b)
