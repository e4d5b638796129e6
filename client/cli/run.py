"""`fedthaw site run`: the site's client process."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from client.cli.options import CaOption, FolderArgument, InsecureOption, ServerOption
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

    from client.node.home import SiteHome

log = logging.getLogger("fedthaw.site")


def run(
    folder: FolderArgument,
    server: ServerOption = None,
    ca: CaOption = None,
    passphrase_file: PassphraseFileOption = None,
    insecure: InsecureOption = False,
    health: HealthOption = None,
    syslog: SyslogOption = None,
) -> None:
    """Serve this site's data to the federation until Ctrl-C or SIGTERM.

    Example: fedthaw site run hospitals/north --server hub.example.org:8443 --ca ca.crt

    Connects to the coordinator and takes part only in runs whose code and settings are approved
    here (`fedthaw site approve`). Nothing listens on this machine unless --health is given. What is
    asked and sent is kept in a log, which `fedthaw site log` shows; --syslog sends a copy of each
    entry.

    The passphrase of an encrypted key is asked for at a terminal, or read from --passphrase-file.
    A key that `fedthaw site renew-key` made is used as soon as the coordinator has registered it.
    """
    from client.node.connection import Access
    from client.node.enrolment import open_site_home, read_server
    from client.node.home import site_home
    from client.node.loop import run_site
    from client.node.sandbox.rules import require_sandbox
    from client.settings import load_site

    settings = load_site(folder)  # what is wrong there is said now, not when a run begins
    home = open_site_home(site_home(folder), joined=server is None and ca is None)
    address = to_address(*parse_address(server)) if server else read_server(home)
    key, passphrase = open_key(home.key, named_file(passphrase_file))
    authority = authority_for(folder, address, None if insecure else ca or home.authority)
    access = Access(address, authority, key, passphrase)
    reach_loopback_directly(address)
    log_to_terminal("fedthaw.site")
    keep_freed_memory()
    os.umask(0o077)  # nobody else on this machine reads what it writes
    stop = _stop_signal()
    require_sandbox(settings)
    _say_what_waits(home, folder)
    copy = Syslog(syslog, "fedthaw-site") if syslog else None
    with health_service(health):
        run_site(folder.absolute(), home, access, stop, copy)


def _say_what_waits(home: SiteHome, folder: Path) -> None:
    """What the owner has to decide before this site can take part."""
    from client.node.approvals import read_approvals
    from client.node.pending import what_waits

    if waiting := what_waits(home, folder):
        log.warning("%s", waiting)
    elif not read_approvals(home):
        log.info("Nothing is approved here yet; each plan that a run asks for is logged once.")


def reach_loopback_directly(address: str) -> None:
    """Let no proxy be asked for an address of this machine."""
    host = parse_address(address)[0]
    if is_loopback(host):
        os.environ.update(past_the_proxy(host, os.environ))


def _stop_signal() -> threading.Event:
    """Set by SIGTERM and Ctrl-C, which end the process no other way from now on."""
    stop = threading.Event()
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *_: stop.set())
    return stop


def open_key(path: Path, file: Path | None) -> tuple[EllipticCurvePrivateKey, bytes | None]:
    """The site's private key, and its passphrase: that of `file`, else asked where it has one."""
    from client.node.keys import has_passphrase
    from shared.deployment.keys import load_private_key

    asks = file is not None or has_passphrase(path)
    passphrase = ask_passphrase(file, path) if asks else None
    return load_private_key(path, passphrase), passphrase


def authority_for(folder: Path, address: str, certificate: Path | None) -> Path | None:
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
