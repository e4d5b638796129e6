"""The headers of JPEG (ISO 10918-1, Annex B) and JPEG-LS (ISO 14495-1, Annex C)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from client.imaging.codestream.header import DamagedStream, Family, StreamHeader

LOSSLESS = 3
JPEG_LS = 55
# SOFn of Table B.1: sequential and progressive DCT, Huffman and arithmetic coding, and JPEG-LS.
_FRAMES = {**{0xC0 + n: n for n in range(16) if n not in (4, 8, 12)}, 0xF7: JPEG_LS}
_START_OF_SCAN, _END_OF_IMAGE, _RESTARTS, _TABLES, _QUANTISATION = 0xDA, 0xD9, 0xDD, 0xC4, 0xDB
# In entropy-coded data, 255 is followed by 0; restarts (RSTn) belong to it.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class HuffmanTable:
    """Lengths of the codes of 1 to 16 bits, `counts`, and their `symbols` in order."""

    counts: tuple[int, ...]
    symbols: bytes


@dataclass(frozen=True)
class JpegImage:
    """A JPEG up to the entropy-coded data of its first scan, which begins at `data_start`.

    `process` is the n of SOFn. `predictor` and `transform` are Ss and Al of the scan: predictor
    and point transform of a lossless one. `tables` are the Huffman tables of the first component,
    DC and AC.
    """

    header: StreamHeader
    process: int
    predictor: int
    transform: int
    restart_interval: int
    tables: tuple[HuffmanTable | None, HuffmanTable | None]
    data_start: int


def read_jpeg(data: bytes) -> JpegImage:
    """Parse markers up to the first scan.

    Raises DamagedStream.
    """
    tables: dict[int, HuffmanTable] = {}
    interval = 0
    frame: tuple[int, bytes] | None = None
    quantisation: list[bytes] = []
    for marker, body, end in _segments(data):
        if marker in _FRAMES:
            if frame is not None:
                raise DamagedStream("two frame headers")
            frame = (_FRAMES[marker], body)
        elif marker == _TABLES:
            tables.update(_huffman_tables(body))
        elif marker == _QUANTISATION:
            quantisation.append(body)
        elif marker == _RESTARTS and len(body) >= 2:
            interval = int.from_bytes(body[:2])
        elif marker == _START_OF_SCAN:
            if frame is None:
                raise DamagedStream("no frame header")
            if frame[0] not in (LOSSLESS, JPEG_LS):
                _check_quantisation(b"".join(quantisation))
            return _image(*frame, body, tables, interval, end)
    raise DamagedStream("no scan")


def _segments(data: bytes, position: int = 2) -> Iterator[tuple[int, bytes, int]]:
    """Marker, parameters and end of each marker segment from there on."""
    if data[:2] != b"\xff\xd8":
        raise DamagedStream("no start of image")
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise DamagedStream("no marker where one must be")
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte, B.1.1.2
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            position += 2
            continue
        if marker in (0x00, 0xD8, _END_OF_IMAGE):
            return
        length = int.from_bytes(data[position + 2 : position + 4])
        end = position + 2 + length
        if length < 2 or end > len(data):
            raise DamagedStream("a marker segment beyond the end")
        yield marker, data[position + 4 : end], end
        position = end


def _huffman_tables(body: bytes) -> Iterator[tuple[int, HuffmanTable]]:
    """Class and destination (Tc, Th) of each table of a DHT segment: B.2.4.2."""
    while body:
        if len(body) < 17:
            raise DamagedStream("a Huffman table cut short")
        counts = tuple(body[1:17])
        number = sum(counts)
        if len(body) < 17 + number or number > 256:
            raise DamagedStream("a Huffman table cut short")
        symbols = body[17 : 17 + number]
        if len(set(symbols)) != number:
            raise DamagedStream("a Huffman table with two codes for one symbol")
        yield body[0], HuffmanTable(counts, symbols)
        body = body[17 + number :]


def without_applications(data: bytes, image: JpegImage) -> bytes:
    """The image without APPn segments, which say nothing of grey samples.

    libjpeg warns of what it does not know there, a newer JFIF for one, as it does of damage.
    """
    kept = [data[:2]]
    for marker, body, end in _segments(data):
        if marker not in range(0xE0, 0xF0):
            kept.append(data[end - len(body) - 4 : end])
        if marker == _START_OF_SCAN:
            break
    return b"".join([*kept, data[image.data_start :]])


def _check_quantisation(body: bytes) -> None:
    """No step is 0 (B.2.4.1): libjpeg decodes a table of zeros, to a picture without detail."""
    while body:
        size = 128 if body[0] >> 4 else 64
        steps = body[1 : 1 + size]
        if len(steps) != size or 0 in struct.unpack(">64H" if size == 128 else "64B", steps):
            raise DamagedStream("a quantisation table with a step of 0, or cut short")
        body = body[1 + size :]


def check_scans(data: bytes, image: JpegImage) -> None:
    """Raise DamagedStream unless the scans of a progressive JPEG give every coefficient's last bit.

    ISO 10918-1 G.1.1.1: bands of coefficients (Ss to Se), each refined down to bit Al.
    """
    missing = [set(range(64)) for _ in range(image.header.components)]
    names: dict[int, int] = {}
    for marker, body in _all_segments(data):
        if _FRAMES.get(marker) == image.process:
            if len(body) < 6 + 3 * image.header.components:
                raise DamagedStream("two frame headers")
            names = {body[6 + 3 * i]: i for i in range(image.header.components)}
        elif _is_scan(marker, body):
            components, band = _completed_by(body)
            for place in [names[one] for one in components if one in names]:
                missing[place].difference_update(band)
    if any(missing):
        raise DamagedStream("scans are missing")


def _is_scan(marker: int, body: bytes) -> bool:
    return marker == _START_OF_SCAN and bool(body) and len(body) == 4 + 2 * body[0]


def _completed_by(scan: bytes) -> tuple[bytes, range]:
    """The components of a scan, and the coefficients of which it gives the last bit."""
    first, last, low = scan[-3:]
    is_last = low & 15 == 0 and last < 64
    return scan[1 : 1 + 2 * scan[0] : 2], range(first, last + 1) if is_last else range(0)


def _all_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and parameters of each segment, also of those behind entropy-coded data."""
    start = 2
    while True:
        for marker, body, end in _segments(data, start):
            yield marker, body
            if _is_scan(marker, body):
                following = _MARKER.search(data, end)
                break
        else:
            return
        if following is None:
            return
        start = following.start()


