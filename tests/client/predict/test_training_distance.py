"""The distance from the training images against a slow loop, and what it is blind to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from client.data.dataset import to_input
from client.imaging.image import fit_square
from client.predict.distance import (
    described_layers,
    divergence_of_noise,
    measured_divergences,
)
from shared.model.final import load_final_model
from shared.model.network import Network, build_network
from shared.phantoms import draw_chest
from shared.run.finished import read_finished_run
from shared.settings.config import RunConfig


@pytest.fixture
def network(tmp_path: Path, write_finished: Callable[..., Path]) -> Network:
    finished = read_finished_run(write_finished(tmp_path / "run"))
    return load_final_model(finished.model, finished.backbone)


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def normal_divergence(values: Any, mean: float, variance: float) -> float:
    """KL(N(m, v) || N(mean, variance)) with the moments of `values`, from its integral's terms."""
    own_mean, own_variance = float(np.mean(values)), float(np.var(values)) + 1e-5
    variance += 1e-5
    cross = 0.5 * np.log(2 * np.pi * variance) + (own_variance + (own_mean - mean) ** 2) / (
        2 * variance
    )
    return float(cross - 0.5 * np.log(2 * np.pi * np.e * own_variance))


def test_each_layer_gives_the_mean_divergence_of_its_channels(network: Network) -> None:
    images = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1)) * 300
    entered: list[torch.Tensor] = []
    for layer in norms(network):
        layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].double()))
    with torch.no_grad(), measured_divergences(norms(network)) as found:
        network(images)
    assert len(found) == len(entered) == len(norms(network))
    for layer, values, divergences in zip(norms(network), entered, found, strict=True):
        assert layer.running_mean is not None
        assert layer.running_var is not None
        for number in range(3):
            wanted = np.mean(
                [
                    normal_divergence(channel.numpy(), float(mean), float(variance))
                    for channel, mean, variance in zip(
                        values[number], layer.running_mean, layer.running_var, strict=True
                    )
                ]
            )
            assert float(divergences[number]) == pytest.approx(wanted, rel=1e-3)


def test_nothing_is_measured_outside_the_block(network: Network) -> None:
    with measured_divergences(norms(network)) as found:
        pass
    network(torch.zeros(1, 1, 64, 64))
    assert found == []


def test_an_image_whose_statistics_are_kept_lies_at_zero() -> None:
    layer = nn.BatchNorm2d(4, momentum=None)
    image = torch.randn(1, 4, 50, 50, generator=torch.Generator().manual_seed(2)) * 3 + 1
    layer.train()(image)
    layer.eval()
    with measured_divergences([layer]) as found:
        layer(image)
        layer(image + 100)
    assert float(found[0]) == pytest.approx(0, abs=1e-5)
    assert float(found[1]) > 100


STEM_AND_LAYER1 = {"bn1", "layer1.0.bn1", "layer1.0.bn2"}


@pytest.mark.parametrize(
    ("settings", "described"),
    [
        ({}, "all"),
        ({"schedule": "probe"}, "all"),
        ({"batch_norm": "frozen"}, "untrained"),
        ({"batch_norm": "local"}, "untrained"),
        ({"batch_norm": "local", "schedule": "full"}, "none"),
        ({"weights": "random"}, "none"),
        ({"weights": "imagenet"}, "none"),
        ({"weights": "random", "schedule": "full"}, "none"),
    ],
)
def test_layers_whose_statistics_describe_images(
    micro_config: Callable[..., RunConfig], settings: dict[str, Any], described: str
) -> None:
    model = build_network("micro")
    config = micro_config(**({"weights": "base.pt"} | settings))
    layers = described_layers(model, config)
    names = {name for name, module in model.named_modules() if module in layers}
    everything = {
        name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)
    }
    assert (
        names
        == {
            "all": everything,
            "untrained": STEM_AND_LAYER1,
            "none": set(),
        }[described]
    )


def test_inverted_and_dark_images_lie_farther_than_those_trained_on() -> None:
    """BatchNorm that has seen forty phantoms, judged on others."""
    rng = np.random.default_rng(0)
    drawn = [draw_chest(rng, 64, finding=bool(n % 2)) for n in range(60)]
    model = build_network("micro", dropout=0.0, seed=0)
    for layer in norms(model):
        layer.momentum = None
    model.train()
    with torch.no_grad():
        for start in range(0, 40, 8):
            model(batch(drawn[start : start + 8]))
    model.eval()

    def divergences(images: list[Any]) -> Any:
        with torch.no_grad(), measured_divergences(norms(model)) as found:
            model(batch(images))
        return torch.stack(found).mean(dim=0).numpy()

    usual = divergences(drawn[40:])
    for foreign in ([1 - image for image in drawn[40:]], [0.2 * image for image in drawn[40:]]):
        scores = np.concatenate([usual, divergences(foreign)])
        assert roc_auc_score(np.repeat([0, 1], 20), scores) > 0.95
    assert usual.max() < divergence_of_noise(model, norms(model), 64)


def test_the_noise_is_always_the_same(network: Network) -> None:
    state = torch.get_rng_state()
    first = divergence_of_noise(network, norms(network), 64)
    torch.manual_seed(7)
    assert divergence_of_noise(network, norms(network), 64) == first > 0
    torch.set_rng_state(state)


def batch(images: list[Any]) -> torch.Tensor:
    return torch.stack([to_input(fit_square(image, 64, "pad")) for image in images])
