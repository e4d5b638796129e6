"""One parameter group a stage, its rate by the schedule; its moments kept between rounds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from shared.config import RunConfig
from shared.rates import one_cycle
from shared.schedule import Plan, Stage


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
            # A fused AdamW keeps its step counter on the device as well.
            optimizer.state[parameter][moment] = value.to(parameter.device).clone()


def build_optimizer(
    parameters: dict[Stage, list[nn.Parameter]], plan: Plan, config: RunConfig
) -> Optimizer:
    """An optimiser over the trainable stages, in the order of `plan.trainable`.

    The head decays less than the backbone, except in the probe (as in the recipe's code).
    """
    groups = [
        {
            "params": parameters[stage],
            "lr": plan.rates[stage],
            "weight_decay": _decay(stage, plan, config),
            "stage": stage,
        }
        for stage in plan.trainable
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, fused=True)
    # One pass over the weights instead of a dozen: on a CPU an eighth of the time.
    return torch.optim.AdamW(groups, fused=True)


def set_rates(optimizer: Optimizer, plan: Plan, config: RunConfig, step: int, steps: int) -> None:
    """Set all groups for `step` of the `steps` that this site takes in this round."""
    if plan.phase == "probe" or config.rate_policy == "constant":
        return
    position = one_cycle(plan.position * steps + step, plan.length * steps)
    for group in optimizer.param_groups:
        group["lr"] = plan.rates[group["stage"]] * position.share
        if "betas" in group:
            group["betas"] = (position.momentum, group["betas"][1])


def _decay(stage: Stage, plan: Plan, config: RunConfig) -> float:
    if stage == "head" and plan.phase == "fine-tune":
        return config.weight_decay_head
    return config.weight_decay
