"""One process at a time in a run's folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from server.run.folder import LOCK, RunFolder, unwritable
from shared.errors import ConfigError, RunError
from shared.events import Warned, emit
from shared.files import keep_private

PATIENCE_SECONDS = 5.0
"""How long the lock is waited for: the processes of a killed run may take a moment to end."""


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Hold the folder for this process; RunError where another one holds it.

    The folder is made where it is missing; ConfigError where that fails. The lock is the operating
    system's, so it is gone with the process, however that ends.
    """
    try:
        if (sentence := keep_private(folder.path)) is not None:
            emit(Warned(sentence))
        handle = os.fdopen(os.open(folder.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600), "w")
    except OSError as error:
        raise ConfigError(unwritable(folder, error)) from error
    with handle:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _take(handle):
            if time.monotonic() >= deadline:
                raise RunError(
                    f"Another process is working on the run in {folder.path}; wait for it or stop "
                    "it."
                )
            time.sleep(0.1)
        yield


def _take(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
