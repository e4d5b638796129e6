"""The headers of JPEG 2000 (ISO 15444-1, Annexes A and I) and its High-Throughput form."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from client.imaging.codestream.header import DamagedStream, Family, StreamHeader

_SOC_SIZ = b"\xff\x4f\xff\x51"
_COD, _SOT, _SOD, _EOC = 0xFF52, 0xFF90, 0xFF93, 0xFFD9
_REVERSIBLE = 1
# More zeros in a row than in the code of any picture with noise; empty packets are one byte each.
# Pictures without noise, which take few bits, have more (measured: one for 2,700 pixels).
_ZEROS = 64
_PIXELS_OF_A_ZERO = 2000
_NOISY = 0.25  # bits a pixel


@dataclass(frozen=True)
class _Size:
    """The reference grid of SIZ: ends and offsets of image and tiles, as x and y."""

    end: tuple[int, int]
    offset: tuple[int, int]
    tile: tuple[int, int]
    tile_offset: tuple[int, int]

    @property
    def tiles(self) -> int:
        across, down = (
            -(-(end - offset) // tile)
            for end, offset, tile in zip(self.end, self.tile_offset, self.tile, strict=True)
        )
        return across * down


@dataclass(frozen=True)
class _Coding:
    """What COD says for all tiles: `precincts` are the exponents (x, y), coarsest level first."""

    layers: int
    levels: int
    reversible: bool
    precincts: tuple[tuple[int, int], ...]


def read_jpeg_2000(data: bytes) -> StreamHeader:
    """Size, samples and transform; every tile-part must be there, and no lost block of zeros.

    Raises DamagedStream.
    """
    stream = _codestream(data)
    size, components, bits, signed = _size(stream)
    coding, tile_parts = _main_header(stream)
    _check_tile_parts(stream, tile_parts, size.tiles)
    rows, columns = (size.end[axis] - size.offset[axis] for axis in (1, 0))
    zeros = _ZEROS + _most_packets(size, components, coding)
    if 8 * len(stream) < _NOISY * rows * columns:
        zeros += rows * columns // _PIXELS_OF_A_ZERO
    if bytes(zeros) in stream:
        raise DamagedStream("a block of zeros")
    return StreamHeader(
        Family.JPEG_2000, rows, columns, components, bits, signed, coding.reversible
    )


def _codestream(data: bytes) -> bytes:
    """The contiguous codestream, out of the boxes of a JP2 file where it is one: I.4."""
    if data.startswith(_SOC_SIZ):
        return data
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = position + length if length else len(data)
        if end < start:
            break
        if kind == b"jp2c" and data[start : start + 4] == _SOC_SIZ:
            return data[start:end]
        position = end
    raise DamagedStream("no codestream")


def _size(stream: bytes) -> tuple[_Size, int, int, bool]:
    """Grid, number of components, precision and sign: A.5.1."""
    if len(stream) < 45:
        raise DamagedStream("a size marker cut short")
    length, _, *grid, components = struct.unpack_from(">HH8IH", stream, 4)
    size = _Size(*((grid[i], grid[i + 1]) for i in (0, 2, 4, 6)))
    if length != 38 + 3 * components or not components or 0 in size.tile:
        raise DamagedStream("a size marker of another length")
    if any(end <= offset for end, offset in zip(size.end, size.offset, strict=True)):
        raise DamagedStream("no size")
    samples = {stream[42 + 3 * i : 45 + 3 * i] for i in range(components)}
    if len(samples) != 1 or (sample := samples.pop())[1:] != b"\x01\x01":
        raise DamagedStream("components of different kinds")
    return size, components, (sample[0] & 0x7F) + 1, bool(sample[0] & 0x80)


def _main_header(stream: bytes) -> tuple[_Coding, int]:
    """The coding style and where the first tile-part begins."""
    coding = None
    position = 2
    while position + 4 <= len(stream):
        marker, length = struct.unpack_from(">HH", stream, position)
        if marker == _SOT:
            if coding is None:
                break
            return coding, position
        if marker == _COD:
            coding = _coding(stream[position + 4 : position + 2 + length])
        position += 2 + length
    raise DamagedStream("no coding style or no tile")


def _coding(body: bytes) -> _Coding:
    """A.6.1, Tables A.13, A.15 and A.20."""
    if len(body) < 10:
        raise DamagedStream("a coding style cut short")
    layers, levels = int.from_bytes(body[2:4]), body[5]
    sizes = body[10:] if body[0] & 1 else b"\xff" * (levels + 1)
    if levels > 32 or len(sizes) < levels + 1:
        raise DamagedStream("a coding style cut short")
    precincts = tuple((size & 15, size >> 4) for size in sizes[: levels + 1])
    return _Coding(layers, levels, body[9] == _REVERSIBLE, precincts)


def _check_tile_parts(stream: bytes, position: int, tiles: int) -> None:
    """Every tile, and of each as many tile-parts as it announces, as long as announced: A.4.2."""
    seen: Counter[int] = Counter()
    announced: dict[int, int] = {}
    for tile, of_tile in _tile_parts(stream, position):
        seen[tile] += 1
        announced[tile] = of_tile or announced.get(tile, 0)
    if len(seen) != tiles or any(seen[tile] < number for tile, number in announced.items()):
        raise DamagedStream("tiles are missing")


def _tile_parts(stream: bytes, position: int) -> Iterator[tuple[int, int]]:
    """The tile of each tile-part, and how many tile-parts it says that the tile has."""
    while position + 12 <= len(stream):
        marker, _, tile, length, _, number = struct.unpack_from(">HHHIBB", stream, position)
        if marker != _SOT:
            return
        if length == 0:  # up to the end of the codestream
            length = len(stream) - position
        if length < 14 or position + length > len(stream):
            raise DamagedStream("a tile-part beyond the end")
        yield tile, number
        position += length


def _most_packets(size: _Size, components: int, coding: _Coding) -> int:
    """How many packets a tile can have at most: B.6 and B.9."""
    number = 0
    for resolution, exponents in enumerate(coding.precincts):
        precincts = 1
        for extent, end, exponent in zip(size.tile, size.end, exponents, strict=True):
            side = -(-min(extent, end) >> (coding.levels - resolution))
            precincts *= -(-side >> exponent) + 1
        number += precincts
    return int(min(number * coding.layers * components, 1 << 20))
