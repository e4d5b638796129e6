"""Memory for tensors that come and go with every message."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping

_LARGEST = 2**30
# Each option's number in malloc.h and its value; an int of C holds no more than 2**31 - 1. The last
# one: in one place for all threads, since each would keep what it freed for itself.
_OPTIONS = {
    "MALLOC_MMAP_THRESHOLD_": (-3, _LARGEST),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2 * _LARGEST - 1),
    "MALLOC_ARENA_MAX": (-8, 1),
}


def keeping(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that does as `keep_freed_memory`, from its start.

    What it says of these options itself stays: its owner may want less memory rather than speed.
    """
    return {name: str(value) for name, (_, value) in _OPTIONS.items()} | {**environment}


def give_memory_back() -> None:
    """Give the system what this process no longer uses, when no message comes for a while."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for the next step or message.

    Fetching fresh pages from the system for every block of 94 MB takes longer than sending it. Only
    glibc knows these settings; elsewhere nothing changes. What the environment says stays.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, (number, value) in _OPTIONS.items():
            if name not in os.environ:
                mallopt(number, value)