def _image(
    process: int,
    frame: bytes,
    scan: bytes,
    tables: dict[int, HuffmanTable],
    interval: int,
    data_start: int,
) -> JpegImage:
    if len(frame) < 6:
        raise DamagedStream("a frame header cut short")
    bits, rows, columns, components = struct.unpack(">BHHB", frame[:6])
    if len(frame) != 6 + 3 * components or not components or not scan or not scan[0]:
        raise DamagedStream("a frame or scan header of another length")
    if len(scan) != 4 + 2 * scan[0] or not rows or not columns:
        raise DamagedStream("a frame or scan header of another length")
    selectors = scan[2]
    first, _, low = scan[-3:]
    # The scan's last three: Ss, Se, Ah and Al (B.2.3); NEAR, ILV and point transform (JPEG-LS).
    exact = first == 0 if process == JPEG_LS else process == LOSSLESS
    family = Family.JPEG_LS if process == JPEG_LS else Family.JPEG
    if not 2 <= bits <= 16:
        raise DamagedStream("a precision that JPEG does not have")
    return JpegImage(
        header=StreamHeader(family, rows, columns, components, bits, None, exact),
        process=process,
        predictor=first,
        transform=low & 15,
        restart_interval=interval,
        tables=(tables.get(selectors >> 4), tables.get(0x10 | selectors & 15)),
        data_start=data_start,
    )
