"""Candidates for the final model: both messages through the wire, and every way to break them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from flwr.app import RecordDict

from shared.errors import ProtocolError
from shared.metrics.histogram import SCORE_BINS, Histogram
from shared.model.resnet import MICRO
from shared.outcome.registry import parse_outcome
from shared.protocol.candidates import CandidatesReply, CandidatesRequest
from shared.protocol.histogram import MOST_OF_A_SITE
from shared.protocol.sent_model import SentModel
from shared.wire.arrays import to_record

Content = Callable[[RecordDict], RecordDict]
Damages = Callable[[RecordDict], Iterator[tuple[str, RecordDict]]]

REQUEST = CandidatesRequest(
    run="r1",
    base="sha256:ab",
    after_round=4,
    probed=("head",),
    shares=(0.0, 0.5, 1.0),
    start=to_record({"fc.bias": np.zeros(1, np.float32)}),
    model=SentModel(
        5,
        ("layer4", "head"),
        ("sha256:" + 64 * "a", "sha256:" + 64 * "b"),
        ("layer4",),
        ("head",),
        to_record({"fc.bias": np.ones(1, np.float32)}),
    ),
)
REPLY = CandidatesReply(
    site="north",
    counts=tuple(Histogram.from_logits([shift, 1.0, -1.0], [0, 1, 0]) for shift in (-9, 0, 9)),
    suppress=True,
    seconds=0.25,
)


def test_both_survive_the_wire(on_the_wire: Content) -> None:
    assert CandidatesRequest.from_content(on_the_wire(REQUEST.to_content()), MICRO) == REQUEST
    assert CandidatesReply.from_content(on_the_wire(REPLY.to_content()), 3) == REPLY


def test_every_damage_is_refused(on_the_wire: Content, damaged: Damages) -> None:
    tried = 0
    for what, content in damaged(REQUEST.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {CandidatesRequest.from_content(on_the_wire(content), MICRO)}")
        tried += 1
    for what, content in damaged(REPLY.to_content()):
        with pytest.raises(ProtocolError):
            pytest.fail(f"{what}: {CandidatesReply.from_content(on_the_wire(content), 3)}")
        tried += 1
    assert tried > 50


@pytest.mark.parametrize("shares", [(), (0.0,), (0.0, 2.0), (0.5, 1.0), (0.0, 0.6, 0.5, 1.0)])
def test_shares_that_lead_nowhere(shares: tuple[float, ...]) -> None:
    content = dataclasses.replace(REQUEST, shares=shares).to_content()
    with pytest.raises(ProtocolError, match="shares"):
        CandidatesRequest.from_content(content, MICRO)


def test_a_reply_of_another_number_of_candidates() -> None:
    with pytest.raises(ProtocolError, match="more than 2 candidates"):
        CandidatesReply.from_content(REPLY.to_content(), 2)
    with pytest.raises(ProtocolError, match="'3-positives' is missing"):
        CandidatesReply.from_content(REPLY.to_content(), 4)


@pytest.mark.parametrize("text", ["classes: a | b | c", "ordinal: a | b | c", "labels: a | b"])
def test_candidates_of_any_outcome(text: str) -> None:
    outcome = parse_outcome(text)
    reply = dataclasses.replace(REPLY, counts=(outcome.empty(),) * 3)
    assert CandidatesReply.from_content(reply.to_content(), 3, outcome) == reply


def test_the_same_patients_stand_under_each_candidate() -> None:
    other = Histogram.from_logits([0.0, 1.0, -1.0], [1, 1, 0])
    content = dataclasses.replace(REPLY, counts=(*REPLY.counts[:2], other)).to_content()
    with pytest.raises(ProtocolError, match="same patients"):
        CandidatesReply.from_content(content, 3)


def test_more_patients_than_a_site_can_have() -> None:
    counts = np.zeros(SCORE_BINS, np.int64)
    counts[0] = MOST_OF_A_SITE + 1
    content = dataclasses.replace(REPLY, counts=(Histogram(counts, counts),) * 3).to_content()
    with pytest.raises(ProtocolError, match="above"):
        CandidatesReply.from_content(content, 3)
