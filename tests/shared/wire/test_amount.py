"""What a message's parts take, beside the tensors that were put in."""

from __future__ import annotations

import json

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.wire.amount import amount_of


def parts_of(content: RecordDict) -> dict[str, bytes]:
    return {name: one.deflate() for name, one in get_all_nested_objects(content).items()}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 2000), max_size=4), st.text(max_size=500))
def test_tensors_take_what_numpy_says_and_the_rest_at_least_its_text(
    sizes: list[int], text: str
) -> None:
    arrays = {f"t{n}": np.full(size, n, np.float32) for n, size in enumerate(sizes)}
    record = ArrayRecord({name: Array(values) for name, values in arrays.items()})
    amount = amount_of(parts_of(RecordDict({"delta": record, "plan": ConfigRecord({"a": text})})))
    assert amount.tensors >= sum(values.nbytes for values in arrays.values())
    # Each array has numpy's header, of fewer than 200 bytes, and each piece Flower's.
    assert amount.tensors <= sum(values.nbytes + 300 for values in arrays.values())
    assert amount.rest >= len(text.encode())


def naming(pieces: list[int], parts: dict[str, bytes]) -> dict[str, bytes]:
    """The parts of a message whose array names these pieces."""
    return {name: _naming(pieces, part) for name, part in parts.items()}


def _naming(pieces: list[int], part: bytes) -> bytes:
    head, _, body = part.partition(b"\0")
    kind, children, _ = head.split(b" ")
    if kind != b"Array":
        return part
    changed = json.dumps(json.loads(body) | {"arraychunk_ids": pieces}).encode()
    return b" ".join([kind, children, str(len(changed)).encode()]) + b"\0" + changed


def test_a_piece_named_often_counts_as_often() -> None:
    parts = parts_of(RecordDict({"delta": ArrayRecord({"t": Array(np.zeros(1000, np.float32))})}))
    once = amount_of(parts)
    often = amount_of(naming([0] * 500, parts))
    assert often.tensors == 500 * once.tensors
    assert often.rest < once.rest + 2000


def test_an_array_of_a_piece_that_is_not_there_is_refused() -> None:
    parts = parts_of(RecordDict({"delta": ArrayRecord({"t": Array(np.zeros(9, np.float32))})}))
    with pytest.raises(IndexError):
        amount_of(naming([7], parts))
