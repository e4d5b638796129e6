"""Two sides that hold the same arrays hold the same new ones after a message."""

from __future__ import annotations

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.wire.arrays import Arrays, TensorSpec
from shared.wire.increments import apply_increments, encode_increments

SHAPE = (8, 8, 8, 8)
DTYPES = ["float32", "float16", "int8", "rank-4"]
SCALES = st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e6])


def drawn(seed: int, scale: float) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(SHAPE) * scale
    values[0] = -0.0  # a channel of negative zeros
    return values.astype(np.float32)


@hypothesis.given(
    scales=st.lists(SCALES, min_size=1, max_size=4), steps=st.sampled_from([0.5, 1.0, 11.0])
)
@hypothesis.settings(max_examples=15)
@pytest.mark.parametrize("dtype", DTYPES)
def test_both_sides_have_the_same_bits(dtype: str, scales: list[float], steps: float) -> None:
    manifest = [TensorSpec("w", SHAPE, dtype), TensorSpec("b", (3,))]
    sender: Arrays = {}
    receiver: Arrays = {}
    for seed, scale in enumerate(scales):
        wanted = {"w": drawn(seed, scale), "b": np.array([-0.0, scale, seed], np.float32)}
        record, after = encode_increments(wanted, sender, manifest, steps)
        sender |= after
        receiver |= apply_increments(record, receiver, manifest)
        for name in ("w", "b"):
            assert sender[name].tobytes() == receiver[name].tobytes()
        assert sender["b"].tobytes() == wanted["b"].tobytes()
        if dtype == "float32":
            assert sender["w"].tobytes() == wanted["w"].tobytes()


def test_what_has_hardly_changed_comes_nearer_in_the_same_bytes() -> None:
    """The noise is a share of the change, not of all that there is."""
    manifest, held = [TensorSpec("w", SHAPE, "int8")], {"w": drawn(0, 1.0)}
    wanted = {"w": held["w"] + drawn(1, 1e-4)}
    record, after = encode_increments(wanted, held, manifest, 1.0)
    whole, rounded = encode_increments(wanted, {}, manifest, 1.0)
    noise = np.abs(after["w"] - wanted["w"]).max()
    assert noise < 1e-4 < np.abs(rounded["w"] - wanted["w"]).max() / 1000
    assert len(record["w"].data) == pytest.approx(len(whole["w"].data), rel=0.05)


def test_tensors_that_do_not_fit_are_refused() -> None:
    manifest = [TensorSpec("w", SHAPE, "int8")]
    record, _ = encode_increments({"w": drawn(0, 1.0)}, {}, manifest)
    with pytest.raises(ProtocolError, match="missing: b"):
        apply_increments(record, {}, [*manifest, TensorSpec("b", (3,))])
    with pytest.raises(ProtocolError, match="float32 was asked for"):
        apply_increments(record, {}, [TensorSpec("w", SHAPE)])
