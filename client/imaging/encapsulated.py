"""Encapsulated Pixel Data (PS3.5 A.4) to stored values, where header and stream agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments
from pydicom.uid import UID

from client.imaging.codestream.decode import UnsupportedStream, open_stream
from client.imaging.codestream.header import DamagedStream, Family, StreamHeader, family_of
from client.imaging.codestream.jpegxl import is_bare, read_jpeg_xl
from client.imaging.codestream.rle import decode_rle, segments_of
from shared.errors import ImageRejected

# PS3.5 A.4 and PS3.6 Table A-1: UID, name, family of the stream, whether it is lossless.
_SYNTAXES = (
    ("1.2.840.10008.1.2.4.50", "JPEG Baseline", Family.JPEG, False),
    ("1.2.840.10008.1.2.4.51", "JPEG Extended", Family.JPEG, False),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless", Family.JPEG, True),
    ("1.2.840.10008.1.2.4.70", "JPEG Lossless SV1", Family.JPEG, True),
    ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless", Family.JPEG_LS, True),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Near-Lossless", Family.JPEG_LS, False),
    ("1.2.840.10008.1.2.4.90", "JPEG 2000 Lossless", Family.JPEG_2000, True),
    ("1.2.840.10008.1.2.4.91", "JPEG 2000", Family.JPEG_2000, False),
    ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 Lossless", Family.JPEG_2000, True),
    ("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 RPCL", Family.JPEG_2000, True),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000", Family.JPEG_2000, False),
    ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", Family.JPEG_XL, True),
    ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression", Family.JPEG_XL, False),
    ("1.2.840.10008.1.2.4.112", "JPEG XL", Family.JPEG_XL, False),
    ("1.2.840.10008.1.2.5", "RLE Lossless", Family.RLE, True),
)
# How far above Bits Stored lossy compression may take a value; further up something is stored.
_OVERSHOOT = 1.25


@dataclass(frozen=True)
class Syntax:
    """A transfer syntax of compressed pixels."""

    name: str
    family: Family
    lossless: bool


SYNTAXES = {uid: Syntax(name, family, lossless) for uid, name, family, lossless in _SYNTAXES}


@dataclass(frozen=True)
class Announced:
    """What the DICOM header says of a greyscale image; `signed` is its Pixel Representation."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    signed: bool


def decode_encapsulated(dataset: Dataset, announced: Announced) -> NDArray[np.integer]:
    """Stored values, rows x columns, of `bits_stored` bits: bits above them are masked.

    Raises ImageRejected where stream and header contradict each other, before a decoder sees the
    stream; DamagedStream and what pydicom raises for damage.
    """
    syntax = SYNTAXES[UID(dataset.file_meta.TransferSyntaxUID)]
    data = _stream(dataset.PixelData, announced)
    if syntax.family is Family.RLE:
        return _in_stored_bits(_rle(data, announced), announced)
    family = family_of(data)
    if family is not None and family is not syntax.family:
        raise ImageRejected(f"the compressed image is {family} but the header says {syntax.name}")
    stream = open_stream(data, syntax.family)
    header = stream.header
    _compare(header, announced)
    try:
        samples = stream.decode()
    except UnsupportedStream as error:
        raise ImageRejected(f"unsupported: {error}") from error
    if header.bits not in (announced.bits_stored, announced.bits_allocated):
        _refuse_more_bits(samples, header, announced)
    # JPEG XL's header does not say whether it is lossless.
    reversible = header.exact or (syntax.lossless and family is Family.JPEG_XL)
    if not (reversible and syntax.lossless):
        samples = _without_overshoot(samples, announced.bits_stored, reversible=reversible)
    return _in_stored_bits(samples, announced)


def _stream(pixel_data: bytes, announced: Announced) -> bytes:
    """All fragments of the one frame, whatever the Basic Offset Table says: PS3.5 A.4.

    Raises ImageRejected where several fragments begin an image: frames that the header keeps to
    itself, of which a decoder would give the first.
    """
    first, *others = generate_fragments(pixel_data)
    # The first item is the table; a writer that forgot it begins with the image.
    fragments = others if family_of(first) is None else [first, *others]
    if sum(_begins_image(fragment, announced) for fragment in fragments) > 1:
        raise ImageRejected("multi-frame image")
    return b"".join(fragments)


