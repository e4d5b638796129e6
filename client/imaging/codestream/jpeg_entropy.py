"""Whether the entropy-coded data of a JPEG holds all of its picture.

libjpeg fills what is missing with grey and goes on. For 8 bits its warnings say so; for lossless
JPEG and for 12 bits no library passes them on, and the bits are counted here.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from client.imaging.codestream.header import DamagedStream
from client.imaging.codestream.jpeg import LOSSLESS, HuffmanTable, JpegImage

# Bytes between the last code and the next marker that encoders leave without harm.
_SPARE_BYTES = 8
_CHUNK = 1 << 16
_STRIP = 256
_ZEROS = 128
_FROM_THE_LEFT = (1, 4, 5, 6, 7)
# The longest block: 64 codes of 16 bits with 15 bits each, and the window of the last code.
_LONGEST_BLOCK = 64 * 31 // 8 + 8


def check_lossless(data: bytes, image: JpegImage, decoded: NDArray[np.integer]) -> None:
    """Raise DamagedStream unless the codes of the decoded picture fill its entropy-coded data.

    `decoded` is rows x columns. Each sample is predicted again as in ISO 10918-1 H.1.2.1, which
    gives its code's length.
    """
    table = image.tables[0]
    if table is None:
        raise DamagedStream("no Huffman table")
    lengths = _code_lengths(table)
    # A strip with the row above it at a time: whole pictures of 32 bits would take much memory.
    strips = range(0, decoded.shape[0], _STRIP)
    bits = np.concatenate([_bits_of_rows(image, decoded, first, lengths) for first in strips])
    rows = _rows_of_interval(image)
    needed = np.add.reduceat(bits, np.arange(0, bits.size, rows))
    present = [segment.size for segment in entropy_coded(data, image.data_start)]
    wanted = -(-needed // 8)
    if len(present) != wanted.size:
        raise DamagedStream("restart intervals are missing")
    spare = np.array(present) - wanted
    if spare.min() < 0 or spare.max() > _SPARE_BYTES:
        raise DamagedStream("the codes do not fill the image")


def check_zeros(data: bytes, image: JpegImage) -> None:
    """Raise DamagedStream for a block of zeros, as lost storage leaves it, that no picture gives.

    Which codes begin with zeros decides what a picture may have: flat areas where they are the
    end of a block or the category 0. Else zeros are 63 equal coefficients, or, without DCT, an
    even fall from sample to sample, which soon leaves the range.
    """
    dc, ac = image.tables
    if dc is None or (image.process != LOSSLESS and ac is None):
        return
    length, symbol = _codes(dc if image.process == LOSSLESS or ac is None else ac)[0]
    if symbol == 0:
        return
    zeros = _ZEROS
    if image.process == LOSSLESS:
        if image.predictor not in _FROM_THE_LEFT or symbol > 15:
            return
        samples = (1 << image.header.bits) // ((1 << symbol) - 1) + 1
        zeros = max(zeros, samples * (length + symbol) // 8 + 2)
    end = data.rfind(b"\xff\xd9")  # a file may have zeros behind the image
    if data.find(bytes(zeros), image.data_start, end if end >= 0 else len(data)) >= 0:
        raise DamagedStream("a block of zeros")


def _rows_of_interval(image: JpegImage) -> int:
    """Rows between restarts: H.1.1 makes the interval a multiple of the row."""
    rows, rest = divmod(image.restart_interval, image.header.columns)
    if rest:
        raise DamagedStream("a restart interval that is not a multiple of the row")
    return rows or image.header.rows


def _bits_of_rows(
    image: JpegImage,
    decoded: NDArray[np.integer],
    first: int,
    lengths: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """Bits of the codes of each row of a strip."""
    before = max(first - 1, 0)
    samples = decoded[before : first + _STRIP].astype(np.int32) >> image.transform
    predicted = np.empty_like(samples)
    predicted[1:, 1:] = _inner_prediction(
        image.predictor, samples[1:, :-1], samples[:-1, 1:], samples[:-1, :-1]
    )
    predicted[1:, 0] = samples[:-1, 0]
    # At a restart as at the beginning: from the left alone, and from half the range.
    numbers = np.arange(before, before + samples.shape[0])
    starts = np.flatnonzero(numbers % _rows_of_interval(image) == 0)
    predicted[starts, 1:] = samples[starts, :-1]
    predicted[starts, 0] = 1 << (image.header.bits - image.transform - 1)
    differences = (samples - predicted).astype(np.uint16)
    bits: NDArray[np.int64] = lengths[differences[first - before :]].sum(axis=1, dtype=np.int64)
    return bits


def _inner_prediction(
    predictor: int, left: NDArray[np.int32], above: NDArray[np.int32], corner: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Table H.1, for samples that have all three neighbours."""
    match predictor:
        case 1:
            return left
        case 2:
            return above
        case 3:
            return corner
        case 4:
            return left + above - corner
        case 5:
            return left + ((above - corner) >> 1)
        case 6:
            return above + ((left - corner) >> 1)
        case 7:
            return (left + above) >> 1
    raise DamagedStream("an undefined predictor")


