"""Whole multiples of a step, one step an output channel, entropy-coded.

The step is a share of the channel's root mean square, not of its largest value, so that the noise
is the same share of every channel and the multiples, which then crowd around zero, take 5 to 6 bits
each in a Huffman code (RFC 1951 by zlib). A channel of outliers takes a coarser step instead of
being cut off: what is cut off every round would pile up in the error feedback.

Bytes: a little-endian float32 step a channel, then the int8 multiples as a zlib stream.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.formats.choice import LARGEST, STEPS_PER_RMS

MOST = 127
_SMALLEST_STEP = float(np.finfo(np.float32).tiny)
_LEVEL = 1  # of no effect on Huffman coding alone
_SLACK = 64


def encode(
    values: NDArray[np.float32], per_rms: float = STEPS_PER_RMS
) -> tuple[bytes, NDArray[np.float32]]:
    """The bytes, and the values that the receiver will see, each within half a step of its own.

    `values`: (channels, ...), magnitudes up to 2**100; `per_rms`: steps a root mean square.
    """
    rows = values.reshape(len(values), -1)
    steps = _steps(rows, per_rms)
    divisors = np.where(steps > 0, steps, np.float32(1))
    scaled = np.divide(rows, divisors[:, np.newaxis], out=np.empty_like(rows))
    np.clip(np.rint(scaled, out=scaled), -MOST, MOST, out=scaled)
    multiples = scaled.astype(np.int8)
    data = steps.astype("<f4").tobytes() + _deflate(multiples)
    return data, _values(multiples, steps, out=scaled).reshape(values.shape)


def decode(name: str, data: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values; ProtocolError where the bytes are no such tensor.

    No more than the expected multiples are unpacked, whatever the stream would yield.
    """
    channels, size = shape[0], math.prod(shape)
    head = 4 * channels
    most = head + size + size // 1000 + _SLACK  # where coding gains nothing, zlib stores
    if not head < len(data) <= most:
        raise ProtocolError(f"{name} has {len(data)} bytes where {head} to {most} were expected")
    steps = np.frombuffer(data, "<f4", count=channels).astype(np.float32)
    if not ((steps >= 0) & (steps <= LARGEST)).all():
        raise ProtocolError(f"{name} has a scale that is negative, too large or not finite")
    multiples = np.frombuffer(_inflate(name, memoryview(data)[head:], size), np.int8)
    if multiples.min() < -MOST:
        raise ProtocolError(f"{name} holds {multiples.min()}; its values are -{MOST} to {MOST}")
    rows = multiples.reshape(channels, -1)
    return _values(rows, steps, out=np.empty(rows.shape, np.float32)).reshape(shape)


def _steps(rows: NDArray[np.float32], per_rms: float) -> NDArray[np.float32]:
    """A step a channel, never subnormal; 0 for a channel of zeros."""
    peaks = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    steps = np.maximum(peaks / MOST, np.sqrt(squares / rows.shape[1]) / per_rms)
    return np.where(peaks > 0, np.maximum(steps, _SMALLEST_STEP), 0).astype(np.float32)


def _values(
    multiples: NDArray[np.int8], steps: NDArray[np.float32], out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The same arithmetic at sender and receiver, so that both see the same values."""
    return np.multiply(multiples, steps[:, np.newaxis], out=out, dtype=np.float32)


def _deflate(multiples: NDArray[np.int8]) -> bytes:
    """Huffman-coded; there is nothing to gain from repetitions, which cost most of the time."""
    coder = zlib.compressobj(_LEVEL, memLevel=9, strategy=zlib.Z_HUFFMAN_ONLY)
    return coder.compress(np.ascontiguousarray(multiples).data) + coder.flush()


def _inflate(name: str, data: memoryview, size: int) -> bytes:
    decoder = zlib.decompressobj()
    try:
        values = decoder.decompress(data, size + 1)
    except zlib.error as error:
        raise ProtocolError(f"{name} cannot be decoded") from error
    if len(values) != size or not decoder.eof or decoder.unused_data:
        raise ProtocolError(f"{name} does not hold just {size} values")
    return values
