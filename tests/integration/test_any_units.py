"""Rounds that train any set of units: what pauses is frozen bit for bit, and goes on afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from server.federation.global_model import Reference
from server.run.ledger import read_rounds
from server.schedule.policy import History, Policy
from shared.model.backbone import Part
from shared.model.resnet import MICRO
from shared.protocol.train import TrainRequest
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan

ROUNDS: tuple[tuple[Part, ...], ...] = (
    ("layer2", "layer4", "head"),  # around layer3, a unit in the middle
    ("layer3", "head"),  # layer2 and layer4 pause
    ("layer2", "layer3", "head"),
    ("layer4",),
)


def chosen_units(_: RunConfig, __: Reference) -> Policy:
    def policy(number: int, history: History) -> Plan:
        trainable = ROUNDS[number - 1]
        before = {part for parts in ROUNDS[: number - 1] for part in parts} | {"head"}
        return Plan(
            round=number,
            phase="fine-tune",
            position=number - 1,
            length=len(ROUNDS),
            trainable=trainable,
            thawed=MICRO.parts_of(MICRO.units_of(before)),
            rates=dict.fromkeys(trainable, 1e-3),
            cutmix_probability=0.0,
        )

    return policy


@pytest.mark.parametrize("batch_norm", ["average", "local"])
@pytest.mark.parametrize("update_dtype", ["float32", "int8"])
def test_units_pause_and_go_on(
    tmp_path: Path, base_file: Path, federated: Callable[..., RunConfig],
    simulate_watched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
    update_dtype: str, batch_norm: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("server.training.coordinate.policy_for", chosen_units)
    monkeypatch.setattr("server.training.coordinate.total_rounds", lambda _: len(ROUNDS))
    config = federated(update_dtype=update_dtype, batch_norm=batch_norm)
    _, traffic = simulate_watched(config)
    records = read_rounds(tmp_path / "run" / "ledger.jsonl")
    assert [dict(record.refused) for record in records] == [{}] * len(ROUNDS)
    assert [record.plan["trainable"] for record in records] == [list(parts) for parts in ROUNDS]

    requests, replies = traffic.of("train")
    digests: dict[int, set[str]] = {}
    for reply in replies:
        report = reply.content.config_records["report"]
        digests.setdefault(int(str(report["round"])), set()).add(str(report["frozen"]))
    assert [len(digests[number]) for number in (1, 2, 3, 4)] == [1] * 4  # alike at all sites
    assert len(set.union(*digests.values())) == 4

    base, model = load_file(base_file), load_file(tmp_path / "run" / "model.safetensors")
    for key, value in base.items():
        if MICRO.stage_of(key) in ("stem", "layer1") and not key.endswith("tracked"):
            assert model[key].numpy().tobytes() == value.numpy().tobytes(), key
    if update_dtype == "float32":
        _paused_units_are_not_sent(requests)


def _paused_units_are_not_sent(messages: Sequence[Any]) -> None:
    """A request has what the round before has trained; the first one has the head."""
    by_round = messages[:: len(messages) // len(ROUNDS)]
    for number, message in enumerate(by_round):
        request = TrainRequest.from_content(message.content, MICRO)
        trained = ROUNDS[number - 1] if number else ("head",)
        assert MICRO.units_of(request.model.changed) == MICRO.units_of(trained)
        assert {MICRO.unit_of(key).name for key in request.model.delta} == MICRO.units_of(trained)
        assert request.model.whole == ()
