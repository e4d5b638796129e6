"""A message's tensors as one block: the same tensors come out, and nothing else gets in."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.arrays import from_record, manifest_of, to_record
from shared.wire.packing import BLOCK, INDEX, INDEX_LIMIT, TENSORS_LIMIT, pack, read_index, unpack

taken = st.floats(-(2.0**49), 2.0**49, width=32)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
tensors = st.dictionaries(
    st.text("abcXYZ019._-", min_size=1, max_size=12),
    npst.arrays(np.float32, shapes, elements=taken),
    max_size=5,
)
ARRAYS = {
    "layer4.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "head.bias": np.array([1.5, -2.5], dtype=np.float32),
}


def through_protobuf(record: ArrayRecord) -> ArrayRecord:
    sent = recorddict_to_proto(RecordDict({"arrays": record})).SerializeToString()
    received = recorddict_from_proto(ProtoRecordDict.FromString(sent))["arrays"]
    assert isinstance(received, ArrayRecord)
    return received


def raw(data: bytes) -> Array:
    return Array(dtype="uint8", shape=(len(data),), stype="fedthaw.packed", data=data)


def packed(index: Any, block: bytes = bytes(8)) -> ArrayRecord:
    """A packed record of this index, as JSON where it is not bytes already."""
    data = index if isinstance(index, bytes) else json.dumps(index).encode()
    return ArrayRecord({INDEX: raw(data), BLOCK: raw(block)})


@given(tensors)
def test_what_comes_back_is_what_was_sent(arrays: dict[str, NDArray[np.float32]]) -> None:
    record = to_record(arrays)
    received = unpack(through_protobuf(pack(record)))
    assert list(received.items()) == list(record.items())
    values = from_record(received, manifest_of(arrays))
    for name, array in arrays.items():
        assert values[name].tobytes() == array.tobytes()
        assert values[name].shape == array.shape


def test_it_travels_as_two_objects_however_many_tensors() -> None:
    many = {f"layer{n}": np.full(n, n, np.float32) for n in range(300)}
    record = pack(to_record(many))
    assert list(record) == [INDEX, BLOCK]
    assert list(unpack(record)) == list(many)


def test_the_index_tells_what_the_block_holds() -> None:
    record = pack(to_record(ARRAYS))
    (first, second) = read_index(record)
    assert first[:4] == ("layer4.weight", "float32", [2, 3], "numpy.ndarray")
    assert second[:4] == ("head.bias", "float32", [2], "numpy.ndarray")
    assert first[4] + second[4] == len(record[BLOCK].data)
    record[BLOCK] = raw(b"")
    assert read_index(record) == [first, second]  # the block is not looked at


GOOD = ["w", "float32", [2], "numpy.ndarray", 8]


def with_entry(position: int, value: object) -> list[object]:
    return [[*GOOD[:position], value, *GOOD[position + 1 :]]]


HOSTILE: dict[str, Any] = {
    "empty": b"",
    "not JSON": b"\x80\x04K\x01.",
    "not text": b"\xff\xfe\x00\xd8",
    "half of it": json.dumps([GOOD]).encode()[:-3],
    "two documents": json.dumps([GOOD]).encode() * 2,
    "deep": b"[" * 200_000,
    "deep and whole": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "a number with too many digits": b"1" * 100_000,
    "an object": {"w": GOOD},
    "nothing": None,
    "a number": 17,
    "entries that are objects": [{"name": "w"}],
    "entries that are texts": ["abcde"],
    "an entry that is nothing": [None],
    "an entry too short": [GOOD[:4]],
    "an entry too long": [[*GOOD, 0]],
    "a tensor twice": [["w", "float32", [1], "numpy.ndarray", 4]] * 2,
    "an empty tensor twice": [["w", "float32", [0], "numpy.ndarray", 0], GOOD, [*GOOD[:4], 0]],
    "a name that is none": with_entry(0, 1),
    "a format that is none": with_entry(1, None),
    "a shape that is none": with_entry(2, 2),
    "a shape of texts": with_entry(2, ["2"]),
    "a shape of floats": with_entry(2, [2.0]),
    "a shape of booleans": with_entry(2, [True]),
    "a negative shape": with_entry(2, [-2]),
    "a huge shape": with_entry(2, [2**48]),
    "a nested shape": with_entry(2, [[2]]),
    "a kind that is none": with_entry(3, ["numpy.ndarray"]),
    "one byte too few": with_entry(4, 7),
    "one byte too many": with_entry(4, 9),
    "a float": with_entry(4, 8.0),
    "an exponent": json.dumps([GOOD]).replace(", 8]", ", 8e0]").encode(),
    "a boolean": with_entry(4, True),
    "a text": with_entry(4, "8"),
    "not a number": json.dumps([GOOD]).replace(", 8]", ", NaN]").encode(),
    "infinity": json.dumps([GOOD]).replace(", 8]", ", Infinity]").encode(),
    "negative": with_entry(4, -8),
    "negative, with the sum right": [[*GOOD[:4], 16], ["v", *GOOD[1:4], -8]],
    "huge": with_entry(4, 2**47),
    "beyond any machine": with_entry(4, 10**300),
    "nothing, but a block": [],
    "too many tensors": [[str(n), "", [], "", 0] for n in range(TENSORS_LIMIT + 1)],
    "an empty name": with_entry(0, ""),
    "a name that clears a terminal": with_entry(0, "\x1b[2J"),
    "a name with a line break": with_entry(0, "w\n"),
    "a name that is markup": with_entry(0, "[red]w"),
    "a long name": with_entry(0, "w" * 201),
    "a format that clears a terminal": with_entry(1, "\x1b[2J"),
    "a long format": with_entry(1, "f" * 33),
    "a kind that clears a terminal": with_entry(3, "\x1b[2J"),
    "a long kind": with_entry(3, "k" * 33),
    "many sides": with_entry(2, [1] * 33),
    "many empty lists": b"[" + b"[]," * 2_000_000 + b"[]]",
    "a huge name": [["x" * 2 * INDEX_LIMIT, *GOOD[1:]]],
}


@pytest.mark.parametrize("index", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_index_that_does_not_fit_its_block(index: Any) -> None:
    record = through_protobuf(packed(index))
    del index
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            unpack(record)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()


def test_the_longest_index_of_the_smallest_lists() -> None:
    """What costs most memory for its length; a site must not fill the coordinator's with it."""
    data = (b"[" + b"[]," * INDEX_LIMIT)[: INDEX_LIMIT - 2]
    data = data[: data.rindex(b",")] + b"]"
    assert len(data) > INDEX_LIMIT - 8
    record = packed(data)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="not a list of at most 10000 tensors"):
            unpack(record)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_as_many_tensors_as_there_may_be() -> None:
    record = packed([[str(n), "zero", [], "fedthaw.zero", 0] for n in range(TENSORS_LIMIT)], b"")
    assert len(unpack(record)) == TENSORS_LIMIT


