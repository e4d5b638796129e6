"""Named float32 arrays <-> Flower's ArrayRecord, checked against a manifest.

The number format on the wire is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from shared.errors import ProtocolError

Arrays = dict[str, NDArray[np.float32]]

_LISTED = 5
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
    return ArrayRecord({name: Array(np.ascontiguousarray(a)) for name, a in arrays.items()})


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
            raise ProtocolError(f"{name} holds values that are not finite (NaN or infinite)")
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
    try:
        values = array.numpy()
    except (ValueError, EOFError, OSError) as error:
        raise ProtocolError(f"{name} cannot be decoded") from error
    if values.dtype != np.float32 or values.shape != spec.shape:
        raise ProtocolError(f"{name} holds {values.dtype} {values.shape}, not what it declares")
    return np.asarray(values, dtype=np.float32)


def _listed(names: set[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more
