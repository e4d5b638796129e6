"""A run's process: what the server process passes to it, and what ends it from outside."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from shared.errors import RunError

HOME_VARIABLE = "FEDTHAW_COORDINATOR"
"""The coordinator's folder."""
RUN_VARIABLE = "FEDTHAW_RUN_FOLDER"
"""The run's folder; never travels to a site."""
STOP = "stop"
"""A file in the run's folder that asks the run to end between two looks at the sites."""
POLL_SECONDS = 0.2


def raise_if_stopped(folder: Path) -> None:
    """RunError where somebody has asked this run to end."""
    if os.path.lexists(folder / STOP):  # False, too, where the folder may not be read
        raise RunError(
            f"The run was stopped. What was done so far is kept; `fedthaw submit --resume "
            f"{folder.name}` continues it."
        )


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
