"""Intervals of the AUROC, against slow definitions and by simulation."""

from __future__ import annotations

import itertools
from statistics import NormalDist
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from shared.metrics.binary import auroc
from shared.metrics.histogram import Histogram
from shared.metrics.interval import auroc_interval, delong_variance, newcombe_interval

T = TypeVar("T")
Integers = NDArray[np.int64]
counts = hnp.arrays(np.int64, 6, elements=st.integers(0, 5))


def defined(value: T | None) -> T:
    """The value of a metric that must not be None here."""
    assert value is not None
    return value


def slow_delong(positives: list[int], negatives: list[int]) -> float:
    """DeLong et al. 1988, over all pairs of patients."""

    def patients(counts: list[int]) -> list[int]:
        return [score for score, count in enumerate(counts) for _ in range(count)]

    x, y = patients(positives), patients(negatives)
    kernel = [[float(a > b) + 0.5 * (a == b) for b in y] for a in x]
    v10 = [np.mean(row) for row in kernel]
    v01 = [np.mean(column) for column in zip(*kernel, strict=True)]
    return float(np.var(v10, ddof=1) / len(x) + np.var(v01, ddof=1) / len(y))


def quartic_limits(area: float, positives: int, negatives: int, level: float) -> list[float]:
    """Newcombe's limits as the roots in [0, 1] of the equation with its fractions cleared."""
    t, z = Polynomial([0, 1]), NormalDist().inv_cdf((1 + level) / 2)
    inner = (positives + negatives) / 2 - 1
    cleared = (1 + t) * (2 - t)
    bracket = cleared + inner * ((1 - t) * (1 + t) + t * (2 - t))
    quartic = (area - t) ** 2 * cleared * positives * negatives - z**2 * t * (1 - t) * bracket
    roots: list[complex] = quartic.roots().tolist()
    real = [root.real for root in roots if abs(root.imag) < 1e-7]
    return sorted(root for root in real if -1e-9 <= root <= 1 + 1e-9)


@given(counts, counts)
def test_variance_equals_delongs_definition(positives: Integers, negatives: Integers) -> None:
    variance = delong_variance(Histogram(positives, negatives))
    if min(positives.sum(), negatives.sum()) < 2:
        assert variance is None
    else:
        expected = slow_delong(positives.tolist(), negatives.tolist())
        assert variance == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_variance_of_scores_in_logits_equals_delongs_definition() -> None:
    generator = np.random.default_rng(3)
    labels = np.arange(80) % 2
    histogram = Histogram.from_logits(generator.normal(labels, 1), labels)
    expected = slow_delong(histogram.positives.tolist(), histogram.negatives.tolist())
    assert delong_variance(histogram) == pytest.approx(expected, rel=1e-12)


@given(counts, counts, st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_interval_lies_in_0_to_1_and_contains_the_auroc(
    positives: Integers, negatives: Integers, level: float
) -> None:
    histogram = Histogram(positives, negatives)
    interval, area = auroc_interval(histogram, level), auroc(histogram)
    if area is None:
        assert interval is None
    else:
        low, high = defined(interval)
        assert 0 <= low <= area <= high <= 1
        assert low < high


@given(counts, counts, st.sampled_from([1e-12, 1e-15, 1e-17]))
def test_rounding_leaves_the_auroc_inside_an_interval_next_to_a_point(
    positives: Integers, negatives: Integers, level: float
) -> None:
    histogram = Histogram(positives, negatives)
    if (area := auroc(histogram)) is not None:
        low, high = defined(auroc_interval(histogram, level))
        assert low <= area <= high
        low, high = newcombe_interval(area, 10, 10, level)
        assert low <= area <= high


def test_an_auroc_that_rounds_to_1_has_an_interval() -> None:
    many = 2**31 - 1
    histogram = Histogram(np.array([0, 1, many]), np.array([many, 1, 0]))
    assert auroc(histogram) == 1
    assert defined(delong_variance(histogram)) > 0
    low, high = defined(auroc_interval(histogram))
    assert 0.99 < low < high == 1


@given(counts, counts)
def test_interval_is_mirrored_when_the_classes_change_places(
    positives: Integers, negatives: Integers
) -> None:
    interval = auroc_interval(Histogram(positives, negatives))
    if interval is not None:
        low, high = defined(auroc_interval(Histogram(negatives, positives)))
        assert interval == pytest.approx((1 - high, 1 - low))


@given(counts, counts)
def test_a_higher_level_gives_a_wider_interval(positives: Integers, negatives: Integers) -> None:
    histogram = Histogram(positives, negatives)
    if auroc(histogram) is not None:
        narrow = defined(auroc_interval(histogram, 0.8))
        wide = defined(auroc_interval(histogram, 0.95))
        assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]
        assert wide != narrow


