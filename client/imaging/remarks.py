"""What looks wrong in an image that is usable all the same, for its owner to check."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from client.imaging.greyscale import presentation_lut_shape

# Each reads behind "3 image(s)" and behind the name of one image.
LUT_SHAPE = (
    "with a Presentation LUT Shape that contradicts the photometric interpretation (the shape was "
    "followed; check that bones are bright)"
)
NOT_SQUARE = "with pixels that are not square (taken as square, so the image is stretched)"
NEARLY_BLACK = "nearly black (the window or bit depth in the file does not fit its pixels)"
NEARLY_WHITE = "nearly white (the window or bit depth in the file does not fit its pixels)"
TRANSPARENT = "with transparent pixels (taken as black)"

WITHOUT_COLOUR = "without colour (red, green and blue nearly equal)"

# PS3.3 C.8.11.3.1.2.
_SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}
_SPACINGS = (
    "PixelAspectRatio",
    "ImagerPixelSpacing",
    "PixelSpacing",
    "NominalScannedPixelSpacing",
)
_SQUARE = 0.01
_NEARLY = 0.1
_SHARE = 0.99


def remarks_on_header(dataset: Dataset) -> tuple[str, ...]:
    """Contradictions and oddities of a DICOM header: PS3.3 C.8.11.3.1.2 and C.7.6.3.1.7."""
    return tuple(_of_header(dataset))


def _of_header(dataset: Dataset) -> Iterator[str]:
    shape = presentation_lut_shape(dataset)
    if shape is not None and shape != _SHAPES[dataset.PhotometricInterpretation]:
        yield LUT_SHAPE
    if any(not _is_square(dataset.get(keyword)) for keyword in _SPACINGS):
        yield NOT_SQUARE


def _is_square(spacing: object) -> bool:
    """Whether two distances are equal within 1 %; what cannot be read says nothing."""
    try:
        vertical, horizontal = (float(value) for value in spacing)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return True
    if not (np.isfinite([vertical, horizontal]).all() and min(vertical, horizontal) > 0):
        return True
    return abs(vertical - horizontal) <= _SQUARE * max(vertical, horizontal)


def remarks_on_pixels(pixels: NDArray[np.float32]) -> tuple[str, ...]:
    """Whether 99 % of a picture in [0, 1] are within a tenth of black or of white."""
    if np.count_nonzero(pixels < _NEARLY) >= _SHARE * pixels.size:
        return (NEARLY_BLACK,)
    if np.count_nonzero(pixels > 1 - _NEARLY) >= _SHARE * pixels.size:
        return (NEARLY_WHITE,)
    return ()
