"""What the server process knows at this moment, for `fedthaw server status`."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from server.link.folder.home import Home
from shared.model.published import cache_folder
from shared.storage.files import write_text_atomically
from shared.storage.json_file import DamagedFile, read_json, typed

if TYPE_CHECKING:  # they bring Flower, which who only reads the status need not wait for
    from server.link.jobs.runs import Runs
    from server.link.superlink.state import Link


class _Site(TypedDict):
    connected: bool
    since: str | None


class _Status(TypedDict, total=False):
    """What is read of it."""

    pid: int
    run: str | None
    cache: str
    sites: dict[str, _Site]


def write_status(home: Home, status: dict[str, Any]) -> bool:
    """Write status.json; whether that was possible: a full disk loses the status, nothing else."""
    status = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **status}
    try:
        write_text_atomically(home.status, json.dumps(status, indent=1) + "\n")
    except OSError:
        return False
    return True


def read_status(home: Home) -> dict[str, Any]:
    """What a server process wrote last; empty where none has."""
    try:
        status: dict[str, Any] = read_json(home.status)
        typed(status, _Status)
    except (OSError, DamagedFile):
        return {}
    return status


def status_of(link: Link, runs: Runs) -> dict[str, Any]:
    """Who is connected, and which run is under way."""
    nodes = link.get_node_info(statuses=["registered", "online", "offline"])
    return {
        "pid": os.getpid(),
        "run": runs.current.name if runs.current is not None else None,
        # Where its runs look for published weights, for the commands that check them before.
        "cache": str(cache_folder()),
        "sites": {
            node.name: {
                "connected": node.status == "online",
                "since": (
                    node.last_activated_at if node.status == "online" else node.last_deactivated_at
                )
                or None,
            }
            for node in nodes
        },
    }
