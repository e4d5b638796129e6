"""Silence for image and table libraries while several threads read."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("pydicom", "PIL", "openpyxl", "gdcm", "py.warnings")
"""The loggers at the top of their trees; a child's record ends there."""

_lock = threading.Lock()
_inside = 0
_saved: warnings.catch_warnings[None] | None = None


_NOWHERE = logging.NullHandler()


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Hide Python warnings and the libraries' logs, whose texts may quote a patient's header.

    Child loggers, such as `pydicom.pixels.decoders.base`, are hidden too: `disabled` at the top of
    a tree stops the top's own records only. `warnings.catch_warnings` alone restores the wrong
    filters when threads overlap; here the first thread in saves them and the last one out restores
    them.
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
            _silenced.extend(_Silenced(logging.getLogger(name)) for name in LIBRARIES)
        _inside += 1


def _leave() -> None:
    global _inside, _saved
    with _lock:
        _inside -= 1
        if _inside == 0 and _saved is not None:
            while _silenced:
                _silenced.pop().end()
            _saved.__exit__(None, None, None)
            _saved = None


class _Silenced:
    """A tree of loggers, none of whose records reaches a handler until `end`."""

    def __init__(self, top: logging.Logger) -> None:
        self._top, self._handlers, self._propagated = top, top.handlers, top.propagate
        # A new list, so that a record which another thread is handing out goes its way undisturbed.
        top.handlers, top.propagate = [_NOWHERE], False

    def end(self) -> None:
        """Restore what was there before."""
        self._top.handlers, self._top.propagate = self._handlers, self._propagated


_silenced: list[_Silenced] = []
