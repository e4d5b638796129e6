"""What a compressed image says of itself, read before any decoder sees it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DamagedStream(ValueError):
    """The compressed data is broken, or ends before the picture does."""


class Family(StrEnum):
    """A family of compressed images that one decoder reads."""

    JPEG = "JPEG"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    JPEG_XL = "JPEG XL"
    RLE = "RLE"


@dataclass(frozen=True)
class StreamHeader:
    """Size and samples of a compressed image.

    `bits` is the precision of a sample. `signed` is None where the format has no sign. `exact`
    says that decoding gives the very values that were encoded.
    """

    family: Family
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool | None
    exact: bool


def family_of(data: bytes) -> Family | None:
    """The family of a compressed image by its first bytes, or None; RLE has no mark."""
    if data.startswith(b"\xff\xd8\xff"):
        return Family.JPEG_LS if _has_frame_55(data) else Family.JPEG
    if data.startswith((b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ")):
        return Family.JPEG_2000
    if data.startswith((b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")):
        return Family.JPEG_XL
    return None


def _has_frame_55(data: bytes) -> bool:
    """Whether the first frame header of a JPEG is that of JPEG-LS: ISO 14495-1 C.1.1."""
    position = 2
    while data[position : position + 1] == b"\xff" and position + 4 <= len(data):
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0xF7:
            return True
        elif marker in (0xDA, 0xD9):
            return False
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4])
    return False
