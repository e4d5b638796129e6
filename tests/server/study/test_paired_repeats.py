"""What a study's comparison of two arms says, against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from server.study.paired import PairedRepeats
from shared.metrics.delong import PairedComparison


def paired(*areas: tuple[float, float], error: float | None) -> PairedRepeats:
    a, b = np.mean(areas, axis=0)
    return PairedRepeats(areas, PairedComparison(a, b, a - b, error))


def test_chance_between_the_repeats_adds_to_that_of_patients() -> None:
    areas = [(0.80, 0.70), (0.75, 0.72), (0.82, 0.69)]
    differences = [a - b for a, b in areas]
    result = paired(*areas, error=0.02)
    error = np.sqrt(0.02**2 + np.var(differences, ddof=1) / 3)
    assert result.standard_error == pytest.approx(error)
    assert result.p == pytest.approx(2 * stats.norm.sf(abs(np.mean(differences)) / error))
    low, high = stats.norm.interval(0.95, np.mean(differences), error)
    assert result.ci95 == pytest.approx((low, high))


def test_one_repeat_has_no_chance_between_repeats() -> None:
    result = paired((0.8, 0.7), error=0.05)
    assert result.standard_error == 0.05
    assert result.p == pytest.approx(2 * stats.norm.sf(2.0))


def test_limits_stay_differences_of_areas() -> None:
    assert paired((1.0, 0.1), error=0.4).ci95 == pytest.approx((0.9 - 1.96 * 0.4, 1.0), abs=1e-3)
    assert paired((0.1, 1.0), error=0.4).ci95 == pytest.approx((-1.0, 1.96 * 0.4 - 0.9), abs=1e-3)


@pytest.mark.parametrize("error", [0.0, 0.01, None])
def test_arms_that_never_differ_do_not_differ(error: float | None) -> None:
    assert paired((0.8, 0.8), (0.7, 0.7), error=error).p == 1.0


@pytest.mark.parametrize("error", [0.0, None])
def test_without_a_standard_error_nothing_is_claimed(error: float | None) -> None:
    result = paired((1.0, 0.5), error=error)
    assert (result.ci95, result.p) == (None, None)
