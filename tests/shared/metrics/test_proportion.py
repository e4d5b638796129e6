"""Intervals of a proportion, against SciPy's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from shared.metrics.proportion import clopper_pearson_interval, normal_quantile, wilson_interval

Interval = Callable[[int, int, float], tuple[float, float]]
INTERVALS = [(wilson_interval, "wilson"), (clopper_pearson_interval, "exact")]
levels = st.sampled_from([0.5, 0.9, 0.95, 0.999])


@pytest.mark.parametrize(("interval", "method"), INTERVALS)
@given(st.data(), st.integers(1, 400), levels)
def test_an_interval_equals_scipys(
    interval: Interval, method: str, data: st.DataObject, trials: int, level: float
) -> None:
    successes = data.draw(st.integers(0, trials))
    expected = stats.binomtest(successes, trials).proportion_ci(level, method)
    assert interval(successes, trials, level) == pytest.approx(
        (expected.low, expected.high), abs=1e-9
    )


@pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])
@pytest.mark.parametrize("trials", [1, 3, 10, 2**40])
@pytest.mark.parametrize("level", [0.95, 1e-15])
def test_an_interval_contains_the_proportion_and_ends_at_0_and_1(
    interval: Interval, trials: int, level: float
) -> None:
    for successes in {0, 1, trials // 3, trials}:
        low, high = interval(successes, trials, level)
        assert 0 <= low <= successes / trials <= high <= 1
        assert (low == 0) == (successes == 0)
        assert (high == 1) == (successes == trials)


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.5])
def test_the_exact_interval_covers_at_least_and_wilsons_about_as_often_as_claimed(
    truth: float,
) -> None:
    trials = 30
    weights = stats.binom.pmf(np.arange(trials + 1), trials, truth)

    def coverage(interval: Interval) -> float:
        inside = [
            low <= truth <= high for low, high in (interval(k, trials, 0.95) for k in range(31))
        ]
        return float(weights[inside].sum())

    assert coverage(clopper_pearson_interval) >= 0.95
    assert 0.92 < coverage(wilson_interval) < 0.985


def test_the_normal_quantile_is_two_sided() -> None:
    assert normal_quantile(0.95) == pytest.approx(stats.norm.ppf(0.975))


@pytest.mark.parametrize("interval", [wilson_interval, clopper_pearson_interval])
def test_what_is_no_proportion_is_refused(interval: Interval) -> None:
    for successes, trials in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match=f"There are {successes} successes in {trials}"):
            interval(successes, trials, 0.95)
    with pytest.raises(ValueError, match="The confidence level is 1;"):
        interval(1, 2, 1.0)
