"""A site's error replies: their codes, and how much they reveal."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

FAILED, UNEXPECTED, DIVERGED = 1, 2, 3
"""Codes: an error that was raised on purpose, any other, and weights that have diverged."""

_OWN_SITES = "FEDTHAW_OWN_SITES"


def reader_owns_the_site() -> bool:
    """Whether this site's process was started by a command of the machine that reads its replies.

    The environment of the site's own process says so; nothing that travels can.
    """
    return bool(os.environ.get(_OWN_SITES))


@contextmanager
def own_sites() -> Iterator[None]:
    """Let the sites that this process and its children run reply with whole errors."""
    before = os.environ.get(_OWN_SITES)
    os.environ[_OWN_SITES] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OWN_SITES]
        else:
            os.environ[_OWN_SITES] = before
