"""Who did what an audit log says."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping


def user(environment: Mapping[str, str]) -> str:
    """Who runs this process on this machine, and as whom: `root, by sudo from ann`."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        name = f"user {os.getuid()}"
    before = environment.get("SUDO_USER")
    return f"{name}, by sudo from {before}" if before and before != name else name
