"""Telling somebody who does not watch: a command or a web address is given what happened.

Set by the coordinator (`notify.toml` in its folder) or a site's owner (`[notify]` in site.toml).
What is sent has names of runs and sites, a state and a reason that may be shared; never what a
site alone may know.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import signal
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from shared.errors import ConfigError
from shared.plain import one_line
from shared.storage.json_file import DamagedFile, fitting, typed

SECONDS = 30.0
"""How long a command or a web address may take unless the settings say otherwise."""
_PREFIX = "FEDTHAW_"
_LONGEST = 200
"""Of what a failing command has said, in the log."""


class _Table(Struct, forbid_unknown_fields=True):
    """The settings as they are written."""

    command: str | list[str] = ""
    webhook: str = ""
    on: list[str] | None = None
    seconds: Annotated[float, Meta(gt=0, le=600)] = SECONDS


@dataclass(frozen=True)
class Notify:
    """Who is notified of which events."""

    command: tuple[str, ...] = ()
    """A program and its arguments; no shell reads them."""
    webhook: str = ""
    """An http or https address that is sent JSON."""
    on: frozenset[str] = frozenset()
    seconds: float = SECONDS

    def wants(self, event: str) -> bool:
        """Whether anybody is notified of this event."""
        return event in self.on and bool(self.command or self.webhook)


def parse_notify(
    table: object, where: str, default: Collection[str], known: Collection[str]
) -> Notify:
    """The settings of a table; `known` are the events that it may name in `on`.

    Raises ConfigError, which names `where`, for unknown keys, wrong types and what cannot be used.
    """
    try:
        with fitting():
            read = typed(table, _Table)
    except DamagedFile as error:
        raise ConfigError(
            f"{where}: {error}; it may have command (a program and its arguments), webhook (an "
            f"address), on (a list of {', '.join(known)}) and seconds (up to 600)."
        ) from None
    on = frozenset(default if read.on is None else read.on)
    if unknown := sorted(on - set(known)):
        raise ConfigError(f"{where}: on names {unknown[0]!r}; it may name {', '.join(known)}.")
    return Notify(_command(read.command, where), _webhook(read.webhook, where), on, read.seconds)


def _command(given: str | list[str], where: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(given) if isinstance(given, str) else given)
    except ValueError as error:
        raise ConfigError(f"{where}: command cannot be read ({error}); close its quotes.") from None
    if given and (not words or not words[0].strip() or any("\0" in word for word in words)):
        raise ConfigError(f"{where}: command names no program.")
    return words


def _webhook(given: str, where: str) -> str:
    if not given:
        return ""
    try:
        parts = urlsplit(given)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not given.isprintable() or " " in given:
        raise ConfigError(f"{where}: webhook is not an http or https address.")
    return given


def tell_in_background(
    settings: Notify,
    event: str,
    facts: Mapping[str, str],
    log: logging.Logger,
    over: Callable[[], None] = lambda: None,
) -> threading.Thread | None:
    """Tell of an event in a thread of its own, and log how that went; None where nobody wants it.

    Nothing here raises, and nobody waits for it; `over` is called in the thread at its end.
    """
    if not settings.wants(event):
        return None

    def work() -> None:
        for sentence in tell(settings, event, facts):
            log.error("%s", sentence)
        over()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def tell(settings: Notify, event: str, facts: Mapping[str, str]) -> list[str]:
    """Tell of an event now; a sentence for each way in which that failed."""
    document = {"event": event, **facts}
    ways = ((settings.command, _run), (settings.webhook, _post))
    return [why for way, send in ways if way and (why := send(settings, document))]


def _run(settings: Notify, document: Mapping[str, str]) -> str:
    """Start the command with the facts in its environment, and as JSON on its standard input."""
    program = settings.command[0]
    variables = {f"{_PREFIX}{key.upper().replace('-', '_')}": one_line(value, 4000)
                 for key, value in document.items()}  # fmt: skip
    # Not by a pipe: what the command leaves running in the background would hold it open.
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                settings.command, env=os.environ | variables, stdin=subprocess.PIPE,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            return f"The notification command {program} cannot be started ({why})."
        try:
            process.communicate(f"{json.dumps(document)}\n".encode(), timeout=settings.seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return f"The notification command {program} was ended after {settings.seconds:g} s."
        if not process.returncode:
            return ""
        output.seek(0)
        lines = output.read(2**16).decode(errors="replace").strip().splitlines()
    last = f": {one_line(lines[-1], _LONGEST)}" if lines else "."
    return f"The notification command {program} failed (exit code {process.returncode}){last}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With whatever it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()


def _post(settings: Notify, document: Mapping[str, str]) -> str:
    """Send the facts as JSON; 2xx is a success. The path, often a secret, is never said."""
    import httpx

    host = urlsplit(settings.webhook).hostname
    try:
        with (
            httpx.Client(verify=ssl.create_default_context(), timeout=settings.seconds) as client,
            client.stream("POST", settings.webhook, json=dict(document)) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return f"The webhook at {host} was not reached ({str(error) or type(error).__name__})."
    return "" if 200 <= status < 300 else f"The webhook at {host} answered {status}."
