"""One unit in the middle of a stage frozen, and all around it trained."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch

from client.data.dataset import Sample
from client.features.boundary import training_boundary
from client.model.frozen import base_units
from client.train.trainer import train_round
from shared.model.backbone import Part
from shared.model.exchanged import exchanged_keys
from shared.model.freezing import digest_of_units, state_digest
from shared.model.network import build_network
from shared.model.pretrained import Base
from shared.model.resnet import RESNET18
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan

FROZEN = ("layer3.1",)


def plan_of(trainable: tuple[Part, ...]) -> Plan:
    return Plan(1, "fine-tune", 0, 1, trainable, ("head",), dict.fromkeys(trainable, 1e-3), 0.0)


@pytest.mark.parametrize("activations", ["exact", "int8", "recompute"])
@pytest.mark.parametrize("first", ["stem", "layer2", "layer2.1"])
def test_a_middle_unit_alone_is_frozen(
    make_samples: Callable[[int], list[Sample]], micro_config: Callable[..., RunConfig],
    first: Part, activations: str,
) -> None:  # fmt: skip
    config = micro_config(backbone="resnet18", batch_size=4, activations=activations)
    model = build_network("resnet18", dropout=0.0, seed=2)
    state = copy.deepcopy(model.state_dict())
    base = Base(state, state_digest(state), "a test", "", True, RESNET18)
    prefix = RESNET18.before(first)
    trained = RESNET18.other_units((*prefix, *FROZEN))
    plan = plan_of(RESNET18.parts_of(trained))
    frozen = digest_of_units(model, (*prefix, *FROZEN))

    train_round(model, make_samples(6), plan, config, stream="north", moments={})

    assert digest_of_units(model, (*prefix, *FROZEN)) == frozen
    assert base_units(model, base) == {*prefix, *FROZEN}
    for key in exchanged_keys(model, plan.trainable, "average"):
        assert not torch.equal(model.state_dict()[key], state[key]), key
    for name, parameter in model.named_parameters():
        # Others than exact update and drop each gradient within the backward pass.
        left = activations == "exact" and RESNET18.unit_of(name).name in trained
        assert (parameter.grad is not None) == left, name
    # Features may be kept before the first unit that trains, not up to the frozen one behind it.
    assert training_boundary(config, plan) == first
