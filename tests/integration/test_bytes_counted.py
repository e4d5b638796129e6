from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.common.serde import recorddict_to_proto
from safetensors.torch import load_file

from client.train.trainer import train_round
from server.run.ledger import read_rounds
from shared.settings.config import RunConfig
from shared.wire.arrays import to_record
from shared.wire.packing import pack

MakeConfig = Callable[..., RunConfig]
PREFIXES = 20
"""Bytes a tensor by which the count may fall short: the length prefixes of its data."""


def true_size(messages: list[Message]) -> tuple[int, int]:
    """Bytes as really serialised, and the number of tensors in them."""
    contents = [message.content for message in messages]
    size = sum(int(recorddict_to_proto(content).ByteSize()) for content in contents)
    tensors = sum(len(record) for content in contents for record in content.array_records.values())
    return size, tensors


def assert_counted(counted: int, messages: list[Message]) -> None:
    size, tensors = true_size(messages)
    assert messages
    assert size - PREFIXES * (tensors + len(messages)) <= counted <= size


@pytest.mark.parametrize("batch_norm", ["average", "local"])
def test_bytes_are_those_of_the_serialised_messages(
    federated: MakeConfig, simulate_watched: Callable[..., Any], batch_norm: str
) -> None:
    config = federated(batch_norm=batch_norm)
    summary, traffic = simulate_watched(config)
    requests, replies = traffic.of("train")
    records = read_rounds(Path(config.out) / "ledger.jsonl")
    for record in records:
        asked = [m for m in requests if m.content.config_records["plan"]["round"] == record.round]
        came = [m for m in replies if m.content.config_records["report"]["round"] == record.round]
        assert_counted(record.bytes_down, asked)
        assert_counted(record.bytes_up, came)
    for kind in ("evaluate.candidates", "evaluate"):
        asked, came = traffic.of(kind)
        requests, replies = requests + asked, replies + came
    assert_counted(summary["bytes"]["down"], requests)
    assert_counted(summary["bytes"]["up"], replies)


def test_a_full_exchange_is_the_whole_model_both_ways(
    federated: MakeConfig, simulate_watched: Callable[..., Any]
) -> None:
    config = federated()
    summary, traffic = simulate_watched(config)
    model = load_file(Path(config.out) / "model.safetensors")
    whole: ArrayRecord = to_record(
        {key: value.numpy() for key, value in model.items() if value.is_floating_point()}
    )
    size = int(recorddict_to_proto(RecordDict({"arrays": pack(whole)})).ByteSize())
    requests, replies = traffic.of("train")
    final_requests, _ = traffic.of("evaluate")
    messages = len(requests) + len(replies) + len(final_requests)
    assert messages == 2 * 3 * 4 + 3
    difference = size * messages - summary["bytes"]["full_exchange"]
    assert 0 <= difference <= messages * PREFIXES * 3  # index, block and the record
    assert summary["bytes"]["full_exchange"] > summary["bytes"]["down"] + summary["bytes"]["up"]


def test_thawing_stage_by_stage_moves_less_than_training_all(
    federated: MakeConfig, simulate_watched: Callable[..., Any]
) -> None:
    """And a schedule "full" moves what a full exchange would, but for the counts beside it."""
    moved = {}
    for schedule in ("probe", "progressive", "full"):
        config = federated(schedule, schedule=schedule, probe_rounds=0, update_dtype="float32")
        summary, _ = simulate_watched(config)
        records = read_rounds(Path(config.out) / "ledger.jsonl")
        up = sum(record.bytes_up for record in records)
        moved[schedule] = (up, summary["bytes"]["down"])
        full = sum(record.bytes_full_exchange for record in records)
    assert moved["probe"][0] < moved["progressive"][0] < moved["full"][0]
    assert moved["probe"][1] < moved["progressive"][1] < moved["full"][1]
    # Nine replies; beside the tensors each brings a histogram of 2 x 514 counts and its report.
    assert 0 <= moved["full"][0] - full / 2 < 9 * 12_000


def test_a_round_asked_twice_is_counted_twice(
    federated: MakeConfig, simulate_watched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def first_call_fails(*given: Any, **named: Any) -> Any:
        calls.append(named["stream"])
        if calls.count("east") == 1 and named["stream"] == "east":
            raise RuntimeError
        return train_round(*given, **named)

    monkeypatch.setattr("client.handlers.train.train_round", first_call_fails)
    config = federated(min_sites=3, retries=1, rounds=1, probe_rounds=0)
    _, traffic = simulate_watched(config)
    (record,) = read_rounds(Path(config.out) / "ledger.jsonl")
    requests, replies = traffic.of("train")
    assert record.attempts == 2
    assert len(requests) == 6
    assert_counted(record.bytes_down, requests)
    assert_counted(record.bytes_up, [reply for reply in replies if reply.has_content()])
