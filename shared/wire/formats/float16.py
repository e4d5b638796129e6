"""float16 under one power of two a tensor, so that small updates keep their digits.

Bytes: the exponent as a little-endian int16, then the values as little-endian float16.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.formats.choice import LARGEST

_TOP = 15
"""The largest magnitude is brought into 2**14 ... 2**15; float16 ends below 2**16."""
_EXPONENTS = range(-148 - _TOP, math.frexp(LARGEST)[1] - _TOP + 1)
_EXPONENT_BYTES = 2


def encode(values: NDArray[np.float32]) -> tuple[bytes, NDArray[np.float32]]:
    """The bytes, and the values that the receiver will see.

    `values` are of any shape, not all zero, with magnitudes up to 2**100. The relative error is at
    most 2**-11 for magnitudes down to 2**-28 of the largest one; below that the error is at most
    2**-39 of the largest one.
    """
    peak = max(float(values.max()), -float(values.min()))
    exponent = math.frexp(peak)[1] - _TOP
    halves = np.ldexp(values, -exponent).astype("<f2")
    return np.array(exponent, "<i2").tobytes() + halves.tobytes(), _values(halves, exponent)


def decode(name: str, data: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values; ProtocolError where the bytes are no such tensor."""
    size = _EXPONENT_BYTES + 2 * math.prod(shape)
    if len(data) != size:
        raise ProtocolError(f"{name} has {len(data)} bytes where {size} were expected")
    exponent = int(np.frombuffer(data, "<i2", count=1)[0])
    if exponent not in _EXPONENTS:
        raise ProtocolError(f"{name} has the scale 2**{exponent}, which no update needs")
    return _values(np.frombuffer(data, "<f2", offset=_EXPONENT_BYTES), exponent).reshape(shape)


def _values(halves: NDArray[np.float16], exponent: int) -> NDArray[np.float32]:
    with np.errstate(invalid="ignore"):  # a hostile NaN is the caller's to refuse
        values = halves.astype(np.float32)
        return np.ldexp(values, exponent, out=values)
