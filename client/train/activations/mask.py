"""True and false as one bit each."""

from __future__ import annotations

import torch
from torch import Tensor


def to_bits(mask: Tensor) -> Tensor:
    """A contiguous bool tensor of any shape -> uint8, eight values a byte, zeros to fill the last.

    The first eighth of the values is in the lowest bits.
    """
    flat = mask.view(torch.uint8).reshape(-1)
    length = -(-len(flat) // 8)
    bits = flat[:length].clone()
    for place in range(1, 8):
        part = flat[place * length : (place + 1) * length]
        bits[: len(part)] |= part << place
    return bits


def from_bits(bits: Tensor, size: int) -> Tensor:
    """The `size` values (size,) of `to_bits`."""
    flat = torch.empty(8 * len(bits), dtype=torch.uint8, device=bits.device)
    for place in range(8):
        part = flat[place * len(bits) : (place + 1) * len(bits)]
        torch.bitwise_and(bits >> place, 1, out=part)
    return flat[:size].view(torch.bool)
