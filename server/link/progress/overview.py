"""The server, its sites and its runs at this moment, gathered from what lies on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from server.link.folder.expiry import expiry_warning, key_warnings
from server.link.folder.home import Home, is_served, read_settings
from server.link.folder.registry import read_registry
from server.link.jobs.orders import Order, read_orders
from server.link.progress.status import read_status
from server.run.failure import read_failure
from server.run.history import last_rounds
from server.run.progress import Progress, read_progress
from shared.settings.schedule import total_rounds


def overview(home: Home) -> dict[str, Any]:
    """The document of `fedthaw server status --json`."""
    serving = is_served(home)
    known = read_status(home) if serving else {}
    connected = known.get("sites", {})
    orders = read_orders(home.runs)
    current = next((order for order in orders if order.name == known.get("run")), None)
    progress = read_progress(current.folder) if current else None
    unable = progress.unable if progress else {}
    registered, now = read_registry(home), datetime.now(UTC)
    return {
        "serving": serving,
        "address": read_settings(home).address,
        "warning": expiry_warning(home),
        "key_warnings": list(key_warnings(registered, now)),
        "sites": {
            site.name: _site(connected.get(site.name, {}), unable.get(site.name))
            for site in registered
        },
        "runs": [_run(order, known.get("run")) for order in orders],
    }


def _site(known: Mapping[str, Any], problem: str | None) -> dict[str, Any]:
    """Whether it is connected since when, and why it cannot take part in the current run."""
    connected = bool(known.get("connected"))
    return {
        "connected": connected,
        "since": known.get("since"),
        "problem": problem if connected else None,
    }


def _run(order: Order, current: str | None) -> dict[str, Any]:
    progress = read_progress(order.folder)
    state = "running" if order.name == current else order.state
    failure = read_failure(order.folder) if state in ("failed", "stopped") else None
    last = last_rounds(order.folder / "ledger.jsonl")
    # A run that decides as it goes may have ended before.
    ended = last[-1].round if last and state == "complete" else None
    return {
        "run": order.name,
        "state": state,
        "failure": failure.sentence if failure else None,
        "rounds": ended or total_rounds(order.config),
        "bundle": order.bundle,
        "last": [asdict(line) for line in last],
        "ends_about": _ends_about(order, progress) if state == "running" else None,
    } | ({"progress": asdict(progress)} if progress else {})


def _ends_about(order: Order, progress: Progress | None) -> str | None:
    """When the run is expected to end (UTC), by what it estimated after its last round.

    `Progress.seconds_left` is that estimate; nothing is known where the run has none yet.
    """
    if progress is None or progress.seconds_left is None:
        return None
    try:
        estimated = (order.folder / "ledger.jsonl").stat().st_mtime
    except OSError:  # before the first round
        estimated = time.time()
    end = datetime.fromtimestamp(estimated + progress.seconds_left, UTC)
    return end.isoformat(timespec="seconds")
