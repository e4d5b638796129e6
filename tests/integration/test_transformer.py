"""A transformer in a federation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.run.ledger import read_rounds
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


class Stopped(Exception):
    """As if the process had been killed."""


@pytest.mark.slow
def test_a_run_that_is_resumed_gives_the_same_bytes(
    federated: MakeConfig, simulate: Simulate
) -> None:
    """From cached activations in the probe, from the images where these are mixed."""

    def stop(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round == 3:
            raise Stopped

    settings: dict[str, Any] = {
        "backbone": "vit-tiny", "weights": "random", "cutmix_probability": 0.5,
        "feature_cache": "auto",
    }  # fmt: skip
    whole, cut = federated("whole", **settings), federated("cut", **settings)
    simulate(whole)
    with listening(stop), pytest.raises(Stopped):
        simulate(cut)
    simulate(replace(cut, resume=True))
    first, second = (Path(c.out, "model.safetensors").read_bytes() for c in (whole, cut))
    assert first == second
    trained = [record.plan["trainable"] for record in read_rounds(Path(whole.out, "ledger.jsonl"))]
    assert trained[0] == ["head"]
    assert trained[-1] == ["blocks2", "blocks3", "blocks4", "head"]
