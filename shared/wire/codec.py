"""One tensor <-> Flower's Array, in the dtype that the manifest asks for.

A tensor of zeros, one that has not changed, is sent as an empty payload in every format.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from flwr.app import Array
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.formats import float16, float32, int8
from shared.wire.formats.choice import LARGEST, NumberFormat

ZERO = "zero"
_FORMS = {
    ZERO: "fedthaw.zero",
    "float32": "numpy.ndarray",
    "float16": "fedthaw.float16",
    "int8": "fedthaw.int8",
}
_DECODERS: dict[NumberFormat, Callable[[str, bytes, tuple[int, ...]], NDArray[np.float32]]] = {
    "float32": float32.decode,
    "float16": float16.decode,
    "int8": int8.decode,
}


def encode_tensor(
    name: str, values: NDArray[np.float32], number_format: NumberFormat
) -> tuple[Array, NDArray[np.float32] | None]:
    """What travels, and what the receiver will see; None where that is just `values`.

    The same values give the same bytes. TypeError where they are not float32; ProtocolError where
    the dtype cannot carry them.
    """
    if values.dtype != np.float32:
        raise TypeError(f"{name} is {values.dtype}; only float32 travels")
    values = np.asarray(values, order="C")
    if not values.view(np.uint32).any():  # a negative zero is none: float32 loses no bit
        return Array(dtype=ZERO, shape=values.shape, stype=_FORMS[ZERO], data=b""), None
    if number_format == "float32":
        return Array(values), None
    _check_magnitude(name, values, number_format)
    codec = float16 if number_format == "float16" else int8
    data, received = codec.encode(values)
    form = _FORMS[number_format]
    return Array(dtype=number_format, shape=values.shape, stype=form, data=data), received


def decode_tensor(
    name: str, array: Array, shape: tuple[int, ...], number_format: NumberFormat
) -> NDArray[np.float32]:
    """The values of a received tensor, in memory of their own; finite or not.

    Raises ProtocolError unless it is what was asked for; lengths are checked before anything is
    decoded.
    """
    if array.dtype not in (ZERO, number_format) or array.stype != _FORMS[array.dtype]:
        raise ProtocolError(
            f"{name} is {array.dtype} ({array.stype}); {number_format} was asked for"
        )
    if tuple(array.shape) != shape:
        raise ProtocolError(f"{name} has shape {tuple(array.shape)}, not {shape}")
    if array.dtype == ZERO:
        if array.data:
            raise ProtocolError(f"{name} has {len(array.data)} bytes where 0 were expected")
        return np.zeros(shape, np.float32)
    return _DECODERS[number_format](name, array.data, shape)


def _check_magnitude(name: str, values: NDArray[np.float32], number_format: str) -> None:
    peak = np.maximum(values.max(), -values.min())
    if not peak <= LARGEST:
        raise ProtocolError(
            f"{name} holds values up to {peak:.3g}, which {number_format} does not carry: the "
            "training has diverged, so lower the learning rates (lr-head, lr-layer4, ...) in a "
            "new run"
        )
