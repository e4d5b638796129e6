"""Freed memory is kept for the next message where the C library knows how."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from shared.memory import give_memory_back, keep_freed_memory, keeping, spare_memory

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

GIVE = """
from shared.memory import give_memory_back, keep_freed_memory
keep_freed_memory()
import os
import numpy as np
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
blocks = [np.ones(50 * 2**20, np.uint8) for _ in range(4)]
end = np.ones(2**20, np.uint8)
del blocks
before = resident()
give_memory_back()
print(before - resident())
"""


def faults(how: str) -> int:
    """Pages fetched from the system for ten blocks of 100 MB, one after the other."""
    environment = keeping(os.environ) if how == "environment" else os.environ
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


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc gives it back when asked"
)
def test_kept_memory_is_given_back_when_asked_for() -> None:
    """Below what is still used as well."""
    done = subprocess.run([sys.executable, "-c", GIVE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 190


def test_the_library_is_told_what_the_environment_would_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The numbers of the options are those of glibc's malloc.h."""
    for name in (said := keeping({})):
        monkeypatch.delenv(name, raising=False)
    asked: dict[int, int] = {}
    library = SimpleNamespace(mallopt=asked.__setitem__)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert asked == {
        -3: int(said["MALLOC_MMAP_THRESHOLD_"]),
        -1: int(said["MALLOC_TRIM_THRESHOLD_"]),
        -8: int(said["MALLOC_ARENA_MAX"]),
    }
    assert max(asked.values()) < 2**31  # an int of C holds no more


SPARE = """
from shared.memory import keep_freed_memory, spare_memory
keep_freed_memory()
spare_memory()
import os
import torch
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 2**20
blocks = [torch.ones(12 * 2**20, dtype=torch.uint8) for _ in range(17)]
before = resident()
del blocks[:-1]
print(before - resident(), os.environ["THP_MEM_ALLOC_ENABLE"])
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc knows these settings"
)
def test_spared_memory_is_given_back_at_once_from_a_kept_process_too() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPARE],
        capture_output=True, text=True, check=True, env=keeping(os.environ),
    )  # fmt: skip
    given, huge = map(int, done.stdout.split())
    assert given > 180
    assert huge == 1


def test_what_the_owner_s_environment_says_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As performance.md proposes it to those who want a lower peak."""
    own = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    assert keeping(own)["MALLOC_MMAP_THRESHOLD_"] == "1000000"
    assert keeping(own).keys() == keeping({}).keys()
    asked: list[int] = []
    library = SimpleNamespace(mallopt=lambda number, value: asked.append(number))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    for change in (keep_freed_memory, spare_memory):
        asked.clear()
        change()
        assert -3 not in asked
        assert -1 in asked


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Musl:
        def __getattr__(self, name: str) -> None:
            asked.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Musl())
    keep_freed_memory()
    give_memory_back()
    assert asked == ["mallopt", "malloc_trim"]
