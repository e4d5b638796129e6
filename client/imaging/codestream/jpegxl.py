"""The header of JPEG XL: ISO 18181-1 Annexes B to E, and the boxes of ISO 18181-2."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from client.imaging.codestream.header import DamagedStream, Family, StreamHeader

_SIGNATURE = b"\xff\x0a"
# ISO 18181-1 Table D.2: width over height by the field `ratio`.
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_GREY = 1


class _Bits:
    """Fields of some bits, the lowest bit of the first byte first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:256], "little")
        self._left = 8 * len(data[:256])

    def u(self, bits: int) -> int:
        self._left -= bits
        if self._left < 0:
            raise DamagedStream("a header cut short")
        value = self._value & ((1 << bits) - 1)
        self._value >>= bits
        return value

    def u32(self, *choices: tuple[int, int]) -> int:
        """One of four (offset, bits): B.2.2."""
        offset, bits = choices[self.u(2)]
        return offset + self.u(bits)


def is_bare(data: bytes) -> bool:
    """Whether data begins as a codestream without boxes does, with two bytes."""
    return data.startswith(_SIGNATURE)


def read_jpeg_xl(data: bytes) -> StreamHeader:
    """Size and samples; `exact` is left to the transfer syntax, since the header does not say.

    Raises DamagedStream, also for an animation and a rotated image.
    """
    bits = _Bits(_codestream(data).removeprefix(_SIGNATURE))
    rows, columns = _size(bits)
    depth, components = 8, 3
    if not bits.u(1):  # all_default
        depth, components = _metadata(bits)
    return StreamHeader(Family.JPEG_XL, rows, columns, components, depth, None, exact=False)


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream, out of its boxes where there are some."""
    if is_bare(data):
        return data
    parts = [part[4:] if kind == b"jxlp" else part for kind, part in _boxes(data)]
    stream = b"".join(parts)
    if not stream.startswith(_SIGNATURE):
        raise DamagedStream("no codestream")
    return stream


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        start = position + 8
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = position + length if length else len(data)
        if end < start:
            return
        if kind in (b"jxlc", b"jxlp"):
            yield kind, data[start:end]
        position = end


def _size(bits: _Bits) -> tuple[int, int]:
    """Rows and columns: D.2."""
    small = bits.u(1)
    rows = _side(bits, small)
    ratio = bits.u(3)
    if not ratio:
        return rows, _side(bits, small)
    over, under = _RATIOS[ratio - 1]
    return rows, rows * over // under


def _side(bits: _Bits, small: int) -> int:
    return 8 * (1 + bits.u(5)) if small else bits.u32((1, 9), (1, 13), (1, 18), (1, 30))


def _metadata(bits: _Bits) -> tuple[int, int]:
    """Bits a sample and number of channels: D.3."""
    if bits.u(1):  # extra_fields
        if bits.u(3):
            raise DamagedStream("a rotated image")
        if bits.u(1):  # have_intr_size
            _size(bits)
        if bits.u(1) or bits.u(1):
            raise DamagedStream("a preview or an animation")
    if bits.u(1):
        raise DamagedStream("samples that are not integers")
    depth = bits.u32((8, 0), (10, 0), (12, 0), (1, 6))
    bits.u(1)  # modular_16bit_buffers
    extra = bits.u32((0, 0), (1, 0), (2, 4), (1, 12))
    if extra:  # their descriptions are not read: a radiograph has none
        return depth, 3 + extra
    bits.u(1)  # xyb_encoded
    if bits.u(1):  # the colour encoding is the default, sRGB
        return depth, 3
    bits.u(1)  # want_icc
    return depth, 1 if bits.u32((0, 0), (1, 0), (2, 4), (18, 6)) == _GREY else 3
