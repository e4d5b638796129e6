"""What a federation computes is what plain training computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from client.data.dataset import draw_epoch
from client.workspace import open_workspace, training_samples
from shared.model.network import Network, build_network
from shared.seeds import derive_seed
from shared.settings.config import RunConfig

MakeConfig = Callable[..., RunConfig]
Simulate = Callable[[RunConfig], dict[str, Any]]
MAXIMA = {"layer2": 1e-4, "layer3": 2.5e-4, "layer4": 5e-4, "fc": 1e-3}
# Of 5 fine-tuning epochs stages thaw at 10, 30 and 60 %; the head trains from the first.
FIRST_EPOCH = {"fc": 0, "layer4": 0, "layer3": 1, "layer2": 3}

pytestmark = pytest.mark.usefixtures("measured")  # as a user's runs do


def training_images(config: RunConfig, site: Path) -> tuple[Tensor, Tensor]:
    """All training images (N, 1, 32, 32) and labels (N,) of a site."""
    alone = replace(config, sites="", out="")
    samples = training_samples(open_workspace({"site": str(site)}, alone), alone).train
    labels = torch.tensor([float(sample.radiograph.label) for sample in samples])
    return torch.stack([sample.load() for sample in samples]), labels


def plain_network(base: Path) -> Network:
    """The base with the recipe's head: Xavier, bias 0.01, from the run's seed."""
    network = build_network("micro", dropout=0.0)
    generator = torch.Generator().manual_seed(0)
    head = nn.init.xavier_uniform_(torch.empty(1, 64), generator=generator)
    state = load_file(base) | {"fc.weight": head, "fc.bias": torch.full((1,), 0.01)}
    network.load_state_dict(state)
    return network


def step(network: nn.Module, optimizer: AdamW, images: Tensor, labels: Tensor) -> None:
    network.zero_grad(set_to_none=True)
    loss = binary_cross_entropy_with_logits(network(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def thaw(network: nn.Module, modules: set[str]) -> None:
    network.requires_grad_(False).eval()
    for name in modules:
        network.get_submodule(name).requires_grad_(True).train()


def train_plainly(
    network: Network, images: Tensor, labels: Tensor, epochs: dict[int, list[list[int]]]
) -> dict[str, Tensor]:
    """Two probe epochs and five of fine-tuning: one optimiser each, torch's own scheduler."""
    thaw(network, {"fc"})
    probe = AdamW(network.head_layer.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    for batch in epochs[1] + epochs[2]:
        step(network, probe, images[batch], labels[batch])
    groups = [
        {
            "params": list(network.get_submodule(name).parameters()),
            "weight_decay": 1e-5 if name == "fc" else 1e-4,
        }
        for name in MAXIMA
    ]
    optimizer = AdamW(groups, fused=True)
    steps = sum(len(epochs[epoch]) for epoch in range(3, 8))
    scheduler = OneCycleLR(optimizer, max_lr=list(MAXIMA.values()), total_steps=steps)
    for epoch in range(3, 8):
        thaw(network, {name for name, first in FIRST_EPOCH.items() if epoch - 3 >= first})
        for batch in epochs[epoch]:
            step(network, optimizer, images[batch], labels[batch])
            if scheduler.last_epoch < steps - 1:
                scheduler.step()
    state: dict[str, Tensor] = network.state_dict()
    return state


def drawn_batches(images: int, batch_size: int) -> list[list[list[int]]]:
    """The site's order of images in each of the seven rounds, in one batch or in threes."""
    epochs = []
    for epoch in range(1, 8):
        seed = derive_seed(0, "north", epoch, "epoch", 0)
        order = [draw.sample for draw in draw_epoch([0] * images, balanced=False, seed=seed)]
        # Of 7 images the last joins the batch before.
        epochs.append([order[:3], order[3:]] if batch_size == 3 else [order])
    return epochs


@pytest.mark.parametrize("batch_size", [64, 3])
def test_one_site_is_plain_local_training(
    tmp_path: Path, three_sites: tuple[Path, ...], base_file: Path, federated: MakeConfig,
    plain: dict[str, Any], simulate: Simulate, batch_size: int,
) -> None:  # fmt: skip
    """Probe and all thaws with AdamW and OneCycle, in full batches and in two steps a round.

    The two differ by float32 rounding alone: a federation's weights are base plus delta after
    every round. That is a few units in the last place (6e-8 of a value near 1) after 7 or 14
    steps, where the smallest change of a stage is of 2e-5.
    """
    config = federated(
        sites=three_sites[:1], min_sites=1, probe_rounds=2, rounds=5, batch_size=batch_size,
        end="last", **plain,
    )  # fmt: skip
    simulate(config)
    images, labels = training_images(config, three_sites[0])
    batches = drawn_batches(len(labels), batch_size)
    assert [len(batch) for batch in batches[0]] == ([7] if batch_size == 64 else [3, 4])
    network = plain_network(base_file)
    expected = train_plainly(network, images, labels, dict(enumerate(batches, start=1)))

    result, start = load_file(tmp_path / "run" / "model.safetensors"), load_file(base_file)
    for key, value in expected.items():
        if key.endswith("num_batches_tracked"):
            assert result[key] == 0
            continue
        # Frozen stages run with the channels last, so their sums are taken in another order.
        torch.testing.assert_close(result[key], value, rtol=2e-6, atol=1e-6)
        if key.startswith(("layer2", "layer3", "layer4")):
            assert (value - start[key]).abs().max() > 1e-5


def test_one_step_at_each_of_three_sites_is_one_step_on_all_data(
    tmp_path: Path, three_sites: tuple[Path, ...], base_file: Path, federated: MakeConfig,
    plain: dict[str, Any], simulate: Simulate,
) -> None:  # fmt: skip
    """FedAvg weighs by images, so the average of the sites' SGD steps is the pooled step.

    With BatchNorm's statistics frozen the loss is a mean over images, whichever batch they are in.
    """
    rates = {"lr_head": 0.02, "rates": "0.02,0.02,0.02"}
    config = federated(
        schedule="full", probe_rounds=0, rounds=3, optimizer="sgd", rate_policy="constant",
        batch_norm="frozen", batch_size=1000, **rates, **plain,
    )  # fmt: skip
    simulate(config)
    sites = [training_images(config, site) for site in three_sites]
    assert len({len(labels) for _, labels in sites}) == 3
    images, labels = (torch.cat(column) for column in zip(*sites, strict=True))

    network = plain_network(base_file).eval()
    start = {name: value.detach().clone() for name, value in network.named_parameters()}
    for _ in range(3):
        loss = binary_cross_entropy_with_logits(network(images), labels)
        parameters = dict(network.named_parameters())
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        with torch.no_grad():
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
                decay = 1e-5 if name.startswith("fc") else 1e-4
                parameter.sub_(0.02 * (gradient + decay * parameter))
    result = load_file(tmp_path / "run" / "model.safetensors")
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(result[name], parameter.detach(), rtol=1e-5, atol=1e-7)
        assert (parameter.detach() - start[name]).abs().max() > 1e-4
