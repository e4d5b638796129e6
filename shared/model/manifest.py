"""What travels of the parts of a network, the same at the coordinator and at every site."""

from __future__ import annotations

import math
from collections.abc import Collection
from weakref import WeakKeyDictionary

from shared.model.backbone import Part
from shared.model.exchanged import exchanged_keys
from shared.model.network import Network
from shared.wire.arrays import TensorSpec
from shared.wire.formats.choice import format_of

_Asked = tuple[tuple[Part, ...], str, str]
_answered: WeakKeyDictionary[Network, dict[_Asked, tuple[TensorSpec, ...]]] = WeakKeyDictionary()
"""For as long as the network lives: a round asks for each of its units, several times."""


def manifest_of_parts(
    model: Network, parts: Collection[Part], batch_norm: str, update_dtype: str = "float32"
) -> tuple[TensorSpec, ...]:
    """Name, shape and dtype of what is exchanged of these parts, in the network's order.

    ValueError for an unknown part or another `batch_norm`.
    """
    answered = _answered.setdefault(model, {})
    asked = tuple(parts), batch_norm, update_dtype
    if asked not in answered:
        answered[asked] = _manifest(model, *asked)
    return answered[asked]


def sizes_of_units(model: Network, batch_norm: str) -> dict[str, int]:
    """How many values travel of each unit where it trains, in network order."""
    return {
        unit.name: sum(
            math.prod(spec.shape) for spec in manifest_of_parts(model, (unit.name,), batch_norm)
        )
        for unit in model.backbone.units
    }


def _manifest(
    model: Network, parts: tuple[Part, ...], batch_norm: str, update_dtype: str
) -> tuple[TensorSpec, ...]:
    state = model.state_dict()
    shapes = {key: tuple(state[key].shape) for key in exchanged_keys(model, parts, batch_norm)}
    return tuple(
        TensorSpec(key, shape, format_of(update_dtype, shape)) for key, shape in shapes.items()
    )
