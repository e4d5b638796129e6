"""Runs what was submitted, one run after the other, each in a process of its own.

A run's process that dies is restarted and goes on after its last round; so does a run that a
killed server process has left. One that dies again and again without a further round has failed.
"""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from flwr.supercore.fab import Fab

from server.link.folder.home import Home
from server.link.jobs.orders import Order, read_orders, settings_for_sites
from server.link.superlink.state import Link
from server.run.failure import read_failure, write_failure
from server.run.ledger import read_rounds
from server.run.process import HOME_VARIABLE, RUN_VARIABLE, STOP
from shared.deployment.names import LOOPBACK, to_address
from shared.deployment.proxies import past_the_proxy
from shared.deployment.wire import PIECE_BYTES, PIECE_VARIABLE
from shared.errors import FedThawError, RunError
from shared.memory import give_memory_back, keeping
from shared.storage.files import write_private

DEATHS_ALLOWED = 3
"""How often in a row a run's process may die without having finished a round."""
TOKEN = ".token"  # noqa: S105 (the name of a file)
RESTART_SECONDS = 2.0
RETRY_SECONDS = 30.0
END_SECONDS = 10.0
REST_SECONDS = 5.0
"""How long after a run its messages' memory is given back; the last requests are over then."""


log = logging.getLogger("fedthaw.server")


class Change(StrEnum):
    """What has become of a run."""

    queued = "queued"
    began = "began"
    died = "died"
    """Its process has ended without saying why; it is started again."""
    ended = "ended"
    """Complete, stopped or failed."""


@dataclass(frozen=True)
class RunNotice:
    """What has become of a run, and the reason where there is one."""

    change: Change
    order: Order
    state: str
    """As `Order.state` says."""
    why: str = ""


@dataclass
class Runs:
    """What is being run, and what went wrong with it so far."""

    home: Home
    link: Link
    port: int
    """Of the loopback, where a run's process reaches the SuperLink."""
    current: Order | None = None
    process: subprocess.Popen[bytes] | None = None
    number: int = 0
    rounds: int = 0
    """Rounds that were done when the process was started last."""
    deaths: dict[str, int] = field(default_factory=dict)
    not_before: float = 0.0
    rest_at: float = math.inf
    notices: deque[RunNotice] = field(default_factory=deque)
    """What nobody has heard of yet, the oldest first."""
    queued: set[tuple[str, str]] = field(default_factory=set)
    """Orders that were noticed, by their name and when they were submitted."""

    def notice(self, change: Change, order: Order, why: str = "") -> None:
        """Leave word of a run."""
        self.notices.append(RunNotice(change, order, order.state, why))


def end_of(order: Order) -> RunNotice:
    """The notice that a run has ended, with the reason that its folder names."""
    failure = read_failure(order.folder)
    return RunNotice(Change.ended, order, order.state, failure.sentence if failure else "")


def advance(runs: Runs) -> None:
    """Look after the process of the current run, or start the next one; call this every second."""
    if runs.process is not None:
        if runs.process.poll() is not None:
            _conclude(runs)
        return
    if time.monotonic() >= runs.rest_at:
        runs.rest_at = math.inf
        give_memory_back()
    waiting = [order for order in read_orders(runs.home.runs) if order.state == "waiting"]
    for order in waiting:
        if (order.name, order.submitted) not in runs.queued:
            runs.queued.add((order.name, order.submitted))
            runs.notice(Change.queued, order)
    for order in waiting:
        if (order.folder / STOP).exists():
            write_failure(order.folder, RunError(_stopped(order)))
            runs.notices.append(end_of(order))
        elif time.monotonic() >= runs.not_before:
            _start(runs, order)
            return


def end(runs: Runs) -> None:
    """End the current run's process; the run goes on when the server is started again."""
    if runs.process is None:
        return
    runs.process.terminate()
    try:
        runs.process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        runs.process.kill()
        runs.process.wait()


def _start(runs: Runs, order: Order) -> None:
    try:
        content = (runs.home.path / "bundles" / f"{order.bundle}.fab").read_bytes()
        runs.number, token = runs.link.begin_run(
            Fab(order.bundle, content, {}), settings_for_sites(order.config)
        )
    except (OSError, ValueError) as error:
        write_failure(order.folder, RunError(f"The run's bundle cannot be used ({error})."))
        runs.notices.append(end_of(order))
        return
    try:
        runs.process = _spawn(runs, order, token)
    except OSError as error:
        # No room on the disk, or for a process: the run waits for it, and so does nobody else.
        log.error("The run %s cannot be started yet (%s).", order.name, error)
        runs.link.end_run(runs.number)
        runs.not_before = time.monotonic() + RETRY_SECONDS
        return
    runs.current, runs.rounds = order, _rounds(order)
    runs.notice(Change.began, order, f"after round {runs.rounds}" if runs.rounds else "")


def _spawn(runs: Runs, order: Order, token: str) -> subprocess.Popen[bytes]:
    empty = runs.home.flower / "empty"
    empty.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = (
        keeping(os.environ)
        | past_the_proxy(LOOPBACK, os.environ)
        | {
            "FLWR_HOME": str(runs.home.flower),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            HOME_VARIABLE: str(runs.home.path),
            RUN_VARIABLE: str(order.folder),
            PIECE_VARIABLE: str(PIECE_BYTES),
        }
    )
    command = [
        str(Path(sys.executable).parent / "flwr-serverapp"), "--insecure",
        "--token-file", str(order.folder / TOKEN), "--parent-pid", str(os.getpid()),
        "--runtime-api-address", to_address(LOOPBACK, runs.port),
    ]  # fmt: skip
    # In a file: other users of this machine see the words of a command.
    write_private(order.folder / TOKEN, token.encode("ascii"))
    with (order.folder / "coordinator.log").open("ab") as log:
        return subprocess.Popen(
            # Python searches the working directory for packages before the bundle: keep it empty.
            command, cwd=empty, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip


def _conclude(runs: Runs) -> None:
    """Take note of how the run's process ended, and decide what comes of the run."""
    order, process = runs.current, runs.process
    assert order is not None
    assert process is not None
    runs.current = runs.process = None
    (order.folder / TOKEN).unlink(missing_ok=True)
    runs.link.end_run(runs.number)
    runs.rest_at = time.monotonic() + REST_SECONDS
    if order.state != "waiting":
        runs.deaths.pop(order.name, None)
        runs.notices.append(end_of(order))
        return
    deaths = 1 if _rounds(order) > runs.rounds else runs.deaths.get(order.name, 0) + 1
    runs.deaths[order.name] = deaths
    runs.not_before = time.monotonic() + RESTART_SECONDS
    if deaths < DEATHS_ALLOWED:
        runs.notice(
            Change.died, order, f"{_how(process.returncode)} (attempt {deaths} of {DEATHS_ALLOWED})"
        )
        return
    runs.deaths.pop(order.name)
    write_failure(
        order.folder,
        RunError(
            f"The run's process ended {deaths} times (last with {process.returncode}) without "
            f"finishing a round; {order.folder / 'coordinator.log'} says more. Fix this and "
            f"continue with `fedthaw submit --resume {order.name}`."
        ),
    )
    runs.notices.append(end_of(order))


def _stopped(order: Order) -> str:
    if not _rounds(order):
        return "The run was stopped before it began."
    return (
        "The run was stopped. What was done so far is kept; `fedthaw submit --resume "
        f"{order.name}` continues it."
    )


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _rounds(order: Order) -> int:
    try:
        return len(read_rounds(order.folder / "ledger.jsonl"))
    except FedThawError:
        return 0
