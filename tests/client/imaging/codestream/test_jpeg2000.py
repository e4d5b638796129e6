"""Headers of JPEG 2000 and HTJ2K streams that OpenJPEG and OpenJPH wrote."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest

from client.imaging.codestream.header import DamagedStream, Family, StreamHeader
from client.imaging.codestream.jpeg2000 import read_jpeg_2000

Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("kind", "bits", "reversible"),
    [
        ("j2k", 12, True), ("j2k", 8, True), ("jp2", 8, True), ("tiles", 8, True),
        ("j2k-lossy", 12, False), ("htj2k", 16, True),
    ],
)  # fmt: skip
def test_what_was_encoded_is_what_the_header_says(
    picture: Make, encoded: Make, kind: str, bits: int, reversible: bool
) -> None:
    stream = encoded(kind, picture(bits, rows=70, columns=90), bits)
    expected = StreamHeader(Family.JPEG_2000, 70, 90, 1, bits, False, reversible)
    assert read_jpeg_2000(stream) == expected


@pytest.fixture
def stream(picture: Make, encoded: Make) -> bytes:
    return bytes(encoded("tiles", picture(8), 8))


def _tile_parts(stream: bytes) -> list[tuple[int, int]]:
    """Where each tile-part begins and ends: a slow walk by Psot, ISO 15444-1 A.4.2."""
    found, at = [], stream.index(b"\xff\x90")
    while stream[at : at + 2] == b"\xff\x90":
        (length,) = struct.unpack_from(">I", stream, at + 6)
        found.append((at, at + length))
        at += length
    return found


def test_each_tile_must_be_there(stream: bytes) -> None:
    parts = _tile_parts(stream)
    assert len(parts) == 9  # 96 x 80 in tiles of 32 x 32
    for first, end in parts:
        with pytest.raises(DamagedStream, match="tiles are missing"):
            read_jpeg_2000(stream[:first] + stream[end:])


@pytest.mark.parametrize(
    ("at", "new", "why"),
    [
        (22, 0, "a size marker of another length"),  # no tile width
        (4, 1, "a size marker of another length"),
        (6, 0, "no size"),
    ],
)
def test_a_damaged_size(picture: Make, encoded: Make, at: int, new: int, why: str) -> None:
    stream = bytearray(encoded("j2k", picture(8), 8))
    width = {22: 4, 4: 2, 6: 4}[at]
    at += 2 if at == 6 else 2 if at == 22 else 0  # behind SOC, SIZ, Lsiz, Rsiz
    stream[at : at + width] = new.to_bytes(width)
    with pytest.raises(DamagedStream, match=why):
        read_jpeg_2000(bytes(stream))


def test_a_lost_block(picture: Make, encoded: Make) -> None:
    stream = encoded("j2k", picture(12, rows=300, columns=300), 12)
    middle = len(stream) // 2
    with pytest.raises(DamagedStream, match="a block of zeros"):
        read_jpeg_2000(stream[:middle] + bytes(4096) + stream[middle + 4096 :])


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_stream_that_ends_early(stream: bytes, share: float) -> None:
    with pytest.raises(DamagedStream):
        read_jpeg_2000(stream[: int(len(stream) * share)])
