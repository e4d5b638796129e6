"""Freed memory is kept for the next message where the C library knows how."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from shared.memory import KEEPING, keep_freed_memory

TOUCH = """
import resource, sys
if sys.argv[1] == "call":
    from shared.memory import keep_freed_memory
    keep_freed_memory()
import numpy as np
for turn in range(12):
    if turn == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(100 * 2**20, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages fetched from the system for ten blocks of 100 MB, one after the other."""
    environment = os.environ | (KEEPING if how == "environment" else {})
    done = subprocess.run(
        [sys.executable, "-c", TOUCH, how],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc knows these settings"
)
def test_the_next_block_needs_no_fresh_pages() -> None:
    plain = faults("not at all")
    assert plain > 100
    assert faults("call") < plain / 5
    assert faults("environment") < plain / 5


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()
