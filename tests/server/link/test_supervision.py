"""What the server process takes up of its folder, and that nothing there ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from server.link import process, supervision
from server.link.home import Home, create_home
from server.link.limits import Limits
from server.link.process import Listening, _serve
from server.link.registry import register
from server.link.runs import Runs
from server.link.state import Link
from server.link.status import read_status
from server.link.supervision import Known, let_in, look_after
from shared.deployment.keys import generate_private_key, public_key_line

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
    let_in(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is not None
    assert "stay registered" in caplog.text
    home.registry.write_text(json.dumps([]), encoding="utf-8")
    let_in(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is None


def test_the_sites_of_before_stay_where_the_registry_is_anothers(
    wire: Any, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.registry.mkdir()  # root reads whatever has a wrong owner, but no folder
    let_in(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(KEY) is not None
    assert f"'{home.registry}'. The sites of before stay registered." in caplog.text


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
        let_in(known, link)
        register(home, "east", line())

    monkeypatch.setattr(process, "let_in", read_then_register)

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
