"""Work on many tensors, several at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = min(4, os.cpu_count() or 1)
"""At most four: the other cores of a hospital's machine have other work."""

FEW_VALUES = 1 << 18
"""Work on this many numbers or fewer takes less time than starting threads for it."""


def map_tensors(work: Callable[[T], R], items: Iterable[T], values: int) -> list[R]:
    """`work` of each item, in their order; raises what it raises of the first that fails.

    In threads where the items hold many `values` in all: NumPy and zlib let go of Python's lock
    while they work. `work` is to change nothing that another item's work looks at.
    """
    if values <= FEW_VALUES:
        return [work(item) for item in items]
    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(work, items))
