"""Memory for tensors that come and go with every message."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_LARGEST = 2**30
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
_SPARING = 10**6
_USUAL = 2**25
"""The largest threshold that glibc comes to by itself."""

KEEPING: Mapping[str, str] = {
    "MALLOC_MMAP_THRESHOLD_": str(_LARGEST),
    "MALLOC_TRIM_THRESHOLD_": str(2 * _LARGEST),
    "MALLOC_ARENA_MAX": "1",
}
"""For the environment of a process: what `keep_freed_memory` does, from its start."""


@contextmanager
def sparing_memory() -> Iterator[None]:
    """Until the context ends, blocks of 1 MB and more go back to the system when they are freed.

    Else they leave gaps between those that are kept for longer, which the next ones do not fit
    into. Fetching pages again takes time. Afterwards it is as at the process's start. Only glibc
    knows these settings; elsewhere nothing changes.
    """
    before = int(os.environ.get("MALLOC_MMAP_THRESHOLD_") or _USUAL)
    _set_threshold(_SPARING)
    give_memory_back()  # what is kept already would stay in the way
    try:
        yield
    finally:
        _set_threshold(before)


def _set_threshold(size: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, size)
        mallopt(_TRIM_THRESHOLD, 2 * size - 1)


def give_memory_back() -> None:
    """Give the system what this process no longer uses, when no message comes for a while."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for the next message of the same size.

    Fetching fresh pages from the system for every block of 94 MB takes longer than sending it. Only
    glibc knows these settings; elsewhere nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST - 1)
        # In one place for all threads: each would keep what it freed for itself.
        mallopt(_ARENA_MAX, 1)
