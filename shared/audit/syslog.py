"""Entries of an audit log to a syslog service, where a local attacker cannot take them back."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterable, Mapping
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler
from pathlib import Path
from typing import Any

from shared.errors import ConfigError

LONGEST = 1024
"""Bytes of a message with what stands before the entry, as every receiver in use takes (RFC 3164,
4.1; RFC 5424, 6.1, promises 480)."""


PATIENCE, PATIENCE_OF_EXPORT = 0.2, 10.0
"""Seconds that a local service's queue may stay full: who serves must go on, an export may wait."""
_PRIORITY = 38  # LOG_AUTH, LOG_INFO
_WANTED = "give the socket of a syslog service, such as /dev/log, or HOST or HOST:PORT"


class Syslog:
    """A connection to a syslog service; what it cannot take within `patience` is counted."""

    def __init__(self, address: str, program: str, patience: float = PATIENCE) -> None:
        """`address` is a socket such as /dev/log, or HOST or HOST:PORT by UDP.

        Raises ConfigError where there is no such socket or name.
        """
        self.failures = 0
        self._handler = _Handler(_parsed(address), patience)
        self._handler.ident = f"{program}: "
        self._handler.append_nul = False
        self._handler.handleError = self._failed  # type: ignore[method-assign]

    def send(self, entry: Mapping[str, Any]) -> None:
        """Send an entry, shortened to what a message may have."""
        text = short(entry, LONGEST - len(f"<{_PRIORITY}>{self._handler.ident}".encode()))
        record = logging.LogRecord("audit", logging.INFO, "", 0, text, None, None)
        self._handler.emit(record)

    def close(self) -> None:
        """Close the connection."""
        self._handler.close()

    def _failed(self, record: logging.LogRecord) -> None:
        self.failures += 1


class _Handler(SysLogHandler):
    """Waits for a local service no longer than `patience`: one that hangs takes nothing."""

    def __init__(self, address: str | tuple[str, int], patience: float) -> None:
        self._patience = patience
        super().__init__(address, facility=SysLogHandler.LOG_AUTH)

    def _connect_unixsocket(self, address: str) -> None:
        super()._connect_unixsocket(address)  # type: ignore[misc]
        # Half of it: one that did not take an entry is connected to and asked once more.
        self.socket.settimeout(self._patience / 2)  # type: ignore[attr-defined]


def short(entry: Mapping[str, Any], longest: int) -> str:
    """The entry as JSON of at most so many bytes: place in the chain first, large parts left out.

    The code of the chain stays, so that the message proves what the whole line was.
    """
    first = {key: entry[key] for key in ("n", "chain", "at") if key in entry}
    kept: dict[str, Any] = dict(first)
    for key, value in entry.items():
        wider = kept | {key: value}
        if len(json.dumps(wider).encode()) <= longest:
            kept = wider
    return json.dumps(kept)


def send_all(entries: Iterable[Mapping[str, Any]], address: str, program: str) -> tuple[int, int]:
    """Send entries; how many were sent, and how many the service did not take."""
    syslog = Syslog(address, program, PATIENCE_OF_EXPORT)
    chosen = list(entries)
    for entry in chosen:
        syslog.send(entry)
    syslog.close()
    return len(chosen) - syslog.failures, syslog.failures


def _parsed(address: str) -> str | tuple[str, int]:
    if "/" in address:
        if not Path(address).is_socket():
            raise ConfigError(f"--syslog {address}: there is no such socket; {_WANTED}.")
        return address
    host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ConfigError(f"--syslog {address}: {port!r} is not a port; {_WANTED}.")
    number = int(port) if port else SYSLOG_UDP_PORT
    try:
        found = socket.getaddrinfo(host, number, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"--syslog {address}: the host is not known; {_WANTED}.") from None
    # Its address, so that no entry waits for a name server.
    return str(found[0][4][0]), number
