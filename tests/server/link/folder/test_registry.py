"""Who is let in: one key a name, one name a key, and no change is lost."""

from __future__ import annotations

import json
import multiprocessing
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.link.folder.home import Home
from server.link.folder.registry import (
    KEY_DAYS,
    OVERLAP_DAYS,
    names_by_key,
    read_registry,
    register,
    remove,
    renew_key,
    valid_sites,
)
from shared.deployment.keys import generate_private_key, parse_public_key, public_key_line
from shared.errors import ConfigError

LINES = [public_key_line(generate_private_key()) for _ in range(8)]
NAMES = ["north", "east", "south", "west"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_registered_site_is_known_by_its_key(home: Home) -> None:
    assert read_registry(home) == ()
    register(home, "north", f"{LINES[0]} a comment\n")
    register(home, "east", LINES[1])
    sites = read_registry(home)
    assert [site.name for site in sites] == ["east", "north"]
    assert [site.key.raw for site in sites] == [parse_public_key(LINES[n]).raw for n in (1, 0)]
    age = datetime.now(UTC) - datetime.fromisoformat(sites[0].since)
    assert abs(age.total_seconds()) < 60
    assert stat.S_IMODE(home.registry.stat().st_mode) == 0o600


def test_the_same_again_changes_nothing(home: Home) -> None:
    first = register(home, "north", LINES[0])
    before = home.registry.stat()
    assert register(home, "north", f"{LINES[0]} another comment") == first
    assert home.registry.stat() == before


def test_a_name_with_another_key(home: Home) -> None:
    register(home, "north", LINES[0])
    with pytest.raises(ConfigError, match=r"another key.*fedthaw server remove north"):
        register(home, "north", LINES[1])


def test_a_key_with_another_name(home: Home) -> None:
    register(home, "north", LINES[0])
    with pytest.raises(ConfigError, match="registered as north already"):
        register(home, "east", LINES[0])


def test_a_removed_site_is_out_and_may_come_back(home: Home) -> None:
    register(home, "north", LINES[0])
    assert [site.name for site in remove(home, "north")] == ["north"]
    assert read_registry(home) == ()
    register(home, "north", LINES[1])
    assert read_registry(home)[0].key == parse_public_key(LINES[1])


def test_an_unknown_site(home: Home) -> None:
    with pytest.raises(ConfigError, match="none is registered"):
        remove(home, "north")
    register(home, "north", LINES[0])
    with pytest.raises(ConfigError, match="did you mean north"):
        remove(home, "nroth")
    with pytest.raises(ConfigError, match="registered are north"):
        remove(home, "zzz")


@pytest.mark.parametrize("name", ["", "a b", "../x"])
def test_a_bad_name_or_key_registers_nothing(home: Home, name: str) -> None:
    with pytest.raises(ConfigError, match="is not allowed"):
        register(home, name, LINES[0])
    with pytest.raises(ConfigError, match="of type 'garbage'"):
        register(home, "north", "garbage")
    assert read_registry(home) == ()


ENTRY = {"name": "north", "key": LINES[0], "since": "2026-01-01T00:00:00+00:00"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([ENTRY | {"until": 7}]), json.dumps([ENTRY | {"until": "tomorrow"}]),
        json.dumps([ENTRY | {"until": "2030-01-01T00:00:00"}]),
        "", "{}x", "7", "null", '{"north": 1}', "[1]", "[{}]",
        json.dumps([ENTRY | {"key": "x"}]), json.dumps([ENTRY | {"key": 7}]),
        json.dumps([ENTRY | {"name": 7}]), json.dumps([ENTRY | {"name": "a b"}]),
        json.dumps([ENTRY | {"since": 7}]), json.dumps([ENTRY | {"more": 7}]),
        json.dumps([ENTRY, ENTRY]), json.dumps([ENTRY, ENTRY | {"name": "east"}]),
        json.dumps([ENTRY, ENTRY | {"key": LINES[1]}]),
    ],
)  # fmt: skip
def test_a_damaged_registry_lets_nobody_in_and_is_kept(home: Home, text: str) -> None:
    home.registry.write_text(text, encoding="utf-8")
    for use in (
        lambda: read_registry(home),
        lambda: register(home, "x", LINES[2]),
        lambda: remove(home, "north"),
    ):
        with pytest.raises(ConfigError, match=r"sites\.json is damaged"):
            use()
    assert home.registry.read_text(encoding="utf-8") == text


def test_bytes_that_are_no_text(home: Home) -> None:
    home.registry.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="damaged"):
        read_registry(home)


def test_changes_at_once_lose_nothing(home: Home) -> None:
    """Threads and processes, as two commands at once."""
    every = [(f"site-{number}", line) for number, line in enumerate(LINES)]
    process = multiprocessing.get_context("spawn").Process(target=register, args=(home, *every[0]))
    process.start()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: register(home, *one), every[1:]))
    process.join(60)
    assert process.exitcode == 0
    assert {site.name for site in read_registry(home)} == {name for name, _ in every}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: remove(home, one[0]), every))
    assert read_registry(home) == ()


