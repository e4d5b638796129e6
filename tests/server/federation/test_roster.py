"""Which sites are admitted: asked once, never waited for, held to the name they registered."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flwr.app import Message, RecordDict

from server.federation import roster as roster_module
from server.federation.connected import Presence, connected
from server.federation.global_model import Reference
from server.federation.roster import ASK_AGAIN_SECONDS, Roster, describe_refusals
from shared.protocol.describe import SiteDescription

MakeSites = Callable[..., tuple[Any, Any]]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(roster_module, "time", clock)
    return clock


def admit(
    grid: Any, roster: Roster, base: str, nodes: Mapping[int, Presence] | None = None
) -> None:
    present = connected(grid) if nodes is None else nodes
    roster_module.admit(grid, roster, present, roster_module.Terms("r1", base), timeout=5)


def test_sites_are_admitted_and_listed_by_name(make_sites: MakeSites, reference: Reference) -> None:
    _, grid = make_sites()
    roster = Roster()
    admit(grid, roster, reference.base.digest)
    assert roster.refused == {}
    present = roster.present(grid.get_node_ids())
    assert [(node, site.name) for node, site in present.items()] == [
        (1002, "east"),
        (1001, "north"),
        (1003, "south"),
    ]
    assert list(roster.present([1003, 1001])) == [1001, 1003]
    assert present[1001].images == 30


def test_an_admitted_site_is_not_asked_again(make_sites: MakeSites, reference: Reference) -> None:
    sites, grid = make_sites()
    roster = Roster()
    admit(grid, roster, reference.base.digest)
    admit(grid, roster, reference.base.digest)
    assert len(sites.heard) == 3


def test_two_sites_of_one_name(make_sites: MakeSites, reference: Reference) -> None:
    _, grid = make_sites(("north", "north", "east"))
    grid.backwards = True  # the later one answers first, and still it is the one refused
    roster = Roster()
    admit(grid, roster, reference.base.digest)
    assert {node: site.name for node, site in roster.sites.items()} == {1001: "north", 1003: "east"}
    assert list(roster.refused) == [1002]
    assert "Two sites are called 'north'; rename one of them" in roster.refused[1002]


def test_a_client_that_is_started_anew(make_sites: MakeSites, reference: Reference) -> None:
    """It comes back as another node, while its old node is gone."""
    _, grid = make_sites(("north", "north", "east"))
    roster = Roster()
    grid.gone = frozenset({1002})
    admit(grid, roster, reference.base.digest)
    grid.gone = frozenset({1001})
    admit(grid, roster, reference.base.digest)
    assert roster.refused == {}
    assert list(roster.present(grid.get_node_ids())) == [1003, 1002]


def test_another_base_is_refused_and_asked_again(
    make_sites: MakeSites, reference: Reference, clock: Clock
) -> None:
    sites, grid = make_sites()
    other = SiteDescription("north", "sha256:other", 30, 30).to_content()
    sites.spoil = lambda name, asked, reply: other if name == "north" else reply
    roster = Roster()
    admit(grid, roster, reference.base.digest)
    assert list(roster.refused) == [1001]
    sentence = roster.refused[1001]
    assert sentence.startswith("Site north holds another pretrained base (sha256:other) than the")
    assert "every site must load the same `weights` file" in sentence
    sites.spoil = lambda name, asked, reply: reply
    clock.now += ASK_AGAIN_SECONDS[0]
    admit(grid, roster, reference.base.digest)
    assert roster.refused == {}
    assert len(roster.sites) == 3


def test_an_error_reply_and_a_broken_one(make_sites: MakeSites, reference: Reference) -> None:
    sites, grid = make_sites()

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == "north":
            raise RuntimeError("/home/north/patients.csv")
        return RecordDict() if name == "east" else reply

    sites.spoil = spoil
    roster = Roster()
    admit(grid, roster, reference.base.digest)
    assert [site.name for site in roster.sites.values()] == ["south"]
    assert roster.refused == {
        1001: "A site (node 1001) cannot take part: RuntimeError.",
        1002: "Node 1002 is refused: the message has no record 'site'.",
    }
    assert describe_refusals(roster.refused) == " ".join(roster.refused.values())


def test_a_node_that_is_silent_holds_up_nobody(make_sites: MakeSites, reference: Reference) -> None:
    """The clock of this test stands still: whoever waited would wait for ever."""
    sites, grid = make_sites()
    grid.silent = frozenset({1001, 1003})
    roster = Roster()
    for _ in range(3):
        admit(grid, roster, reference.base.digest)
    assert [site.name for site in roster.sites.values()] == ["east"]
    assert roster.refused == {}
    assert [roster.is_awaited(node) for node in (1001, 1002, 1003, 9)] == [True, False, True, False]
    grid.silent = frozenset()
    admit(grid, roster, reference.base.digest)
    assert [site.name for site in roster.present([1001, 1003]).values()] == ["north", "south"]
    assert not roster.is_awaited(1001)
    assert sorted(sites.heard) == [(name, "query") for name in ("east", "north", "south")]


def test_a_refused_node_is_asked_ever_more_rarely(
    make_sites: MakeSites, reference: Reference, clock: Clock
) -> None:
    sites, grid = make_sites(("north",))
    sites.spoil = lambda name, asked, reply: RecordDict()
    roster = Roster()
    moments = []
    for _ in range(1000):
        heard = len(sites.heard)
        admit(grid, roster, reference.base.digest)
        if len(sites.heard) > heard:
            moments.append(clock.now)
        clock.now += 0.125
    waits = [after - before for before, after in itertools.pairwise(moments)]
    assert waits == [1, 2, 5, 10, 20, 20, 20, 20, 20]


def test_a_node_whose_process_is_another_is_asked_at_once(
    make_sites: MakeSites, reference: Reference
) -> None:
    sites, grid = make_sites(("north", "east"))
    sites.spoil = lambda name, asked, reply: RecordDict() if name == "north" else reply
    grid.silent = frozenset({1002})
    roster = Roster()
    admit(grid, roster, reference.base.digest, {n: Presence(None, "one") for n in (1001, 1002)})
    assert (list(roster.refused), list(roster.sites)) == ([1001], [])
    # The refused one would be asked after a second; the silent one has lost what it was asked.
    sites.spoil = lambda name, asked, reply: reply
    grid.restart(1002, "two")
    grid.silent = frozenset()
    admit(grid, roster, reference.base.digest, {n: Presence(None, "two") for n in (1001, 1002)})
    assert roster.refused == {}
    assert list(roster.present([1001, 1002])) == [1002, 1001]


def test_a_message_that_could_not_be_sent_is_sent_again(
    make_sites: MakeSites, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, grid = make_sites(("north",))
    roster = Roster()
    with monkeypatch.context() as broken:
        broken.setattr(grid, "push_messages", lambda messages: [None for _ in messages])
        admit(grid, roster, reference.base.digest)
    assert not roster.is_awaited(1001)
    admit(grid, roster, reference.base.digest)
    assert [site.name for site in roster.sites.values()] == ["north"]


def test_a_site_must_call_itself_what_it_is_registered_as(
    make_sites: MakeSites, reference: Reference
) -> None:
    _, grid = make_sites(("north", "east"))
    roster = Roster()
    registered = {1001: Presence("south", "one"), 1002: Presence("east", "one")}
    admit(grid, roster, reference.base.digest, registered)
    assert [site.name for site in roster.sites.values()] == ["east"]
    assert roster.refused == {
        1001: "The site that is registered as 'south' calls itself 'north'; its site.toml must say "
        'name = "south" in [site], or register its key under the other name.'
    }


def test_a_site_that_leaves_while_it_answers_is_held_to_its_name(
    make_sites: MakeSites, reference: Reference
) -> None:
    """Else it would come back as the other one."""
    _, grid = make_sites(("north",))
    grid.silent = frozenset({1001})
    roster = Roster()
    admit(grid, roster, reference.base.digest, {1001: Presence("south", "one")})
    grid.silent = frozenset()
    admit(grid, roster, reference.base.digest, {})
    assert roster.sites == {}
    assert "registered as 'south' calls itself 'north'" in roster.refused[1001]


def test_errors_of_registered_sites_are_named(make_sites: MakeSites, reference: Reference) -> None:
    sites, grid = make_sites(("north", "east"))

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == "north":
            raise MemoryError
        return RecordDict()

    sites.spoil = spoil
    roster = Roster()
    registered = {1001: Presence("north", "one"), 1002: Presence("east", "one")}
    admit(grid, roster, reference.base.digest, registered)
    assert roster.refused == {
        1001: "north cannot take part: MemoryError.",
        1002: "east is refused: the message has no record 'site'.",
    }


def test_what_holds_for_several_sites_is_said_once() -> None:
    refused = {3: "No library.", 1: "No library.", 2: "Site east is late."}
    assert describe_refusals(refused) == "No library. Site east is late."
