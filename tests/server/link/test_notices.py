"""What the server process says of sites and runs: a line each in its log and in its audit log."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.link.folder.home import Home, create_home
from server.link.jobs import runs as module
from server.link.jobs.orders import Order, write_order
from server.link.jobs.runs import Runs
from server.link.notices import read_notify
from server.link.supervision import Known, look_after
from server.run.failure import clear_failure, write_failure
from server.run.process import STOP
from shared.audit.log import read
from shared.errors import ConfigError, RunError
from shared.settings.config import RunConfig

Here = Callable[..., tuple[int, str, str]]
DIGEST = hashlib.sha256(b"code").hexdigest()
WHY = "1 of at least 2 sites (min-sites) can take part: north."


class Ended:
    """A run's process that has ended."""

    returncode = -9

    def poll(self) -> int:
        return self.returncode


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = create_home(tmp_path / "coordinator", ["127.0.0.1"], 8443)
    (made.path / "bundles").mkdir()
    (made.path / "bundles" / f"{DIGEST}.fab").write_bytes(b"code")
    return made


@pytest.fixture
def look(
    home: Home, wire: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Callable[[], list[str]]:
    """Let the server look after its folder once; the new lines of its log."""
    caplog.set_level("INFO", logger="fedthaw.server")
    monkeypatch.setattr(module, "_spawn", lambda *_: Ended())
    monkeypatch.setattr(module, "RESTART_SECONDS", 0.0)
    known, runs = Known(home), Runs(home, wire.link, port=1)

    def look() -> list[str]:
        caplog.clear()
        look_after(known, wire.link, runs, None)
        return [record.getMessage() for record in caplog.records]

    return look


@pytest.fixture
def order(home: Home, micro_config: Callable[..., RunConfig]) -> Order:
    made = Order(home.runs / "first", "2026-01-01T10:00:00.5+00:00", DIGEST, micro_config())
    write_order(made)
    return made


def runs_in(home: Home) -> list[tuple[str, str | None, str | None]]:
    entries = read(home.audit.path)
    return [
        (one["event"], one.get("state"), one.get("why"))
        for one in entries
        if one.get("name") == "first"
    ]


def test_sites_that_come_and_go(look: Callable[[], list[str]], wire: Any) -> None:
    assert look() == ["Site east has connected.", "Site north has connected."]
    assert look() == []
    wire.link.deactivate_node(wire.north)
    assert look() == ["Site north has disconnected."]


def test_a_run_from_the_queue_to_its_failure(
    look: Callable[[], list[str]], home: Home, order: Order
) -> None:
    lines = look()[2:]
    assert lines == [
        "Run first is in the queue, submitted at 2026-01-01T10:00:00: 5 rounds, at least 2 sites.",
        "Run first has started.",
    ]
    (order.folder / "progress.json").write_text(
        json.dumps({"pid": 1, "unable": {"north": "its GPU is not there"}})
    )
    assert look() == ["The process of run first died and is restarted: signal 9 (attempt 1 of 3)."]
    assert look() == [
        "Run first has started.", "Site north cannot take part in run first: its GPU is not there.",
    ]  # fmt: skip
    write_failure(order.folder, RunError(WHY))
    assert look() == [f"Run first has failed: {WHY}"]
    assert look() == []
    died = "signal 9 (attempt 1 of 3)"
    assert runs_in(home) == [
        ("run started", None, None), ("run's process died", None, died),
        ("run started", None, None), ("run ended", "failed", WHY),
    ]  # fmt: skip


def test_runs_that_are_complete_or_stopped_did_not_fail(
    look: Callable[[], list[str]], home: Home, order: Order
) -> None:
    look()
    (order.folder / STOP).touch()
    write_failure(order.folder, RunError("The run was stopped."))
    assert look() == ["Run first is stopped."]
    (order.folder / STOP).unlink()
    clear_failure(order.folder)
    write_order(Order(order.folder, "2026-01-02T10:00:00+00:00", DIGEST, order.config))
    assert look()[1:] == ["Run first has started."]
    (order.folder / "summary.json").write_text("{}")
    assert look() == ["Run first is complete."]


def test_a_full_disk_loses_no_line(look: Callable[[], list[str]], home: Home, order: Order) -> None:
    home.audit.path.mkdir()
    assert not any("Run first" in line for line in look())
    home.audit.path.rmdir()
    assert [line for line in look() if "Run first has started." in line]


def test_a_failed_run_is_told_to_the_command_of_notify_toml(
    look: Callable[[], list[str]], home: Home, order: Order, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    home.notify.write_text(f"command = ['sh', '-c', 'cat > {seen}.new; mv {seen}.new {seen}']\n")
    look()
    write_failure(order.folder, RunError(WHY))
    assert look()[-1] == "Notifying of run first."
    deadline = time.monotonic() + 60
    while not seen.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    notice = json.loads(seen.read_text())
    assert (notice["run"], notice["state"], notice["reason"]) == ("first", "failed", WHY)
    assert notice["text"] == f"FedThaw: run first has failed: {WHY}"
    home.notify.write_text("comand = 'x'\n")
    clear_failure(order.folder)
    look()
    write_failure(order.folder, RunError(WHY))
    assert "Nobody is notified" in look()[-1]


def test_what_failed_while_no_server_was_there_is_reported_once(
    home: Home, order: Order, wire: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    notices: list[str] = []
    over: list[Callable[[], None]] = []

    def tell(settings: Any, event: str, facts: Any, log: Any, done: Callable[[], None]) -> object:
        notices.append(f"{facts['run']}: {facts['reason']}")
        over.append(done)
        return over

    monkeypatch.setattr("server.link.notices.tell_in_background", tell)
    caplog.set_level("INFO", logger="fedthaw.server")
    home.notify.write_text("command = 'true'\n")

    def start() -> list[str]:
        """The log of a server process that looks after its folder twice."""
        caplog.clear()
        known, runs = Known(home), Runs(home, wire.link, port=1, not_before=math.inf)
        for _ in range(2):
            look_after(known, wire.link, runs, None)
        return [one.getMessage() for one in caplog.records if "run" in one.getMessage().lower()]

    # Before this was kept at all, there was a failure; nobody wants to hear of it today.
    old = Order(home.runs / "old", "2025-01-01T10:00:00+00:00", DIGEST, order.config)
    write_order(old)
    write_failure(old.folder, RunError("Long ago."))
    assert start() == [
        "Run first is in the queue, submitted at 2026-01-01T10:00:00: 5 rounds, at least 2 sites."
    ]
    write_failure(order.folder, RunError(WHY))  # by the run's process, after the server's last look
    assert start() == [f"Run first has failed: {WHY}", "Notifying of run first."]
    # The server was killed before the notification was over: again, but nothing else of it.
    assert start() == ["Notifying of run first."]
    over[-1]()
    assert start() == []
    assert notices == [f"first: {WHY}"] * 2
    assert runs_in(home) == [("run ended", "failed", WHY)]
    # It fails again after a second try: another end.
    clear_failure(order.folder)
    write_order(Order(order.folder, "2026-01-02T10:00:00+00:00", DIGEST, order.config))
    write_failure(order.folder, RunError("Again."))
    assert start() == ["Run first has failed: Again.", "Notifying of run first."]
    # What cannot be read keeps no server from starting, and repeats nothing.
    (home.path / "reported.json").write_text("{")
    assert start() == []
    assert start() == []


@pytest.mark.parametrize("text", ["command = ", "on = ['broken']", "\xff"])
def test_a_wrong_notify_toml_is_said_at_once(home: Home, text: str) -> None:
    home.notify.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"notify\.toml"):
        read_notify(home)


def test_a_notification_is_tried_by_a_command(here: Here, home: Home, tmp_path: Path) -> None:
    where = ("--home", home.path)
    code, _, err = here("server", "notify", *where)
    assert code == 2
    assert "Nobody is notified: write " in err
    home.notify.write_text(f"command = \"sh -c 'echo $FEDTHAW_STATE > {tmp_path}/state'\"\n")
    assert here("server", "notify", *where)[0] == 0
    assert (tmp_path / "state").read_text() == "failed\n"
    home.notify.write_text('command = "false"\n')
    code, _, err = here("server", "notify", *where)
    assert code == 1
    assert "false failed (exit code 1)" in err
