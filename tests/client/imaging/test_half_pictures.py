"""Half a picture is none: compressed data that ends early, or is zeros from some point on."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from client.imaging.dicom import read_dicom
from client.imaging.raster import read_raster
from shared.errors import ImageRejected

Write = Callable[..., Path]
Make = Callable[..., NDArray[Any]]
Encode = Callable[..., bytes]

KINDS = (
    ("jpeg", 8),
    ("progressive", 8),
    ("restarts", 8),
    ("extended", 12),
    ("lossless", 12),
    ("sv1", 16),
    ("sv1", 8),
    ("jpeg-ls", 12),
    ("j2k", 12),
    ("jp2", 8),
    ("tiles", 8),
    ("j2k-lossy", 12),
    ("htj2k", 12),
    ("jpeg-xl", 12),
    ("rle", 8),
    ("rle", 12),
)
# Zeros in a refining scan of a progressive JPEG are bits of detail like any others.
LOSABLE = [(kind, bits) for kind, bits in KINDS if kind not in ("rle", "progressive")]
END = {"jpeg-xl": b"", "rle": b""}


def damaged(stream: bytes, end: bytes, share: float) -> Iterator[tuple[str, bytes]]:
    """The stream up to a share of it, and what may follow there."""
    cut = int(len(stream) * share)
    lost = len(stream) - cut
    yield "cut", stream[:cut]
    yield "closed", stream[:cut] + end
    yield "zeros and end", stream[:cut] + bytes(lost - len(end)) + end
    yield "zeros", stream[:cut] + bytes(lost)


@pytest.mark.parametrize("share", [0.4, 0.9])
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_half_a_stream_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str, bits: int, share: float
) -> None:
    values = picture(bits, 256, 240)
    stream = encoded(kind, values, bits)
    read_dicom(write_compressed(stream, kind, values, bits))
    for how, data in damaged(stream, END.get(kind, b"\xff\xd9"), share):
        with pytest.raises(ImageRejected) as caught:
            pytest.fail(f"{how}: {read_dicom(write_compressed(data, kind, values, bits))}")
        assert caught.value.reason == "unreadable or truncated pixel data"


@pytest.mark.parametrize(("kind", "bits"), LOSABLE)
def test_a_lost_block_of_512_bytes_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str, bits: int
) -> None:
    values = picture(bits, 256, 240)
    stream = encoded(kind, values, bits)
    for start in range(0, len(stream) - 511, max(512, len(stream) // 6 // 512 * 512)):
        data = stream[:start] + bytes(512) + stream[start + 512 :]
        with pytest.raises(ImageRejected):
            pytest.fail(f"{start}: {read_dicom(write_compressed(data, kind, values, bits))}")


def test_a_progressive_picture_with_scans_missing_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode
) -> None:
    values = picture(8)
    stream = encoded("progressive", values, 8)
    scans = [n for n in range(len(stream)) if stream[n : n + 2] == b"\xff\xda"]
    assert len(scans) > 3
    for scan in scans[1:]:
        tables = stream.rfind(b"\xff\xc4", 0, scan)
        for cut in (scan, tables):
            path = write_compressed(stream[:cut] + b"\xff\xd9", "progressive", values, 8)
            with pytest.raises(ImageRejected):
                read_dicom(path)


def test_a_table_of_zeros_is_refused(
    write_compressed: Write, picture: Make, encoded: Encode
) -> None:
    values = picture(8)
    stream = bytearray(encoded("jpeg", values, 8))
    table = stream.find(b"\xff\xdb") + 5
    stream[table + 8 : table + 40] = bytes(32)
    with pytest.raises(ImageRejected):
        read_dicom(write_compressed(bytes(stream), "jpeg", values, 8))


@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("kind", ["jpeg", "progressive", "extended", "sv1", "jpeg-ls"])
def test_half_a_jpeg_file_is_refused(
    tmp_path: Path, picture: Make, encoded: Encode, kind: str, share: float
) -> None:
    bits = 8 if kind in ("jpeg", "progressive") else 12
    stream = encoded(kind, picture(bits), bits)
    path = tmp_path / "half.jpg"
    path.write_bytes(stream)
    read_raster(path)
    for how, data in damaged(stream, b"\xff\xd9", share):
        path.write_bytes(data)
        with pytest.raises(ImageRejected) as caught:
            pytest.fail(f"{how}: {read_raster(path)}")
        assert caught.value.reason == "unreadable or truncated image"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: NDArray[Any], rows: int, *chunks: bytes, lines: slice = slice(None)) -> bytes:
    """A PNG that announces `rows` rows and holds those of `values` in `lines`."""
    samples = values if values.ndim == 3 else values[:, :, None]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]]
    big = samples.astype(">u2") if samples.itemsize == 2 else samples
    header = struct.pack(">IIBBBBB", samples.shape[1], rows, 8 * samples.itemsize, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in big[lines]))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *chunks,
            chunk(b"IDAT", data),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize("missing", [1, 40, 95])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_png_with_rows_missing_is_refused(
    tmp_path: Path, picture: Make, bits: int, channels: int, missing: int
) -> None:
    values = np.stack([picture(bits)] * channels, axis=2)
    path = tmp_path / "image.png"
    path.write_bytes(png(values, 96))
    read_raster(path)
    path.write_bytes(png(values, 96, lines=slice(0, 96 - missing)))
    with pytest.raises(ImageRejected, match="unreadable or truncated image"):
        read_raster(path)


def test_an_interlaced_png_with_rows_missing_is_refused(tmp_path: Path, picture: Make) -> None:
    buffer = BytesIO()
    Image.fromarray(picture(8)).save(buffer, "PNG")
    values = picture(8)
    passes = [
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
        (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
    ]  # fmt: skip
    parts = [values[top::down, left::across] for top, left, down, across in passes]
    header = struct.pack(">IIBBBBB", 80, 96, 8, 0, 0, 0, 1)
    path = tmp_path / "image.png"
    for number in (7, 6, 5):
        data = b"".join(b"\0" + row.tobytes() for part in parts[:number] for row in part)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(data))
            + chunk(b"IEND", b"")
        )
        if number == 7:
            np.testing.assert_allclose(read_raster(path).pixels, values / 255, atol=1e-7)
        else:
            with pytest.raises(ImageRejected):
                read_raster(path)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bits"), KINDS)
def test_damage_of_any_kind_gives_an_image_or_a_short_reason(
    write_compressed: Write, picture: Make, encoded: Encode, kind: str, bits: int
) -> None:
    """Seeded: a changed byte, a cut or a block of zeros. That it returns at all is the point."""
    values = picture(bits, 40, 48)
    stream = encoded(kind, values, bits)
    choose = random.Random(f"{kind} {bits}")
    for _ in range(120):
        data = bytearray(stream)
        position = choose.randrange(len(data))
        match choose.randrange(3):
            case 0:
                data[position] = choose.randrange(256)
            case 1:
                del data[position:]
            case 2:
                length = min(choose.choice((16, 64, 512)), len(data) - position)
                data[position : position + length] = bytes(length)
        try:
            image = read_dicom(write_compressed(bytes(data), kind, values, bits))
        except ImageRejected as rejection:
            reason, pixels = rejection.reason, values / values.max()
        else:
            reason, pixels = "", image.pixels
        assert len(reason) < 90
        assert pixels.shape == (40, 48)
        assert 0 <= pixels.min() < pixels.max() <= 1
