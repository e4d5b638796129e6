from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from client.exchange import rebuild_model
from server.run.ledger import read_rounds
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]


@pytest.mark.parametrize("batch_norm", ["average", "local", "frozen"])
@pytest.mark.parametrize(
    ("settings", "frozen"),
    [
        ({}, ("conv1", "bn1", "layer1")),
        ({"thaw_at": "0.1,0.3"}, ("conv1", "bn1", "layer1", "layer2")),
        ({"schedule": "probe"}, ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")),
        ({"schedule": "full"}, ()),
    ],
)
def test_what_never_thawed_is_the_bases_bit_for_bit(
    tmp_path: Path, base_file: Path, three_sites: tuple[Path, ...], federated: MakeConfig,
    simulate_watched: Callable[..., Any],
    settings: dict[str, Any], frozen: tuple[str, ...], batch_norm: str,
) -> None:  # fmt: skip
    config = federated(batch_norm=batch_norm, sites=three_sites[:2], **settings)
    _, traffic = simulate_watched(config)
    base, model = load_file(base_file), load_file(tmp_path / "run" / "model.safetensors")
    for key, value in base.items():
        statistic = key.endswith(("running_mean", "running_var"))
        if key.split(".")[0] in frozen or key.endswith("num_batches_tracked"):
            expected = torch.zeros_like(value) if key.endswith("tracked") else value
            assert model[key].numpy().tobytes() == expected.numpy().tobytes(), key
        elif statistic:
            assert torch.equal(model[key], value) == (batch_norm != "average"), key
        else:
            assert not torch.equal(model[key], value), key

    _, replies = traffic.of("train")
    digests: dict[int, set[str]] = {}
    for reply in replies:
        report = reply.content.config_records["report"]
        digests.setdefault(int(str(report["round"])), set()).add(str(report["frozen"]))
    assert len(replies) == 2 * 4
    assert [len(digests[number]) for number in range(1, 5)] == [1] * 4


def test_a_site_whose_frozen_stages_differ_is_refused(
    tmp_path: Path, federated: MakeConfig, simulate: Callable[[RunConfig], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def damaged(workspace: Any, config: RunConfig, **given: Any) -> Any:
        model = rebuild_model(workspace, config, **given)
        if workspace.name == "east":
            model.state_dict()["bn1.running_var"][0] *= 1 + 1e-6
        return model

    monkeypatch.setattr("client.handlers.train.rebuild_model", damaged)
    simulate(federated(rounds=1))
    records = read_rounds(tmp_path / "run" / "ledger.jsonl")
    assert records
    for record in records:
        assert record.refused == {"east": "its frozen stages differ from the base"}
        assert list(record.sites) == ["north", "south"]
