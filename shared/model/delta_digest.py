"""A digest of what a unit's exchanged tensors differ from the base by."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from shared.model.backbone import Part
from shared.model.freezing import state_digest
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network

Delta = Mapping[str, NDArray[np.float32]]
"""Weights and BatchNorm statistics minus the base; a tensor that is not there equals the base's."""


def delta_digests(
    model: Network, parts: Collection[Part], batch_norm: str, delta: Delta
) -> dict[str, str]:
    """`state_digest` of the delta of each unit of these parts, by the unit, in network order.

    ValueError for an unknown part.
    """
    units = model.backbone.units_of(parts)
    return {
        unit.name: state_digest(
            {
                spec.name: torch.from_numpy(_array(delta, spec.name, spec.shape))
                for spec in manifest_of_parts(model, (unit.name,), batch_norm)
            }
        )
        for unit in model.backbone.units
        if unit.name in units
    }


def _array(delta: Delta, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return delta[name] if name in delta else np.zeros(shape, np.float32)
