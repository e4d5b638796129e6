"""What a site's owner reads of what was sent: all of it, from the bytes that were sent."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, MetricRecord, RecordDict
from flwr.app.message.array import Array

from client.node.contents import describe, describe_request
from client.node.resident import Reply
from client.node.transfer import Received
from shared.metrics.histogram import Histogram
from shared.protocol.evaluate import EvaluateReply
from shared.protocol.train import TrainReply
from shared.wire.arrays import to_record

MakeReply = Callable[..., Reply]
HISTOGRAM = Histogram.from_logits(np.array([0.5, -0.5, 2.0]), np.array([1, 0, 1]))


def train_reply(delta: dict[str, np.ndarray]) -> TrainReply:
    return TrainReply(
        site="north", round=3, frozen="f" * 64, delta=to_record(delta), images=123, patients=45,
        steps=6, loss=0.5, histogram=HISTOGRAM, suppress=False, train_seconds=1.5,
        evaluate_seconds=0.25, peak_memory=789, continued_from=2,
        signal_to_noise={"layer4.0": 0.12, "head": 0.5},
    )  # fmt: skip


def test_a_trained_round_names_every_tensor_and_every_number(make_reply: MakeReply) -> None:
    delta = {
        "fc.weight": np.ones((1, 2048), np.float32),
        "layer4.0.conv1.weight": np.ones((600, 500, 1, 1), np.float32),  # cut into pieces
        "fc.bias": np.ones(1, np.float32),
    }
    reply = make_reply(train_reply(delta).to_content())
    entry = describe(reply)
    assert entry["type"] == "train"
    assert entry["round"] == "3"
    assert entry["bytes"] == sum(len(part) for part in reply.parts.values())
    assert entry["bytes"] > 600 * 500 * 4
    assert entry["content"]["delta"] == {
        "fc.weight": "float32 1x2048",
        "layer4.0.conv1.weight": "float32 600x500x1x1",
        "fc.bias": "float32 1",
    }
    metrics = entry["content"]["metrics"]
    assert metrics["positives"] == [int(count) for count in HISTOGRAM.positives]
    assert metrics["negatives"] == [int(count) for count in HISTOGRAM.negatives]
    assert {key: value for key, value in metrics.items() if not isinstance(value, list)} == {
        "images": 123, "patients": 45, "steps": 6, "loss": 0.5, "train-seconds": 1.5,
        "evaluate-seconds": 0.25, "peak-memory": 789, "continued-from": 2,
    }  # fmt: skip
    assert metrics["signal-to-noise"] == [0.12, 0.5]
    report = entry["content"]["report"]
    assert report["units"] == ["layer4.0", "head"]
    assert (report["site"], report["round"], report["frozen"]) == ("north", 3, "f" * 64)
    assert json.loads(json.dumps(entry)) == entry


def test_all_that_a_reply_has_is_written_down(make_reply: MakeReply) -> None:
    """Record by record, whatever the approved code puts in."""
    content = EvaluateReply("north", HISTOGRAM, True, 0.5).to_content()
    described = describe(make_reply(content, "evaluate"))["content"]
    assert described == {name: dict(one.items()) for name, one in content.items()}
    assert described["report"]["suppress"] is True


def test_tensors_that_are_not_packed_are_named_too(make_reply: MakeReply) -> None:
    big = np.zeros((512, 1024), np.float32)
    arrays = ArrayRecord({"images": Array(big), "few": Array(np.zeros((2, 3), np.uint8))})
    described = describe(make_reply(RecordDict({"anything": arrays})))["content"]
    assert described == {"anything": {"images": "float32 512x1024", "few": "uint8 2x3"}}


def test_an_error_is_written_down_as_it_is_sent(make_reply: MakeReply) -> None:
    entry = describe(make_reply(Error(1, "its folder needs attention")))
    assert entry["content"] == {"error": {"code": 1, "reason": "its folder needs attention"}}


def test_a_request_is_written_down_with_its_plan_and_the_number_of_tensors(
    make_received: Callable[[RecordDict], Received],
) -> None:
    plan = ConfigRecord({"round": 3, "trainable": ["head"], "rates": [0.5], "expects": ["x"] * 9})
    delta = ArrayRecord({"a": Array(np.zeros(2, np.float32)), "b": Array(np.zeros(3, np.float32))})
    described = describe_request(make_received(RecordDict({"plan": plan, "delta": delta})))
    assert described["content"] == {
        "plan": {"round": 3, "trainable": ["head"], "rates": [0.5]}, "delta": "2 tensors",
    }  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        {"plan": ConfigRecord({"round": 3, "run": "\x01" * 2**22})},
        {"plan": ConfigRecord({"round": 3, "rates": [0.1] * 2**17})},
        {"plan": ConfigRecord({f"key-{n}": "x" * 1000 for n in range(500)})},
        {f"{n}-{'x' * 1000}": ConfigRecord({"a": 1}) for n in range(500)},
        {"x" * 2**22: MetricRecord({"a": 1})},
    ],
)
def test_a_request_that_nobody_needs_does_not_fill_the_log(
    make_received: Callable[[RecordDict], Received], content: dict[str, ConfigRecord]
) -> None:
    """It is written down before anybody has approved of anything: 32 MB became 200 MB of it."""
    received = make_received(RecordDict(dict(content)))
    described = describe_request(received)
    text = json.dumps(described)
    assert len(text) < 2**17 + 2000
    assert "sha256" in text
    assert described["bytes"] == sum(map(len, received.parts.values()))
    if "rates" in content.get("plan", {}):
        assert described["content"]["plan"]["round"] == 3
    again = describe_request(make_received(RecordDict(dict(content))))
    assert again["content"] == described["content"]


def test_the_pooled_counts_of_a_comparison_are_written_down_whole(
    make_received: Callable[[RecordDict], Received],
) -> None:
    pooled = MetricRecord({f"a-{kind}": [123] * 5140 for kind in ("positives", "negatives")})
    described = describe_request(make_received(RecordDict({"pooled": pooled})))
    assert described["content"] == {"pooled": dict(pooled.items())}
