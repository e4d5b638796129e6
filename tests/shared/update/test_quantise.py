"""`update-dtype`: what a format loses of one update goes into the next."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.update.quantise import QUANTISE
from shared.wire.arrays import Arrays, TensorSpec
from shared.wire.formats.choice import NUMBER_FORMATS, format_of

SHAPE = (64, 32, 3, 3)


def manifest(update_dtype: str) -> list[TensorSpec]:
    return [TensorSpec("conv.weight", SHAPE, format_of(update_dtype, SHAPE))]


@given(st.integers(0, 999), st.sampled_from(NUMBER_FORMATS))
def test_nothing_is_lost_over_the_rounds(seed: int, update_dtype: str) -> None:
    """All that was received, and what is still kept, is all that was trained."""
    rng = np.random.default_rng(seed)
    lines = manifest(update_dtype)
    kept: Arrays = {}
    trained = received = np.zeros(SHAPE)
    for _ in range(5):
        update = {"conv.weight": rng.normal(0, 0.01, SHAPE).astype(np.float32)}
        record, kept = QUANTISE.pack(update, lines, kept)
        trained = trained + update["conv.weight"].astype(np.float64)
        received = received + QUANTISE.unpack(record, lines)["conv.weight"].astype(np.float64)
    left = kept["conv.weight"].astype(np.float64) if kept else 0.0
    np.testing.assert_allclose(received + left, trained, atol=1e-7)


def _error(update_dtype: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An update, and how far each value is from it once received; both (channels, values)."""
    update = {"conv.weight": np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)}
    lines = manifest(update_dtype)
    record, _ = QUANTISE.pack(update, lines, {})
    sent = update["conv.weight"].astype(np.float64).reshape(SHAPE[0], -1)
    received = QUANTISE.unpack(record, lines)["conv.weight"].astype(np.float64)
    return sent, np.abs(received.reshape(SHAPE[0], -1) - sent)


def test_int8_is_off_by_half_a_step_of_its_channel() -> None:
    sent, error = _error("int8")
    steps = np.maximum(np.sqrt((sent**2).mean(1)) / 11, np.abs(sent).max(1) / 127)
    assert (error.max(1) <= 0.5001 * steps).all()
    assert (error.max(1) > 0.4 * steps).all()


def test_float16_has_eleven_bits() -> None:
    sent, error = _error("float16")
    normal = np.abs(sent) > 2**-14
    assert 0 < (error[normal] / np.abs(sent[normal])).max() <= 2**-11


def test_float32_loses_and_keeps_nothing() -> None:
    update = {"conv.weight": np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)}
    record, kept = QUANTISE.pack(update, manifest("float32"), {})
    assert not kept
    received = QUANTISE.unpack(record, manifest("float32"))["conv.weight"]
    assert received.tobytes() == update["conv.weight"].tobytes()
