"""What decoding yields: the pixels of a radiograph and the facts of its file."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from client.imaging.limits import MAXIMUM_PIXELS
from shared.errors import ImageRejected

MINIMUM_SIDE = 32
# The process that trains makes squares of pictures, as high and wide as their longer side. 4 or, in
# colour, 12 bytes a pixel of so many times the limit are less than decoding may take.
_SQUARE_OF_LIMITS = 6
# Why a report, plan or presentation state is set aside; it is no damaged radiograph.
NO_IMAGE = "DICOM object without an image"


@dataclass(frozen=True)
class ImageFacts:
    """What a file says of its image; what it does not say is None.

    `bits` is DICOM Bits Stored, or the bits a sample of PNG and JPEG that are in use (see
    `read_raster`). `body_part` is DICOM Body Part Examined (0018,0015). `patient_id` is DICOM
    (0010,0020); it stays at the site and is kept out of the repr. `described_view` and
    `described_part` are what codes and descriptions say, see `described_subject`. `device` is
    Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090). `remarks` are phrases of
    `client.imaging.remarks` on what looks wrong in an image that is usable all the same.
    """

    format: str
    photometric: str
    bits: int
    rows: int
    columns: int
    view: str | None = None
    burned_in_annotation: str | None = None
    modality: str | None = None
    body_part: str | None = None
    transfer_syntax: str | None = None
    presentation_intent: str | None = None
    patient_id: str | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = ()
    described_view: str | None = None
    described_part: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class DecodedImage:
    """One picture, float32 in [0, 1]: rows x columns, bone bright; in colour rows x columns x 3."""

    pixels: NDArray[np.float32]
    facts: ImageFacts


def check_size(rows: int, columns: int, maximum_pixels: int = MAXIMUM_PIXELS) -> None:
    """Refuse, before anything is decoded, what is too small or larger than the owner allows.

    Raises ImageRejected.
    """
    if min(rows, columns) < MINIMUM_SIDE:
        raise ImageRejected(f"smaller than {MINIMUM_SIDE} pixels")
    if rows * columns > maximum_pixels:
        raise ImageRejected(f"larger than {maximum_pixels / 1_000_000:g} megapixels")
    longest = math.isqrt(max(_SQUARE_OF_LIMITS * maximum_pixels, MAXIMUM_PIXELS))
    if max(rows, columns) > longest:
        raise ImageRejected(f"a side longer than {longest:,} pixels")


def check_contrast(values: NDArray[np.floating]) -> None:
    """Refuse grey values in [0, 1] that are not finite or that 16 bits cannot distinguish.

    Raises ImageRejected.
    """
    if not np.isfinite(values).all():
        raise ImageRejected("values that are not finite")
    if values.size == 0 or float(values.max()) - float(values.min()) < 1 / 65535:
        raise ImageRejected("constant image")