def test_interval_is_delongs_on_the_logit_scale() -> None:
    histogram = Histogram(np.array([1, 2, 3, 6]), np.array([7, 4, 2, 1]))
    area = defined(auroc(histogram))
    deviation = np.sqrt(defined(delong_variance(histogram)))
    half_width = 1.959963984540054 * deviation / (area * (1 - area))
    logit = np.log(area / (1 - area))
    expected = [1 / (1 + np.exp(-(logit + sign * half_width))) for sign in (-1, 1)]
    assert auroc_interval(histogram) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("positives", "negatives"),
    [
        pytest.param([0, 5], [5, 0], id="perfect separation"),
        pytest.param([5, 0], [5, 0], id="one bin"),
        pytest.param([7, 0], [0, 3], id="inverted"),
        pytest.param([0, 1, 0], [4, 2, 3], id="one positive"),
        pytest.param([4, 2, 3], [0, 1, 0], id="one negative"),
        pytest.param([0, 1], [1, 0], id="two patients"),
    ],
)
def test_newcombe_takes_over_where_delongs_variance_is_zero(
    positives: list[int], negatives: list[int]
) -> None:
    histogram = Histogram(np.array(positives), np.array(negatives))
    assert not delong_variance(histogram)
    low, high = defined(auroc_interval(histogram))
    roots = quartic_limits(defined(auroc(histogram)), sum(positives), sum(negatives), 0.95)
    assert (low, high) == pytest.approx((roots[0], roots[-1]), abs=1e-7)
    assert high - low > 0.2


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500), st.floats(0.5, 0.999))
def test_newcombes_limits_are_the_roots_of_its_quartic(
    area: float, positives: int, negatives: int, level: float
) -> None:
    # Next to 0 and 1 the polynomial's double roots are too inexact to serve as an oracle.
    area = 0.0 if area < 1e-3 else 1.0 if area > 1 - 1e-3 else area
    limits = newcombe_interval(area, positives, negatives, level)
    roots = quartic_limits(area, positives, negatives, level)
    assert len(roots) == 2
    assert limits == pytest.approx(tuple(roots), abs=1e-6)


def test_perfect_separation_claims_more_with_more_patients() -> None:
    lows = [newcombe_interval(1.0, n, n)[0] for n in (1, 2, 5, 20, 100, 1000)]
    assert all(a < b for a, b in itertools.pairwise(lows))
    assert lows[0] < 0.3
    assert 0.99 < lows[-1] < 1


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_there_is_no_interval_without_both_classes(labels: list[int]) -> None:
    histogram = Histogram.from_logits([0.5] * len(labels), labels)
    assert auroc_interval(histogram) is None
    assert delong_variance(histogram) is None


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, np.nan])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"The confidence level is {level:g}"):
        auroc_interval(Histogram.empty(), level)


def test_newcombe_refuses_what_is_no_auroc() -> None:
    with pytest.raises(ValueError, match=r"The AUROC is 1\.5"):
        newcombe_interval(1.5, 3, 3)
    with pytest.raises(ValueError, match="There are 0 positives and 3 negatives"):
        newcombe_interval(0.5, 0, 3)


def test_the_interval_covers_the_true_auroc_as_often_as_it_claims() -> None:
    truth, repetitions = 0.8, 1000
    shift = np.sqrt(2) * NormalDist().inv_cdf(truth)
    generator = np.random.default_rng(20)
    labels = np.repeat([0, 1], 20)
    covered = 0
    for _ in range(repetitions):
        scores = generator.normal(shift * labels, 1)
        low, high = defined(auroc_interval(Histogram.from_logits(scores, labels)))
        covered += low <= truth <= high
    assert 0.92 < covered / repetitions < 0.985
