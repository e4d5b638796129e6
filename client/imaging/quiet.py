"""Silence for the warnings of image libraries while several threads decode."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_saved: warnings.catch_warnings[None] | None = None


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide Python warnings and pydicom's log, whose texts may quote a patient's header.

    `warnings.catch_warnings` alone restores the wrong filters when threads overlap; here the
    first thread in saves them and the last one out restores them.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = warnings.catch_warnings()
            _saved.__enter__()
            warnings.simplefilter("ignore")
            logging.getLogger("pydicom").disabled = True
        _inside += 1


def _leave() -> None:
    global _inside, _saved
    with _lock:
        _inside -= 1
        if _inside == 0 and _saved is not None:
            logging.getLogger("pydicom").disabled = False
            _saved.__exit__(None, None, None)
            _saved = None
