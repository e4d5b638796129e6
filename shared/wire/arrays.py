"""Named float32 arrays <-> Flower's ArrayRecord, checked against a manifest.

The number format on the wire is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from shared.errors import ProtocolError

Arrays = dict[str, NDArray[np.float32]]

_LISTED = 5
_NUMPY_FORMAT = (1, 0)
_NUMPY_HEADER_LIMIT = 1024


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of one exchanged tensor; its values are float32."""

    name: str
    shape: tuple[int, ...]

    def to_line(self) -> str:
        """`layer4.0.conv1.weight float32 512x1024x1x1`, as a manifest spells it."""
        return f"{self.name} float32 {'x'.join(map(str, self.shape))}"


Manifest = Sequence[TensorSpec]


def manifest_of(arrays: Mapping[str, NDArray[np.float32]]) -> tuple[TensorSpec, ...]:
    """The manifest that these arrays fulfil, in their order."""
    return tuple(TensorSpec(name, array.shape) for name, array in arrays.items())


def to_record(arrays: Mapping[str, NDArray[np.float32]]) -> ArrayRecord:
    """Pack arrays for a message; TypeError for another number format."""
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise TypeError(f"{name} is {array.dtype}; only float32 travels")
    return ArrayRecord({name: Array(np.asarray(a, order="C")) for name, a in arrays.items()})


def from_record(record: ArrayRecord, manifest: Manifest) -> Arrays:
    """Unpack a received record in the order of the manifest.

    Raises ProtocolError for missing or extra keys, another shape, number format or length, and
    values that are not finite. Lengths are checked before anything is decoded.
    """
    expected = {spec.name: spec for spec in manifest}
    _compare_names(set(record.keys()), set(expected))
    arrays: Arrays = {}
    for name, spec in expected.items():
        array = _decode(name, record[name], spec)
        if not np.isfinite(array).all():
            raise ProtocolError(
                f"{name} holds values that are not finite (NaN or infinite): the training there "
                "has diverged, so lower the learning rates (lr-head, lr-layer4, ...) in a new run"
            )
        arrays[name] = array
    return arrays


def _compare_names(received: set[str], expected: set[str]) -> None:
    if missing := expected - received:
        raise ProtocolError(f"tensors are missing: {_listed(missing)}")
    if extra := received - expected:
        raise ProtocolError(f"tensors were not asked for: {_listed(extra)}")


def _decode(name: str, array: Array, spec: TensorSpec) -> NDArray[np.float32]:
    if array.dtype != "float32" or array.stype != "numpy.ndarray":
        raise ProtocolError(f"{name} is {array.dtype} ({array.stype}); float32 was asked for")
    if tuple(array.shape) != spec.shape:
        raise ProtocolError(f"{name} has shape {tuple(array.shape)}, not {spec.shape}")
    size = 4 * int(np.prod(spec.shape, dtype=np.int64))
    if not size <= len(array.data) <= size + _NUMPY_HEADER_LIMIT:
        raise ProtocolError(f"{name} has {len(array.data)} bytes where {size} were expected")
    start = _read_header(name, array.data, spec)
    if len(array.data) - start != size:
        raise ProtocolError(
            f"{name} has {len(array.data) - start} bytes where {size} were expected"
        )
    return np.frombuffer(array.data, np.float32, offset=start).reshape(spec.shape).copy()


def _read_header(name: str, data: bytes, spec: TensorSpec) -> int:
    """Where the values begin behind NumPy's header, which must say what the manifest says.

    np.load would allocate whatever the header claims, and would open a zip archive as well.
    """
    stream = BytesIO(bytes(data[:_NUMPY_HEADER_LIMIT]))
    try:
        if np.lib.format.read_magic(stream) != _NUMPY_FORMAT:
            raise ValueError("another version of NumPy's format")
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # NumPy parses it as Python, so that almost anything can be raised
        raise ProtocolError(f"{name} cannot be decoded") from error
    if shape != spec.shape or by_column or dtype != np.float32:
        raise ProtocolError(f"{name} holds {dtype} {shape}, not what it declares")
    return stream.tell()


def _listed(names: set[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more
