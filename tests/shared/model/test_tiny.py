"""The small network: its size, its two branches, and what begins as the identity."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from shared.errors import ConfigError
from shared.model.network import Network, build_network
from shared.model.pretrained import load_base
from shared.settings.config import RunConfig

BUDGET = 14_862
"""Weights of the network of arXiv:2501.15547."""


@pytest.fixture
def network() -> Network:
    built = build_network("tiny", dropout=0.0)
    state = load_base(RunConfig(backbone="tiny", weights="random", image_size=32)).state
    built.load_state_dict(dict(state))
    return built.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 2, 32, 32, generator=torch.Generator().manual_seed(0)) * 2048 - 1024


def test_it_has_no_more_weights_than_the_paper_s_with_ten_classes() -> None:
    network = build_network("tiny")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count + 9 * (network.backbone.features + 1) <= BUDGET


@torch.no_grad()
def test_each_branch_sees_its_own_image(network: Network, images: Tensor) -> None:
    """Half of what enters the joined layers follows from each of the two images alone."""
    joined = network.backbone.stages[3]
    first, second = images[:, :1], images[:, 1:]
    both = network.prefix(images, joined)
    half = both.shape[1] // 2
    assert torch.equal(
        both[:, :half], network.prefix(torch.cat([first, first], 1), joined)[:, :half]
    )
    other = network.prefix(second, joined)
    assert torch.equal(both[:, half:], other[:, half:])
    assert not torch.equal(both[:, :half], other[:, :half])


@torch.no_grad()
def test_a_grey_image_enters_both_branches(network: Network, images: Tensor) -> None:
    one = images[:, :1]
    assert torch.equal(network(one), network(one.repeat(1, 2, 1, 1)))


@torch.no_grad()
def test_the_further_layers_begin_as_the_identity(network: Network, images: Tensor) -> None:
    """So the head of the branches goes on where they are joined."""
    entered = network.prefix(images, "joined")
    assert torch.equal(network.between(entered, "joined", "head"), entered)
    assert entered.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"backbone": "micro"}, "micro does not have two branches; set backbone=tiny."),
        ({"probe_rounds": 0}, "probe-rounds is 0; the branches train separately"),
        ({"augmentation": "none"}, "augmentation is none; the second branch learns from"),
    ],
)
def test_a_dual_schedule_needs_branches_and_something_that_differs(
    settings: dict[str, object], sentence: str
) -> None:
    given = {"backbone": "tiny", "schedule": "dual", **settings}
    with pytest.raises(ConfigError, match=sentence):
        RunConfig(**given)  # type: ignore[arg-type]
