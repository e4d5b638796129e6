"""What libraries say by themselves stays off the terminal of a command.

FedThaw says what is wrong in a sentence. What libraries add (C code that writes to standard error,
Python warnings, tracebacks of their threads and of what ends with the process) helps nobody who can
act, and may quote a patient's header. `fedthaw --debug` shows it all.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings

log = logging.getLogger("fedthaw")

DEBUG_VARIABLE = "FEDTHAW_DEBUG"
"""Set for the processes that a command under `--debug` starts."""


def contain_libraries() -> None:
    """Keep this process's libraries off its terminal; for the console script, before its work."""
    _part_from_c_libraries()
    if not sys.warnoptions:  # who asks for warnings gets them
        warnings.simplefilter("ignore")
    threading.excepthook = _tell_of_thread
    sys.unraisablehook = _say_nothing


def own_stderr() -> int | None:
    """Where a child that is to be heard writes its standard error; None: where this process does.

    The descriptor that children inherit leads nowhere once `contain_libraries` was called.
    """
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # there is none, or not a real one
        return None


def _part_from_c_libraries() -> None:
    """Let Python keep the terminal, and C libraries write to nowhere.

    Decoders such as libjpeg print what they dislike of a file. Python's own standard error moves
    to another descriptor of the same terminal or file; a child that is to be heard is given it.
    """
    try:
        stream, sink = sys.stderr, os.open(os.devnull, os.O_WRONLY)
        if stream is None or stream.fileno() != 2:
            os.close(sink)
            return
        stream.flush()
        sys.stderr = open(  # noqa: SIM115 (for as long as the process lives)
            os.dup(2), "w", buffering=1, encoding=stream.encoding, errors=stream.errors
        )
        os.dup2(sink, 2)
        os.close(sink)
    except (OSError, ValueError):  # no standard error at all
        return


def _tell_of_thread(ended: threading.ExceptHookArgs) -> None:
    """A thread that ended with an error: a sentence in place of its traceback."""
    if ended.exc_type is not SystemExit:
        name = ended.thread.name if ended.thread is not None else "unknown"
        log.error("The thread %s ended with an error (%s).", name, ended.exc_type.__name__)


def _say_nothing(unraisable: object) -> None:
    """For errors that nobody can catch: in finalisers, and in what runs as the process ends."""
