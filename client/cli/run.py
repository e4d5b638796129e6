"""`fedthaw site run`: the site's client process."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from shared.deployment.names import parse_address, to_address
from shared.errors import ConfigError, SiteError
from shared.logs import speak
from shared.memory import keep_freed_memory

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    server: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="HOST:PORT, where not that of the invitation."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="The coordinator's ca.crt, where not that kept here.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Plain HTTP, to a --server on this machine only.")
    ] = False,
    health: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="HOST:PORT of a gRPC health service; default none."),
    ] = None,
) -> None:
    """Serve this site's data to the federation until Ctrl-C or SIGTERM.

    Example: fedthaw site run hospitals/north --server hub.example.org:8443 --ca ca.crt

    Connects to the coordinator and waits for runs whose bundle is approved here. Nothing listens
    on this machine unless --health is given. What is sent stands in the log that
    `fedthaw site log` shows.
    """
    from client.node.home import open_site_home, read_server, site_home
    from client.node.loop import run_site
    from client.settings import load_site
    from shared.deployment.keys import load_private_key

    load_site(folder)  # what is wrong in site.toml is said now, not when a run begins
    home = open_site_home(site_home(folder), joined=server is None and ca is None)
    address = to_address(*parse_address(server)) if server else read_server(home)
    authority = None if insecure else (ca or home.authority)
    if insecure and parse_address(address)[0] not in LOOPBACK:
        raise ConfigError(
            f"--insecure is for trying things on this machine, not for {address}; leave it out."
        )
    if authority is not None and not authority.is_file():
        raise SiteError(
            f"There is no {authority}; give the coordinator's ca.crt with --ca, or its invitation "
            f"with `fedthaw site init {folder} --invitation FILE`."
        )
    speak("fedthaw.site")
    keep_freed_memory()
    os.umask(0o077)  # nobody else on this machine reads what it writes
    stop = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stop.set())
    with _health_service(health):
        run_site(folder.absolute(), home, address, authority, load_private_key(home.key), stop)


@contextmanager
def _health_service(address: str | None) -> Any:
    """The gRPC health service, which says SERVING while this process lives."""
    if address is None:
        yield
        return
    from flwr.supercore.grpc_health import run_health_server_grpc_no_tls

    service = run_health_server_grpc_no_tls(to_address(*parse_address(address)))
    try:
        yield
    finally:
        service.stop(grace=None)
