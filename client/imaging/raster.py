"""PNG and JPEG files to greyscale images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from client.imaging.facts import DecodedImage, ImageFacts, check_contrast, check_size
from client.imaging.limits import MAXIMUM_PIXELS
from client.imaging.quiet import quiet_libraries
from shared.errors import ImageRejected

# JPEG's chroma rounding moves the channels of a grey picture apart by a few levels.
COLOUR_TOLERANCE = 8
# Bits Stored of detectors whose values end up in the 16 bits of a PNG sample.
_DETECTOR_BITS = (10, 12, 14, 16)
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read_raster(path: Path, maximum_pixels: int = MAXIMUM_PIXELS) -> DecodedImage:
    """Decode a grey PNG (8 or 16 bits) or JPEG, turned upright by its EXIF orientation.

    RGB is taken as grey where its channels agree within 8 levels. Transparency becomes black.
    16 bits are scaled by the fewest of 10, 12, 14 and 16 bits that hold the largest value: PNG
    has no Bits Stored, and 12 bits of a detector over 65,535 would be almost black. Its sBIT
    chunk, which Pillow does not pass on, speaks of the source of samples already scaled to 16.
    Raises ImageRejected with a short phrase that names neither file nor patient.
    """
    with quiet_libraries():
        # Decoders raise nearly anything on a damaged file; it sets one image aside.
        try:
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return _decode(image, maximum_pixels)
        except ImageRejected:
            raise
        except Image.DecompressionBombError as error:
            raise ImageRejected(f"larger than {maximum_pixels / 1_000_000:g} megapixels") from error
        except Exception as error:
            raise ImageRejected("unreadable or truncated image") from error


def _decode(image: Image.Image, maximum_pixels: int) -> DecodedImage:
    check_size(image.height, image.width, maximum_pixels)
    if getattr(image, "is_animated", False) and image.format == "PNG":
        raise ImageRejected("multi-frame image")
    kind, mode = image.format or "", image.mode
    upright = ImageOps.exif_transpose(image)
    pixels, bits = _grey(upright)
    check_contrast(pixels)
    rows, columns = pixels.shape
    # A multi-picture JPEG is a JPEG whose first picture is the photograph.
    facts = ImageFacts(
        format="PNG" if kind == "PNG" else "JPEG",
        photometric=mode,
        bits=bits,
        rows=rows,
        columns=columns,
    )
    return DecodedImage(pixels, facts)


def _grey(image: Image.Image) -> tuple[NDArray[np.float32], int]:
    """Luminance in [0, 1] by the full range of the bits in use, and how many these are."""
    if image.mode in _SIXTEEN_BITS:
        values = np.asarray(image).astype(np.float32)
        bits = next(bits for bits in _DETECTOR_BITS if values.max() < 2**bits)
        return values / np.float32(2**bits - 1), bits
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "LA", "RGB", "RGBA"):
        raise ImageRejected(f"pixel format {image.mode}")
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    if image.mode in ("RGB", "RGBA"):
        image = image.convert("RGB")
        if _is_coloured(np.asarray(image)):
            raise ImageRejected("colour image")
    pixels = np.asarray(image.convert("L")).astype(np.float32) / np.float32(255)
    if alpha is not None:
        pixels *= np.asarray(alpha).astype(np.float32) / np.float32(255)
    return pixels, 8


def _is_coloured(channels: NDArray[np.uint8]) -> bool:
    """Whether any pixel's channels differ by more than the tolerance."""
    highest, lowest = channels.max(axis=2), channels.min(axis=2)
    return bool((highest - lowest > COLOUR_TOLERANCE).any())
