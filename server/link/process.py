"""The coordinator's process: Flower's SuperLink behind two gates, and the runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass, replace

import uvicorn

from server.link.connections.asgi import App
from server.link.connections.forwarded import Network
from server.link.connections.gate import BODY_LIMIT, gate_for_runs, gate_for_sites
from server.link.connections.limits import Limits, limits_for
from server.link.connections.listening import bind, door_of, new_server, raise_file_limit
from server.link.connections.refusals import Refusals
from server.link.connections.visitors import Visitors
from server.link.folder.home import Home, only_one
from server.link.folder.journal import Event, note
from server.link.jobs.runs import Runs, end
from server.link.notices import read_notify
from server.link.superlink.state import Link
from server.link.supervision import Known, admit_registered, look_after
from shared.audit.syslog import Syslog
from shared.deployment.names import LOOPBACK, is_loopback, to_address
from shared.errors import ConfigError

log = logging.getLogger("fedthaw.server")

_SECONDS = 0.5


@dataclass(frozen=True)
class Listening:
    """Where the process listens, and how."""

    host: str | None
    """None for all addresses of this machine."""
    port: int
    encrypted: bool = True
    proxies: tuple[Network, ...] = ()
    """Reverse proxies, which say by the PROXY protocol who connects."""
    syslog: Syslog | None = None
    """Where entries of the audit log go too."""


def serve(home: Home, listening: Listening) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises ConfigError where the address is taken, another process serves this folder or notify.toml
    is wrong, and for plain HTTP on anything but the loopback.
    """
    host = listening.host
    if not listening.encrypted and (host is None or not is_loopback(host)):
        raise ConfigError(
            "--insecure is for trying things on this machine, not for "
            f"{'all its addresses' if host is None else f'--host {host}'}; use --host {LOOPBACK}, "
            "or leave --insecure out."
        )
    read_notify(home)  # what is wrong there is said now, not when a run fails
    limits = limits_for(raise_file_limit())
    # uvloop where it is there: most of what the process does is encrypted bytes.
    loop = uvicorn.Config(_nothing).get_loop_factory()
    with only_one(home), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(home, listening, limits))


async def _nothing(*_: object) -> None:
    """An app that is never served."""


async def _serve(home: Home, listening: Listening, limits: Limits) -> None:
    link, syslog = Link(), listening.syslog
    app = _superlink(link)
    # Before they are read: what changes while the process starts is read again.
    known = Known(home, syslog)
    admit_registered(known, link)
    sites = new_server(gate_for_sites(app, link), home if listening.encrypted else None, limits)
    local = new_server(gate_for_runs(app), None, replace(limits, body_bytes=BODY_LIMIT))
    outer, inner = bind(listening.host, listening.port), bind(LOOPBACK, 0)

    def refused(text: str) -> None:
        with contextlib.suppress(OSError):  # no room on the disk must not end the server
            note(home, Event.refused, syslog, what=text)

    door = door_of(sites, outer, Visitors(limits, Refusals(refused)), listening.proxies)
    runs = Runs(home, link, port=int(inner.getsockname()[1]))
    serving = [
        asyncio.create_task(sites.serve(sockets=[])),
        asyncio.create_task(local.serve(sockets=[inner])),
    ]
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(kind, stop.set)
    try:
        while not sites.started or not local.started:
            await asyncio.sleep(0.02)
        door.open()
        address = to_address(*outer.getsockname()[:2])
        note(home, Event.serving, syslog, address=address)
        log.info("Listening for sites on %s.", address)
        while not stop.is_set():
            look_after(known, link, runs, sites.config.ssl)
            door.tick()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _SECONDS)
    finally:
        link.closing = True
        door.close()
        if runs.current is not None:
            log.info("Ending; run %s goes on when the server is started again.", runs.current.name)
        else:
            log.info("Ending.")
        end(runs)
        sites.should_exit = local.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)
        with contextlib.suppress(OSError):  # a full disk must not hide why the server ends
            note(home, Event.ended, syslog)


def _superlink(link: Link) -> App:
    """Flower's app around our state; sites must be registered, and no run may install anything."""
    from flwr.superlink.main import create_app

    app = create_app()
    app.state.linkstate_factory.state_instance = link
    app.state.enable_supernode_auth = True
    served: App = app
    return served
