"""Activations recomputed in the backward pass (Chen et al., arXiv:1604.06174)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import cast

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(blocks: Iterable[nn.Module], x: Tensor) -> Tensor:
    """Run blocks one after another, keeping of each its input alone; what is learnt is the same.

    The blocks draw nothing at random, so no generator's state is kept either.
    """
    for block in blocks:
        x = cast(
            Tensor,
            checkpoint(
                block,
                x,
                use_reentrant=False,
                preserve_rng_state=False,
                context_fn=partial(_contexts, block),
            ),
        )
    return x


def _contexts(
    block: nn.Module,
) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """For the first pass and for the second, in which BatchNorm must not count the batch again."""
    return nullcontext(), _fixed_statistics(block)


@contextmanager
def _fixed_statistics(block: nn.Module) -> Iterator[None]:
    """The batch is normalised by itself as before, but running statistics take nothing of it."""
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
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
