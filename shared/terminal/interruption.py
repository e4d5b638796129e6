"""Ctrl-C and SIGTERM: that a command was ended by them, and how its work continues."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType

_CONTINUED = {
    "simulate": " A run that had begun continues with --resume.",
    "study": " The same command continues the study.",
}


def interruption_of(arguments: Sequence[str]) -> str:
    """What to say when the command with these arguments has been interrupted."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    return f"Interrupted.{_CONTINUED.get(command, '')}"


def note_interruptions() -> Callable[[], bool]:
    """Whether Ctrl-C has been pressed since: C libraries may turn it into errors of their own."""
    pressed = threading.Event()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return pressed.is_set  # in the background of a shell it is ignored

    def note(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    return pressed.is_set


def end_as_interrupted() -> Callable[[], bool]:
    """Let SIGTERM end the command as Ctrl-C does, with all that it has to put away; whether it did.

    It comes from systemd, a batch system, a container's end, and whoever types `kill`.
    """
    asked = threading.Event()

    def note(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends it at once
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # ignored, in the background of a shell
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, note)
    return asked.is_set
