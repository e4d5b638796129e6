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
from shared.protocol.histogram import MOST_OF_A_SITE

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
    PairedSums(
        ClassSums(2, 3, 2 * HUGE, 5, 2 * HUGE**2, 3 * HUGE),
        ClassSums(1, 5, 6, 25, 36, 30),
        2,
        HUGE,
        2,
    ),
)
"""Two positives at places 1 and 2 under A and HUGE under B, and a negative at 5 and 6."""


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
        ("positives", ["1", "2"], "not a list of 6 integers"),
        ("positives", ["1", "2", "3", "4", "5", "-6"], "not a list of 6 integers"),
        ("negatives", ["1", "2", "3", "4", "5", "9" * 201], "not a list of 6 integers"),
        ("pooled", ["1", "x"], "not a list of 2 integers"),
        (
            "positives",
            ["2", "9" * 200, "0", "9" * 200, "0", "0"],
            "no patients can have these",
        ),
        ("positives", ["2", "3", "3", "2", "5", "3"], "no patients can have these"),
        ("positives", ["2", "3", "3", "5", "5", "7"], "no patients can have these"),
        ("negatives", ["0", "0", "0", "0", "0", "9"], "no patients can have these"),
        ("repeats", 0, "repeats"),
        ("repeats", 1001, "at most 1000"),
        ("site", "../north", "not a plain name"),
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
    with pytest.raises(ProtocolError, match="not a plain name"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["runs-a"] = ["run-1", "run-2", "run-3"]
    with pytest.raises(ProtocolError, match="3 runs cannot be divided equally among 2 repeats"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["repeats"] = 1
    with pytest.raises(ProtocolError, match="does not have"):
        CompareRequest.from_content(content)
    content = REQUEST.to_content()
    content.config_records["compare"]["runs-b"] = []
    with pytest.raises(ProtocolError, match="neither runs nor a grade"):
        CompareRequest.from_content(content)


def test_pooled_counts_may_be_more_than_one_site_has() -> None:
    """Or one site that says too much would keep the others from answering."""
    many = Histogram([2 * MOST_OF_A_SITE] * 514, [1] * 514)  # type: ignore[arg-type]
    request = dataclasses.replace(REQUEST, pooled_a=(many, MODEL))
    assert CompareRequest.from_content(request.to_content()) == request
    grades = GradeCounts((1.0, 2.5), (0, 2 * MOST_OF_A_SITE), (1, 0))
    request = dataclasses.replace(REQUEST, runs_b=(), pooled_b=grades)
    assert CompareRequest.from_content(request.to_content()) == request


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("grade-levels", [2.5, 1.0], "invalid grades"),
        ("grade-levels", [float("inf"), 1.0], "invalid grades"),
        ("grade-levels", [float(n) for n in range(21)], "not a list of 1 to 20 grades"),
        ("grade-positives", [0, 1], "not of the same number of patients"),
        ("grade-negatives", [0], "missing or does not have 2 counts"),
        ("grade-positives", [MOST_OF_A_SITE + 1, 0], "holds a count above 1000000"),
        ("graded-positives", [MOST_OF_A_SITE + 1] + [0] * 513, "holds a count above 1000000"),
    ],
)
def test_grades_that_are_none(key: str, value: list[float], sentence: str) -> None:
    content = EvaluateReply("north", MODEL, False, 0.5, Graded(GRADES, MODEL)).to_content()
    content.metric_records["metrics"][key] = value
    with pytest.raises(ProtocolError, match=sentence):
        EvaluateReply.from_content(content)
