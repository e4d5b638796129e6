"""An optimiser's moments by parameter name, so that they outlive the optimiser object."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


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