def _code_lengths(table: HuffmanTable) -> NDArray[np.uint8]:
    """Bits of each difference: its category's code and, except for 16, as many more: H.1.2.2."""
    of_category = np.full(17, 255, dtype=np.uint8)  # a category without a code cannot occur
    for length, symbol in _codes(table):
        if symbol <= 16:
            of_category[symbol] = length + symbol % 16
    sizes = np.abs(np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32))
    categories = np.frexp(sizes.astype(np.float64))[1]
    lengths: NDArray[np.uint8] = of_category[categories]
    return lengths


def _codes(table: HuffmanTable) -> list[tuple[int, int]]:
    """Length and symbol of each code, in the order of the codes."""
    lengths = [length for length, count in enumerate(table.counts, 1) for _ in range(count)]
    codes = list(zip(lengths, table.symbols, strict=True))
    if not codes:
        raise DamagedStream("a Huffman table without a code")
    return codes


def entropy_coded(data: bytes, start: int) -> list[NDArray[np.uint8]]:
    """The entropy-coded bytes from `start` to the first marker, one array a restart interval.

    Stuffed zeros (ISO 10918-1 B.1.1.5) are removed.
    """
    coded = np.frombuffer(data, dtype=np.uint8)[start:]
    marks = np.flatnonzero(coded[:-1] == 0xFF)
    following = coded[marks + 1]
    restart = (following & 0xF8) == 0xD0
    others = marks[(following != 0) & (following != 0xFF) & ~restart]
    # A lone 255 at the very end is half a marker.
    end = int(others[0]) if others.size else coded.size - int(coded[-1:].sum() == 0xFF)
    restarts = marks[restart & (marks < end)]
    edges = [0, *(restarts + 2), end + 2]
    return [_unstuffed(coded[first : second - 2]) for first, second in pairwise(edges)]


def _unstuffed(coded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stuffed = np.zeros(coded.size, dtype=bool)
    stuffed[1:] = (coded[:-1] == 0xFF) & ((coded[1:] == 0) | (coded[1:] == 0xFF))
    return coded[~stuffed]


def check_sequential(data: bytes, image: JpegImage) -> None:
    """Raise DamagedStream unless the codes of a one-component sequential DCT are all there.

    Each code is followed to the next (F.2.2) without making pixels of it.
    """
    dc, ac = image.tables
    if dc is None or ac is None:
        raise DamagedStream("no Huffman table")
    steps = (_window_steps(dc, is_dc=True), _window_steps(ac, is_dc=False))
    blocks = -(-image.header.rows // 8) * -(-image.header.columns // 8)
    interval = image.restart_interval or blocks
    segments = entropy_coded(data, image.data_start)
    if len(segments) != -(-blocks // interval):
        raise DamagedStream("restart intervals are missing")
    for number, segment in enumerate(segments):
        bits = _follow(segment, min(interval, blocks - number * interval), steps)
        if not 0 <= segment.size * 8 - bits < 8 * (_SPARE_BYTES + 1):
            raise DamagedStream("the codes do not fill the image")


_Steps = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _window_steps(table: HuffmanTable, *, is_dc: bool) -> _Steps:
    """By the next 16 bits: how many bits code and value take, and how many coefficients."""
    bits = np.zeros(1 << 16, dtype=np.uint8)
    coefficients = np.zeros(1 << 16, dtype=np.uint8)
    code = 0
    for length, symbol in _codes(table):
        width = 1 << (16 - length)
        first = code
        code += width
        if code > 1 << 16:
            raise DamagedStream("a Huffman table with too many codes")
        run, size = divmod(symbol, 16)
        # F.1.2.2: a size of 0 ends the block, except after a run of 15, which is 16 zeros.
        ends = not is_dc and size == 0 and run != 15
        bits[first:code] = length + (symbol if is_dc else size)
        coefficients[first:code] = 64 if ends else run + 1
    return bits, coefficients


def _follow(segment: NDArray[np.uint8], blocks: int, steps: tuple[_Steps, _Steps]) -> int:
    """How many bits that many blocks take; more than there are where the data ends early."""
    (dc_bits, _), (ac_bits, ac_coefficients) = steps
    chunk = 0
    position = 0
    remaining = blocks
    while remaining and chunk <= segment.size:
        windows = _windows(segment[chunk : chunk + _CHUNK + _LONGEST_BLOCK + 3])
        dc, ac, run = (table[windows].tobytes() for table in (dc_bits, ac_bits, ac_coefficients))
        while remaining and position < _CHUNK * 8:
            if position >= len(dc) or not dc[position]:
                raise DamagedStream("an invalid code, or the end")
            position += dc[position]
            coefficient = 1
            while coefficient < 64:
                if position >= len(ac) or not ac[position]:
                    raise DamagedStream("an invalid code, or the end")
                coefficient += run[position]
                position += ac[position]
            remaining -= 1
        if remaining:
            position -= _CHUNK * 8
            chunk += _CHUNK
    return chunk * 8 + position


def _windows(coded: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The 16 bits from each bit on; behind the end stand ones, as encoders pad."""
    wide = np.concatenate([coded, np.full(2, 255, dtype=np.uint8)]).astype(np.uint32)
    three = wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]
    shifts = np.arange(8, 0, -1, dtype=np.uint32)
    return (three[:, None] >> shifts).astype(np.uint16).ravel()
