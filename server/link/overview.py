"""The server, its sites and its runs at this moment, gathered from what lies on disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from server.link.expiry import expiry_warning
from server.link.home import Home
from server.link.lock import is_served
from server.link.orders import Order, read_orders
from server.link.registry import read_registry
from server.link.status import read_status
from server.run.history import last_rounds
from server.run.progress import read_progress
from shared.schedule import total_rounds


def overview(home: Home) -> dict[str, Any]:
    """The document of `fedthaw server status --json`."""
    serving = is_served(home)
    known = read_status(home) if serving else {}
    connected = known.get("sites", {})
    return {
        "serving": serving,
        "warning": expiry_warning(home),
        "sites": {
            site.name: connected.get(site.name, {"connected": False, "since": None})
            for site in read_registry(home)
        },
        "runs": [_run(order, known.get("run")) for order in read_orders(home.runs)],
    }


def _run(order: Order, current: str | None) -> dict[str, Any]:
    progress = read_progress(order.folder)
    return {
        "run": order.name,
        "state": "running" if order.name == current else order.state,
        "rounds": total_rounds(order.config),
        "bundle": order.bundle,
        "last": [asdict(line) for line in last_rounds(order.folder / "ledger.jsonl")],
    } | ({"progress": asdict(progress)} if progress else {})
