"""`fedthaw server run`: the coordinator's process."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from server.cli.options import COORDINATOR, HomeOption
from shared.audit.cli import SyslogOption
from shared.audit.syslog import Syslog
from shared.memory import keep_freed_memory
from shared.terminal.health import HealthOption, health_service
from shared.terminal.logs import log_to_terminal


def run(
    home: HomeOption = COORDINATOR,
    host: Annotated[
        str | None,
        typer.Option(help="The address of this machine that sites connect to; default: all."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: the one of `server init`.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Plain HTTP, with --host 127.0.0.1 only.")
    ] = False,
    health: HealthOption = None,
    syslog: SyslogOption = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Address or network of a reverse proxy that passes TLS through and sends the "
            "PROXY protocol header, version 2; may be repeated."
        ),
    ] = None,
) -> None:
    """Serve the federation until Ctrl-C or SIGTERM, and run what is submitted.

    Example: fedthaw server run --home coordinator

    A run that was under way when the process ended goes on when it is started again. Connections
    and commands are recorded in the log that `fedthaw server log` shows; --syslog sends a copy of
    each entry to another place.
    """
    from server.link.connections.forwarded import parse_proxies
    from server.link.folder.home import open_home, read_settings
    from server.link.process import Listening, serve

    proxies = parse_proxies(proxy or ())
    opened = open_home(home)
    log_to_terminal("fedthaw.server")
    keep_freed_memory()
    os.umask(0o077)  # nobody else on this machine reads what it writes
    chosen = port or read_settings(opened).port
    copy = Syslog(syslog, "fedthaw-server") if syslog else None
    with health_service(health):
        listening = Listening(host, chosen, not insecure, proxies, copy)
        serve(opened, listening)
