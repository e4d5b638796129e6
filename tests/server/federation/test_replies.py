"""Which replies are used, and what is said of the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from server.federation.global_model import Reference, expected_frozen_digest
from server.federation.replies import (
    REASON_LIMIT,
    as_sentence,
    error_reason,
    list_problems,
    read_evaluate_reply,
    read_train_reply,
)
from shared.errors import ProtocolError
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.sent_model import NOTHING_SENT
from shared.protocol.train import TrainReply, TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

MakeSites = Callable[..., tuple[Any, Any]]
PLAN = plan_round(RunConfig(), 1)
SITE = SiteDescription("north", "sha256:ab", 30, 30)


@pytest.fixture
def good(make_sites: MakeSites, reference: Reference) -> TrainReply:
    sites, _ = make_sites()
    request = TrainRequest("r1", reference.base.digest, PLAN, (), NOTHING_SENT)
    reply: TrainReply = sites.reply("north", request)
    return reply


def read(reference: Reference, content: RecordDict) -> TrainReply:
    frozen = expected_frozen_digest(reference, PLAN.trainable)
    return read_train_reply(content, SITE, PLAN, frozen)


def test_a_reply_that_keeps_the_contract(reference: Reference, good: TrainReply) -> None:
    received = read(reference, good.to_content())
    assert (received.site, received.round) == ("north", 1)
    assert received == good


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"site": "east"}, "it now calls itself 'east'"),
        ({"round": 2}, "its reply is of round 2, not 1"),
        ({"frozen": "sha256:0"}, "its frozen stages differ from the base"),
    ],
)
def test_a_reply_that_breaks_it(
    changed: dict[str, object], sentence: str, reference: Reference, good: TrainReply
) -> None:
    content = dataclasses.replace(good, **changed).to_content()  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=f"^{sentence}$"):
        read(reference, content)


def failure(reason: str) -> str:
    asked = Message(RecordDict(), dst_node_id=1001, message_type="train")
    return error_reason(Message(Error(1, reason), reply_to=asked))


def test_what_a_site_says_of_its_failure() -> None:
    assert failure("its folder needs attention.") == "its folder needs attention"
    assert failure("") == "it failed without a reason"


def test_evaluation_replies(make_sites: MakeSites) -> None:
    sites, _ = make_sites()
    reply = EvaluateReply("north", sites.histogram("north", 1), False, 0.5)
    assert read_evaluate_reply(reply.to_content(), "north") == reply
    with pytest.raises(ProtocolError, match="it now calls itself 'north'"):
        read_evaluate_reply(reply.to_content(), "east")
    with pytest.raises(ProtocolError, match="no record 'report'"):
        read_evaluate_reply(RecordDict({"x": ConfigRecord()}), "north")


def test_a_reason_is_one_printable_line_of_bounded_length() -> None:
    assert failure("a\nb\tc \x1b[2J") == "a b c  [2J"
    assert failure("x" * 10**6) == "x" * REASON_LIMIT


def test_problems_in_a_sentence() -> None:
    assert list_problems({"south": "b.", "east": "a"}) == "east: a; south: b"
    assert [as_sentence(text) for text in ("a", "a.", "a?")] == ["a.", "a.", "a?"]
