"""How far a unit's gradients agree from step to step, by what Adam remembers of them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from shared.model.backbone import Backbone

_BLOCK = 2**20


def signal_to_noise(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], backbone: Backbone
) -> dict[str, float]:
    """Of each unit, its parameters together: |m|^2 / sum(v), of Adam's bias-corrected moments.

    1 where all gradients were alike; where they are noise alone `noise_alone` on average, after
    many steps. More than 1 where they have just grown. 0 for a unit whose gradients were all zero.
    Two digits. Empty without such moments: before the first step, with plain SGD or with moments in
    8 bits.
    """
    sums: dict[str, Tensor] = {}
    betas = {id(p): g["betas"] for g in optimizer.param_groups if "betas" in g for p in g["params"]}
    for name, parameter in parameters.items():
        state = optimizer.state.get(parameter, {})
        if "exp_avg_sq" not in state:
            continue
        unit, (first, second) = backbone.unit_of(name).name, betas[id(parameter)]
        # Of each parameter its own: a unit that has just thawed has taken fewer steps than others.
        steps = int(state["step"])
        squares = _sum_of_squares(state["exp_avg"]) / (1 - first**steps) ** 2
        own = torch.stack([squares, _sum(state["exp_avg_sq"]) / (1 - second**steps)])
        sums[unit] = sums[unit] + own if unit in sums else own
    return {unit: _ratio(*both.tolist()) for unit, both in sums.items()}


def _ratio(signal: float, power: float) -> float:
    return float(f"{signal / power:.2g}") if power > 0 else 0.0


def _sum_of_squares(moment: Tensor) -> Tensor:
    """In float64, so that no sum depends on the order, and a block at a time: nothing is copied."""
    blocks = (block.double() for block in torch.split(moment.reshape(-1), _BLOCK))
    return torch.stack([block @ block for block in blocks]).sum()


def _sum(moment: Tensor) -> Tensor:
    """As `_sum_of_squares`."""
    blocks = torch.split(moment.reshape(-1), _BLOCK)
    return torch.stack([block.double().sum() for block in blocks]).sum()
