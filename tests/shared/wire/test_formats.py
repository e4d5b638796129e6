"""Number formats on the wire: how near they come, how small they are."""

from __future__ import annotations

import itertools
import math
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.arrays import TensorSpec
from shared.wire.codec import CODECS, decode_tensor, encode_tensor
from shared.wire.formats.choice import NUMBER_FORMATS, NumberFormat, format_of

Values = NDArray[np.float32]
LOSSY: list[NumberFormat] = ["float16", "int8"]
FORMATS: list[NumberFormat] = ["float32", *LOSSY]

magnitudes = st.floats(-(2.0**100), 2.0**100, width=32)
matrices = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5),
    elements=magnitudes,
)


def sent(values: Values, number_format: NumberFormat) -> tuple[Array, Values]:
    """What travels, and what the receiver makes of it."""
    array, expected = encode_tensor("w", values, number_format)
    received = decode_tensor("w", array, values.shape, number_format)
    assert received.dtype == np.float32
    assert received.shape == values.shape
    received.setflags(write=True)  # the receiver's own
    np.testing.assert_array_equal(received, values if expected is None else expected)
    return array, received


def gaussian(shape: tuple[int, ...], scale: float = 1.0, seed: int = 0) -> Values:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "lossy"),
    [
        ((), False),
        ((100_000,), False),
        ((1, 2048), False),
        ((64, 63), False),
        ((64, 64), True),
        ((512, 1024, 1, 1), True),
        ((0, 9999), False),
    ],
)
def test_large_matrices_alone_are_rounded(shape: tuple[int, ...], lossy: bool) -> None:
    for update_dtype in FORMATS:
        assert format_of(update_dtype, shape) == (update_dtype if lossy else "float32")
    if lossy:
        with pytest.raises(ValueError, match="no dtype 'int4'"):
            format_of("int4", shape)


def test_every_number_format_has_its_code() -> None:
    assert tuple(CODECS) == NUMBER_FORMATS
    assert [name for name, codec in CODECS.items() if not codec.lossy] == ["float32"]
    assert len({codec.form for codec in CODECS.values()}) == len(CODECS)


def test_float32_is_what_flower_itself_writes() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3) - 2
    ours, flowers = encode_tensor("w", values, "float32")[0], Array(values)
    assert (ours.dtype, ours.shape, ours.stype, ours.data) == (
        flowers.dtype, flowers.shape, flowers.stype, flowers.data,
    )  # fmt: skip


def test_a_manifest_line_names_the_number_format() -> None:
    spec = TensorSpec("layer4.0.conv1.weight", (512, 1024, 1, 1), "int8")
    assert spec.to_line() == "layer4.0.conv1.weight int8 512x1024x1x1"


def half(value: float, exponent: int) -> float:
    """Rounded to float16 by the standard library, under the scale 2**exponent."""
    (rounded,) = struct.unpack("<e", struct.pack("<e", math.ldexp(value, -exponent)))
    return math.ldexp(rounded, exponent)


@settings(deadline=None)
@given(matrices)
def test_float16_is_each_value_rounded_under_one_power_of_two(values: Values) -> None:
    peak = float(np.abs(values).max())
    exponent = math.frexp(peak)[1] - 15
    _, received = sent(values, "float16")
    expected = np.array([half(float(v), exponent) for v in values.flat], np.float32)
    np.testing.assert_array_equal(received.reshape(-1), expected)
    for value, got in zip(values.flat, received.flat, strict=True):
        if abs(value) >= max(peak * 2.0**-28, 2.0**-126):
            assert (
                abs(Fraction(float(got)) - Fraction(float(value)))
                <= abs(Fraction(float(value))) / 2**11
            )


@pytest.mark.parametrize("scale", [1e-30, 1e-7, 1.0, 1e20])
def test_float16_keeps_its_digits_at_every_scale(scale: float) -> None:
    values = gaussian((64, 64), scale)
    array, received = sent(values, "float16")
    assert len(array.data) == 2 + 2 * values.size
    assert (np.abs(received - values) <= 2.0**-11 * np.abs(values)).all()
    plain = values.astype(np.float16, copy=True) if scale <= 1 else values
    if scale < 1e-6:
        assert not np.allclose(plain.astype(np.float32), values, rtol=2.0**-11, atol=0)


@settings(deadline=None)
@given(matrices)
def test_int8_is_within_half_a_step_of_every_value(values: Values) -> None:
    """The step of a channel by a slow loop in double precision."""
    _, received = sent(values, "int8")
    for channel, got in zip(values, received, strict=True):
        numbers = [float(v) for v in channel.flat]
        peak = max(map(abs, numbers))
        rms = math.sqrt(math.fsum((n / peak) ** 2 for n in numbers) / len(numbers)) if peak else 0
        step = max(peak / 127, peak * rms / 11, 2.0**-126)
        for number, back in zip(numbers, got.flat, strict=True):
            assert abs(float(back) - number) <= step * (0.5 + 1e-4)


