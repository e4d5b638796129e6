"""A message's tensors as one block of bytes with an index.

Flower sends every tensor as two objects of its own, each in a request of its own: the 267 tensors
of a ResNet-50 cost seconds of round trips. As one block they travel in a few pieces.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any

from flwr.app import Array, ArrayRecord

from shared.errors import ProtocolError

INDEX, BLOCK = "index", "block"
TENSORS_LIMIT = 10_000
INDEX_LIMIT = 2**20
"""Bytes of an index; read as Python's lists it takes up to 40 times as many."""
SIDES_LIMIT = 32
"""Of a tensor, as in NumPy."""
_FORM = "fedthaw.packed"
# They stand in sentences that go to terminals and logs.
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,32}")

Entry = tuple[str, str, list[int], str, int]


def pack(record: ArrayRecord) -> ArrayRecord:
    """The same tensors as an index (name, dtype, shape, kind, bytes) and one block."""
    index = [
        [name, array.dtype, list(array.shape), array.stype, len(array.data)]
        for name, array in record.items()
    ]
    return ArrayRecord(
        {
            INDEX: _bytes_array(json.dumps(index, separators=(",", ":")).encode("utf-8")),
            BLOCK: _bytes_array(b"".join(array.data for array in record.values())),
        }
    )


def unpack(packed: ArrayRecord) -> ArrayRecord:
    """The tensors of a packed record, as they declare themselves; what they hold is not checked.

    Raises ProtocolError where index and block do not fit together.
    """
    entries = read_index(packed)
    block = packed[BLOCK].data
    lengths = [entry[4] for entry in entries]
    if sum(lengths) != len(block):
        raise ProtocolError(f"the block has {len(block)} bytes, its index {sum(lengths)}")
    starts = [0, *accumulate(lengths)]
    tensors = {
        name: Array(dtype=dtype, shape=tuple(shape), stype=stype, data=block[start : start + size])
        for (name, dtype, shape, stype, size), start in zip(entries, starts, strict=False)
    }
    if len(tensors) != len(entries):
        raise ProtocolError("the index names a tensor twice")
    return ArrayRecord(tensors)


def read_index(packed: ArrayRecord) -> list[Entry]:
    """Name, dtype, shape, kind and bytes of each tensor; the block is not looked at.

    Raises ProtocolError where there is no index that can be read.
    """
    if set(packed.keys()) != {INDEX, BLOCK}:
        raise ProtocolError("the message's tensors are not packed")
    if (size := len(packed[INDEX].data)) > INDEX_LIMIT:
        raise ProtocolError(f"the index of the tensors has {size} bytes, above {INDEX_LIMIT}")
    try:
        index = json.loads(packed[INDEX].data)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the index of the tensors cannot be read") from error
    if not isinstance(index, list) or len(index) > TENSORS_LIMIT:
        raise ProtocolError(f"the index is not a list of at most {TENSORS_LIMIT} tensors")
    for entry in index:
        if not _is_entry(entry):
            raise ProtocolError("the index has an entry that describes no tensor")
    return [(entry[0], entry[1], entry[2], entry[3], entry[4]) for entry in index]


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) != 5:
        return False
    name, dtype, shape, stype, size = entry
    return (
        _is_text(name, _NAME)
        and _is_text(dtype, _WORD)
        and _is_text(stype, _WORD)
        and isinstance(shape, list)
        and len(shape) <= SIDES_LIMIT
        and all(_is_count(side) for side in shape)
        and _is_count(size)
    )


def _is_text(value: Any, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**48


def _bytes_array(data: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(data),), stype=_FORM, data=data)
