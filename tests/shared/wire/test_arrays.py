"""Tensors on the wire: what comes back is what was sent, and nothing else gets in."""

from __future__ import annotations

import io
import pickle
import re
import tracemalloc
from pathlib import Path

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
from shared.wire.arrays import TensorSpec, from_record, manifest_of, to_record

MANIFEST = (TensorSpec("layer4.weight", (2, 3)), TensorSpec("head.bias", (2,)))
ARRAYS = {
    "layer4.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "head.bias": np.array([1.5, -2.5], dtype=np.float32),
}

taken = st.floats(-(2.0**49), 2.0**49, width=32)
shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
tensors = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    npst.arrays(np.float32, shapes, elements=taken),
    max_size=4,
)


def through_protobuf(record: ArrayRecord) -> ArrayRecord:
    sent = recorddict_to_proto(RecordDict({"arrays": record})).SerializeToString()
    received = recorddict_from_proto(ProtoRecordDict.FromString(sent))["arrays"]
    assert isinstance(received, ArrayRecord)
    return received


def npy(array: NDArray[np.generic]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npy_header(shape: tuple[int, ...], kind: str = "<f4", *, by_column: bool = False) -> bytes:
    buffer = io.BytesIO()
    content = {"descr": kind, "fortran_order": by_column, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, content)
    return buffer.getvalue()


def with_bias(data: bytes, dtype: str = "float32", stype: str = "numpy.ndarray") -> ArrayRecord:
    """A good record but for the payload of `head.bias`, which declares shape (2,)."""
    record = to_record(ARRAYS)
    record["head.bias"] = Array(dtype=dtype, shape=(2,), stype=stype, data=data)
    return record


@given(tensors)
def test_what_comes_back_is_what_was_sent(arrays: dict[str, NDArray[np.float32]]) -> None:
    received = from_record(through_protobuf(to_record(arrays)), manifest_of(arrays))
    assert list(received) == list(arrays)
    for name, array in arrays.items():
        assert received[name].dtype == np.float32
        assert received[name].shape == array.shape
        assert received[name].tobytes() == array.tobytes()


def test_the_order_is_that_of_the_manifest() -> None:
    received = from_record(to_record(ARRAYS), MANIFEST[::-1])
    assert list(received) == ["head.bias", "layer4.weight"]


@pytest.mark.parametrize("layout", ["transposed", "strided", "read-only"])
def test_the_layout_in_memory_does_not_matter(layout: str) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    array = {"transposed": whole.T, "strided": whole[::2, ::3], "read-only": whole.copy()}[layout]
    array.setflags(write=layout != "read-only")
    received = from_record(to_record({"a": array}), manifest_of({"a": array}))["a"]
    assert np.array_equal(received, array)
    received += 1  # what was received is the receiver's own


@pytest.mark.parametrize("kind", [np.float64, np.float16, np.int64])
def test_only_float32_is_sent(kind: type[np.generic]) -> None:
    with pytest.raises(TypeError, match=r"^a is \w+; only float32 is sent"):
        to_record({"a": np.zeros(2, kind)})


def test_a_manifest_line() -> None:
    spec = TensorSpec("layer4.0.conv1.weight", (512, 1024, 1, 1))
    assert spec.to_line() == "layer4.0.conv1.weight float32 512x1024x1x1"


def test_missing_tensors_are_named() -> None:
    with pytest.raises(ProtocolError, match=r"^tensors are missing: head\.bias$"):
        from_record(to_record({"layer4.weight": ARRAYS["layer4.weight"]}), MANIFEST)


def test_tensors_not_asked_for_are_named_a_few_of_them() -> None:
    extra = {f"extra{i}": np.zeros(1, np.float32) for i in range(7)}
    sentence = "^tensors were not asked for: extra0, extra1, extra2, extra3, extra4 and 2 more$"
    with pytest.raises(ProtocolError, match=sentence):
        from_record(to_record(ARRAYS | extra), MANIFEST)


def test_another_shape() -> None:
    arrays = ARRAYS | {"layer4.weight": np.zeros((3, 2), np.float32)}
    with pytest.raises(
        ProtocolError, match=re.escape("layer4.weight has shape (3, 2), not (2, 3)")
    ):
        from_record(to_record(arrays), MANIFEST)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value: float) -> None:
    arrays = ARRAYS | {"head.bias": np.array([0, value], np.float32)}
    with pytest.raises(ProtocolError, match=r"head\.bias holds values that are not finite"):
        from_record(to_record(arrays), MANIFEST)


