"""Activations recomputed in the backward pass (Chen et al., arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(step: Callable[[Tensor], Tensor], modules: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Run a step, keeping its input alone; what is learnt is the same.

    `modules` are those that it runs. They draw nothing at random, so no generator's state is kept
    either.
    """
    return checkpoint(
        step,
        x,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=partial(_contexts, tuple(modules)),
    )


def _contexts(
    modules: Collection[nn.Module],
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first pass and for the second, in which BatchNorm must not count the batch again."""
    return nullcontext(), _fixed_statistics(modules)


@contextmanager
def _fixed_statistics(modules: Collection[nn.Module]) -> Iterator[None]:
    """The batch is normalised by itself as before, but running statistics take nothing of it."""
    inner = (one for module in modules for one in module.modules())
    norms = [m for m in inner if isinstance(m, nn.BatchNorm2d) and m.training]
    momenta = [norm.momentum for norm in norms]
    counts = [cast(Tensor, norm.num_batches_tracked).clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            cast(Tensor, norm.num_batches_tracked).copy_(count)
