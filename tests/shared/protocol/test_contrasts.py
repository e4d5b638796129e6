"""Comparisons of several classes or labels as messages: what breaks the contract is refused."""

from __future__ import annotations

import pytest
from flwr.app import ConfigRecord, MetricRecord

from shared.errors import ProtocolError
from shared.metrics.classes.paired import ContrastSums
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums
from shared.outcome.registry import parse_outcome
from shared.protocol.contrasts import ContrastReply, ContrastRequest

ORDINAL = parse_outcome("ordinal: none | mild | severe")
ONE = Histogram.from_bins([10, 20, 30], [0, 1, 1])
OTHER = Histogram.from_bins([11, 21, 31], [0, 1, 0])
REQUEST = ContrastRequest(
    run="r1",
    scope="test",
    runs_a=(("r1", "r2"), ("r3", "r4")),
    runs_b=(("s1", "s2"), ("s3", "s4")),
    kept=(0, 2),
    pooled_a=((ONE, OTHER), (OTHER, ONE)),
    pooled_b=((ONE, ONE), (OTHER, OTHER)),
)
SUMS = ContrastSums(ClassSums(3, -4, 5, 40, 30, -12), 2)


def test_what_is_sent_is_what_is_read() -> None:
    content = REQUEST.to_content(ORDINAL)
    assert ContrastRequest.from_content(content, ORDINAL) == REQUEST
    assert ContrastReply.from_content(ContrastReply("north", SUMS).to_content()) == ContrastReply(
        "north", SUMS
    )


def test_requests_that_are_none() -> None:
    outcome = parse_outcome("classes: a | b | c")  # which have a score more
    with pytest.raises(ProtocolError, match="positives"):
        ContrastRequest.from_content(REQUEST.to_content(ORDINAL), outcome)
    for key, value, words in (
        ("kept", [2, 0, 1], "kept"), ("kept", [1, 0], "kept"), ("a-positives", [1], "a-positives"),
    ):  # fmt: skip
        content = REQUEST.to_content(ORDINAL)
        pooled = content["pooled"]
        assert isinstance(pooled, MetricRecord)
        pooled[key] = value
        with pytest.raises(ProtocolError, match=words):
            ContrastRequest.from_content(content, ORDINAL)
    content = REQUEST.to_content(ORDINAL)
    record = content["compare"]
    assert isinstance(record, ConfigRecord)
    record["runs-b"] = []
    with pytest.raises(ProtocolError, match="names no runs"):
        ContrastRequest.from_content(content, ORDINAL)


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (["3", "1", "1", "1", "1"], "not a list of 6 integers"),
        (["-3", "0", "0", "1", "1", "0"], "not a list of 6 integers"),
        (["3", "0", "0", "1.5", "1", "0"], "not a list of 6 integers"),
        (["3", "9", "0", "1", "1", "0"], "no patients can have"),
        (["3", "0", "0", "1", "1", "5"], "no patients can have"),
        ([], "not a list of 6 integers"),
    ],
)
def test_replies_that_are_none(sums: list[str], words: str) -> None:
    content = ContrastReply("north", SUMS).to_content()
    report = content["report"]
    assert isinstance(report, ConfigRecord)
    report["sums"] = sums
    with pytest.raises(ProtocolError, match=words):
        ContrastReply.from_content(content)
