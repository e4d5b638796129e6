"""torchvision's ResNets for grey radiographs, run and initialised stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor, nn
from torchvision.models.resnet import (
    BasicBlock,
    Bottleneck,
    ResNet,
)

from shared.errors import ConfigError
from shared.model.recompute import recomputed
from shared.model.stages import known_stages
from shared.schedule import STAGES

HEAD_BIAS = 0.01
"""Initial bias of the head (Goedicke-Fritz et al., arXiv:2507.12269)."""


@dataclass(frozen=True)
class Architecture:
    """A ResNet: its residual block, the blocks of layer1 to layer4, and layer1's planes."""

    block: type[BasicBlock] | type[Bottleneck]
    blocks: tuple[int, int, int, int]
    planes: int

    @property
    def features(self) -> int:
        """Number of features that enter the head."""
        return 8 * self.planes * int(self.block.expansion)


ARCHITECTURES: Mapping[str, Architecture] = {
    "resnet50": Architecture(Bottleneck, (3, 4, 6, 3), 64),
    "resnet18": Architecture(BasicBlock, (2, 2, 2, 2), 64),
    "micro": Architecture(BasicBlock, (1, 1, 1, 1), 8),  # rehearsals and tests
}


class StagedResNet(ResNet):  # type: ignore[misc]  # torchvision ships no types
    """A ResNet (He et al., arXiv:1512.03385) with one input channel and one logit.

    Its state-dict keys are torchvision's. `always_eval` names the submodules that stay in eval
    mode whatever `train()` asks for; `freezing.set_trainable` sets it. With `recompute` the
    backward pass computes each residual block's activations again instead of keeping them.
    """

    def __init__(self, architecture: Architecture, dropout: float, seed: int) -> None:
        """Draw all weights from `seed`; `dropout` is the probability before the head."""
        # Without storage, so that torchvision's own initialisation costs no time and draws
        # nothing from the global generator.
        with torch.device("meta"):
            super().__init__(architecture.block, list(architecture.blocks), num_classes=1)
            self._resize(architecture)
        self.dropout = dropout
        self.recompute = False
        self.always_eval: frozenset[str] = frozenset()
        self.to_empty(device="cpu")
        self._initialise(torch.Generator().manual_seed(seed))

    def _resize(self, architecture: Architecture) -> None:
        self.inplanes = architecture.planes
        self.conv1 = nn.Conv2d(1, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(self.inplanes)
        for index, blocks in enumerate(architecture.blocks):
            planes, stride = architecture.planes * 2**index, 1 if index == 0 else 2
            layer = self._make_layer(architecture.block, planes, blocks, stride=stride)
            setattr(self, f"layer{index + 1}", layer)
        self.fc = nn.Linear(architecture.features, 1)

    def _initialise(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision's ResNet does
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu", generator=generator
                )
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
        nn.init.xavier_uniform_(self.fc.weight, generator=generator)
        nn.init.constant_(self.fc.bias, HEAD_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N,) of images (N, 1, H, W) in [-1024, 1024]."""
        return self.rest(x, STAGES[0])

    def prefix(self, x: Tensor, stop: str) -> Tensor:
        """Run the stages before `stop`: images -> the input of `stop`, (N, C, H, W).

        With `stop` "stem" the images themselves. ValueError for an unknown stage.
        """
        return self.between(x, STAGES[0], stop)

    def between(self, x: Tensor, start: str, stop: str) -> Tensor:
        """Run `start` and the stages after it, up to `stop` and without it; x is start's input.

        ValueError for an unknown stage, and where `stop` comes before `start`.
        """
        known_stages([start, stop])
        first, last = STAGES.index(start), STAGES.index(stop)
        if last < first:
            raise ValueError(f"{stop} comes before {start}; there is nothing to run between them.")
        x = _arranged(x)
        for stage in STAGES[first:last]:
            x = self._run(stage, x)
        return x

    def rest(self, x: Tensor, start: str) -> Tensor:
        """Run `start` and all stages after it: what `prefix(_, start)` gave -> logits (N,).

        The head takes its input averaged over the positions as well, (N, C, 1, 1). ValueError for
        an unknown stage.
        """
        return self._head(self.between(x, start, STAGES[-1]))

    def _run(self, stage: str, x: Tensor) -> Tensor:
        if stage == "stem":
            # One grey channel has no order of its own: it is chosen behind the first convolution.
            x = _arranged(self.conv1(x))
            return cast(Tensor, self.maxpool(self.relu(self.bn1(x))))
        layer = cast(nn.Sequential, self.get_submodule(stage))
        if self.recompute and torch.is_grad_enabled():
            return recomputed(layer, x)
        return cast(Tensor, layer(x))

    def _head(self, x: Tensor) -> Tensor:
        features = torch.flatten(self.avgpool(x), 1)
        features = F.dropout(features, self.dropout, training=self.fc.training)
        return cast(Tensor, self.fc(features).squeeze(1))

    def train(self, mode: bool = True) -> StagedResNet:
        """Training mode for all but the submodules of `always_eval`; `train(False)` is eval."""
        super().train(mode)
        for name in self.always_eval:
            self.get_submodule(name).eval()
        return self


def _arranged(x: Tensor) -> Tensor:
    """In the memory format that is fast for what follows.

    With the channels last convolutions are faster; but on a CPU PyTorch's backward pass (2.15, of a
    1x1 convolution with stride 2, for a few channels and more than one thread) then writes beyond
    its memory, so there the format is used only where no backward pass follows.
    """
    last = x.is_cuda or not torch.is_grad_enabled()
    return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def build_backbone(name: str, dropout: float = 0.1, seed: int = 0) -> StagedResNet:
    """The network `name` ("resnet50", "resnet18", "micro"), initialised from `seed` alone.

    The global random generators are neither read nor advanced. Convolutions and BatchNorm as
    torchvision initialises them, head Xavier uniform with bias 0.01. `dropout`: probability
    before the head. ConfigError for another name.
    """
    return StagedResNet(architecture_of(name), dropout, seed)


def architecture_of(name: str) -> Architecture:
    """The architecture of a backbone; ConfigError for an unknown name."""
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigError(f"backbone is '{name}'; it must be one of {known}.")
    return ARCHITECTURES[name]
