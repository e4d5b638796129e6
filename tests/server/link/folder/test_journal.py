"""What the coordinator writes down: by commands, and by the server process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.link.folder.home import Home, create_home
from server.link.folder.journal import Event, changes_of_sites, note
from server.link.folder.registry import register, remove
from server.link.jobs.runs import Runs
from server.link.supervision import Known, admit_registered, look_after
from shared.audit.log import read, user
from shared.audit.verify import verify
from shared.deployment.keys import fingerprint, generate_private_key, public_key_line

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return create_home(tmp_path / "coordinator", ["127.0.0.1"], 8443)


def events(home: Home) -> list[str]:
    return [entry["event"] for entry in read(home.audit.path)]


def test_an_event_has_time_user_and_facts(home: Home) -> None:
    note(home, Event.submitted, name="first", settings={"rounds": 3})
    (entry,) = read(home.audit.path)
    assert entry["event"] == "run submitted"
    assert entry["by"] == user(os.environ)
    assert (entry["name"], entry["settings"]) == ("first", {"rounds": 3})
    assert verify(home.audit).intact


def test_every_admission_of_sites_names_their_keys(home: Home, wire: Any) -> None:
    line = public_key_line(generate_private_key())
    known, runs = Known(home), Runs(home, wire.link, port=1)
    admit_registered(known, wire.link)
    register(home, "north", line)
    look_after(known, wire.link, runs, None)
    remove(home, "north")
    look_after(known, wire.link, runs, None)
    admitted = [e["keys"] for e in read(home.audit.path) if e["event"] == Event.sites]
    assert admitted == [{}, {"north": fingerprint(line)}, {}]


def test_a_removal_holds_though_the_log_cannot_be_written(home: Home, wire: Any) -> None:
    home.audit.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        admit_registered(Known(home), wire.link)
    assert wire.link.get_node_id_by_public_key(b"the key of north") is None


HERE = {"connected": True, "since": "1"}
GONE = {"connected": False, "since": "2"}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({}, {"run": None, "sites": {}}, []),
        ({}, {"sites": {"a": HERE, "b": GONE}}, [(Event.connected, "a")]),
        ({"sites": {"a": HERE}}, {"sites": {"a": HERE}}, []),
        ({"sites": {"a": HERE}}, {"sites": {"a": HERE | {"since": "9"}}}, [(Event.connected, "a")]),
        ({"sites": {"a": HERE}}, {"sites": {"a": GONE}}, [(Event.left, "a")]),
        ({"sites": {"a": HERE}}, {"sites": {}}, [(Event.left, "a")]),
    ],
)
def test_what_changed_between_two_looks(
    before: dict[str, Any], now: dict[str, Any], expected: list[tuple[Event, str]]
) -> None:
    assert changes_of_sites(before, now) == expected


def test_commands_are_written_down(here: Here, home: Home, tmp_path: Path) -> None:
    line = public_key_line(generate_private_key())
    for words in (
        ("invite", "north"), ("register", "north", line), ("remove", "north"), ("renew",),
    ):  # fmt: skip
        assert here("server", *words, "--home", home.path)[0] == 0
    assert here("server", "register", "north", "ssh-rsa AAAA", "--home", home.path)[0] == 2
    assert events(home) == [
        "site invited", "site registered", "site removed", "certificate renewed",
    ]  # fmt: skip
    code, out, _ = here("server", "log", "--home", home.path)
    assert code == 0
    assert "site registered" in out
    assert fingerprint(line)[:20] in out.replace("\n", "")
    assert here("server", "log", "--verify", "--home", home.path)[0] == 0
    lines = home.audit.path.read_text().splitlines(keepends=True)
    home.audit.path.write_text("".join(lines[:-1]))
    code, out, _ = here("server", "log", "--verify", "--home", home.path)
    assert code == 1
    assert "cut short" in out
