"""Flower's SuperLink for one simulation: there while it is needed, and gone afterwards."""

from __future__ import annotations

import os
import socket
import tomllib
from pathlib import Path

import pytest

from server.simulation.superlink import CONNECTION, _free_port, flwr, superlink
from shared.errors import RunError


def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_it_answers_flowers_command_and_is_gone_after_the_block(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with superlink(tmp_path) as environment:
        home = Path(environment["FLWR_HOME"])
        written = tomllib.loads((home / "config.toml").read_text())["superlink"]
        address = written[CONNECTION]["address"]
        assert written["default"] == CONNECTION
        assert address.startswith("127.0.0.1:")
        assert listens(address)
        assert flwr(tmp_path, environment, "list", "--format", "json")["runs"] == []
    assert not listens(address)


def test_what_is_no_answer_is_told_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"`flwr nonsense` failed \(No such command 'nonsense'\)"):
        flwr(tmp_path, dict(os.environ), "nonsense")


def test_one_that_does_not_start_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    program = tmp_path / "flower-superlink"
    program.write_text("#!/bin/sh\necho the port is cursed\nexit 3\n")
    program.chmod(0o700)
    monkeypatch.setattr("server.simulation.superlink._program", lambda _name: str(program))
    with pytest.raises(RunError, match=r"did not start on port \d+ \(the port is cursed\)"):
        superlink(tmp_path).__enter__()


@pytest.mark.slow
def test_a_port_that_another_program_took_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    # Bound but not listening, as an outgoing connection is: nobody answers there.
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        drawn = [held.getsockname()[1], _free_port()]
        monkeypatch.setattr("server.simulation.superlink._free_port", lambda: drawn.pop(0))
        with superlink(tmp_path) as environment:
            assert flwr(tmp_path, environment, "list", "--format", "json")["runs"] == []
    assert drawn == []
