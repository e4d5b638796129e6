from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from client.imaging.image import FITS, decode, fit_square
from shared.errors import ImageRejected


def test_decode_goes_by_content_not_by_suffix(
    tmp_path: Path,
    write_dicom: Callable[..., Path],
    write_png: Callable[[Path, int], Path],
    ramp: Callable[..., NDArray[Any]],
) -> None:
    assert decode(write_dicom(ramp(), 12, name="image.png")).facts.format == "DICOM"
    png = write_png(tmp_path / "a.png", 1)
    assert decode(png.rename(tmp_path / "a.dcm")).facts.format == "PNG"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.tif", b"II*\x00", "not a DICOM, PNG or JPEG file"),
        ("a.png", b"", "not a DICOM, PNG or JPEG file"),
        ("a.dcm", b"", "not a DICOM, PNG or JPEG file"),
        ("a.dcm", b"no DICOM, just text that is long enough" * 9, "not a DICOM file"),
        ("a.dcm", bytes(128) + b"DICM", "not a DICOM file"),
    ],
)
def test_decode_names_why_a_file_is_no_image(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ImageRejected) as caught:
        decode(path)
    assert caught.value.reason in (reason, "unreadable or truncated DICOM file")


def test_decode_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ImageRejected, match="file cannot be read"):
        decode(tmp_path / "gone.png")


@given(
    pixels=arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        elements=st.floats(0, 1, width=32),
    ),
    fit=st.sampled_from(FITS),
    size=st.integers(1, 48),
)
def test_square_has_the_size_and_keeps_the_range(
    pixels: NDArray[np.float32], fit: str, size: int
) -> None:
    square = fit_square(pixels, size, fit)
    assert square.shape == (size, size)
    assert square.dtype == np.uint16
    assert square.max() <= round(float(pixels.max()) * 65535) + 1
    if fit != "pad":
        assert square.min() >= round(float(pixels.min()) * 65535) - 1


@given(pixels=arrays.arrays(np.uint16, (20, 20)), fit=st.sampled_from(FITS))
def test_sixteen_bits_survive_where_nothing_is_resized(
    pixels: NDArray[np.uint16], fit: str
) -> None:
    values = (pixels / 65535).astype(np.float32)
    np.testing.assert_array_equal(fit_square(values, 20, fit), pixels)


@pytest.mark.parametrize(("rows", "columns"), [(20, 33), (33, 20)])
def test_pad_centres_on_black_and_crop_keeps_the_centre(rows: int, columns: int) -> None:
    pixels = np.random.default_rng(3).random((rows, columns)).astype(np.float32)
    levels = np.rint(pixels * 65535)
    padded = np.zeros((33, 33))
    middle = slice(6, 26)  # of 13 black lines, 6 before and 7 after
    padded[(middle, slice(None)) if rows < columns else (slice(None), middle)] = levels
    np.testing.assert_array_equal(fit_square(pixels, 33, "pad"), padded)
    cropped = fit_square(pixels, 20, "crop").astype(np.float64)
    windows = [
        levels[:, start : start + 20] if rows < columns else levels[start : start + 20]
        for start in (6, 7)
    ]
    assert any(np.array_equal(cropped, window) for window in windows)


@pytest.mark.parametrize(("shape", "size"), [((90, 60), 24), ((37, 53), 64)])
def test_stretch_agrees_with_pillows_antialiased_resize(shape: tuple[int, int], size: int) -> None:
    pixels = np.random.default_rng(4).random(shape).astype(np.float32)
    expected = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    ours = fit_square(pixels, size, "stretch") / 65535
    np.testing.assert_allclose(ours, np.asarray(expected), atol=2e-5)


def test_an_unknown_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fit is 'squash'; it must be one of pad, crop, stretch"):
        fit_square(np.zeros((4, 4), dtype=np.float32), 4, "squash")