def _begins_image(fragment: bytes, announced: Announced) -> bool:
    if not is_bare(fragment):
        return family_of(fragment) is not None
    # Its mark is two bytes, which occur in any data; an image's size behind them does not.
    try:
        header = read_jpeg_xl(fragment)
    except DamagedStream:
        return False
    return (header.rows, header.columns) == (announced.rows, announced.columns)


def _rle(data: bytes, announced: Announced) -> NDArray[np.unsignedinteger]:
    segments = segments_of(data)
    expected = announced.bits_allocated // 8
    if len(segments) != expected:
        raise ImageRejected(
            f"the RLE image has {len(segments)} bytes a pixel but the header says {expected}"
        )
    return decode_rle(segments, announced.rows, announced.columns)


def _compare(header: StreamHeader, announced: Announced) -> None:
    image = f"the {header.family} image"
    if (header.rows, header.columns) != (announced.rows, announced.columns):
        raise ImageRejected(
            f"{image} is {header.rows} x {header.columns} but "
            f"the header says {announced.rows} x {announced.columns}"
        )
    if header.components != 1:
        raise ImageRejected(f"{image} has {header.components} components but the header says 1")
    # PS3.5 8.2: the precision may be that of the cells, with unused or overlay bits on top.
    if not announced.bits_stored <= header.bits <= announced.bits_allocated:
        raise ImageRejected(
            f"{image} has {header.bits} bits but the header says {announced.bits_stored}"
        )
    # Whole values are the same bits with either sign; lossy ones around 0 are not.
    if header.signed not in (None, announced.signed) and not header.exact:
        sign = {True: "signed", False: "unsigned"}
        raise ImageRejected(
            f"{image} is {sign[bool(header.signed)]} but the header says {sign[announced.signed]}"
        )


def _refuse_more_bits(
    samples: NDArray[np.integer], header: StreamHeader, announced: Announced
) -> None:
    """Refuse values that need more bits than Bits Stored, but no overlay's.

    Overlays are stored in the cell's highest bits, and are compressed with the whole cell.
    """
    stored, unused = announced.bits_stored, 16 - header.bits
    shifted = samples.astype(np.uint16) << np.uint16(unused)
    if announced.signed:
        values: NDArray[np.integer] = shifted.view(np.int16) >> np.int16(unused)
        low, high = -(1 << stored - 1), (1 << stored - 1) - 1
    else:
        values, low, high = shifted >> np.uint16(unused), 0, (1 << stored) - 1
    if int(values.min()) < low or int(values.max()) > high:
        raise ImageRejected(
            f"the {header.family} image has {header.bits} bits in use, the header says {stored}"
        )


def _in_stored_bits(samples: NDArray[np.integer], announced: Announced) -> NDArray[np.integer]:
    """The values in Bits Stored: PS3.5 8.1.1, where the bits above may hold a retired overlay."""
    bits = announced.bits_stored
    values = samples.astype(np.uint16) & np.uint16((1 << bits) - 1)
    if not announced.signed:
        return values
    unused = 16 - bits  # shifted out on the left, then filled with the sign on the way back
    signed: NDArray[np.int16] = (values << np.uint16(unused)).view(np.int16)
    return signed >> np.int16(unused)


def _without_overshoot(
    samples: NDArray[np.integer], bits: int, *, reversible: bool
) -> NDArray[np.integer]:
    """Lossy values just outside the range go to its end; a mask would turn white into black."""
    signed = np.issubdtype(samples.dtype, np.signedinteger)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if low * _OVERSHOOT <= int(samples.min()) and int(samples.max()) <= high * _OVERSHOOT:
        clipped: NDArray[np.integer] = np.clip(samples, low, high)
        return clipped
    if not reversible:
        raise ImageRejected("lossy pixel values above bits stored")
    return samples
