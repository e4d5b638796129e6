"""Compressed DICOM files whose stream is not what their header says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from pydicom import dcmread

from client.imaging.codestream import decode
from client.imaging.dicom import read_dicom
from shared.errors import ImageRejected

Write = Callable[..., Path]
Make = Callable[..., NDArray[Any]]
Encode = Callable[..., bytes]

FAMILY = {
    "jpeg": "JPEG",
    "progressive": "JPEG",
    "extended": "JPEG",
    "sv1": "JPEG",
    "jpeg-ls": "JPEG-LS",
    "j2k": "JPEG 2000",
    "jp2": "JPEG 2000",
    "htj2k": "JPEG 2000",
    "jpeg-xl": "JPEG XL",
}


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_dicom(path)
    return caught.value.reason


@pytest.fixture(autouse=True)
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that sees a stream of another size may abort the process."""

    def explode(*_: object, **__: object) -> None:
        raise AssertionError("decoded")

    for name in ("jpeg8_decode", "jpegls_decode", "jpeg2k_decode", "jpegxl_decode"):
        monkeypatch.setattr(decode, name, explode)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", explode)


@pytest.mark.parametrize("kind", FAMILY)
@pytest.mark.parametrize("shape", [(80, 96), (96, 79), (97, 80), (48, 160)])
def test_another_size_is_refused_with_both(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str, shape: tuple[int, int]
) -> None:
    bits = 12 if kind == "extended" else 8
    stream = encoded(kind, picture(bits, *shape), bits)
    path = write_compressed(stream, kind, picture(bits), bits)
    rows, columns = shape
    assert reason_of(path) == (
        f"the {FAMILY[kind]} image is {rows} x {columns} but the header says 96 x 80"
    )


@pytest.mark.parametrize("kind", ["jpeg", "sv1", "jpeg-ls", "j2k", "htj2k", "jpeg-xl"])
def test_colour_under_monochrome_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str
) -> None:
    colour = np.stack([picture(8)] * 3, axis=2)
    stream = (
        bytes(imagecodecs.jpeg8_encode(colour, lossless=True))
        if kind == "sv1"
        else encoded(kind, colour, 8)
    )
    path = write_compressed(stream, kind, picture(8), 8)
    assert reason_of(path) == f"the {FAMILY[kind]} image has 3 components but the header says 1"


@pytest.mark.parametrize(
    ("kind", "bits", "stored", "allocated"),
    [
        ("sv1", 12, 8, 8),
        ("extended", 12, 8, 8),
        ("jpeg", 8, 12, 16),
        ("sv1", 10, 12, 16),
        ("jpeg-ls", 16, 8, 8),
        ("j2k", 12, 8, 8),
        ("j2k", 8, 12, 16),
        ("htj2k", 16, 8, 8),
        ("jpeg-xl", 12, 8, 8),
        ("jpeg-xl", 12, 16, 16),
    ],
)
def test_another_depth_is_refused_with_both(
    write_compressed: Write,
    picture: Make,
    encoded: Encode,
    kind: str,
    bits: int,
    stored: int,
    allocated: int,
) -> None:
    stream = encoded(kind, picture(bits), bits)
    path = write_compressed(stream, kind, picture(stored), stored, BitsAllocated=allocated)
    assert reason_of(path) == (
        f"the {FAMILY[kind]} image has {bits} bits but the header says {stored}"
    )


def test_a_sign_that_lossy_coding_cannot_bear_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode
) -> None:
    values = picture(12)
    stream = encoded("j2k-lossy", values, 12)
    path = write_compressed(stream, "j2k-lossy", values, 12, PixelRepresentation=1)
    assert reason_of(path) == "the JPEG 2000 image is unsigned but the header says signed"


@pytest.mark.parametrize(
    ("kind", "announced", "reason"),
    [
        ("j2k", "jpeg", "the compressed image is JPEG 2000 but the header says JPEG Baseline"),
        ("jpeg-ls", "sv1", "the compressed image is JPEG-LS but the header says JPEG Lossless SV1"),
        ("jpeg", "jpeg-ls", "the compressed image is JPEG but the header says JPEG-LS Lossless"),
        (
            "jpeg-xl",
            "j2k",
            "the compressed image is JPEG XL but the header says JPEG 2000 Lossless",
        ),
    ],
)
def test_another_kind_of_compression_is_refused(
    write_compressed: Write,
    picture: Make,
    encoded: Encode,
    kind: str,
    announced: str,
    reason: str,
) -> None:
    path = write_compressed(encoded(kind, picture(8), 8), announced, picture(8), 8)
    assert reason_of(path) == reason


@pytest.mark.parametrize(("stored", "allocated", "planes"), [(8, 8, 2), (12, 16, 1)])
def test_rle_of_other_byte_planes_is_refused(
    write_compressed: Write,
    picture: Make,
    encoded: Encode,
    stored: int,
    allocated: int,
    planes: int,
) -> None:
    stream = encoded("rle", picture(8 * planes), 8 * planes)
    path = write_compressed(stream, "rle", picture(stored), stored)
    assert dcmread(path).BitsAllocated == allocated
    assert reason_of(path) == (
        f"the RLE image has {planes} bytes a pixel but the header says {allocated // 8}"
    )


@pytest.mark.parametrize(
    ("kind", "position", "data"),
    [
        ("jpeg", 2, bytes(64)),  # a lost block behind SOI
        ("jpeg", 20, b"\x00"),  # the first byte of the marker behind APP0
        ("jpeg", 22, b"\x00\x00"),  # a segment of no length
        ("jpeg", 22, b"\xff\xff"),  # one beyond the end
        ("jpeg-ls", 2, bytes(64)),
        ("j2k", 4, b"\x00\x00"),
        ("j2k", 40, b"\x00\x00"),  # no component
        ("jpeg-xl", 2, b"\x01\x00"),
    ],
)
def test_damaged_headers_do_not_reach_the_decoder(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str, position: int, data: bytes
) -> None:
    stream = bytearray(encoded(kind, picture(8), 8))
    stream[position : position + len(data)] = data
    path = write_compressed(bytes(stream), kind, picture(8), 8)
    assert reason_of(path)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("kind", ["jpeg", "sv1", "jpeg-ls", "j2k", "jp2", "htj2k", "jpeg-xl"])
def test_frames_that_the_header_does_not_count_are_refused(
    write_compressed: Write, kind: str, fragments: int, encoded: Encode, picture: Make
) -> None:
    """Without a Number of Frames a decoder would give the first of them."""
    values = picture(8)
    frames = [encoded(kind, values, 8), encoded(kind, values[::-1].copy(), 8)]
    path = write_compressed(frames, kind, values, 8, fragments=fragments)
    assert reason_of(path) == "multi-frame image"
