"""The optimiser's step inside the backward pass: no two gradients are held at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from torch.optim import Optimizer


@contextmanager
def stepping_in_backward(optimizer: Optimizer) -> Iterator[None]:
    """Within it a backward pass updates each weight once its gradient is whole, and drops that.

    The weights and moments are those that a step afterwards would give, bit for bit. All gradients
    must be None before. Not for gradients that are scaled, or limited all together.
    """

    def take(parameter: Tensor) -> None:
        optimizer.step()  # skips what has no gradient, and this one alone has
        parameter.grad = None

    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    handles = [p.register_post_accumulate_grad_hook(take) for p in parameters]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
