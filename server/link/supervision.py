"""What the server process follows in the coordinator's folder while it serves."""

from __future__ import annotations

import logging
import math
import ssl
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.link.connections.listening import renew
from server.link.folder.expiry import expiry_warning, key_warnings
from server.link.folder.home import Home
from server.link.folder.journal import Event, changes_of_sites, note
from server.link.folder.registry import (
    RegisteredSite,
    names_by_key,
    read_registry,
    valid_sites,
)
from server.link.jobs.runs import Runs, advance, end_of
from server.link.notices import notify_of, say_run, say_site, say_unable
from server.link.progress.status import status_of, write_status
from server.link.reported import Reported
from server.link.superlink.state import Link
from server.run.progress import read_progress
from shared.audit.syslog import Syslog
from shared.deployment.keys import fingerprint
from shared.errors import ConfigError

log = logging.getLogger("fedthaw.server")

_DAY = 86_400.0


@dataclass
class Known:
    """What was seen of the folder last, and said of it; made before anything in it is read."""

    home: Home
    syslog: Syslog | None = None
    seen: dict[Path, int] = field(init=False)
    status: dict[str, Any] = field(default_factory=dict)
    warned: float = -math.inf
    complaint: str = ""
    sites: tuple[RegisteredSite, ...] = ()
    """As read last, with keys that have ended since."""
    admitted: tuple[RegisteredSite, ...] = ()
    written: bool = False
    """Whether the status is on the disk."""
    reported: Reported = field(init=False)
    started: bool = False
    """Whether the ends of runs that were not reported before the start have been."""
    unable: dict[str, str] = field(default_factory=dict)
    """Sites that were said to be unable to take part in the current run, and why."""

    def __post_init__(self) -> None:
        """Note how the files are now."""
        self.reported = Reported(self.home)
        self.seen = {path: changed(path) for path in (self.home.registry, self.home.certificate)}


def look_after(known: Known, link: Link, runs: Runs, tls: ssl.SSLContext | None) -> None:
    """Take up registered sites, the certificate, submitted runs; call this every half second.

    A file that cannot be read or written is said once, and tried again.
    """
    try:
        _look_after(known, link, runs, tls)
    except OSError as error:
        if str(error) != known.complaint:
            log.error("%s; trying again.", error)
        known.complaint = str(error)
    else:
        known.complaint = ""


def _look_after(known: Known, link: Link, runs: Runs, tls: ssl.SSLContext | None) -> None:
    home = known.home
    if time.monotonic() >= known.warned + _DAY:
        known.warned = time.monotonic()
        if warning := expiry_warning(home):
            log.warning(warning)
        for warning in key_warnings(known.sites, datetime.now(UTC)):
            log.warning(warning)
    if _is_new(known, home.registry):
        admit_registered(known, link)
    elif valid_sites(known.sites, datetime.now(UTC)) != known.admitted:
        _shut_out_ended(known, link)
    if _is_new(known, home.certificate) and tls is not None:
        renew(home, tls)
    if not known.started:
        _take_up_ends(known, runs)
    advance(runs)
    if (status := status_of(link, runs)) != known.status:
        for event, name in changes_of_sites(known.status, status):
            say_site(home, event, name, known.syslog)
        known.status, known.written = status, False
    if not known.written:  # again and again: whoever waits for a run waits for this
        known.written = write_status(home, known.status)
    while runs.notices:  # after the status, so that what is said of a run can be seen there
        say_run(home, runs.notices[0], known.syslog, known.reported)
        runs.notices.popleft()
    _say_who_is_unable(known, runs)


def _take_up_ends(known: Known, runs: Runs) -> None:
    """Report runs that ended when the server process was not there, or too shortly before."""
    known.started = True
    for order in known.reported.not_notified():
        notify_of(known.home, end_of(order), known.reported)
    runs.notices.extend(map(end_of, known.reported.missed()))


def _say_who_is_unable(known: Known, runs: Runs) -> None:
    """Say which sites cannot take part in the current run, each time that this changes."""
    progress = read_progress(runs.current.folder) if runs.current else None
    unable = dict(progress.unable) if progress else {}
    for name, reason in unable.items():
        if runs.current and known.unable.get(name) != reason:
            say_unable(name, runs.current.name, reason)
    known.unable = unable


def admit_registered(known: Known, link: Link) -> None:
    """Let the registered sites in; where the registry cannot be read, those of before."""
    try:
        known.sites = read_registry(known.home)
    except (ConfigError, OSError) as error:
        log.error("%s The previous sites stay registered.", str(error).rstrip(".") + ".")
        return
    _admit_valid(known, link)


def _shut_out_ended(known: Known, link: Link) -> None:
    """Let nobody in any longer whose key has ended meanwhile, and say whose it was."""
    before = known.admitted
    ended = [site for site in before if not site.is_valid(datetime.now(UTC))]
    try:
        _admit_valid(known, link)
    finally:
        for site in ended:
            rest = any(one.name == site.name for one in known.admitted)
            log.warning(
                "The key %s of %s has expired; %s",
                fingerprint(site.key.line),
                site.name,
                "the site is admitted with its new one only."
                if rest
                else "the site is not admitted until it has a new one.",
            )


def _admit_valid(known: Known, link: Link) -> None:
    """Admit whose key is valid at this moment, and nobody else."""
    known.admitted = valid_sites(known.sites, datetime.now(UTC))
    keys: dict[str, str] = {}
    for site in known.admitted:
        earlier = f"{keys[site.name]}, " if site.name in keys else ""
        keys[site.name] = earlier + fingerprint(site.key.line)
    # First, since a removal holds whether or not the disk has room for its entry.
    link.set_sites(names_by_key(known.admitted))
    note(known.home, Event.sites, known.syslog, keys=keys)


def _is_new(known: Known, path: Path) -> bool:
    before, known.seen[path] = known.seen[path], changed(path)
    return known.seen[path] != before


def changed(path: Path) -> int:
    """When the file, its owner or its mode was changed last, in nanoseconds; 0 without a file."""
    try:
        return path.stat().st_ctime_ns
    except OSError:
        return 0
