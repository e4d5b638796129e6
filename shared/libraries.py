"""Libraries of thousands of modules, and what Python does while it imports them."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def undisturbed() -> Iterator[None]:
    """Import PyTorch, and what needs it, in three quarters of the time.

    The garbage collector is off meanwhile. In a command's process it never looks at what was
    imported, not even at the end: half a million objects that stay for as long as the process.
    Nothing changes where PyTorch is there already.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if "torch" in sys.modules and not _standard_error_is_shown():
            gc.freeze()
        gc.enable()


def _standard_error_is_shown() -> bool:
    """Whether what C libraries write is seen (see shared/terminal/noise.py).

    Then the process is not a command's, or one is being debugged, and Triton's library would
    complain at the end of what was never freed.
    """
    try:
        return not os.path.samestat(os.fstat(2), os.stat(os.devnull))
    except OSError:  # no standard error at all
        return False
