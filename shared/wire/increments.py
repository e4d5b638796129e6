"""How two sides that hold the same arrays come to hold the same new ones, in few bytes.

A tensor in a lossy dtype travels as the rounded difference to what the receiver holds, and both
sides add just that; one in float32 travels as it is and replaces what was held. What rounding takes
is part of the next difference (EF21-P: Gruntkowska et al., arXiv:2209.15218), so that nothing else
has to be remembered, and noise is a share of what has changed since, not of all that ever has.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from flwr.app import Array, ArrayRecord
from numpy.typing import NDArray

from shared.wire.arrays import Arrays, Manifest, TensorSpec, from_record, values_of
from shared.wire.codec import codec_of, encode_tensor
from shared.wire.formats.choice import STEPS_PER_RMS
from shared.wire.parallel import map_tensors

Held = Mapping[str, NDArray[np.float32]]
"""What the receiver has; a tensor that is not there is all zeros."""


def encode_increments(
    wanted: Held, held: Held, manifest: Manifest, steps: float = STEPS_PER_RMS
) -> tuple[ArrayRecord, Arrays]:
    """What travels of the manifest's tensors, and what the receiver has then.

    `steps` are int8's a root mean square. KeyError where a wanted array is missing; ProtocolError
    where a dtype cannot carry the values.
    """

    def pack(spec: TensorSpec) -> tuple[Array, NDArray[np.float32]]:
        new, lossy = wanted[spec.name], codec_of(spec.format).lossy
        before = held.get(spec.name) if lossy else None
        change = new if before is None else new - before
        tensor, seen = encode_tensor(spec.name, change, spec.format, steps)
        arrived = change if seen is None else seen
        return tensor, _added(before, arrived) if lossy else arrived.copy()

    names = [spec.name for spec in manifest]
    packed = dict(zip(names, map_tensors(pack, manifest, values_of(manifest)), strict=True))
    record = ArrayRecord({name: tensor for name, (tensor, _) in packed.items()})
    return record, {name: after for name, (_, after) in packed.items()}


def apply_increments(record: ArrayRecord, held: Held, manifest: Manifest) -> Arrays:
    """The manifest's tensors at the receiver, bit for bit those of `encode_increments`.

    Raises as `from_record`.
    """
    arrived = from_record(record, manifest)
    lossy = {spec.name for spec in manifest if codec_of(spec.format).lossy}
    return {
        name: _added(held.get(name), array) if name in lossy else array
        for name, array in arrived.items()
    }


def _added(before: NDArray[np.float32] | None, change: NDArray[np.float32]) -> NDArray[np.float32]:
    """In memory of its own; nothing held is zeros, to the sign of a zero."""
    return np.add(np.float32(0) if before is None else before, change)
