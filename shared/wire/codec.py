"""One tensor <-> Flower's Array, in the dtype that the manifest asks for.

A tensor of zeros, one that has not changed, is sent as an empty payload in every format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from flwr.app import Array
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.formats import float16, float32, int8, low_rank
from shared.wire.formats.choice import LARGEST, STEPS_PER_RMS, NumberFormat, rank_of

ZERO = "zero"
_ZERO_FORM = "fedthaw.zero"


@dataclass(frozen=True)
class Codec:
    """A number format: values to bytes and back."""

    form: str
    """Its name in Flower's Array (`stype`)."""
    encode: Callable[[NDArray[np.float32]], tuple[bytes, NDArray[np.float32] | None]]
    """The bytes, and the values that the receiver will see; None where they are just the same."""
    decode: Callable[[str, bytes, tuple[int, ...]], NDArray[np.float32]]
    """(name, bytes, shape) -> values; ProtocolError where the bytes are no such tensor."""
    lossy: bool = True


CODECS: dict[NumberFormat, Codec] = {
    "float32": Codec("numpy.ndarray", float32.encode, float32.decode, lossy=False),
    "float16": Codec("fedthaw.float16", float16.encode, float16.decode),
    "int8": Codec("fedthaw.int8", int8.encode, int8.decode),
}
"""All of `NUMBER_FORMATS`."""


def codec_of(number_format: NumberFormat) -> Codec:
    """The codec of one of `NUMBER_FORMATS`, or of a low-rank format; KeyError for another."""
    if rank := rank_of(number_format):
        return Codec(
            "fedthaw.low-rank",
            partial(low_rank.encode, rank=rank),
            partial(low_rank.decode, rank=rank),
        )
    return CODECS[number_format]


def encode_tensor(
    name: str,
    values: NDArray[np.float32],
    number_format: NumberFormat,
    steps: float = STEPS_PER_RMS,
) -> tuple[Array, NDArray[np.float32] | None]:
    """What travels, and what the receiver will see; None where that is just `values`.

    `steps` are int8's a root mean square. The same values give the same bytes. TypeError where they
    are not float32; ProtocolError where the dtype cannot carry them.
    """
    if values.dtype != np.float32:
        raise TypeError(f"{name} is {values.dtype}; only float32 is sent")
    values = np.asarray(values, order="C")
    if not values.view(np.uint32).any():  # a negative zero is none: float32 loses no bit
        return Array(dtype=ZERO, shape=values.shape, stype=_ZERO_FORM, data=b""), None
    codec = codec_of(number_format)
    if codec.lossy:
        _check_magnitude(name, values, number_format)
    stepped = partial(int8.encode, per_rms=steps) if number_format == "int8" else codec.encode
    data, received = stepped(values)
    return Array(dtype=number_format, shape=values.shape, stype=codec.form, data=data), received


def decode_tensor(
    name: str, array: Array, shape: tuple[int, ...], number_format: NumberFormat
) -> NDArray[np.float32]:
    """The values of a received tensor, in memory of their own; finite or not.

    Raises ProtocolError unless it is what was asked for; lengths are checked before anything is
    decoded.
    """
    codec = codec_of(number_format)
    if (array.dtype, array.stype) not in ((ZERO, _ZERO_FORM), (number_format, codec.form)):
        raise ProtocolError(
            f"{name} is {array.dtype} ({array.stype}); {number_format} was asked for"
        )
    if tuple(array.shape) != shape:
        raise ProtocolError(f"{name} has shape {tuple(array.shape)}, not {shape}")
    if array.dtype == ZERO:
        if array.data:
            raise ProtocolError(f"{name} has {len(array.data)} bytes where 0 were expected")
        return np.zeros(shape, np.float32)
    return codec.decode(name, array.data, shape)


def _check_magnitude(name: str, values: NDArray[np.float32], number_format: NumberFormat) -> None:
    peak = np.maximum(values.max(), -values.min())
    if not peak <= LARGEST:
        raise ProtocolError(
            f"{name} holds values up to {peak:.3g}, which {number_format} does not carry: the "
            "training has diverged, so lower the learning rates (lr-head, rates) in a new run",
            diverged=True,
        )
