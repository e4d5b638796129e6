"""`fedthaw site run`: the site's client process."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli.passphrase import PassphraseFileOption, ask_passphrase
from client.cli.passphrase import passphrase_file as named_file
from shared.audit.cli import SyslogOption
from shared.audit.syslog import Syslog
from shared.deployment.names import is_loopback, parse_address, to_address
from shared.deployment.proxies import past_the_proxy
from shared.errors import ConfigError, SiteError
from shared.memory import keep_freed_memory
from shared.terminal.health import HealthOption, health_service
from shared.terminal.logs import log_to_terminal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


def run(
    folder: Annotated[Path, typer.Argument(help="The site's folder, with its site.toml.")],
    server: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="HOST:PORT, if not that of the invitation."),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="The coordinator's ca.crt, if not the one kept here.")
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Plain HTTP, to a --server on this machine only.")
    ] = False,
    health: HealthOption = None,
    syslog: SyslogOption = None,
) -> None:
    """Serve this site's data to the federation until Ctrl-C or SIGTERM.

    Example: fedthaw site run hospitals/north --server hub.example.org:8443 --ca ca.crt

    Connects to the coordinator and waits for runs whose bundle is approved here. Nothing listens
    on this machine unless --health is given. What is asked and sent is kept in a log, which
    `fedthaw site log` shows; --syslog sends a copy of each entry.

    The passphrase of an encrypted key is asked for at a terminal, or read from --passphrase-file.
    A key that `fedthaw site renew-key` made is used as soon as the coordinator has registered it.
    """
    from client.node.enrolment import open_site_home, read_server
    from client.node.home import site_home
    from client.node.loop import run_site
    from client.node.sandbox.rules import require_sandbox
    from client.settings import load_site

    settings = load_site(folder)  # what is wrong there is said now, not when a run begins
    home = open_site_home(site_home(folder), joined=server is None and ca is None)
    address = to_address(*parse_address(server)) if server else read_server(home)
    key, passphrase = _open_key(home.key, named_file(passphrase_file))
    authority = _authority(folder, address, None if insecure else ca or home.authority)
    host = parse_address(address)[0]
    if is_loopback(host):
        os.environ.update(past_the_proxy(host, os.environ))
    log_to_terminal("fedthaw.site")
    keep_freed_memory()
    os.umask(0o077)  # nobody else on this machine reads what it writes
    stop = _stop_signal()
    require_sandbox(settings)
    copy = Syslog(syslog, "fedthaw-site") if syslog else None
    with health_service(health):
        run_site(folder.absolute(), home, address, authority, key, stop, copy, passphrase)


def _stop_signal() -> threading.Event:
    """Set by SIGTERM and Ctrl-C, which end the process no other way from now on."""
    stop = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stop.set())
    return stop


def _open_key(path: Path, file: Path | None) -> tuple[EllipticCurvePrivateKey, bytes | None]:
    """The site's private key, and its passphrase: that of `file`, else asked where it has one."""
    from client.node.keys import has_passphrase
    from shared.deployment.keys import load_private_key

    asks = file is not None or has_passphrase(path)
    passphrase = ask_passphrase(file, path) if asks else None
    return load_private_key(path, passphrase), passphrase


def _authority(folder: Path, address: str, certificate: Path | None) -> Path | None:
    """Whom to trust at this address; None for plain HTTP, which only this machine may be asked for.

    Raises ConfigError for plain HTTP to another machine, SiteError where the file is missing.
    """
    if certificate is None and not is_loopback(parse_address(address)[0]):
        raise ConfigError(
            f"--insecure is for trying things on this machine, not for {address}; leave it out."
        )
    if certificate is not None and not certificate.is_file():
        raise SiteError(
            f"There is no {certificate}; give the coordinator's ca.crt with --ca, or its "
            f"invitation with `fedthaw site init {folder} --invitation FILE`."
        )
    return certificate
