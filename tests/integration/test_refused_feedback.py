"""A site whose update was not used owes nothing of it: one bad round costs it that round alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from client.train.trainer import train_round
from server.run.ledger import RoundRecord, read_rounds
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


class Stopped(Exception):
    """As if the process had been killed."""


@pytest.fixture(autouse=True)
def _a_bad_third_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """East's training of it goes astray, in numbers that a message can carry."""

    def trained(model: Any, samples: Any, plan: Any, config: Any, **named: Any) -> Any:
        result = train_round(model, samples, plan, config, **named)
        if named["stream"] == "east" and plan.round == 3:
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                weight = model.layer4[0].conv1.weight
                weight += 100 * torch.randn(weight.shape, generator=generator)
        return result

    monkeypatch.setattr("client.handlers.train.train_round", trained)


def rounds_of(config: RunConfig) -> list[RoundRecord]:
    return read_rounds(Path(config.out) / "ledger.jsonl")


def test_later_updates_are_those_of_any_other_site(
    federated: MakeConfig, simulate: Simulate
) -> None:
    """Error feedback would carry 29 % of the refused update into the next, and so on."""
    config = federated(rounds=6, schedule="progressive")
    simulate(config)
    records = rounds_of(config)
    assert [record.round for record in records if record.refused] == [3]
    assert "its update changes the weights of layer4" in records[2].refused["east"]
    assert max(one.sites["east"].update_ratio or 0 for one in records[3:]) < 5


def test_of_an_update_that_was_clipped_nothing_comes_after(
    federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated(rounds=6, schedule="progressive", update_screen="clip")
    simulate(config)
    records = rounds_of(config)
    assert [record.round for record in records if record.clipped] == [3]
    assert records[2].clipped == ("east",)
    assert max(one.sites["east"].update_ratio or 0 for one in records[3:]) < 5


@pytest.mark.parametrize("screen", ["refuse", "clip"])
def test_a_run_continued_after_it_is_the_same_to_the_byte(
    federated: MakeConfig, simulate: Simulate, screen: str
) -> None:
    changes: dict[str, Any] = {"rounds": 4, "schedule": "progressive", "update_screen": screen}
    config = federated("stopped", **changes)

    def stop(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round == 3:
            raise Stopped

    with listening(stop), pytest.raises(Stopped):
        simulate(config)
    simulate(replace(config, resume=True))
    whole = federated("whole", **changes)
    simulate(whole)
    one, other = (Path(run.out) / "model.safetensors" for run in (config, whole))
    assert one.read_bytes() == other.read_bytes()
    assert [r.bytes_down for r in rounds_of(config)] == [r.bytes_down for r in rounds_of(whole)]
