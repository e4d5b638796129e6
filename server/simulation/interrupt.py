"""Ctrl-C that is not lost on the way: libraries in C may turn it into an error of their own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Check = Callable[[], None]


def no_check() -> None:
    """Do nothing, where nobody listens for Ctrl-C."""


@contextmanager
def kept_interrupts() -> Iterator[Check]:
    """A check that raises KeyboardInterrupt where Ctrl-C was pressed within the block.

    It is raised at once as ever, and in place of any error that leaves the block. But PyTorch
    makes a TypeError of one that comes while it asks a Python object for its length, and from
    within a site's answer that reads like the site's failure.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield no_check
        return
    pressed = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        before(number, frame)

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        yield check
    except Exception:
        check()
        raise
    finally:
        signal.signal(signal.SIGINT, before)
