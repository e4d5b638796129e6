"""The federation's model: a base that never changes plus the delta of what has thawed.

Kept as a delta in float32, so that base + delta is bit for bit the same at the coordinator and at
every site.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shared.model.backbone import Part
from shared.model.freezing import frozen_digest
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network, build_network
from shared.model.pretrained import Base, initial_head
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays, TensorSpec


@dataclass(frozen=True)
class Reference:
    """The network with the base loaded; it is never trained."""

    base: Base
    network: Network
    batch_norm: str

    def specs(
        self, parts: Collection[Part], update_dtype: str = "float32"
    ) -> tuple[TensorSpec, ...]:
        """What is exchanged of these parts, in the network's order."""
        return manifest_of_parts(self.network, parts, self.batch_norm, update_dtype)


def build_reference(config: RunConfig, base: Base) -> Reference:
    """The network of this configuration on top of this base."""
    network = build_network(
        config.backbone, config.dropout, outputs=config.outputs, channels=config.channels
    )
    network.load_state_dict(dict(base.state))
    return Reference(base, network, config.batch_norm)


@functools.cache
def _cached_frozen_digest(network: Network, trainable: tuple[Part, ...]) -> str:
    return frozen_digest(network, trainable)


def expected_frozen_digest(reference: Reference, trainable: tuple[Part, ...]) -> str:
    """What every site's frozen units must hash to: they still equal the base."""
    return _cached_frozen_digest(reference.network, trainable)


def forget() -> None:
    """Let go of the networks whose digests are kept."""
    _cached_frozen_digest.cache_clear()


def initial_delta(reference: Reference, config: RunConfig) -> Arrays:
    """The head that the coordinator draws, as a delta; zero where the base brings its own."""
    specs = reference.specs((config.network.head,))
    if reference.base.has_head:
        return {spec.name: np.zeros(spec.shape, dtype=np.float32) for spec in specs}
    head = initial_head(config.backbone, config.seed, config.outputs, config.channels)
    return {spec.name: head[spec.name].numpy().astype(np.float32) for spec in specs}


def select(reference: Reference, delta: Arrays, parts: Collection[Part]) -> Arrays:
    """The delta of these parts, zero where a unit has not been trained yet."""
    return {spec.name: delta.get(spec.name, _zeros(spec.shape)) for spec in reference.specs(parts)}


def full_state(reference: Reference, delta: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """Base plus delta as a complete state dict."""
    state = {key: value.clone() for key, value in reference.base.state.items()}
    for name, array in delta.items():
        state[name] += torch.from_numpy(array)
    return state


def _zeros(shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.zeros(shape, dtype=np.float32)
