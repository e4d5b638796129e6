"""The running mean against exact fractions, against Flower's, and in whatever order."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg
from hypothesis import given, settings
from hypothesis import strategies as st

from server.aggregation.mean import RunningMean
from server.aggregation.shares import MOST_IMAGES
from shared.wire.arrays import Arrays, to_record

Part = tuple[float, int]

# Within a factor of 2**40 of each other, where the sum is promised to be exact.
near = st.one_of(
    st.just(0.0),
    st.floats(2.0**-20, 2.0**20, width=32),
    st.floats(-(2.0**20), -(2.0**-20), width=32),
)
weights = st.one_of(st.integers(1, 3), st.integers(1, 10**6), st.just(2**25))
parts_nearby = st.lists(st.tuples(near, weights), min_size=1, max_size=8)
parts_anywhere = st.lists(
    st.tuples(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(1, 2**20)),
    min_size=1,
    max_size=8,
)


def mean_of(parts: Sequence[Part]) -> np.float32:
    mean = RunningMean({"a": ()})
    for value, images in parts:
        mean.add({"a": np.array(value, np.float32)}, images)
    return np.float32(mean.result()["a"])


def exact_mean(parts: Sequence[Part]) -> Fraction:
    total = sum((Fraction(value) * images for value, images in parts), Fraction(0))
    return total / sum(images for _, images in parts)


def nearest_float32(exact: Fraction) -> np.float32:
    """Rounded once, ties to the even last bit."""
    guess = np.float32(float(exact))
    around = [
        np.nextafter(guess, np.float32(-np.inf)),
        guess,
        np.nextafter(guess, np.float32(np.inf)),
    ]
    return min(
        (value for value in around if np.isfinite(value)),
        key=lambda value: (abs(Fraction(float(value)) - exact), int(value.view(np.int32)) & 1),
    )


@settings(max_examples=500)
@given(parts_nearby)
def test_the_mean_is_the_float32_nearest_to_the_exact_one(parts: list[Part]) -> None:
    assert mean_of(parts) == nearest_float32(exact_mean(parts))


@given(st.integers(1, 2**23 - 1), st.integers(1, 2**27), st.integers(-3, 3))
def test_means_at_the_middle_of_two_float32_and_close_to_it(
    mantissa: int, images: int, off: int
) -> None:
    low = np.float32(1 + mantissa * 2.0**-23)
    high = np.nextafter(low, np.float32(2))
    parts = [(float(low), images), (float(high), images), (off * 2.0**-20, 1), (0.5, 1)]
    for chosen in (parts[:2], parts[:3], parts):
        assert mean_of(chosen) == nearest_float32(exact_mean(chosen))


@pytest.mark.parametrize(("trace", "above"), [(0, 0), (2.0**-60, 1), (-(2.0**-60), 0),
                                              (2.0**-100, 1), (-(2.0**-100), 0)])  # fmt: skip
def test_a_trace_far_below_decides_a_tie(trace: float, above: int) -> None:
    """The sum is 4 + 2**-22 and the trace: a fourth of it lies between 1 and 1 + 2**-23."""
    for values in permutations((1 + 2.0**-23, 1 + 2.0**-23, 2.0, trace)):
        assert mean_of([(value, 1) for value in values]) == 1 + above * 2.0**-23


@settings(max_examples=300)
@given(parts_anywhere)
def test_over_all_magnitudes_the_error_is_tiny_against_the_magnitudes(parts: list[Part]) -> None:
    exact = exact_mean(parts)
    magnitude = exact_mean([(abs(value), images) for value, images in parts])
    smallest = Fraction(float(np.finfo(np.float32).smallest_subnormal))
    error = abs(Fraction(float(mean_of(parts))) - exact)
    assert error <= abs(exact) / 2**24 + magnitude / 2**98 + smallest / 2


@settings(max_examples=200)
@given(parts_nearby.flatmap(lambda parts: st.tuples(st.just(parts), st.permutations(parts))))
def test_the_order_does_not_show_in_a_single_bit(both: tuple[list[Part], list[Part]]) -> None:
    assert mean_of(both[0]).tobytes() == mean_of(both[1]).tobytes()


@pytest.mark.parametrize("spread", [1, 6, 12])
def test_many_contributions_of_many_values_in_any_order(spread: int) -> None:
    """More values than a block, from 10**-spread to 10**spread, and float64 would differ."""
    generator = np.random.default_rng(spread)
    shape = (40_011,)
    values = generator.normal(size=(30, *shape)) * 10 ** generator.uniform(
        -spread, spread, (30, *shape)
    )
    parts = [({"a": v.astype(np.float32)}, int(generator.integers(1, 10**5))) for v in values]
    results = set()
    for _ in range(4):
        mean = RunningMean({"a": shape})
        for index in generator.permutation(30):
            mean.add(*parts[index])
        results.add(mean.result()["a"].tobytes())
    assert len(results) == 1
    plain = set()
    for _ in range(4):
        total = sum(
            parts[i][0]["a"].astype(np.float64) * parts[i][1] for i in generator.permutation(30)
        )
        plain.add(np.asarray(total).tobytes())
    assert len(plain) > 1


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(1, MOST_IMAGES))
def test_one_contribution_comes_out_as_it_is(value: float, images: int) -> None:
    assert mean_of([(value, images)]) == np.float32(value)


def test_against_flowers_average() -> None:
    generator = np.random.default_rng(0)
    shapes = {"w": (300, 7, 3), "b": (1,), "scalar": (), "none": (0, 4)}
    parts: list[tuple[Arrays, int]] = [
        ({k: np.asarray(generator.normal(1, 1, s), np.float32) for k, s in shapes.items()}, images)
        for images in (3, 500, 71, 1)
    ]
    mean = RunningMean(shapes)
    for arrays, images in parts:
        mean.add(arrays, images)
    messages = [
        Message(
            RecordDict({"a": to_record(a), "m": MetricRecord({"num-examples": n})}),
            dst_node_id=0,
            message_type="train",
        )
        for a, n in parts
    ]
    expected, _ = FedAvg().aggregate_train(1, messages)
    assert expected is not None
    assert (mean.count, mean.images) == (4, 575)
    for key, value in mean.result().items():
        assert value.shape == shapes[key]
        np.testing.assert_allclose(value, expected[key].numpy(), rtol=1e-6, atol=1e-6)


def test_columns_first_and_strided_arrays() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    mean = RunningMean({"a": (6, 4), "b": (2, 6)})
    mean.add({"a": array.T, "b": array[::2]}, 7)
    assert np.array_equal(mean.result()["a"], array.T)
    assert np.array_equal(mean.result()["b"], array[::2])


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_so(value: float) -> None:
    assert not np.isfinite(mean_of([(1.0, 2), (value, 3), (2.0, 1)]))


@pytest.mark.parametrize("images", [0, -1, 2**29])
def test_images_out_of_range(images: int) -> None:
    with pytest.raises(ValueError, match="images must be 1"):
        RunningMean({"a": ()}).add({"a": np.array(1, np.float32)}, images)


def test_what_does_not_fit_leaves_the_sums_as_they_were() -> None:
    mean = RunningMean({"a": (2,), "b": (2,)})
    good = {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}
    mean.add(good, 1)
    bad: list[Any] = [np.ones(3, np.float32), np.ones(2)]
    for array in bad:
        with pytest.raises(ValueError, match=r"^b is float"):
            mean.add({"a": np.full(2, 9, np.float32), "b": array}, 5)
    assert mean.result()["a"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="nothing"):
        RunningMean({"a": ()}).result()


def peak_with(contributions: int, size: int) -> int:
    values = {"a": np.ones(size, np.float32)}
    tracemalloc.start()
    mean = RunningMean({"a": (size,)})
    for _ in range(contributions):
        mean.add(values, 3)
    mean.result()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_contributions() -> None:
    size = 10**6
    few, many = peak_with(3, size), peak_with(30, size)
    assert many <= few * 1.01
    assert few < (16 + 4) * size + 3 * 10**6
