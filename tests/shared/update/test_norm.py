"""The size of an update, against exact sums of Python's own numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.update import norm
from shared.update.norm import l2_norm, sum_of_squares

SIZES = st.sampled_from([0, 1, 7, norm._BLOCK - 1, norm._BLOCK, norm._BLOCK + 1, 3 * norm._BLOCK])


def exact(array: NDArray[np.float32]) -> float:
    """Squares of float32 are exact in float64, and fsum rounds once."""
    return math.fsum(value * value for value in array.ravel().tolist())


@given(SIZES, st.integers(0, 1000), st.sampled_from([1e-12, 1.0, 1e15]))
def test_the_sum_over_blocks_is_that_of_all_values(size: int, seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    array = (scale * generator.standard_normal(size)).astype(np.float32)
    assert sum_of_squares(array) == pytest.approx(exact(array), rel=1e-12)


def test_each_value_counts_once_wherever_it_stands() -> None:
    """Of a tensor of several dimensions, and at the ends of a block."""
    for place in (0, norm._BLOCK - 1, norm._BLOCK, 2 * norm._BLOCK - 1):
        array = np.zeros((2, norm._BLOCK), np.float32)
        array.flat[place] = 3.0
        assert sum_of_squares(array) == 9.0
        assert sum_of_squares(array.T) == 9.0  # not contiguous


def test_the_norm_is_of_all_tensors_together_but_those_left_out() -> None:
    arrays = {
        "a": np.array([3.0, 0.0], np.float32),
        "b": np.array([[4.0]], np.float32),
        "running_mean": np.array([12.0], np.float32),
    }
    assert l2_norm(arrays) == 13.0
    assert l2_norm(arrays, without={"running_mean"}) == 5.0
    assert l2_norm(arrays, without=arrays.keys()) == 0.0
    assert l2_norm({}) == 0.0
