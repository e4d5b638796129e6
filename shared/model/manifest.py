"""What travels of the parts of a network, the same at the coordinator and at every site."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection

from shared.model.backbone import Part
from shared.model.exchanged import exchanged_keys
from shared.model.network import Network
from shared.wire.arrays import TensorSpec
from shared.wire.formats.choice import format_of


def manifest_of_parts(
    model: Network, parts: Collection[Part], batch_norm: str, update_dtype: str = "float32"
) -> tuple[TensorSpec, ...]:
    """Name, shape and dtype of what is exchanged of these parts, in the network's order.

    Kept, since a round of the head asks often enough to notice. ValueError for an unknown part or
    another `batch_norm`.
    """
    return _manifest(model, tuple(parts), batch_norm, update_dtype)


def sizes_of_units(model: Network, batch_norm: str) -> dict[str, int]:
    """How many values travel of each unit where it trains, in network order."""
    return {
        unit.name: sum(
            math.prod(spec.shape) for spec in manifest_of_parts(model, (unit.name,), batch_norm)
        )
        for unit in model.backbone.units
    }


@functools.lru_cache(maxsize=32)
def _manifest(
    model: Network, parts: tuple[Part, ...], batch_norm: str, update_dtype: str
) -> tuple[TensorSpec, ...]:
    state = model.state_dict()
    shapes = {key: tuple(state[key].shape) for key in exchanged_keys(model, parts, batch_norm)}
    return tuple(
        TensorSpec(key, shape, format_of(update_dtype, shape)) for key, shape in shapes.items()
    )
