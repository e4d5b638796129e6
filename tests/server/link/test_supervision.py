"""What the server process takes up of its folder, and that nothing there ends it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from server.link import process, supervision
from server.link.connections.limits import Limits
from server.link.folder.home import Home, create_home
from server.link.folder.registry import register, renew_key
from server.link.jobs.runs import Runs
from server.link.process import Listening, _serve
from server.link.progress.status import read_status
from server.link.superlink.state import Link
from server.link.supervision import Known, admit_registered, look_after
from shared.audit.log import read
from shared.deployment.keys import (
    fingerprint,
    generate_private_key,
    parse_public_key,
    public_key_line,
)

KEY = b"the key of north"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / "coordinator", ["127.0.0.1"], 8443)


def line() -> str:
    return public_key_line(generate_private_key())


def names(link: Link) -> set[str]:
    nodes = link.get_node_info(statuses=["registered", "online", "offline"])
    return {str(node.name) for node in nodes}


def test_the_sites_of_before_stay_where_the_registry_is_damaged(
    wire: Any, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is let in by a file in doubt, and nobody is sent away by it."""
    home.registry.write_text("damaged", encoding="utf-8")
    admit_registered(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is not None
    assert "stay registered" in caplog.text
    home.registry.write_text(json.dumps([]), encoding="utf-8")
    admit_registered(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is None


def test_the_sites_of_before_stay_where_the_registry_is_anothers(
    wire: Any, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.registry.mkdir()  # root reads whatever has a wrong owner, but no folder
    admit_registered(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is not None
    assert f"'{home.registry}'. The previous sites stay registered." in caplog.text


def test_a_damaged_certificate_ends_no_server(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody copies one into the folder, and the day's warning reads it half there."""
    caplog.set_level(logging.WARNING, "fedthaw")
    caplog.set_level(logging.WARNING, "fedthaw.server")
    home.certificate.write_text("-----BEGIN CERTIFICATE-----\nMIIB", encoding="ascii")
    register(home, "north", line())
    link = Link()
    known = Known(home)
    admit_registered(known, link)
    look_after(known, link, Runs(home, link, port=1), None)
    assert "server.crt is damaged" in caplog.text
    assert set(read_status(home)["sites"]) == {"north"}


def test_a_changed_registry_is_taken_up(home: Home) -> None:
    link = Link()
    known, runs = Known(home), Runs(home, link, port=1)
    register(home, "north", line())
    look_after(known, link, runs, None)
    assert names(link) == {"north"}
    assert set(read_status(home)["sites"]) == {"north"}
    home.registry.write_text("damaged", encoding="utf-8")
    look_after(known, link, runs, None)
    time.sleep(0.05)  # the clock of a file system ticks slowly
    # Another content with the time of before, as a copy that is put back.
    stat = home.registry.stat()
    home.registry.write_text("[]", encoding="utf-8")
    os.utime(home.registry, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    look_after(known, link, runs, None)
    assert names(link) == set()


def test_what_cannot_be_read_is_said_once_and_tried_again(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link()
    known, runs = Known(home), Runs(home, link, port=1)
    tries: list[bool] = []

    def fail(runs: Runs) -> None:
        tries.append(True)
        raise PermissionError(13, "Permission denied", str(home.runs))

    with monkeypatch.context() as patch:
        patch.setattr(supervision, "advance", fail)
        for _ in range(3):
            look_after(known, link, runs, None)
    assert len(tries) == 3
    assert caplog.text.count("Permission denied") == 1
    assert str(home.runs) in caplog.text
    look_after(known, link, runs, None)
    assert read_status(home)["run"] is None


def test_what_changes_while_the_process_starts_is_taken_up(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The registry is read once before anything is served; somebody registers right after."""
    caplog.set_level("INFO", logger="fedthaw.server")
    register(home, "north", line())

    def read_then_register(known: Known, link: Link) -> None:
        admit_registered(known, link)
        register(home, "east", line())

    monkeypatch.setattr(process, "admit_registered", read_then_register)

    async def serve_until_it_is_known() -> None:
        serving = asyncio.create_task(_serve(home, Listening("127.0.0.1", 0), Limits()))
        async with asyncio.timeout(60):
            while "north" not in read_status(home).get("sites", {}):
                await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await serving

    asyncio.run(serve_until_it_is_known())
    assert set(read_status(home)["sites"]) == {"north", "east"}
    assert "Listening for sites on 127.0.0.1:" in caplog.text


class Later(datetime):
    """The clock, so much later."""

    ahead = timedelta(0)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + cls.ahead


def test_a_key_admits_nobody_after_its_end(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By the clock alone; a connected site is cut, and its renewed key goes on."""
    caplog.set_level("INFO", logger="fedthaw.server")
    monkeypatch.setattr(supervision, "datetime", Later)
    monkeypatch.setattr(Later, "ahead", timedelta(0))
    lines = [line() for _ in range(3)]
    keys = [parse_public_key(one).raw for one in lines]
    link = Link()
    known, runs = Known(home), Runs(home, link, port=1)
    register(home, "north", lines[0], 40)
    register(home, "east", lines[1], 50)
    renew_key(home, "north", lines[2], 100, 10)
    look_after(known, link, runs, None)
    north, east = (link.get_node_id_by_public_key(key) or 0 for key in keys[:2])
    for node in (north, east):
        assert link.activate_node(node, 10.0)

    def admitted(ahead: int) -> list[bool]:
        Later.ahead = timedelta(days=ahead)
        look_after(known, link, runs, None)
        return [link.get_node_id_by_public_key(key) is not None for key in keys]

    assert admitted(9) == [True, True, True]
    assert admitted(11) == [False, True, True]
    assert link.is_there(north)
    assert f"{fingerprint(lines[0])} of north has expired; the site is admitted with its new" in (
        caplog.text
    )
    assert admitted(51) == [False, False, True]
    assert not link.is_there(east)
    assert "of east has expired; the site is not admitted until it has a new one" in caplog.text
    assert admitted(51) == [False, False, True]
    assert caplog.text.count("of east has expired") == 1
    assert admitted(101) == [False, False, False]
    assert admitted(0) == [True, True, True]  # a clock that was wrong has been set right
    recorded = [
        entry["keys"] for entry in read(home.audit.path) if entry["event"] == "sites admitted"
    ]
    assert recorded[1] == {"east": fingerprint(lines[1]), "north": fingerprint(lines[2])}
    assert recorded[0]["north"] == f"{fingerprint(lines[0])}, {fingerprint(lines[2])}"


def test_the_log_warns_of_a_keys_end(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="fedthaw.server")
    register(home, "north", line(), 29)
    register(home, "east", line(), 31)
    link = Link()
    known = Known(home)
    admit_registered(known, link)
    for _ in range(2):
        look_after(known, link, Runs(home, link, port=1), None)
    assert caplog.text.count("The key of north expires in 28 days") == 1
    assert "east" not in caplog.text
