"""`update-clip`: how far a site may change the weights, at the site and at the coordinator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ConfigError, ProtocolError
from shared.settings.config import RunConfig
from shared.update.chain import receive, send
from shared.update.registry import in_words
from shared.update.step import Passage
from shared.wire.arrays import Arrays, Manifest, TensorSpec
from shared.wire.formats.choice import NUMBER_FORMATS, format_of

STATISTICS = frozenset({"bn.running_mean", "bn.running_var"})
SHAPES = {"conv.weight": (32, 16, 3, 3), "fc.bias": (1,), "bn.running_mean": (32,)}


def passage(**settings: Any) -> Passage:
    config = RunConfig(**({"update_steps": 11.0} | settings))
    return Passage(config, "run-1", 3, "north", STATISTICS)


def manifest(update_dtype: str) -> Manifest:
    return [TensorSpec(name, shape, format_of(update_dtype, shape))
            for name, shape in SHAPES.items()]  # fmt: skip


def an_update(seed: int, scale: float = 1.0) -> Arrays:
    rng = np.random.default_rng(seed)
    return {
        name: (scale * rng.normal(0, 1, shape)).astype(np.float32)
        for name, shape in SHAPES.items()
    }  # fmt: skip


def norm(update: Mapping[str, np.ndarray]) -> float:
    weights = [a.astype(np.float64).ravel() for n, a in update.items() if n not in STATISTICS]
    return float(np.linalg.norm(np.concatenate(weights)))


def through(update: Arrays, on_its_way: Passage) -> Arrays:
    lines = manifest(on_its_way.settings.update_dtype)
    record, _ = send(update, lines, {}, on_its_way)
    return receive(record, lines, on_its_way)


@given(
    seed=st.integers(0, 99), scale=st.floats(1e-6, 1e4), limit=st.floats(1e-3, 1e3),
    update_dtype=st.sampled_from(NUMBER_FORMATS),
)  # fmt: skip
def test_no_update_is_larger_than_the_limit_and_its_direction_stays(
    seed: int, scale: float, limit: float, update_dtype: str
) -> None:
    update = an_update(seed, scale)
    received = through(update, passage(update_clip=limit, update_dtype=update_dtype))
    assert norm(received) <= limit * (1 + 2e-5)
    expected = min(1.0, limit / norm(update))
    off = norm({n: received[n] - np.float64(expected) * a for n, a in update.items()})
    assert off <= {"float32": 1e-5, "float16": 1e-3, "int8": 0.06}[update_dtype] * min(
        limit, norm(update)
    )
    np.testing.assert_array_equal(received["bn.running_mean"], update["bn.running_mean"])


@pytest.mark.parametrize("limit", [0.0, 1e6])
def test_off_or_not_reached_no_byte_changes(limit: float) -> None:
    update, lines = an_update(1), manifest("float32")
    plain, _ = send(update, lines, {}, passage())
    sent, kept = send(update, lines, {}, passage(update_clip=limit))
    assert {n: a.data for n, a in sent.items()} == {n: a.data for n, a in plain.items()}
    assert kept == {"residual": {}}
    received = receive(sent, lines, passage(update_clip=limit))
    assert {n: a.tobytes() for n, a in received.items()} == {
        n: a.tobytes() for n, a in update.items()
    }  # fmt: skip


def test_a_site_that_does_not_clip_is_refused() -> None:
    lines = manifest("float32")
    record, _ = send(an_update(1), lines, {}, passage())
    with pytest.raises(ProtocolError, match=r"L2 norm of 6\d\.\d, and update-clip is 1: it was"):
        receive(record, lines, passage(update_clip=1.0))


def test_what_exceeds_it_a_little_is_clipped_at_the_coordinator() -> None:
    """As rounding and error feedback may leave it."""
    update, lines = an_update(1), manifest("float32")
    record, _ = send(update, lines, {}, passage())
    received = receive(record, lines, passage(update_clip=norm(update) / 1.5))
    assert norm(received) == pytest.approx(norm(update) / 1.5, rel=1e-5)


def test_feedback_is_of_what_was_clipped_away_from_nothing() -> None:
    """Only rounding comes back in the next round; what clipping took is gone."""
    update, lines, on_its_way = an_update(2), manifest("int8"), passage(
        update_clip=1.0, update_dtype="int8"
    )  # fmt: skip
    record, state = send(update, lines, {}, on_its_way)
    received = receive(record, lines, passage(update_dtype="int8"))
    clipped = update["conv.weight"] * np.float32(1 / norm(update))
    np.testing.assert_allclose(
        state["residual"]["conv.weight"], clipped - received["conv.weight"], atol=1e-8
    )


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), 1e7])
def test_a_limit_is_a_number_that_is_not_negative(wrong: float) -> None:
    with pytest.raises(ConfigError, match=r"update-clip is .*; it must lie in 0 to 1e"):
        RunConfig(update_clip=wrong)


def test_the_owner_reads_it() -> None:
    assert in_words(RunConfig()) == "as int8"
    assert in_words(RunConfig(update_clip=0.5, update_dtype="float16")) == (
        "as float16, scaled down together to an L2 norm of at most 0.5"
    )
