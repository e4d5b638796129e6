"""Entries at a real socket, as a syslog service receives them."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.audit.syslog import LONGEST, Syslog, send_all, short
from shared.errors import ConfigError


@pytest.fixture
def service() -> Iterator[socket.socket]:
    """A service at UDP on this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(10)
        yield bound


def test_entries_arrive_with_their_codes(service: socket.socket) -> None:
    entries = [{"at": "now", "n": number, "chain": "f" * 64, "event": "x"} for number in (1, 2)]
    sent, lost = send_all(entries, f"127.0.0.1:{service.getsockname()[1]}", "fedthaw-site")
    assert (sent, lost) == (2, 0)
    for entry in entries:
        message = service.recv(4096).decode()
        priority, _, rest = message.partition(">")
        assert priority == "<38"  # facility auth (4) * 8 + informational (6), RFC 5424 6.2.1
        program, _, text = rest.partition(": ")
        assert program == "fedthaw-site"
        assert json.loads(text) == entry


def test_by_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.settimeout(10)
        assert send_all([{"n": 1}], str(path), "fedthaw-server") == (1, 0)
        assert bound.recv(4096) == b'<38>fedthaw-server: {"n": 1}'


def test_a_service_that_goes_away_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        syslog = Syslog(str(path), "fedthaw-site")
    syslog.send({"n": 1})
    assert syslog.failures == 1


def test_a_service_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        syslog = Syslog(str(path), "fedthaw-site")
        sending = threading.Thread(target=_until_lost, args=(syslog,), daemon=True)
        sending.start()
        sending.join(60)
        assert not sending.is_alive()
        assert bound.recv(4096).endswith(b'{"n": 0}')
        syslog.send({"n": "later"})  # there is room again
        assert syslog.failures == 1
        syslog.close()


def _until_lost(syslog: Syslog) -> None:
    number = 0
    while not syslog.failures:
        syslog.send({"n": number})
        number += 1


def test_an_export_waits_for_a_slow_service(tmp_path: Path) -> None:
    path = tmp_path / "log"
    entries = [{"n": number} for number in range(2000)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.settimeout(60)

        def read_late() -> None:
            time.sleep(1.0)
            for _ in entries:
                bound.recv(4096)

        reading = threading.Thread(target=read_late, daemon=True)
        reading.start()
        assert send_all(entries, str(path), "fedthaw-site") == (2000, 0)
        reading.join(60)
        assert not reading.is_alive()


def test_no_name_server_is_asked_for_each_entry() -> None:
    syslog = Syslog("localhost:5140", "fedthaw-site")
    address = syslog._handler.address
    assert isinstance(address, tuple)
    assert ipaddress.ip_address(address[0]).is_loopback
    assert address[1] == 5140
    syslog.close()


def test_a_long_entry_is_shortened_and_keeps_what_proves_it() -> None:
    entry = {
        "at": "now", "n": 5, "to": "hub", "content": {"x": "y" * 9000}, "round": "3",
        "chain": "a" * 64,
    }  # fmt: skip
    text = short(entry, LONGEST)
    assert len(text.encode()) <= LONGEST
    assert json.loads(text) == {
        "at": "now", "n": 5, "to": "hub", "round": "3", "chain": "a" * 64,
    }  # fmt: skip


@pytest.mark.parametrize("length", range(1, 40, 3))
def test_a_whole_message_is_what_every_receiver_takes(service: socket.socket, length: int) -> None:
    """With its priority and program, or a receiver would cut off the end of the JSON."""
    entry = {"n": 5, "chain": "f" * 64, **{f"key {n}": "x" * length for n in range(200)}}
    send_all([entry], f"127.0.0.1:{service.getsockname()[1]}", "fedthaw-server")
    message = service.recv(4096)
    assert LONGEST - length - 15 < len(message) <= LONGEST
    assert json.loads(message.partition(b": ")[2]).items() <= entry.items()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/nonexistent/log", "no such socket"),
        ("127.0.0.1:nonsense", "not a port"),
        ("127.0.0.1:99999999999", "not a port"),
        ("127.0.0.1:0", "not a port"),
    ],
)
def test_an_address_that_is_none_is_said(address: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Syslog(address, "fedthaw-site")
