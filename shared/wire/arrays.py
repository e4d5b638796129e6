"""Named float32 arrays <-> Flower's ArrayRecord, checked against a manifest.

All around it is float32. `encode` puts them into the dtypes of the manifest and keeps what
is lost by that; `to_record` leaves them as NumPy has them, as Flower's own strategies want them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from shared.errors import ProtocolError
from shared.wire.codec import codec_of, decode_tensor, encode_tensor
from shared.wire.formats.choice import STEPS_PER_RMS, NumberFormat
from shared.wire.parallel import map_tensors

Arrays = dict[str, NDArray[np.float32]]

LARGEST_VALUE = 1e15
"""Far beyond any weight or variance of a network; a square of it is a float32 still.

One site's broken numbers must not make the average one that no site can train from.
"""

_LISTED = 5
_NOTHING: Mapping[str, NDArray[np.float32]] = {}


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of one exchanged tensor."""

    name: str
    shape: tuple[int, ...]
    format: NumberFormat = "float32"

    def to_line(self) -> str:
        """`head.weight int8 512x1024x1x1`, as a manifest spells it."""
        return f"{self.name} {self.format} {'x'.join(map(str, self.shape))}"


Manifest = Sequence[TensorSpec]


@dataclass(frozen=True)
class Encoded:
    """Tensors as they travel, and what their dtypes lose."""

    record: ArrayRecord
    residual: Arrays
    """What was to be sent minus what the receiver sees, of the tensors in a lossy format."""


def manifest_of(arrays: Mapping[str, NDArray[np.float32]]) -> tuple[TensorSpec, ...]:
    """The manifest that these arrays fulfil in float32, in their order."""
    return tuple(TensorSpec(name, array.shape) for name, array in arrays.items())


def to_record(arrays: Mapping[str, NDArray[np.float32]]) -> ArrayRecord:
    """Every array in full, as NumPy has it; TypeError for another dtype than float32."""
    for name, array in arrays.items():
        if array.dtype != np.float32:
            raise TypeError(f"{name} is {array.dtype}; only float32 is sent")
    return ArrayRecord({name: Array(np.asarray(a, order="C")) for name, a in arrays.items()})


def encode(
    arrays: Mapping[str, NDArray[np.float32]],
    manifest: Manifest,
    residual: Mapping[str, NDArray[np.float32]] = _NOTHING,
    steps: float = STEPS_PER_RMS,
) -> Encoded:
    """Pack the arrays of the manifest for a message, with the residual of the message before.

    Error feedback (Seide et al., Interspeech 2014; Karimireddy et al., arXiv:1901.09847): what one
    message loses is added to the next, so that over the rounds all of it arrives but the last
    residual, with int8 (of so many `steps` a root mean square) at most half a step. float32 loses
    nothing and has none.
    KeyError where an array is missing; ProtocolError where a format cannot carry the values.
    """

    def pack(spec: TensorSpec) -> tuple[Array, NDArray[np.float32] | None]:
        wanted = arrays[spec.name]
        if codec_of(spec.format).lossy and spec.name in residual:
            wanted = wanted + residual[spec.name]
        tensor, received = encode_tensor(spec.name, wanted, spec.format, steps)
        return tensor, received if received is None else np.subtract(wanted, received, out=received)

    names = [spec.name for spec in manifest]
    packed = dict(zip(names, map_tensors(pack, manifest, values_of(manifest)), strict=True))
    lost = {name: left for name, (_, left) in packed.items() if left is not None}
    return Encoded(ArrayRecord({name: tensor for name, (tensor, _) in packed.items()}), lost)


def from_record(record: ArrayRecord, manifest: Manifest) -> Arrays:
    """Unpack a received record in the order of the manifest, into arrays of the receiver's own.

    Raises ProtocolError for missing or extra keys, another shape, dtype or length, and
    values that are not finite or beyond `LARGEST_VALUE`. Lengths are checked before anything is
    decoded.
    """
    expected = {spec.name: spec for spec in manifest}
    _compare_names(set(record.keys()), set(expected))

    def unpack(spec: TensorSpec) -> NDArray[np.float32]:
        array = decode_tensor(spec.name, record[spec.name], spec.shape, spec.format)
        _check_values(spec.name, array)
        return array

    values = map_tensors(unpack, expected.values(), values_of(manifest))
    return dict(zip(expected, values, strict=True))


def values_of(manifest: Manifest) -> int:
    """How many values its tensors have in all."""
    return sum(math.prod(spec.shape) for spec in manifest)


def _check_values(name: str, array: NDArray[np.float32]) -> None:
    """ProtocolError for what no training leaves that goes well."""
    low, high = float(array.min(initial=0)), float(array.max(initial=0))
    if low >= -LARGEST_VALUE and high <= LARGEST_VALUE:  # neither holds for a NaN
        return
    finite = math.isfinite(low) and math.isfinite(high)
    what = (
        f"as large as {max(-low, high):.2g}" if finite else "that are not finite (NaN or infinite)"
    )
    raise ProtocolError(
        f"{name} holds values {what}: the training there has diverged, so lower the learning rates "
        "(lr-head, rates) in a new run",
        diverged=True,
    )


def _compare_names(received: set[str], expected: set[str]) -> None:
    if missing := expected - received:
        raise ProtocolError(f"tensors are missing: {_listed(missing)}")
    if extra := received - expected:
        raise ProtocolError(f"tensors were not asked for: {_listed(extra)}")


def _listed(names: set[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more
