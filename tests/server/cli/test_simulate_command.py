"""A simulation's process keeps what it frees, as a site's does."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

TOUCH = """
import resource
import numpy as np
import server.cli.simulate as command

def faults():
    for turn in range(12):
        if turn == 2:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(100 * 2**20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def instead_of_a_run(request, backend):
    print(plain, faults())
    raise SystemExit(0)

plain = faults()
command.run_simulation = instead_of_a_run
command.app(["--out", "nowhere"])
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "mallopt"), reason="only glibc knows these settings"
)
def test_the_steps_of_a_simulation_need_no_fresh_pages() -> None:
    """Of ten blocks of 100 MB, before the command and where it runs the federation."""
    done = subprocess.run([sys.executable, "-c", TOUCH], capture_output=True, text=True, check=True)
    plain, kept = map(int, done.stdout.split())
    assert plain > 100
    assert kept < plain / 5
