"""What a command starts ends with the process that wanted it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# A grandchild in a session of its own that hears no SIGTERM, as some daemons do.
COMMAND = """
import os, signal, subprocess, sys, time
if sys.argv[2:] == ["again"]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[1], "again"],
                     start_new_session=True)
print(os.getpid(), flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys
guard = [sys.executable, "-m", "server.simulation.guard", sys.argv[1]]
subprocess.Popen(guard + sys.argv[2:], env=os.environ | {"FLWR_HOME": sys.argv[1]},
                 stdin=subprocess.PIPE, start_new_session=True).wait()
"""


def start(home: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home), *command], stdout=subprocess.PIPE, text=True
    )


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    with start(tmp_path, sys.executable, "-c", COMMAND, COMMAND) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        assert all(map(is_alive, pids))
        parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(map(is_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(is_alive, pids))


def test_a_command_that_ends_by_itself(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "server.simulation.guard", str(tmp_path),
         sys.executable, "-c", "raise SystemExit(3)"],
        stdin=subprocess.PIPE,
    ) as guard:  # fmt: skip
        assert guard.wait(timeout=60) == 3
