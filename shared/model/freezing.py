"""Frozen units: no gradient, no drifting statistics, and a digest that proves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from shared.model.backbone import Part
from shared.model.exchanged import batch_norm_statistics, check_batch_norm
from shared.model.network import Network


def set_trainable(model: Network, parts: Collection[Part], batch_norm: str) -> None:
    """Thaw these parts and freeze all other units; also puts the model into training mode.

    A frozen unit has parameters without gradient (`grad` is None, since an optimiser skips only
    those) and stays in eval mode, whatever `model.train()` asks for later, so BatchNorm's
    statistics are fixed. With `batch_norm` "frozen" those of the thawed units are fixed too,
    while their affine parameters train. ValueError without a part, for an unknown one, or for
    another `batch_norm`.
    """
    check_batch_norm(batch_norm)
    thawed = model.backbone.units_of(parts)
    if not thawed:
        raise ValueError(f"At least one of {list(model.backbone.stages)} must be trainable.")
    always_eval: set[str] = set()
    for unit in model.backbone.units:
        for parameter in model.parameters_of(unit):
            parameter.requires_grad_(unit.name in thawed)
            if unit.name not in thawed:
                parameter.grad = None
        if unit.name not in thawed:
            always_eval |= set(unit.modules)
    if batch_norm == "frozen":
        always_eval |= {
            name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)
        }
    model.always_eval = frozenset(always_eval)
    model.train()


def frozen_digest(model: Network, parts: Collection[Part]) -> str:
    """`digest_of_units` of all units that the parts have not; ValueError for an unknown part."""
    return digest_of_units(model, model.backbone.other_units(parts))


def digest_of_units(model: Network, parts: Collection[Part]) -> str:
    """`state_digest` of all parameters and buffers of any set of units, BatchNorm's included.

    ValueError for an unknown part.
    """
    state: dict[str, Tensor] = model.state_dict()
    return state_digest({key: state[key] for key in model.backbone.keys_of(state, parts)})


def proven_keys(
    model: Network, trainable: Collection[Part], thawed: Collection[Part], batch_norm: str
) -> tuple[str, ...]:
    """The keys of what does not train and is alike at all sites: a round's proof is over these.

    All keys of all frozen units, except with `batch_norm` "local" the statistics of those that were
    `thawed` in an earlier round: each site has its own. ValueError for an unknown part.
    """
    backbone, state = model.backbone, model.state_dict()
    keys = backbone.keys_of(state, backbone.other_units(trainable))
    if batch_norm != "local":
        return keys
    own = set(backbone.keys_of(state, thawed)) & batch_norm_statistics(model)
    return tuple(key for key in keys if key not in own)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, dtypes, shapes and values, as `sha256:` and 64 hexadecimal digits.

    The same whatever the order of the mapping, the device and the memory layout.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        header = json.dumps([name, str(tensor.dtype), list(tensor.shape)])
        digest.update(header.encode() + b"\n")
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{digest.hexdigest()}"