@pytest.mark.parametrize("value", [1.1e15, -3.4e38])
def test_values_that_no_training_leaves(value: float) -> None:
    """The average with them would be one that no site can train from."""
    arrays = ARRAYS | {"head.bias": np.array([0, value], np.float32)}
    with pytest.raises(ProtocolError, match=re.escape(f"holds values as large as {abs(value):g}")):
        from_record(to_record(arrays), MANIFEST)


def test_large_values_are_taken() -> None:
    arrays = ARRAYS | {"head.bias": np.array([-1e15, 1e15], np.float32)}
    received = from_record(to_record(arrays), MANIFEST)
    assert np.array_equal(received["head.bias"], arrays["head.bias"])


@pytest.mark.parametrize(
    ("data", "dtype", "stype"),
    [
        (npy(np.zeros(2, np.float64)), "float64", "numpy.ndarray"),
        (npy(np.zeros(2, np.float32)), "float32", "torch.Tensor"),
        (npy(np.zeros(2, np.float32)), "float32", ""),
    ],
)
def test_another_number_format_as_declared(data: bytes, dtype: str, stype: str) -> None:
    with pytest.raises(ProtocolError, match=r"head\.bias is .*; float32 was asked for"):
        from_record(with_bias(data, dtype, stype), MANIFEST)


class _Harm:
    """Unpickling it leaves a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_pickled_code_never_runs(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = pickle.dumps(_Harm(trace))
    objects = npy_header((2,), "|O") + code
    for data in (code + bytes(8), objects):
        with pytest.raises(ProtocolError, match=r"^head\.bias "):
            from_record(with_bias(data), MANIFEST)
    assert not trace.exists()
    pickle.loads(code)
    assert trace.exists()


def _archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(2, np.float32))
    return buffer.getvalue()


good = npy(ARRAYS["head.bias"])
HOSTILE = {
    "empty": b"",
    "no header": ARRAYS["head.bias"].tobytes(),
    "truncated": good[:-1],
    "truncated header": good[:40],
    "one byte too many": good + b"\0",
    "oversized": good + bytes(4096),
    "zip archive": _archive(),
    "later format version": b"\x93NUMPY\x09\x00" + good[8:],
    "header longer than the data": b"\x93NUMPY\x01\x00\xff\xff" + good[10:],
    "header of brackets": good[:10] + b"(" * (len(good) - 10),
    "header with an open text": good[:10] + b"{'descr': '''" + b" " * (len(good) - 23),
    "header of zeros": good[:10] + bytes(len(good) - 10),
    "lies: more values": npy_header((10**13,)) + bytes(8),
    "lies: many values that might just fit": npy_header((10**9,)) + bytes(8),
    "lies: fewer values": npy_header((1,)) + bytes(8),
    "lies: negative shape": npy_header((-1,)) + bytes(8),
    "lies: other shape": npy_header((2, 1)) + bytes(8),
    "lies: float64": npy_header((1,), "<f8") + bytes(8),
    "lies: integers": npy_header((2,), "<i4") + bytes(8),
    "lies: big-endian": npy_header((2,), ">f4") + bytes(8),
    "lies: by column": npy_header((2,), by_column=True) + bytes(8),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_payload_that_is_not_what_it_declares(data: bytes) -> None:
    record = through_protobuf(with_bias(data))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=r"^head\.bias (has|holds|cannot be decoded)"):
            from_record(record, MANIFEST)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=200), st.integers(0, 127))
def test_no_damage_gets_past_the_contract(noise: bytes, start: int) -> None:
    data = good[:start] + noise + good[start + len(noise) :]
    try:
        received = from_record(with_bias(data), MANIFEST)["head.bias"]
    except ProtocolError:
        return
    assert received.shape == (2,)
    assert np.isfinite(received).all()
