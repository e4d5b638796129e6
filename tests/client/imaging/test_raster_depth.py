"""PNG and JPEG files of more than 8 bits."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

from client.imaging.image import decode
from client.imaging.raster import read_raster
from shared.errors import ImageRejected

Make = Callable[..., NDArray[Any]]
Encode = Callable[..., bytes]
Ramp = Callable[..., NDArray[Any]]
COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}


def write_png(path: Path, samples: NDArray[Any]) -> None:
    """Rows x columns x channels of 16 bits, by the PNG specification."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows, columns, channels = samples.shape
    header = struct.pack(">IIBBBBB", columns, rows, 16, COLOUR[channels], 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("maximum", [1023, 4095, 16383, 65535])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("opaque", [65535, None])
def test_sixteen_bits_of_any_colour_type_are_kept(
    tmp_path: Path, ramp: Ramp, channels: int, maximum: int, opaque: int | None
) -> None:
    """`opaque`: alpha as the type has it, or as the bits of the detector have it."""
    grey = ramp(maximum=maximum).astype(np.uint16)
    alpha = np.full_like(grey, opaque or maximum)
    samples = [grey, grey, grey, alpha] if channels == 4 else [grey, alpha]
    samples = [grey] * channels if channels in (1, 3) else samples
    write_png(tmp_path / "image.png", np.stack(samples, axis=2))
    image = read_raster(tmp_path / "image.png")
    np.testing.assert_allclose(image.pixels, grey / maximum, atol=1e-6)
    assert image.facts.bits == maximum.bit_length()
    assert image.facts.remarks == ()


@pytest.mark.parametrize(("apart", "refused"), [(128, False), (129, True)])
def test_colour_of_twelve_bits_begins_beyond_the_same_share(
    tmp_path: Path, ramp: Ramp, apart: int, refused: bool
) -> None:
    channels = np.stack([np.minimum(ramp(maximum=4095), 3900)] * 3, axis=2)
    channels[20, 20, 2] += apart
    channels[0, 0] = 4095
    write_png(tmp_path / "image.png", channels)
    if refused:
        with pytest.raises(ImageRejected, match="colour image"):
            read_raster(tmp_path / "image.png")
    else:
        assert read_raster(tmp_path / "image.png").facts.bits == 12


@pytest.mark.parametrize(
    ("kind", "bits"), [("extended", 12), ("sv1", 12), ("sv1", 8), ("lossless", 16), ("jpeg-ls", 16)]
)
def test_jpeg_files_of_other_kinds_are_read(
    tmp_path: Path, picture: Make, encoded: Encode, kind: str, bits: int
) -> None:
    values = picture(bits)
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(kind, values, bits))
    image = decode(path)
    tolerance = 0.08 if kind == "extended" else 1e-6
    np.testing.assert_allclose(image.pixels, values / (2**bits - 1), atol=tolerance)
    assert image.facts.bits == bits


@pytest.mark.parametrize(
    ("options", "bits", "reason"),
    [
        ({"lossless": True}, 8, "unsupported: lossless JPEG with 3 components"),
        ({"bitspersample": 12}, 12, "unsupported: 12-bit JPEG with 3 components"),
    ],
)
def test_colour_jpeg_files_of_other_kinds_are_named(
    tmp_path: Path, picture: Make, options: dict[str, Any], bits: int, reason: str
) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(imagecodecs.jpeg8_encode(np.stack([picture(bits)] * 3, axis=2), **options))
    with pytest.raises(ImageRejected) as caught:
        read_raster(path)
    assert caught.value.reason == reason
