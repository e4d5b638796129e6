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
"""Bytes of a message, the least that every receiver takes (RFC 5424, 6.1: 480; in use: 1,024)."""


_WANTED = "give the socket of a syslog service, such as /dev/log, or HOST or HOST:PORT"


class Syslog:
    """A connection to a syslog service; what it cannot take is counted, never waited for."""

    def __init__(self, address: str, program: str) -> None:
        """`address` is a socket such as /dev/log, or HOST or HOST:PORT by UDP.

        Raises ConfigError where there is no such socket or name.
        """
        self.failures = 0
        self._handler = SysLogHandler(_parsed(address), facility=SysLogHandler.LOG_AUTH)
        self._handler.ident = f"{program}: "
        self._handler.append_nul = False
        self._handler.handleError = self._failed  # type: ignore[method-assign]

    def send(self, entry: Mapping[str, Any]) -> None:
        """Send an entry, shortened to what a message may have."""
        record = logging.LogRecord("audit", logging.INFO, "", 0, short(entry), None, None)
        self._handler.emit(record)

    def close(self) -> None:
        """Close the connection."""
        self._handler.close()

    def _failed(self, record: logging.LogRecord) -> None:
        self.failures += 1


def short(entry: Mapping[str, Any]) -> str:
    """The entry as JSON of at most `LONGEST` bytes: place in the chain first, large parts left out.

    The code of the chain stays, so that the message proves what the whole line was.
    """
    first = {key: entry[key] for key in ("n", "chain", "at") if key in entry}
    kept: dict[str, Any] = dict(first)
    for key, value in entry.items():
        wider = kept | {key: value}
        if len(json.dumps(wider).encode()) <= LONGEST:
            kept = wider
    return json.dumps(kept)


def send_all(entries: Iterable[Mapping[str, Any]], address: str, program: str) -> tuple[int, int]:
    """Send entries; how many were sent, and how many the service did not take."""
    syslog = Syslog(address, program)
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
        socket.getaddrinfo(host, number, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        raise ConfigError(f"--syslog {address}: the host is not known; {_WANTED}.") from None
    return host, number