def test_int8_rounds_halves_to_even() -> None:
    step = 2.0**-10
    row = np.zeros(4096, np.float32)
    row[:8] = np.array([127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5]) * step
    _, received = sent(np.stack([row, -row]), "int8")
    assert (received[0, :8] / step).tolist() == [127, 0, 2, 2, 0, -2, -2, 126]
    np.testing.assert_array_equal(received[1], -received[0])


def test_each_channel_has_a_step_of_its_own() -> None:
    scales = np.array([1e-20, 1e-7, 0.0, 3.0, 1e10], np.float32)
    values = gaussian((5, 2048)) * scales[:, np.newaxis]
    _, received = sent(values, "int8")
    noise = np.sqrt(np.mean((received - values).astype(np.float64) ** 2, axis=1))
    assert noise[2] == 0
    for channel in (0, 1, 3, 4):
        assert 0.02 < noise[channel] / float(scales[channel]) < 0.03


def test_an_outlier_is_not_cut_off() -> None:
    values = gaussian((2, 2048))
    values[1, 7] = 500
    _, received = sent(values, "int8")
    assert received[1, 7] == pytest.approx(500, rel=1e-6)
    assert np.abs(received - values).max() <= 500 / 127 / 2 * 1.0001


@pytest.mark.parametrize("distribution", ["normal", "laplace"])
def test_int8_takes_five_to_six_bits_a_value(distribution: str) -> None:
    generator = np.random.default_rng(3)
    values = getattr(generator, distribution)(size=(256, 2304)).astype(np.float32)
    array, received = sent(values, "int8")
    multiples = np.frombuffer(zlib.decompress(bytes(array.data[4 * 256 :])), np.int8)
    _, counts = np.unique(multiples, return_counts=True)
    shares = counts / counts.sum()
    entropy = -(shares * np.log2(shares)).sum()
    bits = 8 * (len(array.data) - 4 * 256) / values.size
    assert entropy <= bits <= entropy + 0.07
    assert 5.3 < bits < 5.7
    assert 0.02 < np.std(received - values) / np.std(values) < 0.03


@pytest.mark.parametrize("number_format", FORMATS)
@pytest.mark.parametrize("shape", [(64, 64), (3,), (), (0, 4)])
def test_a_tensor_of_zeros_travels_as_nothing(
    number_format: NumberFormat, shape: tuple[int, ...]
) -> None:
    array, received = sent(np.zeros(shape, np.float32), number_format)
    assert (array.dtype, tuple(array.shape), array.data) == ("zero", shape, b"")
    assert not received.any()
    received += 1  # the receiver's own


def test_a_negative_zero_is_kept_in_float32() -> None:
    values = np.array([-0.0, 0.0], np.float32)
    array, received = sent(values, "float32")
    assert array.dtype == "float32"
    assert received.tobytes() == values.tobytes()


@pytest.mark.parametrize("number_format", FORMATS)
def test_the_same_values_give_the_same_bytes(number_format: NumberFormat) -> None:
    values = gaussian((48, 96))
    reference = encode_tensor("w", values, number_format)[0].data
    wide = np.zeros((96, 96), np.float32)
    wide[:, ::2] = values.T
    read_only = values.copy()
    read_only.setflags(write=False)
    for same in (values.copy(), np.asfortranarray(values), wide.T[::2], read_only):
        assert encode_tensor("w", same, number_format)[0].data == reference


@pytest.mark.parametrize("number_format", LOSSY)
def test_the_sender_keeps_its_values(number_format: NumberFormat) -> None:
    values = gaussian((8, 8))
    before = values.tobytes()
    sent(values, number_format)
    assert values.tobytes() == before


@pytest.mark.parametrize("number_format", LOSSY)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**101, -3e38])
def test_what_a_format_does_not_carry_is_not_sent(
    number_format: NumberFormat, value: float
) -> None:
    values = gaussian((8, 8))
    values[3, 3] = value
    said = rf"^w holds values up to .*{number_format} does not"
    with pytest.raises(ProtocolError, match=said) as raised:
        encode_tensor("w", values, number_format)
    assert raised.value.diverged  # as it is where the receiver finds such values


@pytest.mark.parametrize(("asked", "declared"), [*itertools.permutations(FORMATS, 2)])
def test_another_format_than_asked_for(asked: NumberFormat, declared: NumberFormat) -> None:
    array, _ = encode_tensor("w", gaussian((8, 8)), declared)
    with pytest.raises(ProtocolError, match=rf"^w is {declared} .*; {asked} was asked for$"):
        decode_tensor("w", array, (8, 8), asked)
    disguised = Array(dtype=asked, shape=(8, 8), stype=array.stype, data=array.data)
    with pytest.raises(ProtocolError, match=rf"; {asked} was asked for$"):
        decode_tensor("w", disguised, (8, 8), asked)


@given(
    values=npst.arrays(np.float32, npst.array_shapes(min_dims=0, min_side=0), elements=magnitudes)
)
def test_float32_is_read_without_pythons_parser(values: Values) -> None:
    """Which fails now and then where several threads use it, in Python 3.11."""
    array, _ = encode_tensor("w", values, "float32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.lib.format, "read_array_header_1_0", lambda stream: pytest.fail("parsed"))
        received = decode_tensor("w", array, values.shape, "float32")
    np.testing.assert_array_equal(received, values)
