"""The server, its sites and its runs again and again: on a whole screen, or as lines of changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.live import Live

from server.terminal.progress import auroc_in_words, loss_in_words
from server.terminal.wall import Moment, time_left, wall
from shared.errors import FedThawError

SECONDS = 2.0
"""Between two looks."""
_STEP = 0.25
"""Between two looks at the size of the terminal."""


def watch_again(console: Console, look: Callable[[], dict[str, Any]]) -> None:
    """Fill the terminal and redraw it; elsewhere print a line for each thing that is new."""
    try:
        if console.is_terminal and not console.is_dumb_terminal:
            _fill(console, look)
        else:
            _print_changes(look)
    except KeyboardInterrupt:
        return


def _fill(console: Console, look: Callable[[], dict[str, Any]]) -> None:
    moment, size = Moment({"sites": {}}, utc_now(), "nothing has been read yet"), console.size
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            moment = _look_again(moment, look)
            live.update(wall(moment, console), refresh=True)
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                time.sleep(_STEP)
                if console.size != size:  # the window has another size
                    size = console.size
                    live.update(wall(moment, console), refresh=True)


def _look_again(before: Moment, look: Callable[[], dict[str, Any]]) -> Moment:
    """What is there now; what was seen last, and why no more, where the folder cannot be read."""
    try:
        return Moment(look(), utc_now())
    except (FedThawError, OSError) as error:
        return replace(before, complaint=str(error))


def _print_changes(look: Callable[[], dict[str, Any]]) -> None:
    said: dict[str, str] = {}
    moment = Moment({}, utc_now())
    while True:
        moment = _look_again(moment, look)
        for what, line in _lines(moment):
            if said.get(what) != line:
                said[what] = line
                typer.echo(f"{utc_now():%Y-%m-%d %H:%M:%S} {line}")
        time.sleep(SECONDS)


def _lines(moment: Moment) -> Iterator[tuple[str, str]]:
    """What a line is about, and the line."""
    document = moment.document
    if moment.complaint:
        yield "", f"The coordinator's folder cannot be read: {moment.complaint}"
        return
    yield "", serving_in_words(document)
    for name, site in document["sites"].items():
        there = "connected" if site["connected"] else "not connected"
        why = f", cannot take part: {site['problem']}" if site["problem"] else ""
        yield f"site {name}", f"{name} is {there}{why}"
    for run in document["runs"]:
        yield f"run {run['run']}", describe_run(run)


def serving_in_words(document: Mapping[str, Any]) -> str:
    """Whether there is a server process."""
    return "Serving." if document["serving"] else "No server process is running here."


def describe_run(run: dict[str, Any]) -> str:
    """Where a run stands, in a line."""
    words = f"{run['run']}: {run['state']}"
    left = time_left(run, utc_now())
    ends = f", ends about {run['ends_about'][:16]} UTC" if left is not None else ""
    if run["failure"]:
        return f"{words}: {run['failure']}"
    if not run["last"]:
        return f"{words}, no round of {run['rounds']} is finished{ends}"
    last = run["last"][-1]
    away = "".join(
        f", {what}: {', '.join(last[what])}" for what in ("refused", "absent") if last[what]
    )
    return (
        f"{words}, {last['round']} of {run['rounds']} rounds, loss {loss_in_words(last['loss'])}, "
        f"AUROC {auroc_in_words(last['auroc'])}, {last['bytes'] / 1e6:.2f} MB, "
        f"{last['seconds']:.1f} s, {last['sites']} sites{away}{ends}"
    )


def utc_now() -> datetime:
    """The time at this moment."""
    return datetime.now(UTC)
