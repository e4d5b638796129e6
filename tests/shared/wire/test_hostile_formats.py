"""Payloads that are not what they declare: refused, and nothing large is made of them."""

from __future__ import annotations

import tracemalloc
import zlib

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ProtocolError
from shared.wire.arrays import TensorSpec, encode, from_record
from shared.wire.formats.choice import NumberFormat

SHAPE = (16, 512)
SIZE = 8192
VALUES = np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32)
FORM = {"int8": "fedthaw.int8", "float16": "fedthaw.float16", "zero": "fedthaw.zero"}


def spec(number_format: NumberFormat) -> TensorSpec:
    return TensorSpec("w", SHAPE, number_format)


def payload(number_format: NumberFormat) -> bytes:
    return bytes(encode({"w": VALUES}, [spec(number_format)]).record["w"].data)


def read(
    data: bytes, number_format: NumberFormat, shape: tuple[int, ...] = SHAPE, dtype: str = ""
) -> np.ndarray:
    declared = dtype or number_format
    array = Array(dtype=declared, shape=shape, stype=FORM[declared], data=data)
    return from_record(ArrayRecord({"w": array}), [spec(number_format)])["w"]


def steps(value: float) -> bytes:
    return np.full(16, value, "<f4").tobytes()


def deflated(values: bytes) -> bytes:
    return zlib.compress(values, 9)


GOOD = {number_format: payload(number_format) for number_format in ("int8", "float16")}
SCALES, CODED = GOOD["int8"][:64], GOOD["int8"][64:]
BOMB = deflated(bytes(7 * 10**6))
assert len(BOMB) < SIZE
INT8 = {
    "empty": b"",
    "scales alone": SCALES,
    "scales cut off": SCALES[:-1],
    "no stream": SCALES + b"\0",
    "truncated": GOOD["int8"][:-1],
    "checksum missing": GOOD["int8"][:-4],
    "checksum wrong": GOOD["int8"][:-1] + bytes([GOOD["int8"][-1] ^ 1]),
    "one byte too many": GOOD["int8"] + b"\0",
    "another stream behind": GOOD["int8"] + deflated(b""),
    "not compressed": SCALES + bytes(SIZE),
    "raw deflate": SCALES + CODED[2:-4],
    "one value short": SCALES + deflated(bytes(SIZE - 1)),
    "one value too many": SCALES + deflated(bytes(SIZE + 1)),
    "no values": SCALES + deflated(b""),
    "bomb": SCALES + BOMB,
    "bomb above the size": SCALES + deflated(bytes(50 * 10**6)),
    "oversized": SCALES + CODED + bytes(10 * SIZE),
    "-128": SCALES + deflated(bytes(SIZE - 1) + b"\x80"),
    "scale NaN": steps(np.nan) + CODED,
    "scale infinite": steps(np.inf) + CODED,
    "scale negative": steps(-1e-3) + CODED,
    "scale huge": steps(3e38) + CODED,
    "one scale NaN": SCALES[:-4] + np.array(np.nan, "<f4").tobytes() + CODED,
}
FLOAT16 = {
    "empty": b"",
    "exponent alone": GOOD["float16"][:2],
    "truncated": GOOD["float16"][:-1],
    "one byte too many": GOOD["float16"] + b"\0",
    "oversized": GOOD["float16"] * 100,
    "exponent huge": np.array(200, "<i2").tobytes() + GOOD["float16"][2:],
    "exponent tiny": np.array(-30_000, "<i2").tobytes() + GOOD["float16"][2:],
    "NaN": GOOD["float16"][:-2] + np.array(np.nan, "<f2").tobytes(),
    "signalling NaN": GOOD["float16"][:-2] + b"\x01\x7d",
    "infinite": GOOD["float16"][:-2] + np.array(-np.inf, "<f2").tobytes(),
}
HOSTILE: list[tuple[NumberFormat, bytes]] = [("int8", data) for data in INT8.values()]
HOSTILE += [("float16", data) for data in FLOAT16.values()]


def assert_refused(sentence: str, data: bytes, number_format: NumberFormat, **as_: object) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=sentence):
            read(data, number_format, **as_)  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_good_payloads_are_good() -> None:
    for number_format, bound in (("int8", 0.2), ("float16", 0.01)):
        received = read(GOOD[number_format], number_format)
        assert np.abs(received - VALUES).max() < bound


@pytest.mark.parametrize(("number_format", "data"), HOSTILE, ids=[*INT8, *FLOAT16])
def test_a_payload_that_is_not_what_it_declares(number_format: NumberFormat, data: bytes) -> None:
    assert_refused(r"^w (has|holds|does not hold|cannot be decoded)", data, number_format)


@pytest.mark.parametrize("number_format", ["int8", "float16"])
@pytest.mark.parametrize("shape", [(), (SIZE,), (512, 16), (2**40, 2**40), (16, 512, 1)])
def test_another_shape_as_declared(number_format: NumberFormat, shape: tuple[int, ...]) -> None:
    assert_refused("^w has shape", GOOD[number_format], number_format, shape=shape)


@pytest.mark.parametrize("shape", [(2**40, 2**40), (), (512, 16)])
def test_zeros_of_another_shape(shape: tuple[int, ...]) -> None:
    assert_refused("^w has shape", b"", "int8", shape=shape, dtype="zero")


def test_zeros_hold_nothing() -> None:
    assert not read(b"", "int8", dtype="zero").any()
    assert_refused("^w has 1 bytes where 0 were expected", b"\0", "int8", dtype="zero")


def test_a_vector_is_never_asked_for_in_int8() -> None:
    array = Array(dtype="int8", shape=(SIZE,), stype=FORM["int8"], data=GOOD["int8"])
    with pytest.raises(ProtocolError, match=r"^w is int8 .*; float32 was asked for"):
        from_record(ArrayRecord({"w": array}), [TensorSpec("w", (SIZE,))])


@given(st.sampled_from(["int8", "float16"]), st.binary(min_size=1, max_size=300), st.floats(0, 1))
def test_no_damage_gets_past_the_contract(
    number_format: NumberFormat, noise: bytes, where: float
) -> None:
    good = GOOD[number_format]
    start = int(where * len(good))
    try:
        received = read(good[:start] + noise + good[start + len(noise) :], number_format)
    except ProtocolError:
        return
    assert received.shape == SHAPE
    assert np.isfinite(received).all()
