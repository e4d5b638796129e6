"""One process at a time in a run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from server.run.folder import LOCK, RunFolder, unwritable
from shared.errors import ConfigError, RunError
from shared.events import Warned, emit
from shared.files import keep_private, lock_at_once

PATIENCE_SECONDS = 5.0
"""How long the lock is waited for: the processes of a killed run may take a moment to end."""


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Hold the folder for this process; RunError where another one holds it.

    The folder is made where it is missing; ConfigError where that fails.
    """
    refusal = RunError(
        f"Another process is working on the run in {folder.path}; wait for it or stop it."
    )
    with ExitStack() as held:
        try:
            if (sentence := keep_private(folder.path)) is not None:
                emit(Warned(sentence))
            held.enter_context(lock_at_once(folder.path / LOCK, refusal, PATIENCE_SECONDS))
        except OSError as error:
            raise ConfigError(unwritable(folder, error)) from error
        yield
