"""A recorder in a thread of its own, fed from what is already on disk.

It reads the ledger itself, so it can neither hold up a round nor lose one: what it had not written
when a process was killed, it finds there when the run goes on.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from server.run.ledger import RoundRecord, read_rounds_after
from shared.run.events import Warned, emit

PATIENCE_SECONDS = 30.0
"""How long the end of a run waits for a recorder; a database's first tables take a while."""
PATIENCE_AFTER_ERROR_SECONDS = 10.0
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Outcome:
    """How a run's process ended; with the summary where the run is complete."""

    state: Literal["complete", "failed", "interrupted"]
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Recorder:
    """What another program is sent; either function may raise whatever it likes."""

    add: Callable[[RoundRecord], None]
    finish: Callable[[Outcome], None]


Opening = Callable[[], AbstractContextManager[Recorder]]


class Recording:
    """One recorder at work. Whatever goes wrong there is reported once and ends it, not the run."""

    def __init__(self, name: str, opening: Opening, ledger: Path) -> None:
        self._name, self._opening, self._ledger = name, opening, ledger
        self._inbox: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._abandoned = False
        # A daemon, so that a server that never answers does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is a new round on disk; never waits."""
        self._inbox.put(None)

    def end(self, outcome: Outcome) -> None:
        """Let it write what is left, and wait for that a while."""
        self._inbox.put(outcome)
        complete = outcome.state == "complete"
        self._thread.join(PATIENCE_SECONDS if complete else PATIENCE_AFTER_ERROR_SECONDS)
        if self._thread.is_alive():
            self._abandoned = True
            emit(Warned(f"{self._name} does not answer: what it shows of the run ends early."))

    def _run(self) -> None:
        try:
            with self._opening() as recorder:
                self._feed(recorder)
        except Exception as error:
            if not self._abandoned:
                emit(Warned(f"{self._name} is off for the rest of this run: {_reason(error)}"))

    def _feed(self, recorder: Recorder) -> None:
        rounds, outcome = _Rounds(self._ledger), None
        while outcome is None:
            for record in rounds.new():
                recorder.add(record)
            outcome = self._inbox.get()
        for record in rounds.new():
            recorder.add(record)
        recorder.finish(outcome)


class _Rounds:
    """The rounds of a ledger as they come, those that are done again included."""

    def __init__(self, ledger: Path) -> None:
        self._ledger, self._position, self._file = ledger, 0, 0
        self._known: list[RoundRecord] = []

    def new(self) -> list[RoundRecord]:
        """What was not there at the last call."""
        try:
            file = self._ledger.stat().st_ino
        except OSError:
            return []
        if file == self._file:
            found, self._position = read_rounds_after(self._ledger, self._position)
            self._known += found
            return found
        # Another file stands there: rounds were undone, and lines may differ from the first on.
        found, self._position = read_rounds_after(self._ledger, 0)
        pairs = enumerate(zip(self._known, found, strict=False))
        alike = next((n for n, (a, b) in pairs if a != b), min(len(self._known), len(found)))
        self._file, self._known = file, found
        return found[alike:]


def _reason(error: Exception) -> str:
    """The error's first line, of a bounded length and without a password in an address."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    line = re.sub(r"//[^/@\s]+@", "//", line)
    return line if len(line) <= _LONGEST_REASON else line[:_LONGEST_REASON] + " ..."
