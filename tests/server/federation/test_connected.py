"""Who is connected: registered sites by their keys, or everybody in a simulation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.federation.connected import Presence, connected, nobody_registered, registered_sites
from server.link.folder.home import Home
from server.link.folder.registry import register, remove, renew_key
from server.run.process import HOME_VARIABLE
from shared.deployment.keys import generate_private_key, parse_public_key, public_key_line

MakeSites = Callable[..., tuple[Any, Any]]
LINES = [public_key_line(generate_private_key()) for _ in range(2)]
KEYS = [parse_public_key(line).raw for line in LINES]


def test_in_a_simulation_everybody_is_there(make_sites: MakeSites) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1002})
    grid.restarted = {1003: "later"}  # nobody's process is another in a simulation
    assert connected(grid) == {1001: Presence(None, ""), 1003: Presence(None, "")}


def test_registered_sites_are_named_by_their_keys(make_sites: MakeSites) -> None:
    """Whoever is connected without being registered is as if not there."""
    _, grid = make_sites()
    grid.gone = frozenset({1002})
    grid.restarted = {1003: "later"}
    registry = {b"1003": "hospital-c", b"1002": "hospital-b", b"9": "hospital-z"}
    assert connected(grid, lambda: registry) == {1003: Presence("hospital-c", "later")}
    grid.gone = frozenset()
    assert connected(grid, lambda: registry) == {
        1002: Presence("hospital-b", "at the beginning"),
        1003: Presence("hospital-c", "later"),
    }


def test_where_no_site_is_registered_nobody_takes_part(make_sites: MakeSites) -> None:
    """Not everybody: the last site's key may just have been removed."""
    _, grid = make_sites()
    assert connected(grid, lambda: {}) == {}


def test_the_registry_of_a_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    assert registered_sites() is nobody_registered
    assert nobody_registered() == {}


def test_the_registry_is_read_anew_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    home = Home(tmp_path)
    registry = registered_sites()
    assert registry() == {}
    register(home, "north", LINES[0])
    assert registry() == {KEYS[0]: "north"}
    register(home, "east", LINES[1])
    assert registry() == {KEYS[0]: "north", KEYS[1]: "east"}
    remove(home, "north")
    assert registry() == {KEYS[1]: "east"}


@pytest.mark.parametrize("damage", ["damaged", "unreadable"])
def test_a_registry_that_is_being_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """What was known before holds; a run of days does not end for a slip of the hand."""
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    home = Home(tmp_path)
    register(home, "north", LINES[0])
    registry = registered_sites()
    assert registry() == {KEYS[0]: "north"}
    whole = home.registry.read_text(encoding="utf-8")
    home.registry.unlink()
    if damage == "damaged":
        home.registry.write_text(whole[:-9], encoding="utf-8")
    else:
        home.registry.mkdir()
    assert registry() == {KEYS[0]: "north"}


def test_a_key_that_has_ended_is_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path))
    home = Home(tmp_path)
    register(home, "north", LINES[0])
    renew_key(home, "north", LINES[1])
    assert registered_sites()() == dict.fromkeys(KEYS, "north")
    renew_key(home, "north", LINES[1], overlap_days=0)
    registry = registered_sites()
    assert registry() == {KEYS[1]: "north"}
    text = home.registry.read_text(encoding="utf-8")
    (entry,) = json.loads(text)
    home.registry.write_text(text.replace(entry["until"], "2026-01-01T00:00:00+00:00"))
    assert registry() == {}
