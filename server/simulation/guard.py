"""A command that does not outlive the process that wants it, nor do those that it starts.

`python -m server.simulation.guard HOME COMMAND ...` runs the command until it ends or standard
input closes, which it does however the parent ends, by kill -9 too. Then every process is ended
that has FLWR_HOME=HOME in its environment, or works in the folder `empty` beside HOME: Flower and
Ray put theirs into sessions of their own, where no signal to a group reaches them, and Ray's write
their titles over their environment.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

POLITE_SECONDS = 3.0
QUIET_SECONDS = 1.0
"""How long there must be none: a process that is being started is not seen for a moment."""
_POLL_SECONDS = 0.2


def main() -> None:
    """Run the command of this process's arguments; its exit code where it ends first."""
    home, *command = sys.argv[1:]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
                break
    finally:
        end_all(home)
        process.terminate()  # where there is no /proc to find the others by
    sys.exit(process.wait())


def end_all(home: str) -> None:
    """End all other processes of this FLWR_HOME, and those that they start meanwhile."""
    begun = last_seen = time.monotonic()
    while (now := time.monotonic()) - last_seen < QUIET_SECONDS:
        for pid in _processes(home):
            last_seen = now
            kind = signal.SIGTERM if now - begun < POLITE_SECONDS else signal.SIGKILL
            try:
                os.kill(pid, kind)
            except ProcessLookupError:
                continue
        time.sleep(_POLL_SECONDS)


def _processes(home: str) -> list[int]:
    variable, folder = f"FLWR_HOME={home}".encode(), str(Path(home).parent / "empty")
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [
        pid
        for pid in pids
        if pid != os.getpid() and (variable in _environment(pid) or folder == _folder(pid))
    ]


def _folder(pid: int) -> str:
    """Where it works; empty of a process that has ended, or that is another user's."""
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def _environment(pid: int) -> list[bytes]:
    """Its variables; none of a process that has ended, or that is another user's."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


if __name__ == "__main__":
    main()
