"""Error feedback: what one message loses arrives with the next ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.wire.arrays import Arrays, TensorSpec, encode, from_record
from shared.wire.formats.choice import NumberFormat

SHAPE = (8, 128)


def half_step(wanted: np.ndarray, number_format: NumberFormat) -> float:
    """The most that a message of these values may lose of one of them."""
    values = wanted.astype(np.float64)
    if number_format == "float16":
        return float(np.abs(values).max()) * 2.0**-11
    peak, rms = np.abs(values).max(axis=1), np.sqrt(np.mean(values**2, axis=1))
    return float(np.maximum(peak / 127, rms / 11).max()) / 2


@pytest.mark.parametrize("number_format", ["int8", "float16"])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.sampled_from([1e-8, 1e-3, 1.0, 1e6]),
    heavy=st.booleans(),
)
def test_all_of_it_arrives_but_the_last_residual(
    number_format: NumberFormat, seed: int, scale: float, heavy: bool
) -> None:
    """Over 200 rounds the sum of what was received stays within half a step of the true sum."""
    manifest = [TensorSpec("w", SHAPE, number_format)]
    generator = np.random.default_rng(seed)
    draw = generator.standard_cauchy if heavy else generator.standard_normal
    residual: Arrays = {}
    true, received = np.zeros(SHAPE), np.zeros(SHAPE)
    for _ in range(200):
        update = np.clip(scale * draw(SHAPE), -100 * scale, 100 * scale).astype(np.float32)
        wanted = update + residual.get("w", np.float32(0))
        encoded = encode({"w": update}, manifest, residual)
        residual = encoded.residual
        true += update
        received += from_record(encoded.record, manifest)["w"]
        bound = half_step(wanted, number_format) * 1.001
        assert np.abs(residual["w"]).max() <= bound
        # float32 rounds each of 200 sums by 2**-24 of up to 200 scales.
        assert np.abs(true - received).max() <= bound + 200 * 200 * scale * 2.0**-24


@pytest.mark.parametrize("feedback", [True, False])
def test_a_change_too_small_for_one_message_arrives_over_many(feedback: bool) -> None:
    manifest = [TensorSpec("w", SHAPE, "int8")]
    update = np.full(SHAPE, 1e-4, np.float32)
    update[:, 0] = 1.0
    received, residual = np.zeros(SHAPE), dict[str, np.ndarray]()
    for _ in range(500):
        encoded = encode({"w": update}, manifest, residual if feedback else {})
        residual = encoded.residual
        received += from_record(encoded.record, manifest)["w"]
    if feedback:
        np.testing.assert_allclose(received, 500.0 * update.astype(np.float64), rtol=0, atol=0.005)
    else:
        assert not received[:, 1:].any()


def test_float32_and_zeros_have_no_residual() -> None:
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    arrays = {"plain": values, "still": np.zeros(SHAPE, np.float32), "rounded": values}
    manifest = [
        TensorSpec("plain", SHAPE),
        TensorSpec("still", SHAPE, "int8"),
        TensorSpec("rounded", SHAPE, "int8"),
    ]
    encoded = encode(arrays, manifest, {"plain": values})
    received = from_record(encoded.record, manifest)
    assert set(encoded.residual) == {"rounded"}
    assert received["plain"].tobytes() == values.tobytes()
    np.testing.assert_array_equal(encoded.residual["rounded"], values - received["rounded"])


def test_what_is_left_of_a_weight_that_rests_is_still_sent() -> None:
    manifest = [TensorSpec("w", SHAPE, "int8")]
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    first = encode({"w": values}, manifest)
    second = encode({"w": np.zeros(SHAPE, np.float32)}, manifest, first.residual)
    both = [from_record(one.record, manifest)["w"].astype(np.float64) for one in (first, second)]
    assert np.abs(sum(both) - values).max() < 0.1 * np.abs(both[0] - values).max()
