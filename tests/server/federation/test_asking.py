"""The one way to ask sites, and what each answer becomes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.common import serde

from server.federation.asking import Answer, Problem, ask, said_by_all
from server.federation.connected import Presence
from server.federation.messaging import Exchange, Missing, Question, Watch
from server.simulation.grid import InProcessGrid, site_contexts
from shared.errors import ProtocolError, RunError
from shared.protocol.replies import DIVERGED, FAILED, UNEXPECTED
from shared.settings.config import RunConfig

QUESTION = Question("query", "group", 1.0)
NAMES = {1: "north", 2: "south", 3: "east"}


def content(value: int) -> RecordDict:
    return RecordDict({"said": ConfigRecord({"value": value})})


def reply(said: RecordDict | Error) -> Message:
    return Message(said, reply_to=Message(RecordDict(), dst_node_id=1, message_type="query"))


def read(node: int, received: RecordDict) -> tuple[int, int]:
    value = received.config_records["said"]["value"]
    assert isinstance(value, int)
    if value < 0:
        raise ProtocolError("its value is negative", diverged=value < -1)
    return node, value


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Answer[tuple[int, int]]]]:
    def run(*answers: tuple[int, Message | Missing]) -> list[Answer[tuple[int, int]]]:
        monkeypatch.setattr(Exchange, "replies", lambda _: iter(answers))
        return list(ask(None, {}, QUESTION, read))  # type: ignore[arg-type]

    return run


Answering = Callable[..., list[Answer[tuple[int, int]]]]


def test_answers_are_read_in_the_order_of_arrival(answering: Answering) -> None:
    found = answering((2, reply(content(7))), (1, reply(content(300))))
    assert [(one.node, one.said) for one in found] == [(2, (2, 7)), (1, (1, 300))]
    wire = [len(serde.recorddict_to_proto(content(n)).SerializeToString()) for n in (7, 300)]
    assert [one.bytes for one in found] == wire


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (Missing("no reply within 1 s"), Problem("missing", "no reply within 1 s")),
        (Error(FAILED, "the disk is full."), Problem("failed", "the disk is full", FAILED)),
        (
            Error(UNEXPECTED, "an\nexception"),
            Problem("failed", "an exception", UNEXPECTED),
        ),
        (Error(DIVERGED, "NaN"), Problem("failed", "NaN", DIVERGED, diverged=True)),
        (content(-1), Problem("refused", "its value is negative")),
        (content(-2), Problem("refused", "its value is negative", diverged=True)),
    ],
)
def test_what_is_no_answer_becomes_a_problem_and_the_others_go_on(
    answering: Answering, said: RecordDict | Error | Missing, problem: Problem
) -> None:
    message = said if isinstance(said, Missing) else reply(said)
    first, second = answering((1, message), (2, reply(content(5))))
    assert (first.said, second.said) == (problem, (2, 5))
    # What came counts as received even where it cannot be used.
    assert (first.bytes > 0) == (problem.kind == "refused")


def test_any_other_error_while_reading_is_a_fault_and_ends_all(answering: Answering) -> None:
    with pytest.raises(KeyError):
        answering((1, reply(RecordDict())))


def test_who_watches_sees_who_is_there_and_may_end_it(make_sites: Callable[..., Any]) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001, 1002, 1003})
    nodes, looked = tuple(grid.get_node_ids()), []

    def look() -> dict[int, Presence]:
        looked.append(nodes)
        return {node: Presence(None, "one") for node in nodes}

    def check() -> None:
        raise RunError("stopped")

    watch = Watch(look, check=check)
    with pytest.raises(RunError, match="stopped"):
        list(ask(grid, dict.fromkeys(nodes, content(1)), QUESTION, read, watch=watch))
    assert looked == [nodes]


def test_where_all_must_answer_the_first_problem_is_said(answering: Answering) -> None:
    good = answering((2, reply(content(5))), (1, reply(content(6))))
    assert said_by_all(good, NAMES) == {"south": (2, 5), "north": (1, 6)}
    for message, sentence in (
        (Missing("no reply within 1 s"), "east did not answer: no reply within 1 s."),
        (reply(Error(FAILED, "it has no scores")), "east could not be asked: it has no scores."),
        (reply(content(-1)), "east answered otherwise than asked: its value is negative."),
    ):
        answers = answering((2, reply(content(5))), (3, message), (1, Missing("gone")))
        with pytest.raises(RunError) as raised:
            said_by_all(answers, NAMES, RunError)
        assert str(raised.value) == sentence


class _Sites:
    """Sites that say the number they were asked, and what each was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def __call__(self, message: Message, context: Context) -> Message:
        value = message.content.config_records["said"]["value"]
        assert isinstance(value, int)
        self.asked.append((context.node_id, value))
        return Message(content(value), reply_to=message)


def test_a_site_may_be_asked_something_else_and_answers_that() -> None:
    sites = _Sites()
    grid = InProcessGrid(sites, site_contexts(RunConfig(), 2))

    def further(node: int, received: RecordDict) -> RecordDict | None:
        said = read(node, received)[1]
        return content(said + 1) if node == 1001 and said < 3 else None

    contents = dict.fromkeys((1001, 1002), content(1))
    found = list(ask(grid, contents, QUESTION, read, further=further))
    # The other site is heard first: who is asked again takes a place at the end.
    assert [(one.node, one.said) for one in found] == [(1002, (1002, 1)), (1001, (1001, 3))]
    assert sites.asked == [(1001, 1), (1002, 1), (1001, 2), (1001, 3)]


def test_what_cannot_be_asked_instead_is_a_problem_of_that_site_alone() -> None:
    grid = InProcessGrid(_Sites(), site_contexts(RunConfig(), 2))

    def further(node: int, received: RecordDict) -> RecordDict | None:
        if node == 1001:
            raise ProtocolError("it lacks what it was sent")
        return None

    found = list(
        ask(grid, dict.fromkeys((1001, 1002), content(1)), QUESTION, read, further=further)
    )
    assert [one.said for one in found] == [
        Problem("refused", "it lacks what it was sent"), (1002, 1),
    ]  # fmt: skip
    assert found[0].bytes == found[1].bytes > 0


def test_a_site_that_cannot_be_reached_again_is_held_to_what_it_said() -> None:
    class Once(InProcessGrid):
        """Nothing can be sent after the first messages."""

        def push_messages(self, messages: Any) -> list[Any]:
            sent = [*super().push_messages(messages)]
            self.push_messages = lambda messages: [None for _ in messages]  # type: ignore[method-assign]
            return sent

    grid = Once(_Sites(), site_contexts(RunConfig(), 1))
    found = list(ask(grid, {1001: content(7)}, QUESTION, read, further=lambda *_: content(8)))
    assert [one.said for one in found] == [(1001, 7)]
