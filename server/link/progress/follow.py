"""Watching a submitted run from the command that submitted it, by what it writes to its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from server.link.folder.home import Home, is_served
from server.link.jobs.orders import Order, read_order
from server.link.progress.status import read_status
from server.run.failure import read_failure
from server.run.log import FILE, read_lines
from server.run.progress import Progress as State
from server.run.progress import read_progress
from shared.errors import FedThawError, RunError, UserError
from shared.settings.schedule import total_rounds

POLL_SECONDS = 0.25


def end_of_log(order: Order) -> int:
    """The end of a run's log, where what it says from now on begins."""
    log = order.folder / FILE
    return log.stat().st_size if log.exists() else 0


def follow(home: Home, order: Order, start: int) -> None:
    """Tell what happens until the run has ended; raises what ended it, if anything did.

    `start` is where in the run's log to begin.
    """
    served = is_served(home)
    with _shown(total_rounds(order.config)) as (console, advance):
        while True:
            state = read_order(order.folder).state
            lines, start = read_lines(order.folder, start)
            for line in lines:
                console.print(line, highlight=False, soft_wrap=True, markup=False)
            advance(read_progress(order.folder))
            if state != "waiting" and is_at_work(home, order):
                # The result is there and the report is being written, or the run has failed and
                # says so again when its process ends, which a continued run would take for its own.
                time.sleep(POLL_SECONDS)
                continue
            if state != "waiting":
                for line in read_lines(order.folder, start)[0]:  # said since the last look
                    console.print(line, highlight=False, soft_wrap=True, markup=False)
                break
            if is_served(home) != served:
                served = not served
                console.print(_of_server(served), soft_wrap=True)
            time.sleep(POLL_SECONDS)
    failure = read_failure(order.folder)
    if failure is not None:
        kind: type[FedThawError] = UserError if failure.exit_code == 2 else RunError
        raise kind(failure.sentence)


@contextmanager
def _shown(rounds: int) -> Iterator[tuple[Console, Callable[[State | None], None]]]:
    """Where lines go; on a terminal with a bar of the rounds and of the sites below them."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield console, lambda state: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        rounds_bar = bars.add_task("Rounds", total=rounds)
        sites_bar = bars.add_task("Sites", total=None)

        def advance(state: State | None) -> None:
            if state is None:
                return
            stages = ", ".join(reversed(state.stages)) or "waiting"
            bars.update(rounds_bar, completed=max(0, state.round - 1))
            bars.update(
                sites_bar, description=f"Sites ({stages})", total=len(state.asked) or None,
                completed=len(state.answered),
            )  # fmt: skip

        yield bars.console, advance


def is_at_work(home: Home, order: Order) -> bool:
    """Whether the run's process is still there."""
    return is_served(home) and read_status(home).get("run") == order.name


def wait_until_gone(home: Home, order: Order) -> None:
    """Wait for the process of a run that has ended: it says last, once more, why it did."""
    if is_at_work(home, order):
        Console(stderr=True).print(
            f"Waiting until the process of run {order.name} has ended.", soft_wrap=True
        )
    while is_at_work(home, order):
        time.sleep(POLL_SECONDS)


def _of_server(served: bool) -> str:
    if served:
        return "The server process is running; the run goes on."
    return (
        "The server process has ended; the run goes on when `fedthaw server run` is started again."
    )
