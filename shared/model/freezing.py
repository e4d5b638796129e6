"""Frozen stages: no gradient, no drifting statistics, and a digest that proves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from shared.model.backbones import StagedResNet
from shared.model.stages import STAGE_MODULES, check_batch_norm, keys_of, known_stages
from shared.schedule import STAGES


def set_trainable(model: StagedResNet, stages: Collection[str], batch_norm: str) -> None:
    """Thaw `stages` and freeze all others; also puts the model into training mode.

    A frozen stage has parameters without gradient (`grad` is None, since an optimiser skips only
    those) and stays in eval mode, whatever `model.train()` asks for later, so BatchNorm's
    statistics are fixed. With `batch_norm` "frozen" those of the thawed stages are fixed too,
    while their affine parameters train. ValueError without a stage, for an unknown one, or for
    another `batch_norm`.
    """
    check_batch_norm(batch_norm)
    thawed = known_stages(stages)
    if not thawed:
        raise ValueError(f"At least one of {list(STAGES)} must be trainable; none is.")
    for stage in STAGES:
        for name in STAGE_MODULES[stage]:
            for parameter in model.get_submodule(name).parameters():
                parameter.requires_grad_(stage in thawed)
                if stage not in thawed:
                    parameter.grad = None
    always_eval = {name for stage in STAGES if stage not in thawed for name in STAGE_MODULES[stage]}
    if batch_norm == "frozen":
        always_eval |= {
            name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)
        }
    model.always_eval = frozenset(always_eval)
    model.train()


def frozen_digest(model: StagedResNet, stages: Collection[str]) -> str:
    """`state_digest` of all parameters and buffers of the stages that are not in `stages`.

    ValueError for an unknown stage.
    """
    thawed = known_stages(stages)
    state: dict[str, Tensor] = model.state_dict()
    frozen = keys_of(state, [stage for stage in STAGES if stage not in thawed])
    return state_digest({key: state[key] for key in frozen})


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
