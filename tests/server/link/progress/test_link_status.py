"""What the server process tells of itself, and what it refuses before it serves."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

from server.link.folder.home import Home, is_served, only_one
from server.link.jobs.orders import Order
from server.link.jobs.runs import Runs
from server.link.process import Listening, serve
from server.link.progress.status import read_status, status_of, write_status
from server.link.supervision import Known, look_after
from shared.errors import ConfigError, FedThawError
from shared.settings.config import RunConfig


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_who_is_connected_and_what_runs(
    wire: Any, home: Home, micro_config: Callable[..., RunConfig]
) -> None:
    wire.link.set_sites({b"the key of north": "north", b"the key of east": "east", b"k": "west"})
    wire.link.deactivate_node(wire.east)
    runs = Runs(home, wire.link, port=1)
    status = status_of(wire.link, runs)
    assert status["run"] is None
    assert {name: one["connected"] for name, one in status["sites"].items()} == {
        "north": True, "east": False, "west": False,
    }  # fmt: skip
    assert status["sites"]["north"]["since"] > "2020"
    assert status["sites"]["east"]["since"] > "2020"
    assert status["sites"]["west"]["since"] is None
    runs.current = Order(home.runs / "first", "", "", micro_config())
    assert status_of(wire.link, runs)["run"] == "first"
    write_status(home, status)
    assert read_status(home) == {"at": read_status(home)["at"], **status}


def test_a_removed_site_is_not_shown(wire: Any, home: Home) -> None:
    wire.link.set_sites({b"the key of north": "north"})
    assert list(status_of(wire.link, Runs(home, wire.link, port=1))["sites"]) == ["north"]


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_status_that_cannot_be_read_says_nothing(home: Home, text: str) -> None:
    assert read_status(home) == {}
    home.status.write_text(text)
    assert read_status(home) == {}


def test_a_status_that_cannot_be_written_is_written_later(wire: Any, home: Home) -> None:
    """Whoever waits for a run waits for what stands there."""
    known, runs = Known(home), Runs(home, wire.link, port=1)
    home.status.mkdir()
    look_after(known, wire.link, runs, None)
    assert home.status.is_dir()
    home.status.rmdir()
    look_after(known, wire.link, runs, None)
    assert read_status(home)["run"] is None


@pytest.mark.parametrize("host", ["0.0.0.0", "hub.example.org", "10.0.0.7", "::", None])
def test_nothing_is_served_in_the_open_to_other_machines(home: Home, host: str | None) -> None:
    with pytest.raises(ConfigError, match=f"not for (--host {host}|all its addresses);"):
        serve(home, Listening(host, 1, encrypted=False))
    assert list(home.path.iterdir()) == []


def test_one_process_serves_a_folder(home: Home) -> None:
    assert not is_served(home)
    with only_one(home):
        assert is_served(home)
        with pytest.raises(FedThawError, match="Another process serves"):
            serve(home, Listening("127.0.0.1", 1, encrypted=False))
    assert not is_served(home)


def test_a_port_that_is_taken_is_named(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port} cannot be listened on"):
            serve(home, Listening("127.0.0.1", port, encrypted=False))
    assert not is_served(home)


def test_a_server_that_starts_waits_while_somebody_looks(home: Home) -> None:
    """Whoever asks whether the folder is served holds its lock for an instant."""
    home.lock.touch()
    with home.lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        Timer(0.3, fcntl.flock, (handle, fcntl.LOCK_UN)).start()
        with only_one(home):
            assert is_served(home)
