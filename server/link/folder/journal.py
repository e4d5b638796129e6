"""The coordinator's audit log: who was admitted, who connected, what was ordered by whom.

Read with `fedthaw server log`. It names sites, addresses and users of this machine, never patients.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from server.link.folder.home import Home
from shared.audit.log import append, user
from shared.audit.syslog import Syslog


class Event(StrEnum):
    """What is written down."""

    serving = "server started"
    ended = "server stopped"
    sites = "sites admitted"
    """The registry that the server process works with from now on."""
    connected = "site connected"
    left = "site disconnected"
    refused = "connections refused"
    began = "run started"
    stopped = "run ended"
    """No process works on it any longer: complete, failed or stopped, and why."""
    died = "run's process died"
    """It is started again."""
    invited = "site invited"
    registered = "site registered"
    key_renewed = "site key renewed"
    removed = "site removed"
    renewed = "certificate renewed"
    submitted = "run submitted"
    stop = "stop ordered"


def note(home: Home, event: Event, syslog: Syslog | None = None, **facts: object) -> None:
    """Append an event with who caused it; it is on the disk when this returns. Raises OSError."""
    line = append(home.audit, {"event": str(event), "by": user(os.environ), **facts})
    if syslog is not None:
        syslog.send(line)


def changes_of_sites(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[Event, str]]:
    """Who connected or left between two documents of `status_of`."""
    found: list[tuple[Event, str]] = []
    sites, earlier = now.get("sites", {}), before.get("sites", {})
    for name in sorted(sites.keys() | earlier.keys()):
        there, was = (one.get(name, {"connected": False}) for one in (sites, earlier))
        if there["connected"] and (not was["connected"] or was["since"] != there["since"]):
            found.append((Event.connected, name))
        elif was["connected"] and not there["connected"]:
            found.append((Event.left, name))
    return found
