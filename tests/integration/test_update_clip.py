"""A whole federation whose sites clip their updates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord

from server.run.ledger import read_rounds
from shared.settings.config import RunConfig
from shared.update import clip
from shared.wire.packing import unpack

LIMIT = 0.003


def norm(delta: ArrayRecord) -> float:
    """Of all weights of an update in float32, BatchNorm's statistics excepted."""
    squares = [
        np.sum(array.numpy().astype(np.float64) ** 2)
        for name, array in unpack(delta).items()
        if "running" not in name and array.dtype != "zero"
    ]
    return float(np.sqrt(sum(squares)))


def replies(traffic: Any) -> list[float]:
    return [norm(reply.content.array_records["delta"]) for reply in traffic.of("train")[1]]


def test_no_update_is_larger_and_the_run_goes_on(
    federated: Callable[..., RunConfig], simulate_watched: Callable[..., Any]
) -> None:
    _, free = simulate_watched(federated("free", update_dtype="float32"))
    assert max(replies(free)) > 2 * LIMIT
    config = federated("clipped", update_clip=LIMIT, update_dtype="float32")
    _, clipped = simulate_watched(config)
    assert max(replies(clipped)) <= LIMIT * (1 + 1e-4)
    assert all(not record.refused for record in read_rounds(Path(config.out) / "ledger.jsonl"))


def test_a_site_that_does_not_clip_is_refused_by_name(
    federated: Callable[..., RunConfig], simulate_watched: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The coordinator finds it by the update itself; nothing else says so."""
    honest = clip.CLIP.at_site

    def at_site(update: Any, state: Any, passage: Any) -> Any:
        return (update, state) if passage.site == "east" else honest(update, state, passage)

    monkeypatch.setitem(clip.CLIP.__dict__, "at_site", at_site)
    config = federated("one-free", update_clip=LIMIT, update_steps=2.0, min_sites=2)
    simulate_watched(config)
    for record in read_rounds(Path(config.out) / "ledger.jsonl"):
        assert list(record.sites) == ["north", "south"]
        assert "update-clip is 0.003: it was not clipped there" in record.refused["east"]
