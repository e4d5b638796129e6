"""Waiting before a round: for enough sites, and a while for those that are expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Error, RecordDict

from server.federation.context import Federation
from server.federation.quorum import wait_for_sites
from shared.errors import RunError, SiteError
from shared.protocol.describe import SiteDescription
from shared.run.events import Event, SiteJoined, SiteUnable, Warned, listening

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
NAMES = {1001: "north", 1002: "east", 1003: "south"}


@pytest.fixture
def clock(put_clock: Callable[..., Any]) -> Any:
    return put_clock("server.federation.quorum", "server.federation.roster")


def wait(federation: Federation, *expected: str) -> tuple[list[str], list[str]]:
    """The names of those who are there then, and what the coordinator's owner was told."""
    events: list[Event] = []
    with listening(events.append):
        sites = wait_for_sites(federation, expected)
    return [site.name for site in sites.values()], [
        event.text for event in events if isinstance(event, Warned)
    ]


def come(grid: Any, clock: Any, after: float) -> None:
    """Let those who are gone be there so many seconds after the beginning."""

    def look(now: float) -> None:
        if now >= after:
            grid.gone = frozenset()

    clock.at = look


def test_all_are_there(make_sites: MakeSites, make_federation: MakeFederation, clock: Any) -> None:
    _, grid = make_sites()
    federation = make_federation(grid, names=NAMES)
    assert wait(federation, "north", "east", "south") == (["east", "north", "south"], [])
    assert wait(federation, "east") == (["east", "north", "south"], [])
    assert clock.now == 0


def test_each_site_is_announced_once(
    make_sites: MakeSites, make_federation: MakeFederation
) -> None:
    _, grid = make_sites()
    federation = make_federation(grid, names=NAMES)
    events: list[Event] = []
    with listening(events.append):
        wait_for_sites(federation)
        wait_for_sites(federation)
    assert events == [
        SiteJoined("north"), SiteJoined("east"), SiteJoined("south"),
    ]  # fmt: skip


def test_a_simulation_begins_with_all_of_its_sites(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    """Engines start them one by one; the first two would do for min-sites."""
    _, grid = make_sites()
    grid.gone = frozenset({1003})

    come(grid, clock, 3)
    federation = make_federation(grid, names=NAMES, min_sites=2, sites="north:east:south")
    names, warnings = wait(federation)
    assert names == ["east", "north", "south"]
    assert warnings == ["Waiting for sites: 2 ready, 3 required. Not connected: south."]
    assert clock.now >= 3


def test_a_simulated_site_that_never_comes(
    make_sites: MakeSites,
    make_federation: MakeFederation,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.federation.context.SIMULATION_TIMEOUT", 9.0)
    _, grid = make_sites()
    grid.gone = frozenset({1003})
    federation = make_federation(grid, names=NAMES, min_sites=2, sites="north:east:south")
    with pytest.raises(RunError, match="2 of 3 sites can take part"):
        wait_for_sites(federation)


def test_enough_are_there_and_nobody_else_is_expected(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})
    federation = make_federation(grid, names=NAMES, min_sites=2)
    assert wait(federation, "east") == (["east", "south"], [])
    assert clock.now == 0


def test_a_site_that_the_run_goes_on_without_makes_no_quorum(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    """It is connected and not asked, so with one other site a round would be in vain."""
    _, grid = make_sites()
    grid.gone = frozenset({1001})

    come(grid, clock, 100)
    federation = make_federation(grid, names=NAMES, min_sites=2, reconnect_wait=30)
    federation.excluded["east"] = "excluded from this run"
    names, warnings = wait(federation, "north", "south")
    assert names == ["east", "north", "south"]
    assert warnings == [
        "Waiting for sites: 1 ready, at least 2 required. Connected, but unable to take part: "
        "east: excluded from this run. Not connected: north."
    ]
    assert clock.now >= 100


def test_without_the_excluded_site_too_few_can_take_part(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})
    federation = make_federation(grid, names=NAMES, min_sites=2, round_timeout=50)
    federation.excluded["east"] = "excluded from this run"
    with pytest.raises(RunError) as caught:
        wait_for_sites(federation)
    assert str(caught.value).startswith(
        "1 of at least 2 sites (min-sites) can take part: south. Connected, but unable to take "
        "part: east: excluded from this run. Not connected: north."
    )


def test_who_is_expected_is_waited_for_a_while(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})
    federation = make_federation(grid, names=NAMES, min_sites=2, reconnect_wait=30)
    assert wait(federation, "north", "south") == (
        ["east", "south"],
        ["Waiting for sites: 2 ready, at least 2 required. Not connected: north."],
    )
    assert 30 <= clock.now < 31


def test_who_comes_back_meanwhile_takes_part(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})

    come(grid, clock, 12.1)
    federation = make_federation(grid, names=NAMES, min_sites=2, reconnect_wait=30)
    names, _ = wait(federation, "north", "south")
    assert names == ["east", "north", "south"]
    assert 12 < clock.now < 13


def test_who_is_connected_and_reads_its_images_is_waited_for_longer(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001})

    def be_ready(now: float) -> None:
        if now > 500:
            grid.silent = frozenset()

    clock.at = be_ready
    federation = make_federation(
        grid, names=NAMES, min_sites=2, reconnect_wait=30, round_timeout=3600
    )
    names, _ = wait(federation, "north")
    assert names == ["east", "north", "south"]
    assert 500 < clock.now < 501


