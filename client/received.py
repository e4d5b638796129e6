"""The federation's model at this site: what it received before, with what a message brings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from client.train.state import SiteState, save_state
from shared.model.backbone import Part
from shared.model.delta_digest import delta_digests
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network
from shared.protocol.sent_model import SentModel
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays, TensorSpec
from shared.wire.increments import apply_increments


class LackingError(Exception):
    """These units cannot be rebuilt from a message: it builds on something that this site lacks."""

    def __init__(self, units: tuple[Part, ...]) -> None:
        super().__init__(f"not as the message needs them: {', '.join(units)}")
        self.units = units


def received_delta(model: Network, config: RunConfig, sent: SentModel, before: SiteState) -> Arrays:
    """The delta of all thawed units, bit for bit the coordinator's; `before` is this site's state.

    Raises LackingError where the digests say that it is another, ProtocolError where the message's
    tensors do not fit.
    """
    held = {name: value.numpy() for name, value in before.received.items()}
    manifests = [
        manifest_of_parts(model, parts, config.batch_norm, dtype)
        for parts, dtype in ((sent.changed, config.update_dtype), (sent.whole, "float32"))
    ]
    delta = _held(model, config, sent, held) | _arrived(sent, held, *manifests)
    found = delta_digests(model, sent.thawed, config.batch_norm, delta)
    differing = [
        unit
        for (unit, digest), wanted in zip(found.items(), sent.digests, strict=True)
        if digest != wanted
    ]
    if differing:
        raise LackingError(model.backbone.parts_of(differing))
    return delta


def _held(
    model: Network,
    config: RunConfig,
    sent: SentModel,
    held: Mapping[str, NDArray[np.float32]],
) -> Arrays:
    """What is held of the thawed units, zeros where that is nothing."""
    return {
        spec.name: held[spec.name] if _fits(held, spec) else np.zeros(spec.shape, np.float32)
        for spec in manifest_of_parts(model, sent.thawed, config.batch_norm)
    }


def _arrived(
    sent: SentModel,
    held: Mapping[str, NDArray[np.float32]],
    changed: tuple[TensorSpec, ...],
    entire: tuple[TensorSpec, ...],
) -> Arrays:
    fitting = {spec.name: held[spec.name] for spec in changed if _fits(held, spec)}
    # Both as one record, so that what belongs to neither is refused; `whole` is float32, which
    # replaces what is held.
    return apply_increments(sent.delta, fitting, (*changed, *entire))


def _fits(held: Mapping[str, NDArray[np.float32]], spec: TensorSpec) -> bool:
    """A file of another network under the same run is nothing to build upon."""
    return spec.name in held and held[spec.name].shape == spec.shape


def remember_received(folder: Path, number: int, before: SiteState, delta: Arrays) -> None:
    """Keep the model of a message that no training follows: the next one builds upon it.

    Raises SiteError where the cache cannot be written.
    """
    received = {name: torch.from_numpy(array) for name, array in delta.items()}
    save_state(folder, SiteState(number, before.phase, {}, before.statistics, received=received))
