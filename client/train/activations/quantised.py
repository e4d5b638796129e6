"""An activation in 8 or 4 bits: one range a channel or token, rounded to the nearest level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from client.train.activations.slabs import Slabs, is_dense

VALUES = 64
"""A range, two numbers, is for at least so many values where they are of one sample."""


@dataclass(frozen=True)
class Quantised:
    """Codes 0 ... 2**bits - 1 of a tensor, in the order in which it lies in memory."""

    codes: Tensor
    """uint8: one a byte, or for 4 bits two, the first half of the values in the low bits."""
    low: Tensor
    step: Tensor
    """float32, broadcast against the tensor; its values are `low + code * step`."""
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype
    bits: int

    def restore(self) -> Tensor:
        """The tensor, each value off by half a step at most."""
        size = math.prod(self.shape)
        if self.bits == 8:
            found = self.codes.float()
        else:
            half = len(self.codes)
            found = self.step.new_empty(2 * half)
            found[:half].copy_(self.codes & 15)
            found[half:].copy_(self.codes >> 4)
        values = found[:size].as_strided(self.shape, self.stride)
        return values.mul_(self.step).add_(self.low).to(self.dtype)

    def nbytes(self) -> int:
        """Bytes that it holds."""
        return sum(tensor.nbytes for tensor in (self.codes, self.low, self.step))


def quantise(tensor: Tensor, bits: int, slabs: Slabs) -> Quantised:
    """A floating-point tensor, feature maps (N, C, H, W) or tokens (..., C), in 8 or 4 bits.

    The least and the largest value of each range are kept exactly, so that what ReLU set to zero
    stays zero. Nothing is drawn at random.
    """
    if not is_dense(tensor):
        tensor = tensor.contiguous()
    over = _dimensions_of_a_range(tensor.shape)
    low, high = tensor.amin(over, keepdim=True).float(), tensor.amax(over, keepdim=True).float()
    step = (high - low) / (2**bits - 1)
    step = torch.where(step > 0, step, 1.0)
    codes = torch.empty_like(tensor, dtype=torch.uint8)
    each = len(tensor)
    # A sample at a time: what is computed with is never as large as the tensor.
    for one, of, lowest, unit in zip(
        codes, tensor, low.expand(each, *low.shape[1:]), step.expand(each, *step.shape[1:]),
        strict=True,
    ):  # fmt: skip
        one.copy_((of - lowest).div_(unit).add_(0.5))
    flat = codes.as_strided((tensor.numel(),), (1,))
    if bits == 4:
        half = (len(flat) + 1) // 2
        flat[: len(flat) - half] |= flat[half:].bitwise_left_shift_(4)
        flat = flat[:half]
    flat, low, step = slabs.copy(flat), slabs.copy(low), slabs.copy(step)
    return Quantised(flat, low, step, tensor.shape, tensor.stride(), tensor.dtype, bits)


def _dimensions_of_a_range(shape: torch.Size) -> tuple[int, ...]:
    """Those over which values share a range: a map's or token's own, small ones' all samples'.

    A class token may be smaller than the patches beside it by orders of magnitude.
    """
    if len(shape) == 4:
        return (2, 3) if shape[2] * shape[3] >= VALUES else (0, 2, 3)
    return (-1,) if shape[-1] >= VALUES else tuple(range(len(shape)))
