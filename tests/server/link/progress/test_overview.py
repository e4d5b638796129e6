"""When a run is expected to end, as `server status` says it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.link.folder.home import create_home, only_one
from server.link.jobs.orders import Order, write_order
from server.link.progress.overview import overview
from server.link.progress.status import write_status
from shared.settings.config import RunConfig

ROUND = datetime(2026, 11, 28, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("left", "running", "expected"),
    [
        (600.0, True, "2026-11-28T13:10:00+00:00"),
        (None, True, None),
        (600.0, False, None),
    ],
)
def test_the_end_is_counted_from_the_last_round(
    tmp_path: Path, micro_config: Callable[..., RunConfig], left: float | None, running: bool,
    expected: str | None,
) -> None:  # fmt: skip
    """Whenever somebody looks: the estimate is of the moment when the round ended."""
    home = create_home(tmp_path / "coordinator", ["hub.example.org"], 8443)
    order = Order(home.runs / "first", "2026", "0" * 64, micro_config())
    write_order(order)
    (order.folder / "ledger.jsonl").touch()
    os.utime(order.folder / "ledger.jsonl", (ROUND.timestamp(), ROUND.timestamp()))
    progress = {"pid": 1, "seconds_left": left}
    (order.folder / "progress.json").write_text(json.dumps(progress))
    with only_one(home):
        write_status(home, {"run": "first" if running else None, "sites": {}})
        seen = overview(home)
    assert seen["address"] == "hub.example.org:8443"
    assert [run["ends_about"] for run in seen["runs"]] == [expected]
