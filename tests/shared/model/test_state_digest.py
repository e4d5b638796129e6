"""Tests of shared.model.freezing.state_digest."""

from __future__ import annotations

import hashlib
import random

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from shared.model.freezing import state_digest
from shared.model.network import build_network


def test_digest_ignores_order_layout_and_sharing() -> None:
    model = build_network("micro")
    state = dict(model.state_dict())
    keys = list(state)
    random.Random(0).shuffle(keys)
    digest = state_digest(state)
    assert state_digest({key: state[key] for key in keys}) == digest
    relaid = model.to(memory_format=torch.channels_last).state_dict()
    assert not relaid["layer1.0.conv1.weight"].is_contiguous()
    assert state_digest(relaid) == digest
    views = {key: torch.stack([value, value])[1] for key, value in state.items()}
    assert state_digest(views) == digest


def test_digest_of_known_bytes() -> None:
    """Header line in JSON, then the little-endian values, keys sorted."""
    content = (
        b'["a", "torch.float32", [2, 1]]\n'
        + bytes.fromhex("0000803f00000040")
        + b'["b", "torch.int64", []]\n'
        + bytes.fromhex("0300000000000000")
    )
    state = {"b": torch.tensor(3), "a": torch.tensor([[1.0], [2.0]])}
    assert state_digest(state) == f"sha256:{hashlib.sha256(content).hexdigest()}"


@given(index=st.integers(0, 11), bit=st.integers(0, 31))
def test_digest_notices_a_single_bit(index: int, bit: int) -> None:
    values = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    flipped = values.clone().reshape(-1).view(torch.int32)
    flipped[index] ^= 1 << bit if bit < 31 else -(2**31)
    other = flipped.view(torch.float32).reshape(3, 4)
    assert state_digest({"w": other}) != state_digest({"w": values})


def test_digest_tells_names_shapes_and_types_apart() -> None:
    zeros = torch.zeros(4)
    variants: list[dict[str, Tensor]] = [
        {"a": zeros},
        {"b": zeros},
        {"a": zeros.reshape(2, 2)},
        {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": torch.zeros(2), "b": torch.zeros(2)},
        {"a": torch.zeros(0)},
        {"a": torch.zeros(8, dtype=torch.bfloat16)},
        {},
    ]
    assert len({state_digest(state) for state in variants}) == len(variants)
