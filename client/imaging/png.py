"""PNG files to their samples at full depth."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from imagecodecs import png_decode
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What decides on the samples. The others make libpng talk on the terminal, of a colour profile.
_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

# Pillow's names of colour types 0 to 6, which reports show: PNG (ISO 15948) Table 11.1.
_MODES = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}


@dataclass(frozen=True)
class PngHeader:
    """Size and kind of a PNG, and of how many frames it is (APNG)."""

    rows: int
    columns: int
    mode: str
    frames: int


def read_png_header(data: bytes) -> PngHeader:
    """What a PNG says of itself, whatever texts and profiles accompany the image.

    Raises ValueError and struct.error where the header is damaged.
    """
    frames = 1
    first, *others = _all_chunks(data)
    for kind, start, _ in others:
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, start + 8)
    kind, start, _ = first
    columns, rows, depth, colour = struct.unpack_from(">IIBB", data, start + 8)
    if kind != b"IHDR" or colour not in _MODES:
        raise ValueError("no PNG header")
    special = {(0, 1): "1", (0, 16): "I;16"}
    return PngHeader(rows, columns, special.get((colour, depth), _MODES[colour]), frames)


def read_png(data: bytes) -> NDArray[np.unsignedinteger]:
    """Samples, uint8 or uint16, rows x columns, or x 2, 3 or 4 with alpha last.

    Palettes are resolved, fewer than 8 bits scaled to 8, and a transparent colour (tRNS) becomes
    alpha. Raises an exception of libpng where rows are missing or a checksum is wrong.
    """
    chunks = (data[start:end] for kind, start, end in _all_chunks(data) if kind in _CHUNKS)
    samples: NDArray[np.unsignedinteger] = png_decode(_SIGNATURE + b"".join(chunks))
    return samples


def _all_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each chunk."""
    position = len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        yield kind, position, end
        position = end
