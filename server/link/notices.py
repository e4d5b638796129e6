"""What the server process says of its sites and runs, in its log, its audit log and notifications.

Each is a line with names of sites and runs and a reason that may be shared, never with data.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from server.link.folder.home import Home
from server.link.folder.journal import Event, note
from server.link.jobs.runs import Change, RunNotice
from server.link.reported import Reported
from shared.audit.syslog import Syslog
from shared.deployment.notify import Notify, parse_notify, tell_in_background
from shared.errors import ConfigError
from shared.plain import shown
from shared.settings.schedule import may_end_early, total_rounds
from shared.storage.toml_file import parse_toml

log = logging.getLogger("fedthaw.server")

STATES = ("failed", "stopped", "complete")
"""Ends of a run that somebody may be notified of; by itself of the first."""
_EVENTS = {Change.began: Event.began, Change.died: Event.died, Change.ended: Event.stopped}


def say_site(home: Home, event: Event, name: str, syslog: Syslog | None) -> None:
    """Log that a site has connected or disconnected."""
    note(home, event, syslog, name=name)
    log.info("Site %s has %s.", name, "connected" if event is Event.connected else "disconnected")


def say_unable(name: str, run: str, reason: str) -> None:
    """Log that a connected site cannot take part in a run."""
    log.warning("Site %s cannot take part in run %s: %s", name, run, _sentence(reason))


def say_run(home: Home, notice: RunNotice, syslog: Syslog | None, reported: Reported) -> None:
    """What has become of a run; those whom `notify.toml` names are notified of its end."""
    run, why = notice.order.name, _sentence(notice.why)
    if notice.change in _EVENTS:
        facts = {"state": notice.state} if notice.change is Change.ended else {}
        facts |= {"why": notice.why} if notice.why else {}
        note(home, _EVENTS[notice.change], syslog, name=run, **facts)
    match notice.change:
        case Change.queued:
            config = notice.order.config
            log.info(
                "Run %s is in the queue, submitted at %s: %s%d rounds, at least %d sites.", run,
                notice.order.submitted[:19], "at most " * may_end_early(config),
                total_rounds(config), config.min_sites,
            )  # fmt: skip
        case Change.began:
            log.info("Run %s %s.", run, f"continues {notice.why}" if why else "has started")
        case Change.died:
            log.error("The process of run %s died and is restarted: %s", run, why)
        case Change.ended:
            if notice.state == "failed":
                log.error("Run %s has failed: %s", run, why)
            else:
                log.info("Run %s is %s.", run, notice.state)
            notify_of(home, notice, reported)


def read_notify(home: Home) -> Notify:
    """Whom to tell of ended runs, nobody where there is no file; ConfigError where it is wrong."""
    try:
        text = home.notify.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Notify()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{home.notify} cannot be read ({error}).") from error
    try:
        table = parse_toml(text)
    except ValueError as error:
        raise ConfigError(f"{home.notify} is not valid TOML: {error}.") from error
    return parse_notify(table, str(home.notify), STATES[:1], STATES)


def facts_of(run: str, state: str, why: str) -> Mapping[str, str]:
    """What is sent at the end of a run; `text` is for chats, which show it."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    text = (
        f"FedThaw: run {run} is {state}."
        if state != "failed"
        else (f"FedThaw: run {run} has failed: {why}")
    )
    return {"run": run, "state": state, "reason": why, "at": when, "text": text}


def notify_of(home: Home, notice: RunNotice, reported: Reported) -> None:
    """Notify whom `notify.toml` names of a run's end, unless it names nobody for that."""
    order = notice.order
    try:
        settings = read_notify(home)
    except ConfigError as error:
        log.error("Nobody is notified: %s", error)
        reported.note(order, notified=True)
        return
    reported.note(order, notified=not settings.wants(notice.state))
    facts = facts_of(order.name, notice.state, notice.why)
    over = partial(reported.note, order, notified=True)
    if tell_in_background(settings, notice.state, facts, log, over) is not None:
        log.info("Notifying of run %s.", order.name)


def _sentence(text: str) -> str:
    """On one line, with a full stop."""
    flat = shown(" ".join(text.split()))
    return flat if not flat or flat.endswith((".", "!", "?")) else f"{flat}."
