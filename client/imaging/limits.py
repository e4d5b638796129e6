"""The largest image, and what it means for memory and for how many are decoded at a time."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MAXIMUM_PIXELS = 100_000_000
"""Of one image, unless its owner sets another limit."""
# What the slowest way to a picture takes at its peak, measured in `benchmarks/decoding.py`.
_BYTES_A_PIXEL = {1: 40, 3: 80}
# Libraries' own tables, and all of a file that is not its picture, inflated and parsed.
_BASE_BYTES = 384 * 2**20
_MAXIMUM_HELPERS = 8
_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def decoding_bytes(maximum_pixels: int, channels: int = 1) -> int:
    """Bytes that decoding one image of at most so many pixels, of 1 or 3 values, may allocate."""
    return _BASE_BYTES + _BYTES_A_PIXEL[channels] * maximum_pixels


def helper_count(maximum_pixels: int, channels: int = 1) -> int:
    """How many images are decoded at a time: one a core, at most 8, and no more than fit.

    Half of the machine's memory, or of the container's, is for them.
    """
    fitting = memory_bytes() // 2 // decoding_bytes(maximum_pixels, channels)
    return max(1, min(_cores(), _MAXIMUM_HELPERS, fitting))


def memory_bytes() -> int:
    """The memory of this machine, or of this container where it may take less."""
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max" stands for no limit
        available = min(available, int(_CONTROL_GROUP.read_text(encoding="ascii")))
    return available


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
