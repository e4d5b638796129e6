"""Which ends of runs the server has reported, so that none is lost or reported twice by a restart.

reported.json in the coordinator's folder has a line for each run. A run that has ended while the
server process was not there, or whose notification was cut short, is reported when it starts.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable

from server.link.folder.home import Home
from server.link.jobs.orders import Order, read_orders
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, said, typed

FILE = "reported.json"
log = logging.getLogger("fedthaw.server")


class Reported:
    """Ends of runs by the run's name: which end, and whether whoever wants it was notified."""

    def __init__(self, home: Home) -> None:
        """What the file says. Without one, or with a damaged one, all ends so far are reported."""
        self._home, self._path, self._lock = home, home.path / FILE, threading.Lock()
        try:
            self._ends = typed(read_json(self._path), dict[str, tuple[str, bool]])
        except (OSError, DamagedFile) as error:
            if not isinstance(error, FileNotFoundError):
                log.error("%s cannot be read (%s); it is written again.", self._path, said(error))
            self._ends = {order.name: (_end(order), True) for order in _ended(home)}
            self._write()

    def missed(self) -> list[Order]:
        """Runs whose end has not been reported at all."""
        return [
            one for one in _ended(self._home) if self._ends.get(one.name, ("",))[0] != _end(one)
        ]

    def not_notified(self) -> list[Order]:
        """Runs whose end is in the log, but whose notification was not over."""
        return [one for one in _ended(self._home) if self._ends.get(one.name) == (_end(one), False)]

    def note(self, order: Order, *, notified: bool) -> None:
        """Keep that the end of a run is in the log, and whether its notification is over.

        A disk without room costs no more than a second report after a restart.
        """
        with self._lock:
            self._ends[order.name] = (_end(order), notified)
            self._write()

    def _write(self) -> None:
        try:
            write_text_atomically(self._path, json.dumps(self._ends, indent=1) + "\n")
        except OSError as error:
            log.error("%s cannot be written (%s).", self._path, error)


def _ended(home: Home) -> Iterable[Order]:
    return (order for order in read_orders(home.runs) if order.state != "waiting")


def _end(order: Order) -> str:
    """An end of a run; another one after it was submitted again."""
    return f"{order.state}, submitted {order.submitted}"
