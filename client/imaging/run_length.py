"""How much an RLE frame decodes to (PS3.5 Annex G), without decoding it."""

from __future__ import annotations

import struct

from shared.errors import ImageRejected

_HEADER = struct.Struct("<16L")
# Some writers fill up the last run.
_PADDING = 1024


def check_run_lengths(frame: bytes, pixels: int) -> None:
    """Refuse a frame one of whose segments, a byte a pixel each, decodes to more than `pixels`.

    pydicom makes the whole segment, up to 64 times the file, before it looks at its size.
    Raises ImageRejected.
    """
    if len(frame) < _HEADER.size:
        return  # the decoder says what is wrong
    count, *offsets = _HEADER.unpack_from(frame)
    ends = [*offsets[1:count], len(frame)]
    for start, end in zip(offsets[:count], ends, strict=False):
        if _decoded_bytes(frame[start:end], pixels + _PADDING) > pixels + _PADDING:
            raise ImageRejected("more data than an image of its size can have")


def _decoded_bytes(segment: bytes, enough: int) -> int:
    """How many bytes a segment decodes to; counting ends beyond `enough`."""
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
