"""One message to each node, replies as they arrive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from server.federation.messaging import Exchange, Missing, Question
from server.simulation.grid import InProcessGrid, site_contexts
from shared.settings.config import RunConfig

MakeSites = Callable[..., tuple[Any, Any]]
QUERY = Question("query", "describe", 5)


def content(number: int) -> RecordDict:
    return RecordDict({"record": ConfigRecord({"number": number})})


def echo(message: Message, context: Context) -> Message:
    """What was asked, and who answers."""
    record = message.content.config_records["record"]
    return Message(
        RecordDict({"record": ConfigRecord({**record, "node": context.node_id})}),
        reply_to=message,
    )


def echoing(count: int) -> InProcessGrid:
    return InProcessGrid(echo, site_contexts(RunConfig(), count))


def test_every_node_answers_what_it_was_asked() -> None:
    grid = echoing(3)
    contents = {node: content(10 * node) for node in grid.get_node_ids()}
    replies = dict(Exchange(grid, contents, Question("train", "1", 5)).replies())
    assert list(replies) == list(contents)
    for node, reply in replies.items():
        assert isinstance(reply, Message)
        assert dict(reply.content["record"]) == {"number": 10 * node, "node": node}


def test_nobody_is_asked() -> None:
    assert list(Exchange(echoing(1), {}, Question("train", "1", 5)).replies()) == []


def test_replies_come_as_they_arrive(make_sites: MakeSites) -> None:
    sites, grid = make_sites()
    grid.backwards = True
    heard_before = []
    for node, _ in Exchange(grid, dict.fromkeys(grid.get_node_ids(), content(1)), QUERY).replies():
        heard_before.append((node, len(sites.heard)))
    assert heard_before == [(1003, 1), (1002, 2), (1001, 3)]


def test_who_is_silent_is_waited_for_until_the_time_is_up(make_sites: MakeSites) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1002})
    started = time.monotonic()
    contents = dict.fromkeys(grid.get_node_ids(), content(1))
    replies = dict(Exchange(grid, contents, Question("query", "describe", 0.3)).replies())
    assert list(replies) == [1001, 1003, 1002]
    assert replies[1002] == Missing("no reply within 0.3 s")
    assert 0.3 <= time.monotonic() - started < 10


def test_a_late_reply_is_not_taken_for_another(make_sites: MakeSites) -> None:
    """What a node still owes an earlier message never answers a later one."""
    _, grid = make_sites()
    grid.silent = frozenset({1001})
    late = Exchange(grid, {1001: content(1)}, Question("query", "describe", 0.01)).replies()
    assert list(late) == [(1001, Missing("no reply within 0.01 s"))]
    grid.silent = frozenset()
    ((node, reply),) = Exchange(grid, {1001: content(2)}, QUERY).replies()
    assert isinstance(reply, Message)
    assert (node, reply.metadata.reply_to_message_id) == (1001, "2")


class _Confused(InProcessGrid):
    """Delivers replies that nobody has asked for, and cannot reach one node."""

    def push_messages(self, messages: Any) -> list[Any]:
        return [*super().push_messages(list(messages)[:-1]), None]

    def pull_messages(self, message_ids: Any) -> list[Message]:
        (reply,) = super().pull_messages(message_ids)
        return [reply, reply]


def test_a_reply_is_taken_once_and_an_unreachable_node_not_waited_for() -> None:
    grid = _Confused(echo, site_contexts(RunConfig(), 2))
    contents = dict.fromkeys(grid.get_node_ids(), content(1))
    unreachable, (node, reply) = Exchange(grid, contents, Question("train", "1", 60)).replies()
    assert unreachable == (1002, Missing("the message cannot be sent to it"))
    assert (node, isinstance(reply, Message)) == (1001, True)


@pytest.mark.parametrize("group", ["1", "describe"])
def test_messages_carry_type_group_and_time_to_live(group: str) -> None:
    seen: list[tuple[str, str, float]] = []

    def look(message: Message, context: Context) -> Message:
        data = message.metadata
        seen.append((data.message_type, data.group_id, data.ttl))
        return echo(message, context)

    grid = InProcessGrid(look, site_contexts(RunConfig(), 1))
    list(Exchange(grid, {1001: content(1)}, Question("evaluate", group, 12.5)).replies())
    assert seen == [("evaluate", group, 12.5)]
