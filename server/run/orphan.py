"""A run's process does not outlive the server process that started it."""

from __future__ import annotations

import os
import threading
import time

POLL_SECONDS = 0.2


def end_with_parent() -> None:
    """From now on, end this process at once when its parent is gone, whatever it is doing.

    Flower watches too, but its signal waits for the end of whatever sleeps; meanwhile the server's
    successor would find the run's folder taken.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
