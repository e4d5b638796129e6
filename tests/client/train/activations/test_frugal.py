from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from client.train.activations.frugal import Frugal


@pytest.fixture
def network() -> nn.Sequential:
    """A layer that trains, then a frozen convolution and norm, ReLU, pooling, and a head."""
    torch.manual_seed(0)
    built = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(36, 1),
    )  # fmt: skip
    for layer in (built[1], built[2]):
        layer.requires_grad_(requires_grad=False)
    built[2].eval()
    return built


def gradients(
    network: nn.Sequential, mode: AbstractContextManager[object]
) -> tuple[list[Tensor], int]:
    """Gradients of all that trains, and the values that autograd kept beside the weights."""
    weights = {one.data_ptr() for one in (*network.parameters(), *network.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    network.zero_grad()
    images = torch.randn(2, 1, 10, 10, generator=torch.Generator().manual_seed(1))
    with saved_tensors_hooks(keep, lambda tensor: tensor), mode:
        loss = network(images).square().sum()
    loss.backward()
    found = [one.grad.clone() for one in network.parameters() if one.grad is not None]
    return found, sum(kept.values())


def test_frozen_layers_keep_nothing_of_their_inputs_and_gradients_are_equal(
    network: nn.Sequential,
) -> None:
    plain, kept = gradients(network, nullcontext())
    lean, kept_lean = gradients(network, Frugal(None))
    assert all(map(torch.equal, plain, lean))
    # Inputs of the frozen convolution (2, 3, 8, 8) and of the frozen norm (2, 4, 6, 6).
    assert kept - kept_lean >= 2 * 3 * 8 * 8 + 2 * 4 * 6 * 6


def test_with_masks_and_places_gradients_are_equal_and_less_is_kept(
    network: nn.Sequential,
) -> None:
    plain, _ = gradients(network, nullcontext())
    _, kept_lean = gradients(network, Frugal(None))
    masked, kept_masked = gradients(network, Frugal(lambda _: nullcontext()))
    for one, other in zip(plain, masked, strict=True):
        torch.testing.assert_close(one, other)
    assert kept_masked < kept_lean


def test_a_layer_that_trains_is_left_to_pytorch(network: nn.Sequential) -> None:
    for one in network.parameters():
        one.requires_grad_()
    network.train()
    plain, kept = gradients(network, nullcontext())
    again, kept_again = gradients(network, Frugal(None))
    assert all(map(torch.equal, plain, again))
    assert kept == kept_again
