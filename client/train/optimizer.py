"""One parameter group for each part of the plan, its rate by the schedule; moments kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from client.train.eight_bits import eight_bit_adamw
from shared.model.backbone import Part
from shared.settings.config import RunConfig
from shared.settings.rates import one_cycle
from shared.settings.schedule import Plan


def read_moments(optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Copies of all moments on the CPU, `<moment>/<parameter>` -> tensor."""
    names = {id(parameter): name for name, parameter in parameters.items()}
    return {
        f"{moment}/{names[id(parameter)]}": torch.as_tensor(value).detach().cpu().clone()
        for parameter, state in optimizer.state.items()
        for moment, value in state.items()
        if value is not None
    }


def restore_moments(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], moments: Mapping[str, Tensor]
) -> None:
    """Put moments back; a parameter without any (a stage that has just thawed) begins afresh.

    Moments of parameters that are not given are left aside.
    """
    for key, value in moments.items():
        moment, _, name = key.partition("/")
        if name in parameters:
            parameter = parameters[name]
            # A fused AdamW counts its steps on the device, the one in 8 bits in an integer.
            plain = value.dim() == 0 and not value.is_floating_point()
            kept = value.item() if plain else value.to(parameter.device).clone()
            optimizer.state[parameter][moment] = kept


def build_optimizer(
    parameters: dict[Part, list[nn.Parameter]], plan: Plan, config: RunConfig
) -> Optimizer:
    """An optimiser over the parts that train, in the order of `plan.trainable`.

    The head decays less than the backbone, except in the probe (as in the recipe's code).
    """
    groups = [
        {
            "params": parameters[part],
            "lr": plan.rates[part],
            "weight_decay": _decay(part, plan, config),
            "part": part,
        }
        for part in plan.trainable
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, fused=True)
    if config.optimizer == "adamw8bit":
        return eight_bit_adamw(groups)
    # One pass over the weights instead of a dozen: on a CPU an eighth of the time.
    return torch.optim.AdamW(groups, fused=True)


def set_rates(optimizer: Optimizer, plan: Plan, config: RunConfig, step: int, steps: int) -> None:
    """Set all groups for `step` of the `steps` that this site takes in this round."""
    if plan.phase == "probe" or config.rate_policy == "constant":
        return
    position = one_cycle(plan.position * steps + step, plan.length * steps)
    for group in optimizer.param_groups:
        group["lr"] = plan.rates[group["part"]] * position.share
        if "betas" in group:
            group["betas"] = (position.momentum, group["betas"][1])


def _decay(part: Part, plan: Plan, config: RunConfig) -> float:
    if part == config.network.head and plan.phase == "fine-tune":
        return config.weight_decay_head
    return config.weight_decay
