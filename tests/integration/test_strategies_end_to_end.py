from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from client.train.trainer import train_round
from server.run.ledger import read_rounds
from shared.protocol.records import arrays_in
from shared.settings.config import RunConfig
from shared.wire.arrays import TensorSpec, from_record

MakeConfig = Callable[..., RunConfig]
SETTINGS: dict[str, dict[str, Any]] = {
    "fedavg": {},
    "fedprox": {"proximal_mu": 0.1},
    "fedadam": {"server_learning_rate": 1e-3},
    "fedyogi": {},
    "fedavgm": {},
    "fedmedian": {},
    "fedtrimmedavg": {"trim_fraction": 0.34},
    "krum": {},
}


@pytest.mark.parametrize(
    ("strategy", "batch_norm"),
    [(strategy, "average") for strategy in SETTINGS]
    + [("fedadam", "local"), ("fedavgm", "frozen")],
)
def test_every_strategy_goes_through_the_thaws(
    base_file: Path, federated: MakeConfig, simulate: Callable[[RunConfig], dict[str, Any]],
    strategy: str, batch_norm: str,
) -> None:  # fmt: skip
    config = federated(strategy=strategy, batch_norm=batch_norm, **SETTINGS[strategy])
    summary = simulate(config)
    records = read_rounds(Path(config.out) / "ledger.jsonl")
    assert [record.plan["trainable"][0] for record in records] == [
        "head", "layer3", "layer2", "layer2",
    ]  # fmt: skip
    assert all(not record.refused for record in records)
    model, base = load_file(Path(config.out) / "model.safetensors"), load_file(base_file)
    for key, value in model.items():
        assert torch.isfinite(value).all(), key
        if key.endswith("running_var"):
            assert (value > 0).all(), key
    changed = {k.split(".")[0] for k in base if k.endswith("weight")
               and not torch.equal(model[k], base[k])}  # fmt: skip
    assert changed == {"layer2", "layer3", "layer4"}
    assert summary["pooled"]["positives"] == summary["pooled"]["negatives"] == 3


def updates_of(traffic: Any, round_number: int, key: str) -> dict[str, tuple[int, np.ndarray]]:
    """Each site's number of images and its change of one tensor."""
    found = {}
    for reply in traffic.of("train")[1]:
        report = reply.content.config_records["report"]
        if report["round"] == round_number:
            record = arrays_in(reply.content, "delta")
            shape = tuple(record[key].shape)
            arrays = from_record(type(record)({key: record[key]}), [TensorSpec(key, shape)])
            images = int(reply.content.metric_records["metrics"]["images"])
            found[str(report["site"])] = (images, arrays[key].astype(np.float64))
    return found


def test_the_average_is_weighted_by_images(
    federated: MakeConfig, simulate_watched: Callable[..., Any]
) -> None:
    config = federated(rounds=1, probe_rounds=0, thaw_at="0.0,0.3,0.6")
    _, traffic = simulate_watched(config)
    key = "fc.weight"
    updates = updates_of(traffic, 1, key)
    assert len({images for images, _ in updates.values()}) == 3
    total = sum(images for images, _ in updates.values())
    mean = sum(images * update for images, update in updates.values()) / total
    request, *_ = traffic.of("train")[0]
    start = arrays_in(request.content, "delta")[key].numpy()
    model = load_file(Path(config.out) / "model.safetensors")
    np.testing.assert_allclose(model[key].numpy(), start + mean, rtol=1e-5, atol=1e-7)


def test_the_median_outvotes_a_site_gone_wrong(
    base_file: Path, federated: MakeConfig, simulate: Callable[[RunConfig], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def exaggerate(model: Any, *given: Any, **named: Any) -> Any:
        trained = train_round(model, *given, **named)
        if named["stream"] == "east":
            with torch.no_grad():
                model.fc.weight += 100
        return trained

    monkeypatch.setattr("client.handlers.train.train_round", exaggerate)
    largest = {}
    for strategy in ("fedavg", "fedmedian", "fedtrimmedavg", "krum"):
        config = federated(
            strategy, strategy=strategy, rounds=1, trim_fraction=0.34, update_screen="off"
        )
        simulate(config)
        model = load_file(Path(config.out) / "model.safetensors")
        largest[strategy] = model["fc.weight"].abs().max().item()
    assert largest["fedavg"] > 10
    assert max(largest[name] for name in ("fedmedian", "fedtrimmedavg", "krum")) < 1
