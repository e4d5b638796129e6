"""After the last round: who evaluated the final model, and what is written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from safetensors.torch import load_file

from server.evaluation.final import evaluate_final
from server.evaluation.final_model import FinalModel
from server.export.model_file import write_model
from server.federation.context import Federation
from server.federation.global_model import Reference, full_state
from server.federation.quorum import wait_for_sites
from shared.errors import RunError
from shared.model.resnet import MICRO
from shared.protocol.evaluate import EvaluateRequest
from shared.run.events import Event, ReplyReceived, Warned, listening
from shared.settings.config import RunConfig
from shared.wire.arrays import Arrays

MakeSites = Callable[..., tuple[Any, Any]]
MakeFederation = Callable[..., Federation]
PARTS = ("layer2", "layer3", "layer4", "head")


def failing(site: str, times: int) -> Callable[[str, Message, RecordDict], RecordDict]:
    left = [times]

    def spoil(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if name == site and asked.metadata.message_type == "evaluate" and left[0] > 0:
            left[0] -= 1
            raise MemoryError
        return reply

    return spoil


def test_all_sites_evaluate_the_final_model(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays, reference: Reference
) -> None:
    sites, grid = make_sites()
    seen: list[EvaluateRequest] = []

    def look(name: str, asked: Message, reply: RecordDict) -> RecordDict:
        if asked.metadata.message_type == "evaluate":
            seen.append(EvaluateRequest.from_content(asked.content, MICRO))
        return reply

    sites.spoil = look
    final = evaluate_final(make_federation(grid), FinalModel(delta, PARTS), 5)
    assert sorted(final.sites) == ["east", "north", "south"]
    assert final.pooled["positives"] + final.pooled["negatives"] == 60
    assert set(final.sites["south"].values()) == {None}
    assert final.missing == {}
    assert final.evaluate_seconds == 1.5
    assert final.bytes_down > 0
    assert final.bytes_up > 0
    request = seen[0]
    assert (request.scope, request.after_round) == ("validation", 5)
    assert list(request.model.delta) == [spec.name for spec in reference.specs(("head",))]
    assert request.model.thawed == ("layer2", "layer3", "layer4", "head")


def test_a_site_that_fails_once_is_asked_again(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    sites.spoil = failing("east", 1)
    final = evaluate_final(make_federation(grid, retries=1), FinalModel(delta, PARTS), 5)
    assert final.missing == {}
    assert [kind for _, kind in sites.heard].count("evaluate") == 4


def test_a_site_that_stays_away_is_named(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    sites.spoil = failing("east", 9)
    events: list[Event] = []
    with listening(events.append):
        final = evaluate_final(
            make_federation(grid, min_sites=2, retries=1), FinalModel(delta, PARTS), 5
        )
    assert final.missing == {"east": "MemoryError"}
    assert sorted(final.sites) == ["north", "south"]
    assert Warned("east is not in the final evaluation: MemoryError.") in events
    assert events.count(ReplyReceived("east", "MemoryError")) == 2


def test_a_site_that_took_part_and_is_gone_is_named(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    _, grid = make_sites()
    federation = make_federation(grid, min_sites=2, reconnect_wait=0)
    wait_for_sites(federation)
    grid.gone = frozenset({1002})
    events: list[Event] = []
    with listening(events.append):
        final = evaluate_final(
            federation, FinalModel(delta, PARTS), 5, expected=("north", "east", "south")
        )
    assert final.missing == {"east": "not connected"}
    assert Warned("east is not in the final evaluation: not connected.") in events


def test_a_silent_site_of_the_final_evaluation(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    _, grid = make_sites()
    federation = make_federation(grid, min_sites=2, round_timeout=1)
    wait_for_sites(federation)
    grid.silent = frozenset({1003})
    final = evaluate_final(federation, FinalModel(delta, PARTS), 5)
    assert final.missing == {"south": "no reply within 1 s"}
    assert sorted(final.sites) == ["east", "north"]


def test_too_few_evaluations(
    make_sites: MakeSites, make_federation: MakeFederation, delta: Arrays
) -> None:
    sites, grid = make_sites()
    sites.spoil = failing("east", 9)
    sentence = (
        r"^2 of at least 3 sites evaluated the final model\. east: MemoryError\..*--resume\.$"
    )
    with pytest.raises(RunError, match=sentence):
        evaluate_final(make_federation(grid), FinalModel(delta, PARTS), 5)


def test_the_model_is_base_plus_delta(reference: Reference, delta: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_model(path, reference, delta, RunConfig())
    expected = full_state(reference, delta)
    written = load_file(path)
    assert set(written) == set(expected)
    assert all(np.array_equal(written[key].numpy(), expected[key].numpy()) for key in expected)


@pytest.mark.parametrize(("batch_norm", "rounds", "reported"), [
    ("average", 20, False), ("local", 20, True), ("local", 0, False),
])  # fmt: skip
def test_a_model_that_no_site_has_evaluated_is_called_so(
    reference: Reference,
    delta: Arrays,
    tmp_path: Path,
    batch_norm: str,
    rounds: int,
    reported: bool,
) -> None:
    """Where only the head was trained, every site has the base's statistics."""
    config = RunConfig(batch_norm=batch_norm, rounds=rounds)
    events: list[Event] = []
    with listening(events.append):
        write_model(tmp_path / "model.safetensors", reference, delta, config)
    assert bool(events) is reported


def test_a_full_disk(
    reference: Reference, delta: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match=r"final model cannot be written .*No space left.*--resume"):
        write_model(tmp_path / "model.safetensors", reference, delta, RunConfig())
    assert os.listdir(tmp_path) == []
