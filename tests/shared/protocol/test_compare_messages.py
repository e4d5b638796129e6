from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import RecordDict

from shared.errors import ProtocolError
from shared.metrics.grades import GradeCounts
from shared.metrics.histogram import Histogram
from shared.metrics.paired import ClassSums, PairedSums
from shared.protocol.compare import CompareReply, CompareRequest
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.graded import Graded

MODEL = Histogram.from_logits(np.array([-1.0, 0.5, 2.0]), np.array([0, 1, 1]))
GRADES = GradeCounts((1.0, 2.5), (0, 2), (1, 0))
OTHER = Histogram.from_logits(np.array([-2.0, 1.5, 0.0]), np.array([0, 1, 1]))
REQUEST = CompareRequest(
    "run-1", "test", (("run-1", "run-2"), ("run-4", "run-5")), (("run-3",), ("run-6",)),
    (MODEL, OTHER), (OTHER, MODEL),
)  # fmt: skip
HUGE = 10**40
REPLY = CompareReply(
    "north",
    PairedSums(ClassSums(2, 1, 2, 3, 4, HUGE), ClassSums(1, 5, 6, 7, 8, 9), 2, 1, 2),
)


def test_requests_and_replies_survive_the_wire(
    on_the_wire: Callable[[RecordDict], RecordDict],
) -> None:
    graded = dataclasses.replace(REQUEST, runs_b=(), pooled_b=GRADES)
    for request in (REQUEST, graded):
        assert CompareRequest.from_content(on_the_wire(request.to_content())) == request
    assert CompareReply.from_content(on_the_wire(REPLY.to_content())) == REPLY
    reply = EvaluateReply("north", MODEL, False, 0.5, Graded(GRADES, MODEL))
    assert EvaluateReply.from_content(on_the_wire(reply.to_content())) == reply


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("positives", ["1", "2"], "no list of 6 whole numbers"),
        ("positives", ["1", "2", "3", "4", "5", "-6"], "no list of 6 whole numbers"),
        ("negatives", ["1", "2", "3", "4", "5", "9" * 201], "no list of 6 whole numbers"),
        ("pooled", ["1", "x"], "no list of 2 whole numbers"),
        ("repeats", 0, "repeats"),
        ("repeats", 1001, "at most 1000"),
        ("site", "../north", "no plain name"),
    ],
)
def test_a_reply_that_is_none(key: str, value: str | int | list[str], sentence: str) -> None:
    content = REPLY.to_content()
    content.config_records["report"][key] = value
    with pytest.raises(ProtocolError, match=sentence):
        CompareReply.from_content(content)


def test_a_request_names_plain_runs_and_one_thing_to_compare_with() -> None:
    content = REQUEST.to_content()
    content.config_records["compare"]["runs-a"] = ["../../etc"]
    with pytest.raises(ProtocolError, match="no plain name"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["runs-a"] = ["run-1", "run-2", "run-3"]
    with pytest.raises(ProtocolError, match="3 runs are no whole number for each of 2 repeats"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["repeats"] = 1
    with pytest.raises(ProtocolError, match="has not"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["runs-b"] = []
    with pytest.raises(ProtocolError, match="neither runs nor a grade"):
        CompareRequest.from_content(content)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("grade-levels", [2.5, 1.0], "the grades are none"),
        ("grade-levels", [float("inf"), 1.0], "the grades are none"),
        ("grade-levels", [float(n) for n in range(21)], "no list of 1 to 20 grades"),
        ("grade-positives", [0, 1], "not of the same number of patients"),
        ("grade-negatives", [0], "missing or has not 2 counts"),
    ],
)
def test_grades_that_are_none(key: str, value: list[float], sentence: str) -> None:
    content = EvaluateReply("north", MODEL, False, 0.5, Graded(GRADES, MODEL)).to_content()
    content.metric_records["metrics"][key] = value
    with pytest.raises(ProtocolError, match=sentence):
        EvaluateReply.from_content(content)
