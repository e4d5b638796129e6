"""One server process at a time for a coordinator's folder."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from server.link.home import Home
from shared.errors import ConfigError


@contextlib.contextmanager
def only_one(home: Home) -> Iterator[None]:
    """Hold the folder; ConfigError where another process does.

    The lock is the operating system's and is gone with the process.
    """
    with home.lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Another process serves {home.path} already; end that one."
            ) from None
        yield


def is_served(home: Home) -> bool:
    """Whether a server process works on this folder now."""
    if not home.lock.exists():
        return False
    with home.lock.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
