"""One server process at a time for a coordinator's folder."""

from __future__ import annotations

from contextlib import AbstractContextManager

from server.link.home import Home
from shared.errors import ConfigError
from shared.files import is_locked, lock_at_once

_PATIENCE = 1.0
"""Seconds: commands that look whether it is served hold the lock for an instant."""


def only_one(home: Home) -> AbstractContextManager[None]:
    """Hold the folder; ConfigError where another process does."""
    refusal = ConfigError(f"Another process serves {home.path} already; end that one.")
    return lock_at_once(home.lock, refusal, _PATIENCE)


def is_served(home: Home) -> bool:
    """Whether a server process works on this folder now."""
    return is_locked(home.lock)
