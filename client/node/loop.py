"""A site's client: asks for messages, lets them be answered, sends the answers."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree

from client.node.answering import Site, answer, send
from client.node.calls import RunOver, Stopped, Unrecognised
from client.node.connection import Access, activate, beat, connect, deactivate, leave
from client.node.contents import describe_request
from client.node.home import SiteHome
from client.node.resident import end_worker
from client.node.rotation import Rotation, take_next_key
from client.node.transfer import fetch_parts, is_over, receive
from shared.audit.syslog import Syslog
from shared.errors import ProtocolError, SiteError
from shared.memory import give_memory_back
from shared.storage.files import lock_at_once

log = logging.getLogger("fedthaw.site")

DROPPED_SECONDS = 1.0
"""Pause after a dropped message: a coordinator may refuse each question that follows."""


def run_site(
    folder: Path,
    home: SiteHome,
    access: Access,
    stop: threading.Event,
    syslog: Syslog | None = None,
) -> None:
    """Serve the site's folder until `stop` is set; `syslog` gets a copy of the audit log.

    Raises SiteError where another process serves this site already.
    """
    with _only_one(home), connect(access, stop) as connection:
        rotation = Rotation(home, access.authority, access.passphrase, syslog)
        site = Site(folder, home, connection, syslog=syslog, rotation=rotation)
        threading.Thread(target=beat, args=(connection,), daemon=True).start()
        threading.Thread(target=leave, args=(connection,), daemon=True).start()
        try:
            while not stop.is_set():
                activate(connection, lambda: take_next_key(rotation, connection))
                if stop.is_set():
                    break
                log.info("Connected to %s; waiting for runs.", access.server)
                with suppress(Unrecognised):
                    _serve(site, stop)
        except Stopped as error:
            log.debug("%s", error)
        finally:
            if site.worker is not None:
                end_worker(site.worker)
            deactivate(connection)


def _serve(site: Site, stop: threading.Event) -> None:
    """Message after message; Unrecognised once the coordinator no longer knows the connection."""
    while not stop.is_set():
        try:
            _take_message(site)
        except RunOver as error:
            log.warning("A message was dropped: %s. This site waits for the next one.", error)
            stop.wait(DROPPED_SECONDS)


def _take_message(site: Site) -> None:
    """Wait for a message and work on it; where none comes in time, do what a pause is for."""
    announced = receive(site.connection)
    if announced is not None:
        _work_on(site, *announced)
        return
    _rest(site)
    if site.rotation is not None and site.rotation.is_due():
        take_next_key(site.rotation, site.connection)


def _work_on(site: Site, message: Message, tree: ObjectTree) -> None:
    """Fetch a message, let it be answered, send the answer; nothing of either is kept.

    RunOver where it cannot be read, before a process works on it.
    """
    received = fetch_parts(site.connection, message, tree)
    try:
        asked = describe_request(received)
    except ProtocolError as error:
        raise RunOver(str(error)) from error
    started = time.monotonic()
    reply = answer(site, received)
    send(site, asked, reply, time.monotonic() - started)


def _rest(site: Site) -> None:
    """End the working process of a run that is over; it holds most of the site's memory.

    Called where nothing was asked for as long as the coordinator holds a question, so that the next
    run of a study finds the process still there.
    """
    if site.worker is not None and (site.run is None or is_over(site.connection, site.run.run_id)):
        end_worker(site.worker)
        site.worker = None
        give_memory_back()


def _only_one(home: SiteHome) -> AbstractContextManager[None]:
    """Hold the site; two clients with one key would take each other's messages."""
    refusal = SiteError(f"Another process serves the site of {home.path} already; stop it first.")
    return lock_at_once(home.lock, refusal)