@pytest.mark.parametrize(
    "record",
    [
        ArrayRecord(),
        ArrayRecord({INDEX: raw(b"[]")}),
        ArrayRecord({BLOCK: raw(b"")}),
        ArrayRecord({INDEX: raw(b"[]"), BLOCK: raw(b""), "more": raw(b"")}),
        to_record(ARRAYS),
    ],
    ids=",".join,
)
def test_what_is_not_packed(record: ArrayRecord) -> None:
    for read in (unpack, read_index):
        with pytest.raises(ProtocolError, match=r"^the message's tensors are not packed$"):
            read(through_protobuf(record))


def test_a_tensor_that_declares_too_much_allocates_nothing() -> None:
    """Its values are looked at where the manifest is known, and there it is refused."""
    record = packed([["w", "float32", [2**40, 2**40], "numpy.ndarray", 8]])
    tracemalloc.start()
    try:
        tensor = unpack(record)["w"]
        assert (tuple(tensor.shape), len(tensor.data)) == ((2**40, 2**40), 8)
        with pytest.raises(ProtocolError, match=r"^w has shape"):
            from_record(unpack(record), manifest_of({"w": np.zeros(2, np.float32)}))
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


good = pack(to_record(ARRAYS))


@given(st.binary(max_size=60), st.integers(0, 110))
def test_no_damage_of_the_index_gets_past_the_contract(noise: bytes, start: int) -> None:
    data = good[INDEX].data
    record = packed(data[:start] + noise + data[start + len(noise) :], good[BLOCK].data)
    try:
        received = from_record(unpack(record), manifest_of(ARRAYS))
    except ProtocolError:
        return
    for name, array in ARRAYS.items():
        assert received[name].tobytes() == array.tobytes()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=20,
)


@given(json_values, st.binary(max_size=8))
def test_any_json_is_an_index_or_refused(index: Any, block: bytes) -> None:
    try:
        received = unpack(packed(index, block))
    except ProtocolError:
        return
    assert b"".join(tensor.data for tensor in received.values()) == block