def test_but_not_who_is_not_expected_nor_for_ever(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001})
    federation = make_federation(
        grid, names=NAMES, min_sites=2, reconnect_wait=30, round_timeout=600
    )
    assert wait(federation, "east") == (["east", "south"], [])
    assert clock.now == 0
    assert wait(federation, "north")[0] == ["east", "south"]
    assert 600 <= clock.now < 601


def test_too_few_are_waited_for_as_long_as_a_round_may_take(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    sites, grid = make_sites()
    grid.gone = frozenset({1001})
    other = SiteDescription("east", "sha256:other", 30, 30).to_content()
    sites.spoil = lambda name, asked, reply: other if name == "east" else reply
    federation = make_federation(
        grid, names=NAMES, min_sites=2, reconnect_wait=30, round_timeout=600
    )
    sentence = (
        r"^1 of at least 2 sites \(min-sites\) can take part: south\. Connected, but unable to "
        r"take part: east: it holds another .* Not connected: north\. Start `fedthaw site run` at "
        r"those that are not connected, fix what is wrong at those that cannot take part, or lower "
        r"min-sites\. "
        r"What was done so far is kept; continue with --resume\.$"
    )
    with pytest.raises(RunError, match=sentence):
        wait(federation)
    assert 600 <= clock.now < 601


def test_a_refusal_is_told_once(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    sites, grid = make_sites()
    sites.spoil = lambda name, asked, reply: RecordDict() if name == "east" else reply
    federation = make_federation(grid, names=NAMES, min_sites=2, reconnect_wait=30)
    events: list[Event] = []
    with listening(events.append):
        names, messages = wait(federation, "east")
    assert names == ["north", "south"]
    assert [event for event in events if isinstance(event, SiteUnable)] == [
        SiteUnable(
            "east",
            "east is refused: the message has no record 'site'.",
            "the message has no record 'site'",
        )
    ]
    assert messages == [
        "Waiting for sites: 2 ready, at least 2 required. Connected, but unable to take part: "
        "east: the message has no record 'site'."
    ]
    assert len([one for one in sites.heard if one[0] == "east"]) > 3


def test_each_kind_of_absence_is_named_apart(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    """One cannot train, one reads its images, one is away: never as "not connected" together."""
    sites, grid = make_sites()
    grid.gone, grid.silent = frozenset({1003}), frozenset({1002})
    sites.spoil = lambda name, asked, reply: (
        Error(1, "it has too few patients of one class") if name == "north" else reply
    )
    federation = make_federation(grid, names=NAMES, min_sites=2, round_timeout=100)
    with pytest.raises(RunError) as caught:
        wait(federation)
    assert str(caught.value) == (
        "0 of at least 2 sites (min-sites) can take part. Connected, but unable to take part: "
        "north: it has too few patients of one class. Still reading their images: east. Not "
        "connected: south. Start `fedthaw site run` at those that are not connected, fix what is "
        "wrong at those that cannot take part, or lower min-sites. What was done so far is kept; "
        "continue with --resume."
    )
    assert federation.others([]) == (
        ("south",),
        {
            "east": "it is still reading its images",
            "north": "it has too few patients of one class",
        },
    )


def test_it_warns_again_once_it_waits_for_something_else(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    """First it reads its images, then it is refused: the last warning is true."""
    sites, grid = make_sites()
    grid.silent = frozenset({1001})

    def answered(now: float) -> None:
        if now >= 4:
            grid.silent = frozenset()

    clock.at = answered
    sites.spoil = lambda name, asked, reply: (
        Error(1, "it has too few patients of one class") if name == "north" else reply
    )
    federation = make_federation(grid, names=NAMES, min_sites=3, round_timeout=100)
    events: list[Event] = []
    with pytest.raises(RunError), listening(events.append):
        wait_for_sites(federation)
    waiting = [e.text for e in events if isinstance(e, Warned) and e.text.startswith("Waiting")]
    begin = "Waiting for sites: 2 ready, at least 3 required."
    assert waiting == [
        f"{begin} Still reading their images: north.",
        f"{begin} Connected, but unable to take part: north: it has too few patients of one class.",
    ]


def test_what_is_fixed_is_forgotten(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    sites, grid = make_sites()
    sites.spoil = lambda name, asked, reply: (
        Error(1, "its GPU is gone") if name == "north" and clock.now < 40 else reply
    )
    federation = make_federation(grid, names=NAMES, min_sites=3)
    names, _ = wait(federation)
    assert names == ["east", "north", "south"]
    assert 40 <= clock.now < 65
    assert federation.others(names) == ((), {})


def test_a_refused_site_of_a_simulation_ends_it(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any
) -> None:
    sites, grid = make_sites()
    sites.spoil = lambda name, asked, reply: RecordDict() if name == "east" else reply
    federation = make_federation(grid, min_sites=2, sites="a:b:c")
    with pytest.raises(SiteError, match=r"^Node 1002 is refused: the message has no record"):
        wait(federation)
    assert clock.now == 0


def test_a_stop_file_ends_it(
    make_sites: MakeSites, make_federation: MakeFederation, clock: Any, tmp_path: Path
) -> None:
    _, grid = make_sites()
    grid.gone = frozenset({1001})

    def stop(now: float) -> None:
        if now > 5:
            (tmp_path / "stop").touch()

    clock.at = stop
    federation = make_federation(grid, names=NAMES)
    with pytest.raises(RunError, match=r"^The run was stopped\."):
        wait(federation)
    assert 5 < clock.now < 6
