"""How far an image lies from those that the network was trained on.

Sites send no images, so the only description of them that a run has is in its model: BatchNorm's
running mean and variance of every channel. An image's divergence is the Kullback-Leibler divergence
of two normal distributions, that of the channel's values over the image's positions from the one
that BatchNorm keeps, averaged over each layer's channels and then over the layers; the statistics
are those that DeepInversion matches (Yin et al., arXiv:1912.08795). How large it gets differs from
network to network, so it is given relative to white noise under the same network: a distance of 1
is as far off as noise.

It shows what was made otherwise (underexposed, noise; rarely inverted images and photographs), not
what is rare among radiographs: to another hospital's it is nearly blind, and to one upside down.
`python -m benchmarks.unlike` measures that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn

from client.data.dataset import RANGE
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import stages_ever_thawed, total_rounds

UNLIKE = 0.75
"""Images farther off are called unlike the training's. Of a run's own, 1 in 100 are."""
_NOISE_IMAGES = 8
_NO_RADIOGRAPHS = frozenset({"random", "imagenet"})
"""Weights whose statistics describe no image, or photographs; others are of radiographs."""


def described_layers(model: Network, config: RunConfig) -> tuple[nn.BatchNorm2d, ...]:
    """The layers whose statistics describe radiographs that this network has seen. May be empty.

    Thawed units have seen the sites' images where batch-norm is "average", those that were never
    thawed the images of the base's training. Where these were no radiographs none is described: a
    small federation's own images then lie as far off as others.
    """
    if config.weights in _NO_RADIOGRAPHS:
        return ()
    backbone, thawed = model.backbone, stages_ever_thawed(config, total_rounds(config))
    seen = backbone.other_units(thawed)
    if config.batch_norm == "average":
        seen |= backbone.units_of(thawed)
    return tuple(
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and backbone.unit_of(f"{name}.weight").name in seen
    )


@contextmanager
def measured_divergences(layers: Sequence[nn.BatchNorm2d]) -> Iterator[list[Tensor]]:
    """Within the block each of the layers adds its divergences, (N,), when a batch runs through."""
    found: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(
            lambda layer, inputs: found.append(_divergence(layer, inputs[0]))
        )
        for layer in layers
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def divergence_of_noise(model: Network, layers: Sequence[nn.BatchNorm2d], size: int) -> float:
    """The mean divergence of uniform noise, two draws in each direction averaged to a pixel.

    Always the same noise for one size; the global random generators are neither read nor advanced.
    """
    generator = torch.Generator().manual_seed(0)
    fine = torch.rand(
        _NOISE_IMAGES, model.backbone.channels, 2 * size, 2 * size, generator=generator
    )
    noise = F.avg_pool2d((2 * fine - 1) * RANGE, 2).to(model.device)
    with measured_divergences(layers) as found:
        model.prefix(noise, model.backbone.head)
    return float(torch.stack(found).mean())


@torch.no_grad()
def _divergence(layer: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    kept = layer.running_var + layer.eps
    ratio = (x.var(dim=(2, 3), correction=0) + layer.eps) / kept
    offset = (x.mean(dim=(2, 3)) - layer.running_mean).square() / kept
    return ((ratio + offset - 1 - ratio.log()) / 2).mean(dim=1)
