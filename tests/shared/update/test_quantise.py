"""`update-dtype`: what a format loses of one update goes into the next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.errors import ConfigError
from shared.settings.config import RunConfig
from shared.update.quantise import QUANTISE
from shared.update.registry import in_words
from shared.wire.arrays import Arrays, TensorSpec
from shared.wire.formats.choice import NUMBER_FORMATS, format_of

SHAPE = (64, 32, 3, 3)


def manifest(update_dtype: str) -> list[TensorSpec]:
    return [TensorSpec("conv.weight", SHAPE, format_of(update_dtype, SHAPE))]


@given(st.integers(0, 999), st.sampled_from([*NUMBER_FORMATS, "rank-4"]))
def test_nothing_is_lost_over_the_rounds(seed: int, update_dtype: str) -> None:
    """All that was received, and what is still kept, is all that was trained."""
    rng = np.random.default_rng(seed)
    lines = manifest(update_dtype)
    kept: Arrays = {}
    trained = received = np.zeros(SHAPE)
    for _ in range(5):
        update = {"conv.weight": rng.normal(0, 0.01, SHAPE).astype(np.float32)}
        record, kept = QUANTISE.pack(update, lines, kept, RunConfig())
        trained = trained + update["conv.weight"].astype(np.float64)
        received = received + QUANTISE.unpack(record, lines)["conv.weight"].astype(np.float64)
    left = kept["conv.weight"].astype(np.float64) if kept else 0.0
    np.testing.assert_allclose(received + left, trained, atol=1e-7)


def _error(update_dtype: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """An update, and how far each value is from it once received; both (channels, values)."""
    update = {"conv.weight": np.random.default_rng(1).normal(0, 1, SHAPE).astype(np.float32)}
    lines = manifest(update_dtype)
    record, _ = QUANTISE.pack(update, lines, {}, RunConfig(update_steps=11.0))
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
    record, kept = QUANTISE.pack(update, manifest("float32"), {}, RunConfig())
    assert not kept
    received = QUANTISE.unpack(record, manifest("float32"))["conv.weight"]
    assert received.tobytes() == update["conv.weight"].tobytes()


@given(st.integers(0, 99), st.sampled_from([0.5, 1.0, 2.0, 3.7, 32.0]))
def test_update_steps_says_how_coarse_int8_is(seed: int, steps: float) -> None:
    """No value is off by more than half a step, and fewer steps take fewer bytes."""
    update = {"conv.weight": np.random.default_rng(seed).normal(0, 1, SHAPE).astype(np.float32)}
    lines = manifest("int8")
    record, kept = QUANTISE.pack(update, lines, {}, RunConfig(update_steps=steps))
    rows = update["conv.weight"].reshape(SHAPE[0], -1)
    step = np.maximum(np.sqrt((rows**2).mean(1)) / steps, np.abs(rows).max(1) / 127)
    off = np.abs(kept["conv.weight"].reshape(SHAPE[0], -1))
    assert (off.max(1) <= 0.5001 * step).all()
    assert (off.max(1) > 0.3 * step).all()
    finer, _ = QUANTISE.pack(update, lines, {}, RunConfig(update_steps=1.5 * min(steps, 20)))
    if steps <= 20:
        assert len(record["conv.weight"].data) < len(finer["conv.weight"].data)


def test_one_step_a_root_mean_square_takes_2_2_bits() -> None:
    update = {"conv.weight": np.random.default_rng(1).normal(0, 1, (512, 4608)).astype(np.float32)}
    lines = [TensorSpec("conv.weight", (512, 4608), "int8")]
    record, _ = QUANTISE.pack(update, lines, {}, RunConfig(update_steps=1.0))
    assert 2.1 < 8 * len(record["conv.weight"].data) / update["conv.weight"].size < 2.3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"update_rank": 4, "update_dtype": "float32"},
            "update-rank is 4 and update-dtype float32",
        ),
        ({"update_rank": 4, "update_clip": 1.0}, "update-clip is 1, and what so coarse a format"),
        (
            {"update_steps": 1.0, "update_clip": 1.0},
            "update-clip is 1, and what so coarse a format",
        ),
        ({"update_rank": 65}, "update-rank is 65; it must lie in 0 to 64"),
        ({"update_steps": 0.0}, "update-steps is 0.0; it must lie in 0.5 to 32"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        RunConfig(**settings)


def test_the_owner_reads_how_coarse_it_is() -> None:
    assert in_words(RunConfig(update_steps=2.0, update_rank=4)) == (
        "as int8 of 2 steps a root mean square, large matrices in rank 4"
    )
