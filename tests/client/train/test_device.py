"""A round on the GPU where there is one, else on the CPU: what must hold on every device.

`FEDTHAW_TEST_DEVICE` names the device, so that `benchmarks/gpu_check` fails without a GPU.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from client.data.dataset import Sample
from client.evaluate import predict_logits
from client.train.trainer import Trained, train_round
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import plan_round

DEVICE = os.environ.get("FEDTHAW_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
LAST = 3
"""The round of the configuration below in which all stages of thaw-at train."""


@pytest.fixture
def config(micro_config: Callable[..., RunConfig]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        return micro_config(schedule="adaptive", rounds=3, **({"dropout": 0.1} | changes))

    return make


@pytest.fixture
def train(
    make_samples: Callable[[int], list[Sample]], make_model: Callable[..., Network]
) -> Callable[..., tuple[Network, Trained]]:
    """Each time from the same weights."""
    samples, base = make_samples(24), make_model(dropout=0.1)

    def run(
        config: RunConfig, *, moments: Mapping[str, Tensor] | None = None, device: str = DEVICE,
        model: Network | None = None, number: int = LAST,
    ) -> tuple[Network, Trained]:  # fmt: skip
        trained = copy.deepcopy(base).to(device) if model is None else model
        plan = plan_round(config, number)
        result = train_round(trained, samples, plan, config, stream="north", moments=moments or {})
        return trained, result

    return run


def bits(model: Network) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_same_seed_gives_the_same_bits(
    config: Callable[..., RunConfig], train: Callable[..., tuple[Network, Trained]], precision: str
) -> None:
    first, one = train(config(precision=precision))
    second, two = train(config(precision=precision))
    assert same(bits(first), bits(second))
    assert same(one.moments, two.moments)
    assert one.loss == two.loss
    other, _ = train(config(precision=precision, seed=1))
    assert not same(bits(first), bits(other))


@pytest.mark.parametrize("activations", ["exact", "int8", "int4", "recompute"])
def test_frozen_stages_keep_their_bits_and_the_others_learn(
    config: Callable[..., RunConfig], train: Callable[..., tuple[Network, Trained]],
    make_model: Callable[..., Network], activations: str,
) -> None:  # fmt: skip
    before = bits(make_model(dropout=0.1))
    trained, result = train(config(activations=activations))
    after = bits(trained)
    for key, value in before.items():
        frozen = key.startswith(("conv1", "bn1", "layer1"))
        assert torch.equal(value, after[key]) == frozen or not value.is_floating_point(), key
    assert 0 < result.loss < 3


def test_recompute_gives_the_bits_of_exact_and_fewer_bits_nearly_the_same(
    config: Callable[..., RunConfig], train: Callable[..., tuple[Network, Trained]]
) -> None:
    models, losses = {}, {}
    for activations in ("exact", "recompute", "int8"):
        model, result = train(config(activations=activations, precision="float32"))
        models[activations], losses[activations] = bits(model), result.loss
    assert same(models["exact"], models["recompute"])
    assert not same(models["exact"], models["int8"])
    assert losses["int8"] == pytest.approx(losses["exact"], abs=0.02)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw8bit", "sgd"])
def test_moments_that_a_site_wrote_down_go_on_on_the_device(
    config: Callable[..., RunConfig], train: Callable[..., tuple[Network, Trained]], optimizer: str
) -> None:
    settings = config(optimizer=optimizer)
    once, first = train(settings)
    twice, _ = train(settings, model=copy.deepcopy(once), moments=first.moments, number=LAST + 1)
    again, _ = train(settings, model=copy.deepcopy(once), moments=first.moments, number=LAST + 1)
    assert same(bits(twice), bits(again))
    assert all(not value.is_cuda for value in first.moments.values())
    fresh, _ = train(settings, model=copy.deepcopy(once), number=LAST + 1)
    # Plain SGD remembers nothing.
    assert same(bits(twice), bits(fresh)) == (optimizer == "sgd")


@pytest.mark.skipif(DEVICE == "cpu", reason="there is no GPU to compare with the CPU")
def test_the_device_trains_and_says_what_the_cpu_does(
    config: Callable[..., RunConfig], train: Callable[..., tuple[Network, Trained]],
    make_samples: Callable[[int], list[Sample]], plain: dict[str, Any],
) -> None:  # fmt: skip
    """In float32, with nothing drawn on the device."""
    model, result = train(config(**plain), device="cpu")
    there, result_there = train(config(**plain))
    assert result_there.loss == pytest.approx(result.loss, rel=0.01)
    logits, logits_there = (predict_logits(one, make_samples(24), 8) for one in (model, there))
    assert abs(logits_there - logits).max() < 0.02 * abs(logits).max()
