from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from client.imaging import remarks
from client.imaging.dicom import read_dicom
from client.imaging.raster import read_raster

Write = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]


@pytest.mark.parametrize(
    ("photometric", "shape", "white_is_low", "said"),
    [
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", False, True),
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
        ("MONOCHROME2", "LIN OD", False, False),
    ],
)
def test_presentation_lut_shape_is_the_last_step(
    write_dicom: Write,
    ramp: Ramp,
    photometric: str,
    shape: str | None,
    white_is_low: bool,
    said: bool,
) -> None:
    """PS3.3 C.11.6; dcmtk's dcm2pnm renders all of these so."""
    stored = ramp()
    attributes = {} if shape is None else {"PresentationLUTShape": shape}
    image = read_dicom(write_dicom(stored, 12, PhotometricInterpretation=photometric, **attributes))
    expected = stored / 4095
    np.testing.assert_allclose(image.pixels, 1 - expected if white_is_low else expected, atol=1e-6)
    assert image.facts.remarks == ((remarks.LUT_SHAPE,) if said else ())


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"PixelAspectRatio": [2, 1]}, True),
        ({"PixelAspectRatio": [1, 1]}, False),
        ({"PixelAspectRatio": [143, 143]}, False),
        ({"ImagerPixelSpacing": [0.143, 0.143]}, False),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, True),
        ({"PixelSpacing": [0.1, 0.1005]}, False),
        ({"PixelSpacing": [0.1, 0.15]}, True),
        ({"PixelSpacing": [0, 0.1]}, False),
        ({"PixelSpacing": 0.1}, False),
    ],
)
def test_pixels_that_are_not_square_are_said(
    write_dicom: Write, ramp: Ramp, attributes: dict[str, Any], said: bool
) -> None:
    image = read_dicom(write_dicom(ramp(), 12, **attributes))
    assert image.facts.remarks == ((remarks.NOT_SQUARE,) if said else ())
    assert image.pixels.shape == (40, 48)


@pytest.mark.parametrize(
    ("center", "width", "said"),
    [
        (2048, 4096, remarks.NEARLY_BLACK),
        (-1800, 4096, remarks.NEARLY_WHITE),
        (128, 256, None),
        (1000, 1800, remarks.NEARLY_BLACK),
    ],
)
def test_a_window_that_does_not_fit_is_said(
    write_dicom: Write, ramp: Ramp, center: int, width: int, said: str | None
) -> None:
    stored = ramp(maximum=255)
    path = write_dicom(stored, 8, WindowCenter=center, WindowWidth=width)
    image = read_dicom(path)
    expected = np.clip((stored - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert image.facts.remarks == (() if said is None else (said,))


@pytest.mark.parametrize("photometric", [" MONOCHROME1", "MONOCHROME1  ", " MONOCHROME1 "])
def test_spaces_around_a_code_string_mean_nothing(
    write_dicom: Write, ramp: Ramp, photometric: str
) -> None:
    stored = ramp()
    path = write_dicom(stored, 12)
    padded = photometric.encode() + b" " * (len(photometric) % 2)
    content = path.read_bytes()
    old = b"CS\x0c\x00MONOCHROME2 "
    assert old in content
    path.write_bytes(content.replace(old, b"CS" + len(padded).to_bytes(2, "little") + padded))
    image = read_dicom(path)
    np.testing.assert_allclose(image.pixels, 1 - stored / 4095, atol=1e-6)
    assert image.facts.photometric == "MONOCHROME1"


def test_samples_per_pixel_may_be_absent(write_dicom: Write, ramp: Ramp) -> None:
    image = read_dicom(write_dicom(ramp(), 12, SamplesPerPixel=None))
    np.testing.assert_allclose(image.pixels, ramp() / 4095, atol=1e-6)


def test_transparency_of_a_png_is_said(tmp_path: Path, ramp: Ramp) -> None:
    grey = ramp(maximum=255).astype(np.uint8)
    path = tmp_path / "image.png"
    for image, transparent in (
        (Image.fromarray(grey), 200),
        (Image.fromarray(grey).convert("RGB"), (200, 200, 200)),
    ):
        image.save(path, transparency=transparent)
        read = read_raster(path)
        np.testing.assert_allclose(read.pixels, np.where(grey == 200, 0, grey) / 255, atol=1e-6)
        assert read.facts.remarks == (remarks.TRANSPARENT,)
    opaque = Image.merge("LA", [Image.fromarray(grey), Image.new("L", (48, 40), 255)])
    opaque.save(path)
    assert read_raster(path).facts.remarks == ()


def test_a_nearly_black_png_is_said(tmp_path: Path, ramp: Ramp) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(ramp(maximum=20).astype(np.uint8)).save(path)
    assert read_raster(path).facts.remarks == (remarks.NEARLY_BLACK,)
