"""Which sites are admitted, and which of their replies are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Error, Message, RecordDict

from server.admission import (
    Roster,
    admit_new_nodes,
    describe_refusals,
    read_evaluate_reply,
    read_train_reply,
)
from server.global_model import Reference, expected_frozen_digest
from shared.config import RunConfig
from shared.errors import ProtocolError
from shared.protocol.describe import SiteDescription
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply, TrainRequest
from shared.schedule import plan_round
from shared.wire.arrays import to_record

MakeSites = Callable[..., tuple[Any, Any]]


def admit(grid: Any, roster: Roster, base: str, timeout: float = 5) -> None:
    admit_new_nodes(grid, roster, grid.get_node_ids(), run="r1", base=base, timeout=timeout)


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
    make_sites: MakeSites, reference: Reference
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


def test_silent_nodes_are_asked_again_next_time(
    make_sites: MakeSites, reference: Reference
) -> None:
    _, grid = make_sites()
    grid.silent = frozenset({1001, 1003})
    roster = Roster()
    admit(grid, roster, reference.base.digest, timeout=0.05)
    assert [site.name for site in roster.sites.values()] == ["east"]
    assert roster.refused[1001] == "Node 1001 did not say within 0.05 s which site it is."
    grid.silent = frozenset()
    admit(grid, roster, reference.base.digest)
    assert roster.refused == {}
    assert len(roster.sites) == 3


PLAN = plan_round(RunConfig(), 1)
SITE = SiteDescription("north", "sha256:ab", 30, 30)


@pytest.fixture
def good(make_sites: MakeSites, reference: Reference) -> TrainReply:
    sites, _ = make_sites()
    request = TrainRequest("r1", reference.base.digest, PLAN, (), to_record({}))
    reply: TrainReply = sites.reply("north", request)
    return reply


def answered(content: RecordDict | Error) -> Message:
    asked = Message(RecordDict(), dst_node_id=1001, message_type="train")
    return Message(content, reply_to=asked)


def read(reference: Reference, content: RecordDict | Error) -> TrainReply:
    frozen = expected_frozen_digest(reference, PLAN.trainable)
    return read_train_reply(answered(content), SITE, PLAN, reference.specs(PLAN.trainable), frozen)


def test_a_reply_that_keeps_the_contract(reference: Reference, good: TrainReply) -> None:
    received = read(reference, good.to_content())
    assert (received.site, received.round) == ("north", 1)
    for name, array in good.delta.items():
        assert np.array_equal(received.delta[name], array)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"site": "east"}, "it now calls itself 'east'"),
        ({"round": 2}, "its reply is of round 2, not 1"),
        ({"frozen": "sha256:0"}, "its frozen stages differ from the base"),
        ({"delta": {}}, r"tensors are missing: fc\.bias, fc\.weight"),
    ],
)
def test_a_reply_that_breaks_it(
    changed: dict[str, object], sentence: str, reference: Reference, good: TrainReply
) -> None:
    content = dataclasses.replace(good, **changed).to_content()  # type: ignore[arg-type]
    with pytest.raises(ProtocolError, match=f"^{sentence}$"):
        read(reference, content)


def test_what_a_site_says_of_its_failure(reference: Reference) -> None:
    with pytest.raises(ProtocolError, match=r"^its folder needs attention$"):
        read(reference, Error(1, "its folder needs attention"))
    with pytest.raises(ProtocolError, match=r"^it failed without a reason$"):
        read(reference, Error(1, ""))


def test_evaluation_replies(make_sites: MakeSites) -> None:
    sites, _ = make_sites()
    reply = EvaluateReply("north", sites.histogram("north", 1), False, 0.5)
    assert read_evaluate_reply(answered(reply.to_content()), "north") == reply
    with pytest.raises(ProtocolError, match="it now calls itself 'north'"):
        read_evaluate_reply(answered(reply.to_content()), "east")
    with pytest.raises(ProtocolError, match=r"^out of memory$"):
        read_evaluate_reply(answered(Error(2, "out of memory")), "north")
    with pytest.raises(ProtocolError, match="no record 'report'"):
        read_evaluate_reply(answered(RecordDict({"x": ConfigRecord()})), "north")
