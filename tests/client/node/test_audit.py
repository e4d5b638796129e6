"""What a site's owner reads of what was sent: all of it, from the bytes that were sent."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flwr.app import ArrayRecord, Error, RecordDict
from flwr.app.message.array import Array

from client.node.audit import read, record
from client.node.contents import describe
from client.node.resident import Reply
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
    report = entry["content"]["report"]
    assert (report["site"], report["round"], report["frozen"]) == ("north", 3, "f" * 64)
    assert json.loads(json.dumps(entry)) == entry


def test_all_that_a_reply_has_is_written_down(make_reply: MakeReply) -> None:
    """Record by record, whatever the approved code puts in."""
    content = EvaluateReply("north", HISTOGRAM, True, 0.5).to_content()
    told = describe(make_reply(content, "evaluate"))["content"]
    assert told == {name: dict(one.items()) for name, one in content.items()}
    assert told["report"]["suppress"] is True


def test_tensors_that_are_not_packed_are_named_too(make_reply: MakeReply) -> None:
    big = np.zeros((512, 1024), np.float32)
    arrays = ArrayRecord({"images": Array(big), "few": Array(np.zeros((2, 3), np.uint8))})
    told = describe(make_reply(RecordDict({"anything": arrays})))["content"]
    assert told == {"anything": {"images": "float32 512x1024", "few": "uint8 2x3"}}


def test_an_error_is_written_down_as_it_is_sent(make_reply: MakeReply) -> None:
    entry = describe(make_reply(Error(1, "its folder needs attention")))
    assert entry["content"] == {"error": {"code": 1, "reason": "its folder needs attention"}}


def test_entries_are_read_in_order_by_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    assert list(read(path)) == []
    before = os.umask(0)
    try:
        for number in range(3):
            record(path, {"number": number, "text": "ä\n"})
    finally:
        os.umask(before)
    assert [(entry["number"], entry["text"]) for entry in read(path)] == [
        (0, "ä\n"), (1, "ä\n"), (2, "ä\n"),
    ]  # fmt: skip
    assert all(entry["at"].endswith("+00:00") for entry in read(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [1, 10, -2, -1])
def test_a_torn_line_costs_that_line_alone(tmp_path: Path, left: int) -> None:
    path = tmp_path / "audit.jsonl"
    record(path, {"number": 0})
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:left])  # with -1 the line lacks nothing but its end
    record(path, {"number": 1})
    assert [entry["number"] for entry in read(path)] == ([0, 0, 1] if left == -1 else [0, 1])


def test_a_disk_that_takes_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either the whole entry is there, or the caller hears of it."""
    import resource

    path = tmp_path / "audit.jsonl"
    record(path, {"number": 0})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            record(path, {"number": 1, "text": "x" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    record(path, {"number": 2})
    assert [entry["number"] for entry in read(path)] == [0, 2]


def test_bytes_that_are_no_text_hide_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"\xff\xfe\n\n")
    record(path, {"number": 1})
    assert [entry["number"] for entry in read(path)] == [1]
