"""Which dtype a tensor travels in."""

from __future__ import annotations

import math

NumberFormat = str
"""One of `NUMBER_FORMATS`, or what `low_rank` gives."""
NUMBER_FORMATS = ("float32", "float16", "int8")
"""What `update-dtype` may be; `codec.py` has the code of each."""
STEPS_PER_RMS = 11.0
"""Of int8 where nobody asks for fewer: 5.5 bits a value and 2.6 % noise (1 / (11 * sqrt(12))), of a
Gaussian channel."""
DEFAULT_STEPS = 1.0
"""Of a run's messages: 2.2 bits a value and 29 % noise, which error feedback brings back."""
MOST_RANKS = 64
_RANK = "rank-"

SMALL = 4096
"""Tensors of fewer values stay float32: all of them together are 0.5 % of a ResNet-50."""
LARGEST = 2.0**100
"""What the lossy formats carry at most; weights that change by more have diverged."""


def low_rank(rank: int) -> NumberFormat:
    """The format of that rank, such as rank-4."""
    return f"{_RANK}{rank}"


def rank_of(update_dtype: str) -> int:
    """The rank of a low-rank format, 0 for any other."""
    number = update_dtype.removeprefix(_RANK)
    if number == update_dtype or not number.isdecimal() or low_rank(int(number)) != update_dtype:
        return 0
    return int(number) if int(number) <= MOST_RANKS else 0


def format_of(update_dtype: str, shape: tuple[int, ...]) -> NumberFormat:
    """The dtype of a tensor under a run's `update-dtype`; ValueError for an unknown one.

    One of low rank is int8 where it would take more than two bits a value. Vectors (biases,
    BatchNorm) and small matrices (the head) stay float32 in every case: they weigh next to nothing,
    and a variance that is rounded below zero would be none.
    """
    if len(shape) < 2 or math.prod(shape) < SMALL:
        return "float32"
    if update_dtype in NUMBER_FORMATS:
        return update_dtype
    if rank := rank_of(update_dtype):
        rows, columns = shape[0], math.prod(shape[1:])
        return update_dtype if 8 * rank * (rows + columns) <= rows * columns else "int8"
    raise ValueError(f"no dtype '{update_dtype}'")
