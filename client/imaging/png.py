"""PNG files to their samples at full depth."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from imagecodecs import png_decode
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What decides on the samples. The others make libpng talk on the terminal, of a colour profile.
_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def read_png(data: bytes) -> NDArray[np.unsignedinteger]:
    """Samples, uint8 or uint16, rows x columns, or x 2, 3 or 4 with alpha last.

    Palettes are resolved, fewer than 8 bits scaled to 8, and a transparent colour (tRNS) becomes
    alpha. Raises an exception of libpng where rows are missing or a checksum is wrong.
    """
    samples: NDArray[np.unsignedinteger] = png_decode(_SIGNATURE + b"".join(_chunks(data)))
    return samples


def _chunks(data: bytes) -> Iterator[bytes]:
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if kind in _CHUNKS:
            yield data[position:end]
        position = end