STEPS = st.lists(
    st.tuples(st.sampled_from(["register", "remove"]), st.sampled_from(NAMES), st.integers(0, 4)),
    max_size=12,
)


@given(STEPS)
@settings(deadline=None, max_examples=25)
def test_it_is_a_one_to_one_map(steps: list[tuple[str, str, int]]) -> None:
    """Against a dictionary that is only changed where neither name nor key is taken."""
    model: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        for step, name, key in steps:
            taken = (name in model or key in model.values()) and model.get(name) != key
            fails = taken if step == "register" else name not in model
            try:
                if step == "register":
                    register(home, name, LINES[key])
                else:
                    remove(home, name)
                assert not fails
            except ConfigError:
                assert fails
            if not fails:
                model = {**model, name: key} if step == "register" else _without(model, name)
            sites = read_registry(home)
            found = {site.name: site.key for site in sites}
            assert found == {n: parse_public_key(LINES[k]) for n, k in model.items()}


def _without(model: dict[str, int], name: str) -> dict[str, int]:
    return {key: value for key, value in model.items() if key != name}


def test_a_key_whose_line_names_another_site_is_refused(home: Home) -> None:
    """Two files were mixed up: the sites would be let in under each other's names."""
    line = public_key_line(generate_private_key(), "north")
    with pytest.raises(ConfigError, match="the key of the site north, as its line says, not of ea"):
        register(home, "east", line)
    assert read_registry(home) == ()
    assert register(home, "north", line).name == "north"
    for comment in ("", "root@hub.example.org, made by ssh-keygen"):
        own = public_key_line(generate_private_key(), comment)
        assert register(home, f"site-{len(comment)}", own).name


def validity(home: Home) -> dict[str, int | None]:
    """Days from now until each key of LINES ends, those that have ended left out."""
    now = datetime.now(UTC)
    return {
        f"{site.name} {LINES.index(site.key.line)}": None
        if site.until is None
        else round((site.until - now) / timedelta(days=1))
        for site in valid_sites(read_registry(home), now)
    }


def test_a_renewed_key_is_valid_beside_the_old_one_for_the_overlap(home: Home) -> None:
    register(home, "north", LINES[0], 100)
    register(home, "east", LINES[1])
    _, old = renew_key(home, "north", LINES[2], 500, 20)
    assert [site.key.line for site in old] == [LINES[0]]
    assert validity(home) == {"east 1": KEY_DAYS, "north 0": 20, "north 2": 500}
    # What ends earlier is not made longer; and what has ended is no longer kept.
    renew_key(home, "north", LINES[3], 400, 30)
    assert validity(home) == {"east 1": KEY_DAYS, "north 0": 20, "north 2": 30, "north 3": 400}
    assert renew_key(home, "north", LINES[4], 400, 0)[1] == ()
    assert validity(home) == {"east 1": KEY_DAYS, "north 4": 400}
    assert {site.key.line for site in remove(home, "north")} == {LINES[4]}
    assert validity(home) == {"east 1": KEY_DAYS}


def test_of_a_sites_keys_the_one_to_last_comes_last(home: Home) -> None:
    """Flower lists a site by that one, so that nothing changes when the other one ends."""
    register(home, "north", LINES[0])
    renew_key(home, "north", LINES[1], 5)
    raws = [parse_public_key(line).raw for line in LINES[:2]]
    assert list(names_by_key(read_registry(home))) == [raws[1], raws[0]]
    renew_key(home, "north", LINES[1], 500)
    assert list(names_by_key(read_registry(home))) == raws


def test_renewing_with_the_same_key_moves_its_end(home: Home) -> None:
    register(home, "north", LINES[0], 10)
    assert renew_key(home, "north", LINES[0], 90)[1] == ()
    assert validity(home) == {"north 0": 90}


def test_renewing_an_endless_key_of_an_earlier_version(home: Home) -> None:
    home.registry.write_text(json.dumps([ENTRY]), encoding="utf-8")
    assert validity(home) == {"north 0": None}
    renew_key(home, "north", LINES[1])
    assert validity(home) == {"north 0": OVERLAP_DAYS, "north 1": KEY_DAYS}


def test_what_cannot_be_renewed(home: Home) -> None:
    register(home, "north", LINES[0])
    register(home, "east", LINES[1])
    for name, key, said in (
        ("west", LINES[2], "register it without --renew"),
        ("nort", LINES[2], "did you mean north"),
        ("north", LINES[1], "registered as east already"),
        ("north", public_key_line(generate_private_key(), "east"), "the key of the site east"),
    ):
        with pytest.raises(ConfigError, match=said):
            renew_key(home, name, key)
    assert validity(home) == {"east 1": KEY_DAYS, "north 0": KEY_DAYS}


def test_an_ended_key_is_not_registered_again_in_silence(home: Home) -> None:
    ended = ENTRY | {"until": "2026-02-01T00:00:00+00:00"}
    home.registry.write_text(json.dumps([ended]), encoding="utf-8")
    assert validity(home) == {}
    with pytest.raises(ConfigError, match="expired on 2026-02-01; add --renew"):
        register(home, "north", LINES[0])
