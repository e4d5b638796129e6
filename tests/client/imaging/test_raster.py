from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from client.imaging.dicom import read_dicom
from client.imaging.raster import read_raster
from shared.errors import ImageRejected

Ramp = Callable[..., NDArray[Any]]


def reason_of(path: Path) -> str:
    with pytest.raises(ImageRejected) as caught:
        read_raster(path)
    return caught.value.reason


@pytest.fixture
def grey(ramp: Ramp) -> NDArray[np.uint8]:
    return ramp(maximum=255).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_eight_bit_grey_is_scaled_by_255(tmp_path: Path, suffix: str) -> None:
    flat = np.repeat(np.arange(0, 256, 4, dtype=np.uint8), 8)[None].repeat(64, axis=0)
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(flat).save(path, quality=100)
    image = read_raster(path)
    np.testing.assert_allclose(image.pixels, flat / 255, atol=1e-7 if suffix == "png" else 0.02)
    assert image.pixels.dtype == np.float32
    assert (image.facts.format, image.facts.photometric) == (
        "PNG" if suffix == "png" else "JPEG",
        "L",
    )
    assert (image.facts.bits, image.facts.rows, image.facts.columns) == (8, 64, 512)


@pytest.mark.parametrize(
    ("maximum", "bits"),
    [
        (900, 10),
        (1023, 10),
        (1024, 12),
        (4095, 12),
        (4096, 14),
        (16383, 14),
        (16384, 16),
        (65535, 16),
    ],
)
def test_sixteen_bit_png_is_scaled_by_the_bits_that_hold_it(
    tmp_path: Path, ramp: Ramp, maximum: int, bits: int
) -> None:
    values = ramp(maximum=maximum).astype(np.uint16)
    path = tmp_path / "image.png"
    Image.fromarray(values).save(path)
    image = read_raster(path)
    np.testing.assert_allclose(image.pixels, values / (2**bits - 1), atol=1e-7)
    assert image.facts.bits == bits


def test_twelve_bits_are_as_bright_in_a_png_as_in_dicom(
    tmp_path: Path, ramp: Ramp, write_dicom: Callable[..., Path]
) -> None:
    values = ramp(maximum=4095).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "image.png")
    expected = read_dicom(write_dicom(values, 12)).pixels
    np.testing.assert_allclose(read_raster(tmp_path / "image.png").pixels, expected, atol=1e-6)


def test_range_of_the_type_counts_not_that_of_the_values(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    dim = np.tile(np.array([60, 120], dtype=np.uint8), (40, 20))
    Image.fromarray(dim).save(path)
    assert read_raster(path).pixels.max() == pytest.approx(120 / 255)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_grey_in_other_formats_reads_as_grey(
    tmp_path: Path, grey: NDArray[np.uint8], mode: str
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(grey).convert(mode).save(path)
    image = read_raster(path)
    np.testing.assert_allclose(image.pixels, grey / 255, atol=1e-7)
    assert image.facts.photometric == mode


def test_transparency_becomes_black(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    alpha = np.full_like(grey, 255)
    alpha[:8] = 0
    path = tmp_path / "image.png"
    Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]).save(path)
    np.testing.assert_allclose(read_raster(path).pixels, grey / 255 * (alpha > 0), atol=1e-7)


@pytest.mark.parametrize(("apart", "refused"), [(8, False), (9, True)])
def test_colour_begins_beyond_eight_levels(
    tmp_path: Path, grey: NDArray[np.uint8], apart: int, refused: bool
) -> None:
    channels = np.stack([np.minimum(grey, 240)] * 3, axis=2)
    channels[20, 20, 2] += apart
    path = tmp_path / "image.png"
    Image.fromarray(channels).save(path)
    if refused:
        assert reason_of(path) == "colour image"
    else:
        np.testing.assert_allclose(read_raster(path).pixels, channels[:, :, 0] / 255, atol=0.005)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    upright = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4) * 20, np.ones((16, 16), np.uint8))
    # What a camera in each position stores, by the definition of the EXIF tag 0x0112: where
    # the visual top and left of the stored rows and columns lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "image.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100)
    image = read_raster(path)
    np.testing.assert_allclose(image.pixels, upright / 255, atol=0.02)
    assert (image.facts.rows, image.facts.columns) == upright.shape


def test_small_constant_and_animated_images_are_refused(
    tmp_path: Path, grey: NDArray[np.uint8]
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(grey[:31]).save(path)
    assert reason_of(path) == "smaller than 32 pixels"
    Image.fromarray(np.full((40, 40), 9, dtype=np.uint8)).save(path)
    assert reason_of(path) == "constant image"
    frames = [Image.fromarray(grey), Image.fromarray(255 - grey)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert reason_of(path) == "multi-frame image"


def test_cmyk_is_named(tmp_path: Path, grey: NDArray[np.uint8]) -> None:
    path = tmp_path / "image.jpg"
    Image.fromarray(grey).convert("CMYK").save(path)
    assert reason_of(path) == "pixel format CMYK"


@pytest.mark.parametrize("side", [10_001, 14_000])
def test_decompression_bombs_are_refused_without_a_warning(tmp_path: Path, side: int) -> None:
    path = tmp_path / "image.png"
    Image.new("1", (side, side)).save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert reason_of(path) == "larger than 100 megapixels"


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.9])
def test_truncated_files_are_refused(
    tmp_path: Path, grey: NDArray[np.uint8], suffix: str, share: float
) -> None:
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(grey).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert reason_of(path) == "unreadable or truncated image"


def test_other_formats_are_refused_whatever_their_suffix(
    tmp_path: Path, grey: NDArray[np.uint8]
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(grey).save(path, "TIFF")
    assert reason_of(path) == "unreadable or truncated image"


def _chunk(kind: bytes, data: bytes, *, damaged: bool = False) -> bytes:
    checksum = zlib.crc32(kind + data) ^ damaged
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


@pytest.mark.parametrize(
    "beside",
    [
        _chunk(b"tEXt", b"Comment\0film 3", damaged=True),
        _chunk(b"gAMA", struct.pack(">I", 45455), damaged=True),
        _chunk(b"eXIf", b"no EXIF"),
        _chunk(b"zTXt", b"XMP\0\0" + zlib.compress(bytes(2**21))),
        _chunk(b"iCCP", b"CMYK\0\0" + zlib.compress(bytes(2**21))),
    ],
    ids=["damaged text", "damaged gamma", "no EXIF", "large text", "large profile"],
)
def test_what_stands_beside_the_picture_of_a_png_loses_no_picture(
    tmp_path: Path, grey: NDArray[np.uint8], beside: bytes
) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(grey).save(path)
    data = path.read_bytes()
    path.write_bytes(data[:33] + beside + data[33:])
    np.testing.assert_allclose(read_raster(path).pixels, grey / 255, atol=2e-7)
