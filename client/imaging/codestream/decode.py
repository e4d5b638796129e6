"""Compressed images to sample values: decoders that refuse half an image.

Each was tried on streams cut, closed behind the cut, and with zeros in place of data. What it lets
pass is found in the header (JPEG 2000), or by counting codes (`jpeg_entropy`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import simplejpeg
from imagecodecs import jpeg2k_decode, jpeg8_decode, jpegls_decode, jpegxl_decode
from numpy.typing import NDArray

from client.imaging.codestream.header import DamagedStream, Family, StreamHeader
from client.imaging.codestream.jpeg import (
    LOSSLESS,
    JpegImage,
    check_scans,
    read_jpeg,
    without_applications,
)
from client.imaging.codestream.jpeg2000 import read_jpeg_2000
from client.imaging.codestream.jpeg_entropy import check_lossless, check_sequential, check_zeros
from client.imaging.codestream.jpegxl import read_jpeg_xl

# Processes of SOFn that libjpeg decodes; hierarchical ones it does not.
_SEQUENTIAL = (0, 1)
_EIGHT_BITS = (0, 1, 2, 9, 10)
_PROGRESSIVE = (2, 10)
_ARITHMETIC = range(9, 12)
_HIERARCHICAL = (5, 6, 7, 13, 14, 15)
# Bytes between scan and end that some encoders leave; libjpeg says what it skipped.
_SKIPPED = re.compile(r"Corrupt JPEG data: [1-8] extraneous bytes before marker 0xd9")
_END = b"\xff\xd9"
# ISO 14495-1 A.1: a byte behind 255 in the data begins with a zero bit. Restarts belong to it.
_MARKER_OF_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]", re.DOTALL)

Samples = NDArray[np.integer]


class UnsupportedStream(Exception):
    """A sound kind of compressed image that no decoder here reads; the text names it."""


@dataclass(frozen=True)
class Stream:
    """A compressed image: its header, and `decode`, which gives rows x columns (x components).

    `decode` raises DamagedStream for what cannot be decoded in full, UnsupportedStream for a kind
    that no decoder reads.
    """

    header: StreamHeader
    decode: Callable[[], Samples]


def open_stream(data: bytes, family: Family) -> Stream:
    """Read the header of a compressed image of that family (not RLE).

    Raises DamagedStream.
    """
    match family:
        case Family.JPEG:
            image = read_jpeg(data)
            return Stream(image.header, partial(_jpeg, data, image))
        case Family.JPEG_LS:
            image = read_jpeg(data)
            return _stream(image.header, jpegls_decode, _closed(data, image))
        case Family.JPEG_2000:
            return _stream(read_jpeg_2000(data), partial(jpeg2k_decode, numthreads=1), data)
        case Family.JPEG_XL:
            return _stream(read_jpeg_xl(data), partial(jpegxl_decode, numthreads=1), data)
    raise ValueError(f"{family} has no header of this kind.")


def _stream(header: StreamHeader, decoder: Callable[[bytes], Any], data: bytes) -> Stream:
    return Stream(header, partial(_checked, header, decoder, data))


def _checked(header: StreamHeader, decoder: Callable[[bytes], Any], data: bytes) -> Samples:
    try:
        samples = np.asarray(decoder(data))
    except Exception as error:
        # Each library has exceptions of its own; whatever it is, the data is damaged.
        raise DamagedStream("not decoded") from error
    components = (header.components,) if header.components > 1 else ()
    if samples.shape != (header.rows, header.columns, *components):
        raise DamagedStream("decoded to another size than its header says")
    return samples


def _closed(data: bytes, image: JpegImage) -> bytes:
    """A JPEG-LS image that ends with its data: CharLS does not return where no marker follows."""
    marker = _MARKER_OF_LS.search(data, image.data_start)
    if marker is None:
        raise DamagedStream("no end of image")
    return data[: marker.start()] + _END


def _jpeg(data: bytes, image: JpegImage) -> Samples:
    header = image.header
    if image.process in _HIERARCHICAL:
        raise UnsupportedStream("hierarchical JPEG")
    if image.process in (*_SEQUENTIAL, LOSSLESS):
        check_zeros(data, image)
    if image.process == LOSSLESS:
        if header.components > 1:
            raise UnsupportedStream(f"lossless JPEG with {header.components} components")
        samples = _checked(header, jpeg8_decode, data)
        check_lossless(data, image, samples)
        return samples
    if header.bits == 8 and image.process in _EIGHT_BITS:
        return _eight_bits(data, image)
    if image.process in _ARITHMETIC:
        raise UnsupportedStream(f"{header.bits}-bit JPEG with arithmetic coding")
    if image.process not in _SEQUENTIAL:
        raise UnsupportedStream(f"{header.bits}-bit progressive JPEG")
    if header.components > 1:
        raise UnsupportedStream(f"{header.bits}-bit JPEG with {header.components} components")
    check_sequential(data, image)
    return _checked(header, jpeg8_decode, data)


def _eight_bits(data: bytes, image: JpegImage) -> Samples:
    """Grey or RGB; what libjpeg warns of is an error, except bytes that mean nothing."""
    if image.process in _PROGRESSIVE:
        check_scans(data, image)
    elif data.rfind(_END, -16) < 0:
        data += _END  # a picture that is complete but for its end is complete
    header = image.header
    if header.components == 1:
        data = without_applications(data, image)
    colours = {1: "GRAY", 3: "RGB"}
    if header.components not in colours:
        raise UnsupportedStream(f"JPEG with {header.components} components")
    decoder = partial(simplejpeg.decode_jpeg, colorspace=colours[header.components])
    try:
        samples = decoder(data)
    except ValueError as error:
        if not _SKIPPED.fullmatch(str(error)):
            raise DamagedStream("not decoded") from error
        # The end was reached when that was said: there is no other warning to miss.
        samples = decoder(data, strict=False)
    grey: Samples = samples[:, :, 0] if header.components == 1 else samples
    if grey.shape[:2] != (header.rows, header.columns):
        raise DamagedStream("decoded to another size than its header says")
    return grey
