"""Which dtype a tensor travels in."""

from __future__ import annotations

import math
from typing import Literal, get_args

NumberFormat = Literal["float32", "float16", "int8"]
NUMBER_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)
"""What `update-dtype` may be; `codec.py` has the code of each."""

SMALL = 4096
"""Tensors of fewer values stay float32: all of them together are 0.5 % of a ResNet-50."""
LARGEST = 2.0**100
"""What the lossy formats carry at most; weights that change by more have diverged."""


def format_of(update_dtype: str, shape: tuple[int, ...]) -> NumberFormat:
    """The dtype of a tensor under a run's `update-dtype`; ValueError for an unknown one.

    Vectors (biases, BatchNorm) and small matrices (the head) stay float32 in every case: they
    weigh next to nothing, and a variance that is rounded below zero would be none.
    """
    if len(shape) < 2 or math.prod(shape) < SMALL:
        return "float32"
    if update_dtype in NUMBER_FORMATS:
        return update_dtype
    raise ValueError(f"no dtype '{update_dtype}'")
