"""Two branches that train apart, are joined, and thaw from the last layer backwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from server.run.ledger import read_rounds
from shared.model.pretrained import load_base
from shared.model.tiny import TINY
from shared.run.events import Event, RoundFinished, listening
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]


class Stopped(Exception):
    """As if the process had been killed."""


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "backbone": "tiny", "weights": "random", "schedule": "dual", "probe_rounds": 2, "rounds": 4,
        "thaw_at": "joined=0,branches2=0.5", "augmentation": "affine", "feature_cache": "auto",
        **changes,
    }  # fmt: skip


@pytest.mark.parametrize("batch_norm", ["average", "local"])
def test_the_branches_pause_when_they_are_joined(
    federated: MakeConfig, simulate: Simulate, batch_norm: str
) -> None:
    config = federated(**settings(batch_norm=batch_norm))
    simulate(config)
    records = read_rounds(Path(config.out, "ledger.jsonl"))
    dual, joined = ["stem", "branches1", "branches2", "head"], ["joined", "head"]
    assert [record.plan["phase"] for record in records] == ["dual"] * 2 + ["fine-tune"] * 4
    assert [record.plan["trainable"] for record in records] == [
        dual, dual, joined, joined, ["branches2", *joined], ["branches2", *joined],
    ]  # fmt: skip
    assert [dict(record.refused) for record in records] == [{}] * 6
    base, model = load_base(config).state, load_file(Path(config.out, "model.safetensors"))
    moved = {TINY.stage_of(key) for key, value in model.items() if not value.equal(base[key])}
    assert moved == set(TINY.stages)


@pytest.mark.slow
def test_a_dual_run_has_the_same_bytes_resumed_and_without_a_cache(
    federated: MakeConfig, simulate: Simulate
) -> None:
    """Stopped between the two phases and after the thaw."""

    def stop(event: Event) -> None:
        if isinstance(event, RoundFinished) and event.round in (2, 5):
            raise Stopped

    whole, cut = federated("whole", **settings()), federated("cut", **settings())
    bare = federated("bare", **settings(feature_cache="off"))
    simulate(whole)
    simulate(bare)
    with listening(stop), pytest.raises(Stopped):
        simulate(cut)
    with listening(stop), pytest.raises(Stopped):
        simulate(replace(cut, resume=True))
    simulate(replace(cut, resume=True))
    models = {Path(c.out, "model.safetensors").read_bytes() for c in (whole, cut, bare)}
    assert len(models) == 1
