"""What is shown of a call: bars on a terminal, a line that changes in a notebook, or nothing."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from server.terminal.progress import describe, reporting
from shared.errors import ConfigError
from shared.run.events import (
    Downloading,
    Event,
    Listener,
    Noted,
    ReplyReceived,
    RoundFinished,
    RoundStarted,
    RunStarted,
    SiteBusy,
    SiteNote,
    SiteUnable,
    Warned,
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
    if not isinstance(progress, bool) and not callable(progress):
        raise ConfigError(f"progress is {progress!r}; it must be True, False or a function.")
    if progress is False:
        with listening(_print_warning):
            yield
    elif progress is True:
        with _in_notebook() if _is_notebook() else reporting():
            yield
    else:
        with _calling(progress):
            yield


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
    line = _Line(lambda text, **more: display.display({"text/plain": text}, raw=True, **more))
    with listening(line.take), listening(_print_warning):
        yield
    line.end()


class _Line:
    """The state of a run in one line; `display` shows a text, and returns a handle to change it."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._handle: Any = None
        self._last = self._text = ""
        self._shown = 0.0

    def take(self, event: Event) -> None:
        """Change the line where the event is worth it."""
        match event:
            case RunStarted() | RoundFinished() | Noted():
                self._last = describe(event) or ""
                self._show(self._last)
            case RoundStarted(plan, rounds):
                self._show(f"{self._last} · round {plan.round}/{rounds}")
            case SiteBusy(site, task):
                self._show_soon(f"{self._last} · {site}: {task}")
            case Downloading(done, total):
                of = f" of {total / 1e6:.0f}" if total else ""
                self._show_soon(f"Fetching pretrained weights, {done / 1e6:.0f}{of} MB")

    def end(self) -> None:
        """Leave what has been done."""
        if self._handle is not None and self._text != self._last:
            self._show(self._last)

    def _show_soon(self, text: str) -> None:
        if time.monotonic() - self._shown >= _SECONDS:
            self._show(text)

    def _show(self, text: str) -> None:
        self._text, self._shown = text.removeprefix(" · "), time.monotonic()
        if self._handle is None:
            self._handle = self._display(self._text, display_id=True)
        else:
            self._handle.update({"text/plain": self._text}, raw=True)
