"""float32 as NumPy writes it; nothing is lost."""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from shared.errors import ProtocolError

_NUMPY_FORMAT = (1, 0)
_HEADER_LIMIT = 1024


def encode(values: NDArray[np.float32]) -> tuple[bytes, None]:
    """The bytes, as Flower's own arrays have them; the receiver will see just `values`."""
    stream = BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue(), None


def decode(name: str, data: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values; ProtocolError unless the bytes are just a float32 array of this shape.

    Lengths are checked before anything is decoded.
    """
    size = 4 * math.prod(shape)
    if not size <= len(data) <= size + _HEADER_LIMIT:
        raise ProtocolError(f"{name} has {len(data)} bytes where {size} were expected")
    usual = _header(shape)
    # Compared, not parsed: to parse it NumPy uses Python's parser, which in 3.11 fails now and then
    # where several threads use it (SystemError, python/cpython#106905).
    start = len(usual) if data[: len(usual)] == usual else _read_header(name, data, shape)
    if len(data) - start != size:
        raise ProtocolError(f"{name} has {len(data) - start} bytes where {size} were expected")
    return np.frombuffer(data, np.float32, offset=start).reshape(shape).copy()


def _header(shape: tuple[int, ...]) -> bytes:
    """What NumPy writes before the values."""
    stream = BytesIO()
    header = {"descr": np.dtype(np.float32).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


def _read_header(name: str, data: bytes, expected: tuple[int, ...]) -> int:
    """Where the values begin behind NumPy's header, which must say what the manifest says.

    np.load would allocate whatever the header claims, and would open a zip archive as well.
    """
    stream = BytesIO(bytes(data[:_HEADER_LIMIT]))
    try:
        if np.lib.format.read_magic(stream) != _NUMPY_FORMAT:
            raise ValueError("another version of NumPy's format")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # NumPy parses it as Python, so that almost anything can be raised
        raise ProtocolError(f"{name} cannot be decoded") from error
    if shape != expected or by_column or dtype != np.float32:
        raise ProtocolError(f"{name} holds {dtype} {shape}, not what it declares")
    return stream.tell()
