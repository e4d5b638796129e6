"""Memory for tensors that come and go with every message."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
_LARGEST = 2**30
# Each option's number in malloc.h and its value; an int of C holds no more than 2**31 - 1. The last
# one: in one place for all threads, since each would keep what it freed for itself.
_OPTIONS = {
    _THRESHOLD: (-3, _LARGEST),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2 * _LARGEST - 1),
    "MALLOC_ARENA_MAX": (-8, 1),
}
_SPARING = 10**6
_USUAL = 2**25
"""The largest threshold that glibc comes to by itself."""
_of_this_process = [int(os.environ.get(_THRESHOLD) or _USUAL)]


def keeping(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that does as `keep_freed_memory`, from its start.

    What it says of these options itself stays: its owner may want less memory rather than speed.
    """
    return {name: str(value) for name, (_, value) in _OPTIONS.items()} | {**environment}


@contextmanager
def sparing_memory() -> Iterator[None]:
    """Until the context ends, blocks of 1 MB and more go back to the system when they are freed.

    Else they leave gaps between those that are kept for longer, which the next ones do not fit
    into. Fetching pages again takes time. Afterwards it is as before. Only glibc
    knows these settings; elsewhere nothing changes.
    """
    _set_threshold(_SPARING)
    give_memory_back()  # what is kept already would stay in the way
    try:
        yield
    finally:
        _set_threshold(_of_this_process[0])


def _set_threshold(size: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_OPTIONS[_THRESHOLD][0], size)
        mallopt(_OPTIONS["MALLOC_TRIM_THRESHOLD_"][0], 2 * size - 1)


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
        if _THRESHOLD not in os.environ:
            _of_this_process[0] = _LARGEST
