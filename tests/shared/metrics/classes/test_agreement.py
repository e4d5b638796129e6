"""Intervals of what follows from a confusion matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from shared.metrics.classes.agreement import accuracy, balanced_accuracy, kappa
from shared.metrics.proportion import normal_quantile, wilson_interval

tables = hnp.arrays(np.int64, (3, 3), elements=st.integers(1, 60))


def kappa_of(shares: NDArray[np.float64], quadratic: bool) -> float:
    true, called = (np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3))
    weights = "quadratic" if quadratic else None
    return float(cohen_kappa_score(true, called, weights=weights, sample_weight=shares.ravel()))


@settings(max_examples=20, deadline=None)
@given(tables, st.booleans())
def test_the_interval_of_kappa_is_that_of_the_delta_method(
    table: NDArray[np.int64], quadratic: bool
) -> None:
    patients, shares = table.sum(), table / table.sum()
    slopes, step = np.zeros(9), 1e-5
    for cell in range(9):
        moved = [shares.ravel().copy() for _ in range(2)]
        for one, by in zip(moved, (step, -step), strict=True):
            one[cell] += by
        high, low = (math.atanh(kappa_of(one, quadratic)) for one in moved)
        slopes[cell] = (high - low) / (2 * step)
    flat = shares.ravel()
    error = math.sqrt((flat @ slopes**2 - (flat @ slopes) ** 2) / patients)
    z = math.atanh(kappa_of(shares, quadratic))
    half = normal_quantile(0.95) * error
    found = kappa(table, quadratic=quadratic)
    assert found is not None
    assert found.ci95 == pytest.approx((math.tanh(z - half), math.tanh(z + half)), abs=1e-5)


def test_kappa_has_no_interval_where_agreement_is_perfect_and_no_value_for_one_class() -> None:
    perfect = kappa(np.diag([5, 3, 2]), quadratic=True)
    assert perfect is not None
    assert (perfect.value, perfect.ci95) == (1, None)
    assert kappa(np.diag([5, 0, 0])) is None
    assert kappa(np.zeros((3, 3), dtype=np.int64)) is None


def test_the_interval_of_one_sensitivity_is_wilsons() -> None:
    table = np.array([[8, 2], [0, 0]])
    balanced, share = balanced_accuracy(table), accuracy(table)
    assert balanced is not None
    assert share is not None
    assert balanced.ci95 == pytest.approx(wilson_interval(8, 10))
    assert share.ci95 == pytest.approx(wilson_interval(8, 10))
    sure = balanced_accuracy(np.diag([4, 4]))
    assert sure is not None
    assert sure.ci95 is not None
    assert 0.4 < sure.ci95[0] < 0.9
    assert sure.ci95[1] == 1
