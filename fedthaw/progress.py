"""What is shown of a call: bars on a terminal, a line that changes in a notebook, or nothing."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from server.terminal.progress import describe, reporting
from shared.events import (
    Downloading,
    Event,
    Listener,
    ReplyReceived,
    RoundFinished,
    RoundStarted,
    RunStarted,
    SiteBusy,
    SiteNote,
    SiteUnable,
    Warned,
    emit,
    listening,
)

Progress = bool | Callable[[Event], None]
"""True: bars or lines; False: warnings alone; a function: is called with each event."""

_SECONDS = 0.3
"""How long a line stands at least before another site or number of bytes takes its place."""


class _Ended(BaseException):
    """The caller's own function has raised; no handler of a site's errors may catch it."""


@contextmanager
def showing(progress: Progress) -> Iterator[None]:
    """Show the events of the block.

    What the caller's function raises ends the block, and is raised by it.
    """
    if progress is False:
        with listening(_print_warning):
            yield
    elif progress is True:
        with _in_notebook() if _is_notebook() else reporting():
            yield
    else:
        with _calling(progress):
            yield


def say(sentence: str) -> None:
    """A sentence for the caller, among the events."""
    emit(Warned(sentence))


def _print_warning(event: Event) -> None:
    match event:
        case Warned() | SiteNote() | SiteUnable() | ReplyReceived(_, str()):
            print(describe(event), file=sys.stderr, flush=True)  # noqa: T201 (it is for the caller)


@contextmanager
def _calling(function: Listener) -> Iterator[None]:
    raised: list[Exception] = []

    def call(event: Event) -> None:
        try:
            function(event)
        except Exception as error:
            raised.append(error)
            raise _Ended from error

    try:
        with listening(call):
            yield
    except BaseException:
        if raised:
            raise raised[0] from None
        raise


def _is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@contextmanager
def _in_notebook() -> Iterator[None]:
    """One line of the cell's output that changes, and below it the lines that matter later."""
    display: Any = importlib.import_module("IPython.display")
    line, shown = _Line(), 0.0
    handle = display.display({"text/plain": "Starting"}, raw=True, display_id=True)

    def show(event: Event) -> None:
        nonlocal shown
        now = time.monotonic()
        passing = isinstance(event, SiteBusy | Downloading) and now - shown < _SECONDS
        if line.take(event) and not passing:
            shown = now
            handle.update({"text/plain": str(line)}, raw=True)
        _print_warning(event)

    with listening(show):
        yield


class _Line:
    """The state of a run in one line."""

    def __init__(self) -> None:
        self._last = self._now = ""

    def take(self, event: Event) -> bool:
        """Whether the line has changed."""
        match event:
            case RunStarted() | RoundFinished():
                self._last, self._now = describe(event) or "", ""
            case RoundStarted(plan, rounds):
                self._now = f"round {plan.round}/{rounds}"
            case SiteBusy(site, task):
                self._now = f"{site}: {task}"
            case Downloading(done, total):
                of = f" of {total / 1e6:.0f}" if total else ""
                self._now = f"fetching pretrained weights, {done / 1e6:.0f}{of} MB"
            case _:
                return False
        return True

    def __str__(self) -> str:
        return " · ".join(filter(None, (self._last, self._now)))
