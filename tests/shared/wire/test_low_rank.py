"""Matrices of low rank on the wire: near the best there is, small, and trusting nothing."""

from __future__ import annotations

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.codec import decode_tensor, encode_tensor
from shared.wire.formats.choice import MOST_RANKS, format_of, low_rank, rank_of

Values = NDArray[np.float32]
SHAPE = (48, 32, 3, 3)


def an_update(seed: int, scale: float = 1.0, shape: tuple[int, ...] = SHAPE) -> Values:
    """With singular values that fall, as those of real updates do."""
    rng = np.random.default_rng(seed)
    rows, columns = shape[0], int(np.prod(shape[1:]))
    left, right = rng.standard_normal((rows, 24)), rng.standard_normal((24, columns))
    matrix = left * 0.8 ** np.arange(24) @ right + 0.1 * rng.standard_normal((rows, columns))
    return (scale * matrix).astype(np.float32).reshape(shape)


def sent(values: Values, rank: int) -> tuple[Array, Values]:
    """What travels, and what the receiver makes of it: just what the sender counted on."""
    array, expected = encode_tensor("w", values, low_rank(rank))
    received = decode_tensor("w", array, values.shape, low_rank(rank))
    assert expected is not None
    assert received.tobytes() == expected.tobytes()
    return array, received


@settings(max_examples=25)
@given(
    seed=st.integers(0, 99), rank=st.sampled_from([1, 2, 4, 8]),
    scale=st.sampled_from([1e-30, 1e-6, 1.0, 1e20]),
)  # fmt: skip
def test_it_is_nearly_the_best_matrix_of_its_rank(seed: int, rank: int, scale: float) -> None:
    """The oracle is NumPy's singular value decomposition (Eckart and Young)."""
    values = an_update(seed, scale)
    array, received = sent(values, rank)
    matrix = values.reshape(len(values), -1).astype(np.float64) / scale
    off = np.linalg.norm(matrix - received.reshape(matrix.shape).astype(np.float64) / scale)
    best = np.sqrt((np.linalg.svd(matrix, compute_uv=False)[rank:] ** 2).sum())
    assert best <= off * 1.0001
    assert off < 1.05 * best
    assert len(array.data) == 2 * rank * (1 + sum(matrix.shape))
    assert array.data == sent(values.copy(), rank)[0].data


def test_a_matrix_of_lower_rank_is_exact_but_for_float16() -> None:
    values = np.zeros(SHAPE, np.float32)
    values[3] = an_update(1)[3]
    _, received = sent(values, 4)
    assert np.abs(received - values).max() < 2e-3 * np.abs(values).max()


def test_it_is_for_matrices_that_it_makes_much_smaller() -> None:
    assert format_of("rank-4", (512, 1024, 1, 1)) == "rank-4"
    assert format_of("rank-4", (64, 64, 1, 1)) == "rank-4"
    assert format_of("rank-8", (64, 64, 1, 1)) == "int8"
    assert format_of("rank-4", (1, 2048)) == "float32"
    assert format_of("rank-4", (4096,)) == "float32"


@pytest.mark.parametrize("name", ["rank-", "rank-0", "rank-04", "rank-65", "rank--1", "rank4", ""])
def test_other_names_are_no_ranks(name: str) -> None:
    assert rank_of(name) == 0
    with pytest.raises(ValueError, match="no dtype"):
        format_of(name, (512, 1024))
    assert rank_of(low_rank(MOST_RANKS)) == MOST_RANKS


GOOD = bytes(sent(an_update(1), 4)[0].data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "has 0 bytes where 2696 were expected"),
        (GOOD[:-1], "has 2695 bytes"),
        (GOOD + b"\0", "has 2697 bytes"),
        (GOOD * 100, "has 269600 bytes"),
        (np.array(200, "<i2").tobytes() + GOOD[2:], "has a scale that no update needs"),
        (np.array(-30_000, "<i2").tobytes() + GOOD[2:], "has a scale that no update needs"),
    ],
)
def test_a_payload_that_is_not_what_it_declares_is_refused(data: bytes, said: str) -> None:
    array = Array(dtype="rank-4", shape=SHAPE, stype="fedthaw.low-rank", data=data)
    with pytest.raises(ProtocolError, match=f"^w {said}"):
        decode_tensor("w", array, SHAPE, "rank-4")


def test_another_rank_than_asked_for_is_refused() -> None:
    array, _ = sent(an_update(1), 4)
    with pytest.raises(ProtocolError, match=r"^w is rank-4 .*; rank-2 was asked for"):
        decode_tensor("w", array, SHAPE, "rank-2")
