"""PNG and JPEG files to images, grey or in colour."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.imaging.codestream.decode import UnsupportedStream, open_stream
from client.imaging.codestream.header import Family, family_of
from client.imaging.facts import DecodedImage, ImageFacts, check_contrast, check_size
from client.imaging.limits import MAXIMUM_PIXELS
from client.imaging.png import read_png, read_png_header
from client.imaging.quiet import quiet_libraries
from client.imaging.remarks import TRANSPARENT, WITHOUT_COLOUR, remarks_on_pixels
from shared.errors import ImageRejected

# JPEG's chroma rounding moves the channels of a grey picture apart by a few of 255 levels.
COLOUR_TOLERANCE = 8
IN_COLOUR = "colour image"
"""Why a colour image is set aside where greyscale ones are wanted."""
# Bits Stored of detectors whose values end up in the 16 bits of a sample.
_DETECTOR_BITS = (10, 12, 14, 16)
_ORIENTATION = 0x0112
# Chunk, text and XMP attribute in which a PNG may hold it.
_MARKS_OF_ORIENTATION = (b"eXIf", b"Raw profile type", b"Orientation")

Samples = NDArray[np.integer]


def read_raster(
    path: Path, maximum_pixels: int = MAXIMUM_PIXELS, *, colour: bool = False
) -> DecodedImage:
    """Decode a PNG or JPEG of 8 to 16 bits, turned upright by its EXIF orientation.

    RGB is taken as grey where its channels agree within 8 of 255 levels, else refused; with
    `colour` it is kept, and a grey picture is three times the same. Transparency becomes
    black. 16 bits are scaled by the fewest of 10, 12, 14 and 16 bits that hold the largest value:
    PNG has no Bits Stored, and 12 bits of a detector over 65,535 would be almost black. Its sBIT
    chunk describes the source of samples already scaled to 16.
    Raises ImageRejected with a short phrase that names neither file nor patient.
    """
    with quiet_libraries():
        # Decoders raise nearly anything on a damaged file; it sets one image aside.
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ImageRejected("file cannot be read") from error
        try:
            family = family_of(data)
            if family is None:
                return _png(data, maximum_pixels, colour)
            return _jpeg(data, family, maximum_pixels, colour)
        except ImageRejected:
            raise
        except UnsupportedStream as error:
            raise ImageRejected(f"unsupported: {error}") from error
        except Exception as error:
            raise ImageRejected("unreadable or truncated image") from error


def _png(data: bytes, maximum_pixels: int, colour: bool) -> DecodedImage:
    header = read_png_header(data)
    check_size(header.rows, header.columns, maximum_pixels)
    if header.frames > 1:
        raise ImageRejected("multi-frame image")
    # Pillow decodes a whole PNG to look for its orientation.
    is_turned = any(mark in data for mark in _MARKS_OF_ORIENTATION)
    samples = read_png(data)
    orientation = _orientation_in(data, "PNG") if is_turned else 1
    return _image("PNG", header.mode, 8 * samples.itemsize, samples, orientation, colour)


def _jpeg(data: bytes, family: Family, maximum_pixels: int, colour: bool) -> DecodedImage:
    stream = open_stream(data, family)
    header = stream.header
    check_size(header.rows, header.columns, maximum_pixels)
    if header.components == 4:
        raise ImageRejected("pixel format CMYK")
    orientation = _orientation_in(data, "JPEG")
    mode = "L" if header.components == 1 else "RGB"
    return _image(str(family), mode, header.bits, stream.decode(), orientation, colour)


def _orientation_in(data: bytes, kind: str) -> int:
    """The EXIF orientation; 1 too for what Pillow does not open.

    That is JPEG of 12 bits and lossless, and PNG with large or damaged texts beside the picture.
    """
    try:
        # A multi-picture JPEG is a JPEG whose first picture is the photograph.
        with Image.open(BytesIO(data), formats=(kind,)) as image:
            return _orientation(image)
    except Exception:
        return 1


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none that is defined."""
    value = image.getexif().get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _image(
    kind: str, mode: str, bits: int, samples: Samples, orientation: int, colour: bool
) -> DecodedImage:
    channels = samples[:, :, None] if samples.ndim == 2 else samples
    alpha = channels[:, :, -1] if channels.shape[2] in (2, 4) else None
    colours = channels if alpha is None else channels[:, :, :-1]
    bits = _bits_in_use(colours) if bits == 16 else bits
    values = _in_colour(colours, bits) if colour else _grey(colours, bits)
    opaque = 0 if alpha is None else _opaque(alpha, bits)
    is_transparent = alpha is not None and int(alpha.min()) < opaque
    if alpha is not None and is_transparent:
        shining = alpha.astype(np.float32) / np.float32(opaque)
        values *= shining[:, :, None] if colour else shining
    pixels = _upright(values, orientation)
    check_contrast(pixels)
    rows, columns = pixels.shape[:2]
    colourless = (WITHOUT_COLOUR,) if colour and not _has_colours(colours, bits) else ()
    transparency = (TRANSPARENT,) if is_transparent else ()
    facts = ImageFacts(
        format=kind,
        photometric=mode,
        bits=bits,
        rows=rows,
        columns=columns,
        remarks=(*colourless, *transparency, *remarks_on_pixels(pixels)),
    )
    return DecodedImage(pixels, facts)


def _bits_in_use(values: Samples) -> int:
    return next(bits for bits in _DETECTOR_BITS if int(values.max()) < 2**bits)


def _opaque(alpha: Samples, bits: int) -> int:
    """What alpha has where nothing shines through: the top of its type, or of the bits in use."""
    return 2**bits - 1 if int(alpha.max()) == 2**bits - 1 else int(np.iinfo(alpha.dtype).max)


def _grey(colours: Samples, bits: int) -> NDArray[np.float32]:
    """Luminance in [0, 1] by the full range of the bits."""
    top = 2**bits - 1
    if colours.shape[2] == 1:
        return colours[:, :, 0].astype(np.float32) / np.float32(top)
    if _has_colours(colours, bits):
        raise ImageRejected(IN_COLOUR)
    red, green, blue = (np.ascontiguousarray(colours[:, :, channel]) for channel in range(3))
    # ITU-R BT.601, in the integers that Pillow and libjpeg use.
    luminance = red * np.uint32(19595)
    luminance += green * np.uint32(38470)
    luminance += blue * np.uint32(7471)
    luminance += np.uint32(0x8000)
    return (luminance >> np.uint32(16)).astype(np.float32) / np.float32(top)


def _in_colour(colours: Samples, bits: int) -> NDArray[np.float32]:
    """Red, green and blue in [0, 1] by the full range of the bits."""
    values = colours.astype(np.float32) / np.float32(2**bits - 1)
    return values if values.shape[2] == 3 else values.repeat(3, axis=2)


def _has_colours(colours: Samples, bits: int) -> bool:
    """Whether a pixel's channels are further apart than rounding moves those of a grey one."""
    if colours.shape[2] == 1:
        return False
    red, green, blue = (np.ascontiguousarray(colours[:, :, channel]) for channel in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    apart = highest - np.minimum(np.minimum(red, green), blue)
    return bool(int(apart.max()) * 255 > COLOUR_TOLERANCE * (2**bits - 1))


def _upright(values: NDArray[np.float32], orientation: int) -> NDArray[np.float32]:
    """Undo what EXIF's tag 0x0112 says of where the stored rows and columns begin."""
    if orientation >= 5:
        values = values.swapaxes(0, 1)
    # Which axes then run backwards: rows for 3, 4, 7 and 8, columns for 2, 3, 6 and 7.
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(values[::rows, ::columns])
