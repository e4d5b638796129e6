"""Whole federations with float16 and int8 on the wire, against the same in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Message
from numpy.typing import NDArray
from safetensors.torch import load_file

from client.train.state import NOTHING, SiteState, load_state
from client.train.trainer import train_round
from server.run.checkpoint import load_checkpoint
from server.run.ledger import read_rounds
from shared.model.resnet import MICRO
from shared.protocol.sent_model import LackingReply, SentModel
from shared.settings.config import RunConfig
from shared.wire.packing import read_index
from shared.wire.size import serialized_size

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
LOSSY = ["float16", "int8"]
# Adam would turn the least difference of a gradient near zero into a step, and larger plain steps
# magnify it as well, whatever it comes from: these let the difference be seen for what it is.
SMALL_STEPS: dict[str, Any] = {
    "optimizer": "sgd", "schedule": "full", "probe_rounds": 0, "rate_policy": "constant",
    "lr_head": 1e-6, "rates": "1e-6,1e-6,1e-6",
    "cutmix_probability": 0.0, "dropout": 0.0, "precision": "float32",
    "update_steps": 11.0,
}  # fmt: skip


def formats(messages: Iterable[Message]) -> set[str]:
    """The dtypes of the tensors, but for those that have not changed."""
    records = (message.content.array_records["delta"] for message in messages)
    return {entry[1] for record in records for entry in read_index(record)} - {"zero"}


def rounded_weights(config: RunConfig, base: Path | None = None) -> NDArray[np.float64]:
    """Those that do not travel in float32, of the final model or of the base."""
    state = load_file(base or Path(config.out) / "model.safetensors")
    chosen = [value for value in state.values() if value.ndim == 4 and value.numel() >= 4096]
    return np.concatenate([value.double().numpy().ravel() for value in chosen])


@pytest.mark.parametrize("rounds", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_the_model_is_nearly_that_of_float32_after_few_rounds_and_after_many(
    federated: MakeConfig, simulate: Simulate, base_file: Path, rounds: int
) -> None:
    runs = {}
    for update_dtype in ("float32", *LOSSY):
        config = federated(update_dtype, rounds=rounds, update_dtype=update_dtype, **SMALL_STEPS)
        simulate(config)
        runs[update_dtype] = rounded_weights(config)
    exact = runs["float32"]
    learnt = np.linalg.norm(exact - rounded_weights(config, base_file))
    for update_dtype, bound in (("float16", 0.003), ("int8", 0.03)):
        off = np.linalg.norm(exact - runs[update_dtype])
        assert 0 < off < bound * learnt, update_dtype


def test_bytes_shrink_and_the_final_model_travels_as_the_rounds_do(
    federated: MakeConfig, simulate_watched: Callable[..., Any]
) -> None:
    moved = []
    for update_dtype in ("float32", *LOSSY):
        config = federated(update_dtype, update_dtype=update_dtype, end="last")
        _, traffic = simulate_watched(config)
        for messages in (*traffic.of("train"), traffic.of("evaluate")[0]):
            assert formats(messages) == {"float32", update_dtype}
        last = read_rounds(Path(config.out) / "ledger.jsonl")[-1]
        moved.append((last.bytes_down, last.bytes_up))
    # The smallest network is half vectors and small matrices, and a reply has its counts.
    for plain, half, eighth in zip(*moved, strict=True):
        assert eighth < 0.45 * plain
        assert eighth < 0.8 * half < 0.8 * 0.7 * plain


@pytest.mark.parametrize("update_dtype", LOSSY)
def test_the_same_seed_gives_the_same_bytes(
    three_sites: tuple[Path, ...], federated: MakeConfig, simulate: Simulate, update_dtype: str
) -> None:
    """Of the model, and of the checkpoint with what the sites have."""
    first = federated("first", update_dtype=update_dtype)
    second = federated("second", sites=three_sites[::-1], update_dtype=update_dtype)
    for config in (first, second):
        simulate(config)
    one, two = Path(first.out), Path(second.out)
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()
    checkpoint, other = load_checkpoint(one, 4), load_checkpoint(two, 4)
    assert checkpoint is not None
    assert other is not None
    assert checkpoint.received.keys() == other.received.keys() != set()
    for key, value in checkpoint.received.items():
        assert value.tobytes() == other.received[key].tobytes()


def test_with_float32_the_checkpoint_has_the_model_once(
    federated: MakeConfig, simulate: Simulate
) -> None:
    config = federated(update_dtype="float32")
    simulate(config)
    checkpoint = load_checkpoint(Path(config.out), 4)
    assert checkpoint is not None
    assert checkpoint.received == {}


@pytest.mark.parametrize("update_dtype", LOSSY)
def test_a_site_joins_in_the_last_round(
    federated: MakeConfig, simulate: Simulate, monkeypatch: pytest.MonkeyPatch, update_dtype: str
) -> None:
    def trained(model: Any, samples: Any, plan: Any, config: Any, **named: Any) -> Any:
        if named["stream"] == "east" and plan.round < 4:
            raise RuntimeError
        return train_round(model, samples, plan, config, **named)

    monkeypatch.setattr("client.handlers.train.train_round", trained)
    config = federated(update_dtype=update_dtype)
    simulate(config)
    *earlier, last = read_rounds(Path(config.out) / "ledger.jsonl")
    assert all(list(record.sites) == ["north", "south"] for record in earlier)
    assert {name: site.continued_from for name, site in last.sites.items()} == {
        "east": 0, "north": 3, "south": 3,
    }  # fmt: skip
    # All have evaluated the same model: it is one that they all could rebuild.
    assert last.refused == {}


def test_a_site_without_its_memory_trains_from_the_same_model(
    federated: MakeConfig, simulate_watched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """East's cache is empty in round 4, once: it says so, and gets all of it in float32."""

    def emptied(folder: Path, before_round: int) -> SiteState:
        lost = folder.name == "east" and before_round == 4
        return NOTHING if lost else load_state(folder, before_round)

    monkeypatch.setattr("client.handlers.train.load_state", emptied)
    config = federated(update_dtype="int8")
    _, traffic = simulate_watched(config)
    requests, replies = traffic.of("train")
    models = [SentModel.from_content(one.content, MICRO) for one in requests]
    (again,) = [model for model in models if model.whole]
    assert again.number == 4
    assert len(requests) == 3 * 4 + 1
    (lacking,) = [r.content for r in replies if LackingReply.is_in(r.content)]
    assert LackingReply.from_content(lacking, MICRO) == LackingReply("east", again.whole)
    records = read_rounds(Path(config.out) / "ledger.jsonl")
    assert [dict(record.refused) for record in records] == [{}] * 4
    assert [record.sites["east"].continued_from for record in records] == [0, 0, 2, 0]
    # A digest that all sites sent proves that they trained from the same.
    assert all(len(record.sites) == 3 for record in records)
    sizes = [serialized_size(one.content) for one in requests]
    assert sum(sizes) == sum(record.bytes_down for record in records)
