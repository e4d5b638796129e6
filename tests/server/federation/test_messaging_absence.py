"""Nodes that go, come back or start over while an answer of theirs is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict

from server.federation import messaging
from server.federation.connected import Presence, connected
from server.federation.messaging import Exchange, Missing, Question, Watch
from shared.errors import RunError

MakeSites = Callable[..., tuple[Any, Any]]
QUERY = Question("query", "describe", 5)
WEEK = 7.0 * 24 * 3600


def content(number: int) -> RecordDict:
    return RecordDict({"record": ConfigRecord({"number": number})})


class Looks:
    """Who is there, look by look; the last one stays. What happened is kept in order."""

    def __init__(self, *looks: dict[int, str]) -> None:
        self.looks = [
            {node: Presence(None, activation) for node, activation in look.items()}
            for look in looks
        ]
        self.heard: list[tuple[int, bool]] = []

    @property
    def watch(self) -> Watch:
        return Watch(self.look, lambda node, back: self.heard.append((node, back)))

    def look(self) -> dict[int, Presence]:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


@pytest.fixture
def clock(put_clock: Callable[..., Any]) -> Any:
    return put_clock("server.federation.messaging")


def ask(grid: Any, nodes: tuple[int, ...], looks: Looks, patience: float = WEEK) -> list[Any]:
    contents = dict.fromkeys(nodes, content(1))
    question = Question("query", "describe", 60, patience)
    return list(Exchange(grid, contents, question, looks.watch).replies())


def test_a_node_that_is_another_process_is_asked_again(make_sites: MakeSites, clock: Any) -> None:
    sites, grid = make_sites()
    grid.silent = frozenset({1001})

    def restart(now: float) -> None:
        if now > 1.5:  # it was asked again at 1 s, when it was seen to be another
            grid.silent = frozenset()

    clock.at = restart
    looks = Looks({1001: "one", 1002: "one"}, {1001: "two", 1002: "one"})
    replies = ask(grid, (1001, 1002), looks)
    assert [node for node, _ in replies] == [1002, 1001]
    first, second = (reply.metadata.reply_to_message_id for _, reply in replies)
    assert (first, second) == ("2", "3")  # of 1001 the second message counts, once
    assert sites.heard == [("east", "query"), ("north", "query")]
    assert looks.heard == []


def test_every_new_process_is_asked(make_sites: MakeSites, clock: Any) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001})

    def speak(now: float) -> None:
        if now > 4.5:
            grid.silent = frozenset()

    clock.at = speak
    looks = Looks(*({1001: f"activation {n}"} for n in (1, 2, 2, 3, 3)))
    ((node, reply),) = ask(grid, (1001,), looks)
    assert (node, reply.metadata.reply_to_message_id) == (1001, "3")


def test_a_node_that_stays_away_is_given_up(make_sites: MakeSites, clock: Any) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001, 1002})
    looks = Looks({1001: "one", 1002: "one"}, {1002: "one"})
    ended: dict[int, float] = {}
    question = Question("query", "describe", 60, patience=10)
    contents = dict.fromkeys((1001, 1002), content(1))
    replies = []
    for node, reply in Exchange(grid, contents, question, looks.watch).replies():
        replies.append((node, reply))
        ended[node] = clock.now
    assert replies == [
        (1001, Missing("its connection is lost for 10 s")),
        (1002, Missing("no reply within 60 s")),
    ]
    # Seen to be away at 1 s, and looked after every second.
    assert 11 <= ended[1001] < 12.2
    assert ended[1002] == pytest.approx(60)
    assert looks.heard == [(1001, False)]


def test_a_node_that_comes_back_in_time_is_waited_for(make_sites: MakeSites, clock: Any) -> None:
    """Each absence counts for itself: twice 6 s are not 12 s."""
    sites, grid = make_sites()
    grid.silent = frozenset({1001})

    def speak(now: float) -> None:
        if now > 18:
            grid.silent = frozenset()

    clock.at = speak
    here: dict[int, str] = {1001: "one"}
    looks = Looks(here, *[{}] * 6, here, here, *[{}] * 6, here)
    ((node, reply),) = ask(grid, (1001,), looks, patience=10)
    assert (node, reply.metadata.reply_to_message_id) == (1001, "1")
    assert looks.heard == [(1001, False), (1001, True), (1001, False), (1001, True)]
    assert sites.heard == [("north", "query")]


def test_a_reply_of_a_node_that_is_away_says_that_it_is_back(
    make_sites: MakeSites, clock: Any
) -> None:
    """It comes before the next look at who is there."""
    _, grid = make_sites()
    grid.silent = frozenset({1001})

    def speak(now: float) -> None:
        if now > 3:
            grid.silent = frozenset()

    clock.at = speak
    looks = Looks({1001: "one"}, {})
    ((node, reply),) = ask(grid, (1001,), looks, patience=10)
    assert (node, isinstance(reply, Message)) == (1001, True)
    assert looks.heard == [(1001, False), (1001, True)]


def test_what_was_given_up_is_never_yielded_again(make_sites: MakeSites, clock: Any) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001, 1002})

    def speak(now: float) -> None:
        if now > 5:
            grid.silent = frozenset()

    clock.at = speak
    looks = Looks({1001: "one", 1002: "one"}, *[{1002: "one"}] * 4, {1001: "two", 1002: "one"})
    replies = ask(grid, (1001, 1002), looks, patience=2)
    assert [(node, isinstance(reply, Missing)) for node, reply in replies] == [
        (1001, True),
        (1002, False),
    ]


def test_the_check_may_end_it(make_sites: MakeSites, clock: Any) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001})

    def check() -> None:
        if clock.now > 2:
            raise RunError("stopped")

    contents = dict.fromkeys((1001, 1002), content(1))
    replies = Exchange(grid, contents, QUERY, Watch(lambda: connected(grid), check=check)).replies()
    assert next(replies)[0] == 1002
    with pytest.raises(RunError, match="stopped"):
        next(replies)
    assert 2 < clock.now < 2.2


def test_presence_is_looked_at_now_and_then(
    make_sites: MakeSites, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messaging, "PRESENCE_SECONDS", 0.5)
    _, grid = make_sites()
    grid.silent = frozenset({1001})
    looked: list[float] = []

    def look() -> dict[int, Presence]:
        looked.append(clock.now)
        return {1001: Presence(None, "one")}

    replies = list(Exchange(grid, {1001: content(1)}, QUERY, Watch(look)).replies())
    assert replies == [(1001, Missing("no reply within 5 s"))]
    assert 9 <= len(looked) <= 10
    assert looked[0] == 0
