"""Memory of its own for what is kept until the backward pass.

Where a small tensor that stays is allocated between large ones that go, an allocator cannot use the
gap for anything as large again. On a CPU these gaps are as much as all that is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = 2**26
"""Bytes of a slab: more than the 32 MiB up to which glibc takes memory from its heap by default, so
that the system has it back with its last tensor."""
_ALIGNED = 64


class Slabs:
    """Tensors one behind the other in slabs; each slab is let go with the last of its tensors."""

    def __init__(self) -> None:
        self._slab: Tensor | None = None
        self._used = 0

    def copy(self, tensor: Tensor) -> Tensor:
        """A copy, laid out as the tensor is; itself where memory lies between.

        On a GPU, whose allocator needs no slabs, it is itself too, unless it is a part of something
        larger, all of which would stay with it.
        """
        if not is_dense(tensor):
            return tensor
        if tensor.is_cuda:
            return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
        place = self._place(tensor.nbytes).view(tensor.dtype)
        return place.as_strided(tensor.shape, tensor.stride(), place.storage_offset()).copy_(tensor)

    def _place(self, size: int) -> Tensor:
        """Bytes (size,)."""
        if size > SIZE // 4:
            return torch.empty(size, dtype=torch.uint8)
        if self._slab is None or self._used + size > SIZE:
            self._slab, self._used = torch.empty(SIZE, dtype=torch.uint8), 0
        start = self._used
        self._used += -(-size // _ALIGNED) * _ALIGNED
        return self._slab[start : start + size]


def is_dense(tensor: Tensor) -> bool:
    """Whether its values lie in memory without gaps or overlaps."""
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    return tensor.permute(order).is_contiguous()
