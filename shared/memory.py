"""Memory for tensors that come and go with every message."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping

_LARGEST = 2**30
_GIVEN_BACK_FROM = 2**22
_HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
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
    _set(_OPTIONS)


def spare_memory() -> None:
    """Let this process give the system large blocks as they are freed, for steps that save memory.

    What glibc keeps can be three times what a step holds at one time, since it finds no room for an
    aligned block between others. Fresh pages cost less where they are huge, which PyTorch asks for
    if the environment says so before the first tensor.
    """
    os.environ.setdefault(_HUGE_PAGES, "1")
    _set(_OPTIONS | {"MALLOC_MMAP_THRESHOLD_": (-3, _GIVEN_BACK_FROM)})


def _set(options: Mapping[str, tuple[int, int]]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for name, (number, value) in options.items():
            # What `keeping` put there is no wish of the process's owner.
            if os.environ.get(name) in (None, str(_OPTIONS[name][1])):
                mallopt(number, value)
