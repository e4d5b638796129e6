"""Proof that frozen stages are frozen, without hashing them in every round."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from shared.model.backbones import StagedResNet
from shared.model.freezing import frozen_digest, state_digest
from shared.model.pretrained import Base
from shared.model.stages import keys_of
from shared.schedule import STAGES, Stage


def base_stages(
    model: StagedResNet, base: Base, among: Collection[Stage] = STAGES
) -> frozenset[Stage]:
    """The stages whose parameters and buffers are the base's, compared bit for bit."""
    state: dict[str, Tensor] = model.state_dict()
    return frozenset(
        stage
        for stage in among
        if all(_same_bits(state[key], base.state[key]) for key in keys_of(base.state, [stage]))
    )


def digest_of_frozen(
    model: StagedResNet, base: Base, trainable: Collection[Stage], untouched: Collection[Stage]
) -> str:
    """`frozen_digest` of the stages that do not train.

    Where all of them are `untouched`, the base's (`base_stages`), it is computed once and kept:
    hashing a ResNet-50 takes longer than a round of the head.
    """
    frozen = tuple(stage for stage in STAGES if stage not in trainable)
    if set(frozen) <= set(untouched):
        return digest_of_base(base, frozen)
    return frozen_digest(model, trainable)


def digest_of_base(base: Base, stages: tuple[Stage, ...]) -> str:
    """`state_digest` of these stages of the base, computed once."""
    known = _digests.setdefault(base, {})
    if stages not in known:
        known[stages] = state_digest({key: base.state[key] for key in keys_of(base.state, stages)})
    return known[stages]


_WORD = 8
"""Bytes that are compared at a time where they come out even, in a third of the time."""

_digests: WeakKeyDictionary[Base, dict[tuple[Stage, ...], str]] = WeakKeyDictionary()
"""Of the bases in use; they hold a hundred megabytes each, so that no longer."""


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # As bytes: -0.0 equals 0.0 as a number, and a NaN not even itself.
    first, second = (t.detach().cpu().numpy().reshape(-1).view(np.uint8) for t in (one, other))
    if len(first) % _WORD == 0 == len(second) % _WORD:
        first, second = first.view(np.uint64), second.view(np.uint64)
    return np.array_equal(first, second)
