"""Comparisons over repeats, against SciPy, slow enumerations and simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shared.metrics.repeats import corrected_resampled_t, holm, signed_rank, spread

tied = st.lists(st.integers(-4, 4).map(lambda k: k / 100), min_size=1, max_size=9)


def slow_signed_rank(differences: list[float]) -> tuple[float, float]:
    """Pratt's statistic and p, over all signs of the differences that are not zero."""
    ranks = stats.rankdata(np.abs(differences))
    kept = [(rank, d > 0) for rank, d in zip(ranks, differences, strict=True) if d]
    whole = sum(rank for rank, _ in kept)
    observed = sum(rank for rank, gain in kept if gain)
    sums = [
        sum(rank for (rank, _), gain in zip(kept, signs, strict=True) if gain)
        for signs in itertools.product([False, True], repeat=len(kept))
    ]
    far = abs(observed - whole / 2)
    p = np.mean([abs(total - whole / 2) >= far - 1e-9 for total in sums])
    return min(observed, whole - observed), float(p)


@given(tied)
def test_the_signed_rank_test_equals_the_enumeration_of_all_signs(differences: list[float]) -> None:
    result = signed_rank(differences)
    assert (result.statistic, result.p) == pytest.approx(slow_signed_rank(differences))
    assert (result.repeats, result.zeros) == (len(differences), differences.count(0))


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40, unique=True), st.data())
def test_the_signed_rank_test_equals_scipys_without_ties(
    sizes: list[int], data: st.DataObject
) -> None:
    signs = data.draw(st.lists(st.sampled_from([-1, 1]), min_size=len(sizes), max_size=len(sizes)))
    differences = np.array(sizes) * np.array(signs) / 100
    expected = stats.wilcoxon(differences, method="exact")
    result = signed_rank(differences)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))


@given(tied)
def test_no_result_is_below_the_smallest_p(differences: list[float]) -> None:
    result = signed_rank(differences)
    one_way = signed_rank(range(1, len(differences) + 1))
    assert result.smallest_p == one_way.p == 2 / 2 ** len(differences)
    assert result.smallest_p <= result.p <= 1


def test_six_of_six_is_what_six_repeats_can_say_at_most() -> None:
    result = signed_rank([0.02, 0.01, 0.05, 0.03, 0.04, 0.06])
    assert result.p == result.smallest_p == 0.03125


def test_repeats_without_any_difference() -> None:
    result = signed_rank([0.0, 0.0, 0.0])
    assert (result.zeros, result.statistic, result.p) == (3, 0, 1)


def test_differences_that_differ_by_rounding_are_tied_and_zero() -> None:
    noisy = [0.3 - 0.2, 0.2 - 0.1, -0.1, 0.1 + 0.2 - 0.3]
    assert signed_rank(noisy) == signed_rank([0.1, 0.1, -0.1, 0.0])


def test_many_repeats_are_counted_exactly() -> None:
    differences = np.arange(1, 201) * np.where(np.arange(200) % 5 < 3, 1, -1)
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank(differences).p == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.none() | st.floats(0, 1), max_size=12))
def test_holm_equals_its_definition(p_values: list[float | None]) -> None:
    given_p = [p for p in p_values if p is not None]
    adjusted = holm(p_values)
    for p, result in zip(p_values, adjusted, strict=True):
        if p is None:
            assert result is None
            continue
        # Adjusted: the largest of (tests not smaller) * p over the p-values up to this one.
        smaller = [(sum(other >= q for other in given_p), q) for q in given_p if q <= p]
        assert result == pytest.approx(min(1, max(count * q for count, q in smaller)))


def test_holm_of_a_worked_example() -> None:
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(0.001, 0.2))
def test_holm_rejects_what_the_step_down_procedure_rejects(p: list[float], alpha: float) -> None:
    rejected = set()
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        if p[index] * (len(p) - rank) > alpha:
            break
        rejected.add(index)
    assert {i for i, q in enumerate(holm(p)) if q is not None and q <= alpha} == rejected


def test_mean_and_deviation() -> None:
    result = spread([0.7, 0.8, 0.9])
    assert result.repeats == 3
    assert result.mean == pytest.approx(0.8)
    assert result.standard_deviation == pytest.approx(0.1)
    assert spread([0.7]).standard_deviation is None


@given(st.lists(st.integers(-99, 99), min_size=2, max_size=30).filter(lambda d: len(set(d)) > 1))
def test_without_overlap_the_resampled_test_is_the_t_test(differences: list[int]) -> None:
    values = np.array(differences) / 1000
    result = corrected_resampled_t(values, test_to_train=1e-300)
    expected = stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval(0.95)
    assert result is not None
    assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)
    assert result.ci95 == pytest.approx((interval.low, interval.high))


def test_overlap_widens_the_interval_as_published() -> None:
    values = np.array([0.01, 0.03, -0.01, 0.04, 0.02, 0.03, 0.00, 0.02, 0.05, 0.01])
    result = corrected_resampled_t(values, test_to_train=1 / 4)
    assert result is not None
    error = math.sqrt((1 / 10 + 1 / 4) * values.var(ddof=1))
    assert result.standard_error == pytest.approx(error)
    quantile = stats.t.ppf(0.975, 9)
    mean = values.mean()
    assert result.ci95 == pytest.approx((mean - quantile * error, mean + quantile * error))
    assert result.p == pytest.approx(2 * stats.t.sf(mean / error, 9))


def test_repeated_folds_of_two_equal_arms_are_told_apart_rarely() -> None:
    """Differences of arms that are equal over all patients; folds share their training noise."""
    generator = np.random.default_rng(6)
    corrected = naive = 0
    for _ in range(300):
        outcomes = generator.normal(0, 1, 50)
        differences = [
            outcomes[fold].mean()
            for _ in range(10)
            for fold in np.array_split(generator.permutation(50), 5)
        ]
        result = corrected_resampled_t(differences, test_to_train=1 / 4)
        assert result is not None
        assert result.p is not None
        corrected += result.p < 0.05
        naive += stats.ttest_1samp(differences, 0).pvalue < 0.05
    assert corrected / 300 < 0.08
    assert naive / 300 > 0.3


def test_equal_differences_are_not_taken_for_certainty() -> None:
    same = corrected_resampled_t([0.0, 0.0, 0.0], 0.25)
    apart = corrected_resampled_t([0.1, 0.3 - 0.2, 0.1], 0.25)
    assert same is not None
    assert (same.mean, same.ci95, same.t, same.p) == (0, None, 0, 1)
    assert apart is not None
    assert apart.mean == pytest.approx(0.1)
    assert (apart.ci95, apart.t, apart.p) == (None, None, None)
    assert corrected_resampled_t([0.1], 0.25) is None


@pytest.mark.parametrize("statistic", [spread, signed_rank, lambda d: corrected_resampled_t(d, 1)])
def test_values_that_are_none_are_refused(statistic: Callable[[list[float]], object]) -> None:
    with pytest.raises(ValueError, match=r"The values have shape \(0,\)"):
        statistic([])
    with pytest.raises(ValueError, match="The value of a repeat is nan"):
        statistic([0.1, math.nan])


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match=r"A p-value is 1\.5"):
        holm([0.5, 1.5])
    with pytest.raises(ValueError, match="A p-value is nan"):
        holm([math.nan])
    with pytest.raises(ValueError, match="The ratio of test to training is 0;"):
        corrected_resampled_t([0.1, 0.2], 0)
