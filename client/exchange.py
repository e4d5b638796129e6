"""Between a message's tensors and the site's network."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from flwr.app import ArrayRecord
from torch import Tensor

from client.workspace import Workspace, network_of
from shared.errors import FedThawError, ProtocolError
from shared.model.backbone import Part
from shared.model.exchanged import batch_norm_statistics
from shared.model.manifest import manifest_of_parts
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.update.chain import send
from shared.update.step import Passage
from shared.wire.arrays import Arrays, Manifest, TensorSpec


def rebuild_model(
    workspace: Workspace,
    config: RunConfig,
    *,
    base: str,
    delta: Arrays,
    statistics: Mapping[str, Tensor],
) -> Network:
    """The coordinator's model: base plus delta, with the BatchNorm statistics that stay here.

    Raises ProtocolError where the coordinator's base is another one.
    """
    require_base(workspace, base)
    model = network_of(workspace, config)
    place(workspace, model, delta)
    tensors = model.state_dict()
    for name, value in statistics.items():
        tensors[name].copy_(value)
    return model


def require_base(workspace: Workspace, base: str) -> None:
    """ProtocolError where the coordinator's base is not this site's."""
    if base != workspace.base.digest:
        raise ProtocolError(
            f"the coordinator's pretrained base is {_short(base)}, this site's "
            f"{_short(workspace.base.digest)}; all must load the same `weights`"
        )


def place(workspace: Workspace, model: Network, delta: Arrays) -> None:
    """Give the network the base's weights plus this delta."""
    tensors = model.state_dict()
    for name, value in workspace.base.state.items():
        tensors[name].copy_(value)
    for name, array in delta.items():
        tensors[name] += tensors[name].new_tensor(array)


def agreed_manifest(
    model: Network, config: RunConfig, stages: Collection[Part], expects: Sequence[str]
) -> tuple[TensorSpec, ...]:
    """What to send back; ProtocolError unless the coordinator expects just this."""
    manifest = manifest_of_parts(model, stages, config.batch_norm, config.sent_dtype)
    lines = [spec.to_line() for spec in manifest]
    if lines != list(expects):
        differing = sorted(set(lines) ^ set(expects))
        raise ProtocolError(
            f"the coordinator expects {len(expects)} tensors, this site would send {len(lines)} "
            f"(first difference: {differing[0] if differing else 'their order'}); "
            "install the same fedthaw at the coordinator and at all sites"
        )
    return manifest


def snapshot(model: Network, keys: Sequence[str]) -> dict[str, Tensor]:
    """Copies of the tensors under these keys, on the CPU."""
    state = model.state_dict()
    return {key: state[key].detach().cpu().clone() for key in keys}


def as_tensors(arrays: Arrays) -> dict[str, Tensor]:
    """The same memory as PyTorch's tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def difference(after: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> Arrays:
    """What training changed."""
    return {key: (after[key] - before[key]).numpy() for key in before}


def require_finite(delta: Arrays, round_number: int) -> None:
    """FedThawError unless training left numbers: what is not one must not be remembered either."""
    broken = [name for name, array in delta.items() if not np.isfinite(array).all()]
    if broken:
        raise FedThawError(
            f"Training in round {round_number} left NaN or infinite weights ({broken[0]}); lower "
            "the learning rates (lr-head, rates) of the run.",
            shareable="its weights are no longer finite; lower the run's learning rates",
            diverged=True,
        )


def update_to_send(
    delta: Arrays,
    manifest: Manifest,
    state: Mapping[str, Mapping[str, Tensor]],
    passage: Passage,
) -> tuple[ArrayRecord, dict[str, dict[str, Tensor]]]:
    """The update as it travels, and what its steps keep, as `state` is of the round before."""
    before = {part: {n: v.numpy() for n, v in held.items()} for part, held in state.items()}
    record, kept = send(delta, manifest, before, passage)
    return record, {part: as_tensors(held) for part, held in kept.items()}


def local_statistics(
    model: Network, stages: Collection[Part], batch_norm: str
) -> dict[str, Tensor]:
    """BatchNorm statistics of these stages where the run keeps them at the site, else none."""
    if batch_norm != "local":
        return {}
    names = batch_norm_statistics(model)
    return snapshot(model, model.backbone.keys_of(sorted(names), stages))


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
