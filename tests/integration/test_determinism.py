from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]

pytestmark = pytest.mark.usefixtures("measured")  # as a user's runs do


def model_bytes(config: RunConfig) -> bytes:
    return (Path(config.out) / "model.safetensors").read_bytes()


def disturb_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.parametrize("strategy", ["fedavg", "fedyogi"])
def test_the_same_seed_gives_the_same_bytes(
    three_sites: tuple[Path, ...], federated: MakeConfig, simulate: Simulate, strategy: str
) -> None:
    """With the whole recipe, whatever the global generators and the order of the sites."""
    settings: dict[str, Any] = {"strategy": strategy, "augmentation": "recipe"}
    first = federated("first", **settings)
    second = federated("second", sites=three_sites[::-1], **settings)
    disturb_generators(1)
    one = simulate(first)
    disturb_generators(2)
    other = simulate(second)
    assert model_bytes(first) == model_bytes(second)
    assert {key: one[key] for key in ("pooled", "site", "bytes", "rounds", "base")} == {
        key: other[key] for key in ("pooled", "site", "bytes", "rounds", "base")
    }
    assert one["run"] != other["run"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch_size": 4}, {"lr_head": 2e-3}])
def test_another_setting_gives_other_bytes(
    federated: MakeConfig, simulate: Simulate, change: dict[str, Any]
) -> None:
    first, second = federated("first", rounds=1), federated("second", rounds=1, **change)
    simulate(first)
    simulate(second)
    assert model_bytes(first) != model_bytes(second)
