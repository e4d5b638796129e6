"""The coordinator's process: Flower's SuperLink behind two gates, and the runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from server.link.expiry import expiry_warning
from server.link.gate import App, gate_for_runs, gate_for_sites
from server.link.home import Home
from server.link.listening import bind, new_server, renew
from server.link.lock import only_one
from server.link.registry import read_registry
from server.link.runs import Runs, advance, end
from server.link.state import Link
from server.link.status import status_of, write_status
from shared.deployment.names import LOOPBACK, is_loopback
from shared.errors import ConfigError

log = logging.getLogger("fedthaw.server")

_SECONDS = 0.5
_DAY = 86_400.0


@dataclass(frozen=True)
class Listening:
    """Where the process listens, and how."""

    host: str
    port: int
    encrypted: bool = True


def serve(home: Home, listening: Listening) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Raises ConfigError where the address is taken or another process serves this folder, and for
    plain HTTP on anything but the loopback.
    """
    if not listening.encrypted and not is_loopback(listening.host):
        raise ConfigError(
            f"--insecure is for trying things on this machine, not for --host {listening.host}; "
            f"use --host {LOOPBACK}, or leave --insecure out."
        )
    # uvloop where it is there: most of what the process does is encrypted bytes.
    loop = uvicorn.Config(_nothing).get_loop_factory()
    with only_one(home), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_serve(home, listening))


async def _nothing(*_: object) -> None:
    """An app that is never served."""


async def _serve(home: Home, listening: Listening) -> None:
    link = Link()
    app = _superlink(link)
    _let_in(home, link)
    outer, inner = bind(listening.host, listening.port), bind(LOOPBACK, 0)
    sites = new_server(gate_for_sites(app, link), home if listening.encrypted else None)
    local = new_server(gate_for_runs(app), None)
    runs = Runs(home, link, port=int(inner.getsockname()[1]))
    serving = [
        asyncio.create_task(server.serve(sockets=[bound]))
        for server, bound in ((sites, outer), (local, inner))
    ]
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(kind, stop.set)
    try:
        while not sites.started or not local.started:
            await asyncio.sleep(0.02)
        log.info("Listening for sites on %s:%s.", listening.host, outer.getsockname()[1])
        await _supervise(home, link, runs, sites, stop)
    finally:
        link.closing = True
        end(runs)
        sites.should_exit = local.should_exit = True
        await asyncio.gather(*serving, return_exceptions=True)


async def _supervise(
    home: Home, link: Link, runs: Runs, sites: uvicorn.Server, stop: asyncio.Event
) -> None:
    """Follow what changes in the folder: registered sites, the certificate, submitted runs."""
    seen = {path: _changed(path) for path in (home.registry, home.certificate)}
    written: dict[str, Any] = {}
    warned = -math.inf
    while not stop.is_set():
        if time.monotonic() >= warned + _DAY:
            warned = time.monotonic()
            if warning := expiry_warning(home):
                log.warning(warning)
        if _changed(home.registry) != seen[home.registry]:
            seen[home.registry] = _changed(home.registry)
            _let_in(home, link)
        if _changed(home.certificate) != seen[home.certificate] and sites.config.ssl is not None:
            seen[home.certificate] = _changed(home.certificate)
            renew(home, sites.config.ssl)
        advance(runs)
        if (status := status_of(link, runs)) != written:
            written = status
            write_status(home, status)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _SECONDS)


def _superlink(link: Link) -> App:
    """Flower's app around our state; sites must be registered, and no run may install anything."""
    from flwr.superlink.main import create_app

    app = create_app()
    app.state.linkstate_factory.state_instance = link
    app.state.enable_supernode_auth = True
    served: App = app
    return served


def _let_in(home: Home, link: Link) -> None:
    try:
        sites = read_registry(home)
    except ConfigError as error:
        log.error("%s The sites of before stay registered.", error)
        return
    link.set_sites({site.key.raw: site.name for site in sites})


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
