"""The base: the pretrained state that every site holds, named by its digest."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from shared.errors import ConfigError, WeightsError
from shared.model.backbone import Backbone
from shared.model.checkpoints import (
    fit_to_backbone,
    read_checkpoint,
    strip_prefix,
)
from shared.model.freezing import state_digest
from shared.model.imagenet import fold_first_convolution
from shared.model.network import HEAD_BIAS, Network, build_network
from shared.model.published import NAMED_WEIGHTS, PUBLISHED_WEIGHTS
from shared.model.registry import backbone_of
from shared.model.sources import Progress, fetch_for, in_place, published_weights, require_sha256


class WeightsChoice(Protocol):
    """What of a run's settings says which weights it begins with."""

    @property
    def weights(self) -> str:
        """One of `NAMED_WEIGHTS`, or a file's path."""

    @property
    def weights_sha256(self) -> str:
        """What the file must have; empty: any."""

    @property
    def backbone(self) -> str:
        """The backbone's name."""

    @property
    def network(self) -> Backbone:
        """The backbone's description."""

    @property
    def outputs(self) -> int:
        """Logits of the network."""

    @property
    def channels(self) -> int:
        """The channels of an image."""

    @property
    def seed(self) -> int:
        """The seed of random weights."""


@dataclass(frozen=True, eq=False)
class Base:
    """A pretrained state dict of a backbone, in float32 and contiguous on the CPU.

    `num_batches_tracked` is zero (int64). Without `has_head` the head is zeros: the coordinator
    draws the initial one (`initial_head`) and sends it as a delta.
    """

    state: Mapping[str, Tensor]
    digest: str
    """`state_digest` of the state: "sha256:" and 64 hexadecimal digits."""
    source: str
    """What it was loaded from, without a local folder."""
    file_sha256: str
    """SHA-256 of the file, for `weights-sha256`; empty where there is no file."""
    has_head: bool
    backbone: Backbone
    unused_head: int = 0
    """Outputs of a head in the file that is left aside, since the run needs another number."""


def load_base(
    config: WeightsChoice, site_weights: str | None = None, on_progress: Progress | None = None
) -> Base:
    """Load the pretrained weights that a run asks for.

    `site_weights` is a site's own choice in place of `config.weights`, usually the path of its
    copy of the same file. WeightsError where the file is missing, cannot be fetched, is altered
    or does not fit; ConfigError where the settings contradict each other.
    """
    chosen = site_weights or config.weights
    if chosen == "random":
        return _random_base(config)
    path, source = _locate(chosen, config, on_progress)
    sha256 = require_sha256(path, config.weights_sha256, str(path))
    backbone = config.network
    state = strip_prefix((backbone.read or read_checkpoint)(path))
    if "imagenet" in (chosen, config.weights) or _is_torchvision_s(sha256, backbone):
        state = fold_first_convolution(state, backbone)
    bias = state.get(backbone.head_keys[1])
    if not {chosen, config.weights}.isdisjoint(PUBLISHED_WEIGHTS):
        # Of other findings than the run's, even where these are as many.
        state = {key: value for key, value in state.items() if key not in backbone.head_keys}
    expected: dict[str, Tensor] = build_network(
        config.backbone, outputs=config.outputs, channels=config.channels
    ).state_dict()
    fitted, has_head = fit_to_backbone(state, expected, backbone, str(path))
    unused = 0 if has_head or bias is None else bias.numel()
    return Base(fitted, state_digest(fitted), source, sha256, has_head, backbone, unused)


def _is_torchvision_s(sha256: str, backbone: Backbone) -> bool:
    """Whether a file for colours is ImageNet's own, which wants normalised ones, by its digest."""
    published = backbone.published.get("imagenet")
    prefix = published.sha256_prefix if published and backbone.channels == 3 else ""
    return bool(prefix) and sha256.startswith(prefix)


def checkpoint_in_place(config: WeightsChoice, site_weights: str | None = None) -> Path | None:
    """The file that `load_base` would read; None where there is none, or it is to be fetched."""
    chosen = site_weights or config.weights
    if chosen == "random":
        return None
    if chosen in PUBLISHED_WEIGHTS:
        return in_place(published_weights(chosen, config.network))
    return Path(os.path.expanduser(chosen))


def initial_head(
    backbone: str, seed: int, outputs: int = 1, channels: int = 1
) -> dict[str, Tensor]:
    """A new head: Xavier uniform weight (outputs, features) drawn from `seed`, bias 0.01.

    The global random generators are neither read nor advanced. ConfigError for an unknown
    backbone.
    """
    network = backbone_of(backbone, channels)
    weight = torch.empty(outputs, network.features)
    nn.init.xavier_uniform_(weight, generator=torch.Generator().manual_seed(seed))
    return dict(zip(network.head_keys, (weight, torch.full((outputs,), HEAD_BIAS)), strict=True))


def _locate(chosen: str, config: WeightsChoice, on_progress: Progress | None) -> tuple[Path, str]:
    if chosen in PUBLISHED_WEIGHTS:
        return fetch_for(chosen, config.network, config.weights_sha256, on_progress), chosen
    path = Path(os.path.expanduser(chosen))
    if not path.is_file():
        raise WeightsError(
            f"There is no weights file at {path}; weights must be {', '.join(NAMED_WEIGHTS)}, or "
            "the path of a .safetensors, .pt or .pth file."
        )
    return path, f"file {path.name}"


def _random_base(config: WeightsChoice) -> Base:
    if config.weights_sha256:
        raise ConfigError("weights=random has no file; leave weights-sha256 empty.")
    network = build_network(
        config.backbone, seed=config.seed, outputs=config.outputs, channels=config.channels
    )
    _calm_activations(network)
    state: dict[str, Tensor] = network.state_dict()
    for key in network.backbone.head_keys:
        state[key] = torch.zeros_like(state[key])
    owned = {key: value.detach().clone() for key, value in state.items()}
    return Base(owned, state_digest(owned), "random", "", False, network.backbone)


def _calm_activations(network: Network) -> None:
    """Keep an untrained network's activations near 1 although its BatchNorm has seen nothing.

    Frozen stages use their running statistics, which describe no data yet: inputs of up to 1024
    and sixteen residual sums would reach the head as logits in the hundreds. So the first
    BatchNorm takes the variance that uniform values give behind its convolution, and every
    residual branch, where there are any, starts at zero (Goyal et al., arXiv:1706.02677). Without
    a BatchNorm behind it, the first convolution's weights are divided by the deviation of uniform
    grey values instead. No data and no sums over activations are involved, so the digest is the
    same at every site.
    """
    with torch.no_grad():
        mean_square = network.backbone.input_range[1] ** 2 / 3
        weight = network.get_parameter(f"{network.backbone.first_layer}.weight")
        if norm := network.backbone.first_norm:
            variance = weight.square().sum(dim=(1, 2, 3)) * mean_square
            network.get_buffer(f"{norm}.running_var").copy_(variance)
        else:
            weight.div_(math.sqrt(mean_square))
        for name in network.backbone.zeroed:
            network.get_parameter(f"{name}.weight").zero_()
