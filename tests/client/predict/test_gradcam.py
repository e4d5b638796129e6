"""Grad-CAM against its definition, worked out position by position."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from client.predict.explain import grad_cam
from shared.model.network import Network, build_network


@pytest.fixture(scope="module")
def network() -> Network:
    model = build_network("micro", dropout=0.5, seed=3)
    model.eval()
    model.requires_grad_(False)
    return model


@pytest.fixture(scope="module")
def features(network: Network) -> torch.Tensor:
    images = torch.randn(5, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 400
    return network.prefix(images, "head")


def by_hand(network: Network, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Equations 1 and 2 with derivatives by finite differences, in float64."""

    def logit(maps: NDArray[np.float64]) -> float:
        return float(exact.rest(torch.from_numpy(maps)[None], "head"))

    exact = build_network("micro", dropout=0.0)
    exact.load_state_dict(network.state_dict())
    exact.double().eval()
    channels, rows, columns = features.shape
    heat, step = np.zeros((rows, columns)), 1e-3
    with torch.no_grad():
        for channel in range(channels):
            alpha = 0.0
            for place in np.ndindex(rows, columns):
                moved = features.copy()
                moved[channel, *place] += step
                alpha += (logit(moved) - logit(features)) / step
            heat += alpha / (rows * columns) * features[channel]
    heat = np.maximum(heat, 0)
    return heat / heat.max() if heat.max() > 0 else heat


def test_the_map_is_that_of_the_paper(network: Network, features: torch.Tensor) -> None:
    maps = grad_cam(network, features).numpy()
    assert maps.shape == (5, 3, 3)
    for number, found in enumerate(maps):
        wanted = by_hand(network, features[number].double().numpy())
        assert wanted.max() in (0, 1)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_it_depends_on_no_other_image(network: Network, features: torch.Tensor) -> None:
    together = grad_cam(network, features)
    alone = torch.cat([grad_cam(network, features[n : n + 1]) for n in range(5)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(grad_cam(network, features.flip(0)), together.flip(0))


def test_what_speaks_for_the_negative_class_is_black(network: Network) -> None:
    """One channel that lowers the logit, in one place; then one that raises it."""
    weights = network.head_layer.weight[0]
    for channel, peak in ((int(weights.argmin()), 0.0), (int(weights.argmax()), 1.0)):
        lone = torch.zeros(1, len(weights), 2, 2)
        lone[0, channel, 1, 0] = 5
        heat = grad_cam(network, lone)
        assert heat.tolist() == [[[0, 0], [peak, 0]]]


def test_the_network_is_left_as_it_was(network: Network, features: torch.Tensor) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        grad_cam(network, features)
    assert not features.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
