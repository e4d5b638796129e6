"""RLE Lossless: PS3.5 Annex G."""

from __future__ import annotations

import struct
from itertools import pairwise

import numpy as np
from imagecodecs import packbits_decode
from numpy.typing import NDArray

from client.imaging.codestream.header import DamagedStream

_HEADER = 64
_HARMLESS = 64 * 2**20
"""Bytes that a segment may decode to without being counted first."""


def segments_of(data: bytes) -> tuple[bytes, ...]:
    """The segments of one frame, each a byte plane, by the offsets of its header: G.5.

    Raises DamagedStream.
    """
    if len(data) < _HEADER:
        raise DamagedStream("an RLE header cut short")
    count, *offsets = struct.unpack("<16I", data[:_HEADER])
    if not 1 <= count <= 15:
        raise DamagedStream("a number of segments that RLE does not have")
    edges = [*offsets[:count], len(data)]
    if edges[0] < _HEADER or any(a >= b for a, b in pairwise(edges)):
        raise DamagedStream("segments that do not follow each other")
    return tuple(data[a:b] for a, b in pairwise(edges))


def decode_rle(segments: tuple[bytes, ...], rows: int, columns: int) -> NDArray[np.unsignedinteger]:
    """Stored values, rows x columns, of one byte plane (uint8) or two (uint16, high byte first).

    Raises DamagedStream where a segment does not hold exactly one plane.
    """
    planes = [_plane(segment, rows * columns).reshape(rows, columns) for segment in segments]
    if len(planes) == 1:
        return planes[0]
    both: NDArray[np.unsignedinteger] = planes[0].astype(np.uint16) << np.uint16(8) | planes[1]
    return both


def _plane(segment: bytes, size: int) -> NDArray[np.uint8]:
    # Two bytes become up to 128 before anybody sees how many there are.
    if 64 * len(segment) > size + _HARMLESS and _decoded_bytes(segment, size + 1) > size + 1:
        raise DamagedStream("an RLE segment that is longer than the image")
    # A segment of odd length is padded by a zero, which may decode to one byte more.
    for data in (segment, segment[:-1]) if segment.endswith(b"\0") else (segment,):
        try:
            plane = packbits_decode(data)
        except Exception:  # noqa: S112 # whatever it is, the segment is damaged
            continue
        if len(plane) == size:
            return np.frombuffer(plane, dtype=np.uint8)
    raise DamagedStream("an RLE segment of another length")


def _decoded_bytes(segment: bytes, enough: int) -> int:
    """How many bytes a segment decodes to; counting ends beyond `enough`: G.3.1."""
    total = place = 0
    while place < len(segment) and total <= enough:
        control = segment[place]
        if control < 128:
            total += control + 1
            place += control + 2
        else:
            total += 257 - control if control > 128 else 0
            place += 2 if control > 128 else 1
    return total
