"""The size of an update."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 2**13
"""Stays in a core's cache, and is less than BLAS would deal to threads that then wait for a core:
five times as fast as blocks of 2**20."""


def sum_of_squares(array: NDArray[np.float32]) -> float:
    """The sum of squares in float64, by blocks: values may be 1e15, and memory is not doubled."""
    flat, total = array.reshape(-1), 0.0
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK].astype("float64")
        total += float(block @ block)
    return total


def l2_norm(
    arrays: Mapping[str, NDArray[np.float32]], without: Collection[str] = frozenset()
) -> float:
    """The L2 norm of all tensors together, but for those named in `without`."""
    return math.sqrt(sum(sum_of_squares(a) for name, a in arrays.items() if name not in without))
