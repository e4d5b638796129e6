"""Proof that frozen units are frozen, without hashing them in every round."""

from __future__ import annotations

from collections.abc import Collection
from weakref import WeakKeyDictionary

import numpy as np
from torch import Tensor

from shared.model.backbone import Part
from shared.model.freezing import digest_of_units, state_digest
from shared.model.network import Network
from shared.model.pretrained import Base


def base_units(model: Network, base: Base, among: Collection[Part] | None = None) -> frozenset[str]:
    """The units whose parameters and buffers are the base's, compared bit for bit; of all or some.

    ValueError for an unknown part.
    """
    backbone, state = model.backbone, model.state_dict()
    units = backbone.units_of(backbone.stages if among is None else among)
    keys: dict[str, list[str]] = {unit: [] for unit in units}
    for key in backbone.keys_of(base.state, units):
        keys[backbone.unit_of(key).name].append(key)
    return frozenset(
        unit
        for unit, own in keys.items()
        if all(_same_bits(state[key], base.state[key]) for key in own)
    )


def digest_of_frozen(
    model: Network, base: Base, trainable: Collection[Part], untouched: Collection[str]
) -> str:
    """`digest_of_units` of all units that do not train.

    Where all of them are `untouched`, the base's (`base_units`), it is computed once and kept:
    hashing a ResNet-50 takes longer than a round of the head.
    """
    frozen = model.backbone.other_units(trainable)
    if frozen <= set(untouched):
        return digest_of_base(base, frozen)
    return digest_of_units(model, frozen)


def digest_of_base(base: Base, units: Collection[str]) -> str:
    """`state_digest` of these units of the base, computed once."""
    known, chosen = _digests.setdefault(base, {}), frozenset(units)
    if chosen not in known:
        keys = base.backbone.keys_of(base.state, chosen)
        known[chosen] = state_digest({key: base.state[key] for key in keys})
    return known[chosen]


_WORD = 8
"""Bytes that are compared at a time where they come out even, in a third of the time."""

_digests: WeakKeyDictionary[Base, dict[frozenset[str], str]] = WeakKeyDictionary()
"""Of the bases in use; they hold a hundred megabytes each, so that no longer."""


def _same_bits(one: Tensor, other: Tensor) -> bool:
    # As bytes: -0.0 equals 0.0 as a number, and a NaN not even itself.
    first, second = (t.detach().cpu().numpy().reshape(-1).view(np.uint8) for t in (one, other))
    if len(first) % _WORD == 0 == len(second) % _WORD:
        first, second = first.view(np.uint64), second.view(np.uint64)
    return np.array_equal(first, second)
