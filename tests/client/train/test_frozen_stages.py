from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from client.data.dataset import Sample
from client.train.trainer import train_round
from shared.model.network import Network
from shared.model.registry import backbone_of
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

STAGES = backbone_of("micro").stages

MODULES = {"conv1": "stem", "bn1": "stem", "fc": "head"}
TRAINABLE = {
    1: {"head"},
    2: {"layer4", "head"},
    3: {"layer3", "layer4", "head"},
    4: {"layer2", "layer3", "layer4", "head"},
}


def is_buffer(key: str) -> bool:
    return key.rpartition(".")[2] in ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
@pytest.mark.parametrize("round_number", [1, 2, 3, 4, 9])
def test_frozen_stages_stay_bit_for_bit(
    make_samples: Callable[[int], list[Sample]],
    make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig],
    round_number: int,
    batch_norm: str,
) -> None:
    """Rounds 1 to 4 of the progressive schedule thaw one stage each; 9 stands for full."""
    schedule = "full" if round_number == 9 else "progressive"
    config = micro_config(schedule=schedule, batch_norm=batch_norm, batch_size=4, rounds=9)
    if schedule == "progressive":
        config = micro_config(batch_norm=batch_norm, batch_size=4)
    trainable = TRAINABLE.get(round_number, set(STAGES))
    plan = plan_round(config, round_number)
    assert set(plan.trainable) == trainable

    model = make_model(dropout=0.1)
    before: dict[str, Tensor] = copy.deepcopy(model.state_dict())
    train_round(model, make_samples(9), plan, config, stream="north", moments={})
    gradients = {name for name, p in model.named_parameters() if p.grad is not None}
    for key, value in model.state_dict().items():
        module = key.partition(".")[0]
        thawed = MODULES.get(module, module) in trainable
        changed = not torch.equal(value, before[key])
        if is_buffer(key):
            assert changed == (thawed and batch_norm != "frozen"), key
        else:
            assert changed == thawed, key
            assert (key in gradients) == thawed


def test_a_stage_that_freezes_again_keeps_still(
    make_samples: Callable[[int], list[Sample]],
    make_model: Callable[..., Network],
    micro_config: Callable[..., RunConfig],
) -> None:
    """One network serves all messages of a process, so an earlier plan must leave no trace."""
    config, model, samples = micro_config(batch_size=4), make_model(), make_samples(8)
    train_round(model, samples, plan_round(config, 4), config, stream="n", moments={})
    between = copy.deepcopy(model.state_dict())
    train_round(model, samples, plan_round(config, 1), config, stream="n", moments={})
    after = model.state_dict()
    differing = {key for key in after if not torch.equal(after[key], between[key])}
    assert differing == {"fc.weight", "fc.bias"}
