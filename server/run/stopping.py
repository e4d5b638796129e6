"""Ending a run from outside its process, between two looks at the sites."""

from __future__ import annotations

import os
from pathlib import Path

from shared.errors import RunError

FILE = "stop"


def raise_if_stopped(folder: Path) -> None:
    """RunError where somebody has asked this run to end."""
    if os.path.lexists(folder / FILE):  # False, too, where the folder may not be read
        raise RunError(
            f"The run was stopped. What was done so far is kept; `fedthaw submit --resume "
            f"{folder.name}` continues it."
        )
