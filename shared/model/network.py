"""A backbone as a network: run and initialised unit by unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)

# Whole and first, though parts of it are used: Flower's engine loads both sides in threads of one
# process, and Python gives a thread half a package where another imports a part of it meanwhile.
import torchvision  # noqa: F401
from torch import Tensor, nn

from shared.model.backbone import Backbone, Part, Unit
from shared.model.recompute import recomputed
from shared.model.registry import backbone_of

BRANCHES = 2
HEAD_BIAS = 0.01
"""Initial bias of the head (Goedicke-Fritz et al., arXiv:2507.12269)."""


class Network(nn.Module):
    """A backbone with one logit, or several.

    Its submodules, and so its state-dict keys, are those that the backbone builds. `always_eval`
    names the submodules that stay in eval mode whatever `train()` asks for;
    `freezing.set_trainable` sets it. With `recompute` the backward pass computes each unit's
    activations again instead of keeping them.
    """

    def __init__(self, backbone: Backbone, dropout: float, seed: int, outputs: int = 1) -> None:
        """Draw all weights from `seed`; `dropout` is the probability before the head."""
        super().__init__()
        # Without storage, so that the library's own initialisation costs no time and draws
        # nothing from the global generator.
        with torch.device("meta"):
            built = backbone.build(backbone.channels)
            if outputs != 1:
                built.set_submodule(backbone.head_module, nn.Linear(backbone.features, outputs))
            for name, parameter in built.named_parameters(recurse=False):
                self.register_parameter(name, parameter)
            for name, module in built.named_children():
                self.add_module(name, module)
        self.backbone = backbone
        self.dropout = dropout
        self.recompute = False
        self.always_eval: frozenset[str] = frozenset()
        self.to_empty(device="cpu")
        self._initialise(torch.Generator().manual_seed(seed))

    def _initialise(self, generator: torch.Generator) -> None:
        if self.backbone.initialise is not None:
            self.backbone.initialise(self, generator)
        else:
            self._initialise_convolutions(generator)
        nn.init.xavier_uniform_(self.head_layer.weight, generator=generator)
        nn.init.constant_(self.head_layer.bias, HEAD_BIAS)

    def _initialise_convolutions(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as torchvision does
                nn.init.kaiming_normal_(
                    module.weight, mode=self.backbone.fan, nonlinearity="relu", generator=generator
                )
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()

    @property
    def head_layer(self) -> nn.Linear:
        """The linear layer that gives the logits."""
        return cast(nn.Linear, self.get_submodule(self.backbone.head_module))

    @property
    def outputs(self) -> int:
        """Logits of an image."""
        return self.head_layer.out_features

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.head_layer.weight.device

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images (N, C, H, W) in the backbone's input range.

        They are (N,) of one output, (N, outputs) of several.
        """
        return self.rest(x, self.backbone.stages[0])

    def prefix(self, x: Tensor, stop: Part) -> Tensor:
        """Run the units before `stop`: images -> the input of `stop`, (N, C, H, W).

        Of a network of tokens that is (N, C, 1, 1 + patches).

        Before the first unit that is the images themselves. ValueError for an unknown part.
        """
        return self.between(x, self.backbone.stages[0], stop)

    def between(self, x: Tensor, start: Part, stop: Part) -> Tensor:
        """Run from `start` up to `stop` and without it; x is what enters `start`.

        A stage stands for its first unit. ValueError for an unknown part, and where `stop` comes
        before `start`.
        """
        first, last = self.backbone.position(start), self.backbone.position(stop)
        if last < first:
            raise ValueError(f"{stop} comes before {start}; there is nothing to run between them.")
        x = self._arranged(x)
        for unit in self.backbone.units[first:last]:
            x = self._run(unit, x)
        return x

    def rest(self, x: Tensor, start: Part) -> Tensor:
        """Run `start` and all units after it: what `prefix(_, start)` gave -> logits.

        The head takes its input averaged over the positions as well, (N, C, 1, 1). ValueError for
        an unknown part.
        """
        x = self._arranged(x)
        for unit in self.backbone.units[self.backbone.position(start) : -1]:
            x = self._run(unit, x)  # not in a call that is handed x: this frame would keep it
        return self._classify(x)

    def pool(self, x: Tensor) -> Tensor:
        """Of what enters the head what the head takes, (N, C, 1, 1).

        Feature maps (N, C, H, W) averaged over the positions, or the class token.
        """
        return x[..., :1] if self.backbone.tokens else F.adaptive_avg_pool2d(x, 1)

    def maps(self, x: Tensor) -> Tensor:
        """What goes between units as maps of a square image, (N, C, H, W): tokens by place."""
        if not self.backbone.tokens:
            return x
        patches = x[..., 1:]
        return patches.reshape(*x.shape[:2], -1, math.isqrt(patches.shape[-1]))

    def parameters_of(self, unit: Unit) -> Iterator[nn.Parameter]:
        """The unit's parameters."""
        for name in unit.modules:
            yield from self.get_submodule(name).parameters()
        yield from map(self.get_parameter, unit.loose)

    def _run(self, unit: Unit, x: Tensor) -> Tensor:
        modules = [self.get_submodule(name) for name in unit.modules]
        first = unit is self.backbone.units[0]
        if first and self.backbone.branches:
            x = self._for_branches(x)
        steps: list[Callable[[Tensor], Tensor]] = (
            [partial(unit.run, self)] if unit.run else [*modules]
        )
        if first and not unit.run:
            # One channel has no order of its own: it is chosen behind the first convolution.
            x = self._arranged(steps.pop(0)(x))
        for step in steps:
            again = self.recompute and torch.is_grad_enabled() and not first
            own = [step] if isinstance(step, nn.Module) else modules
            x = recomputed(step, own, x) if again else step(x)
        return x

    def _for_branches(self, x: Tensor) -> Tensor:
        """An image enters both branches, (N, C, H, W) -> (N, 2C, H, W); two images one each."""
        if x.shape[1] != self.backbone.channels:
            return x
        if self.backbone.channels == 1:
            return x.expand(-1, BRANCHES, -1, -1)
        return torch.cat([x] * BRANCHES, dim=1)

    def _classify(self, x: Tensor) -> Tensor:
        features = torch.flatten(self.pool(x), 1)
        features = F.dropout(features, self.dropout, training=self.head_layer.training)
        logits = cast(Tensor, self.head_layer(features))
        return logits.squeeze(1) if logits.shape[1] == 1 else logits

    def train(self, mode: bool = True) -> Network:
        """Training mode for all but the submodules of `always_eval`; `train(False)` is eval."""
        super().train(mode)
        for name in self.always_eval:
            self.get_submodule(name).eval()
        return self

    def _arranged(self, x: Tensor) -> Tensor:
        """In the memory format that is fast for what follows.

        With the channels last convolutions are faster; but on a CPU PyTorch's backward pass (2.15,
        of a 1x1 convolution with stride 2, for a few channels and more than one thread) then writes
        beyond its memory, so there a network with such ones has it only where no backward pass
        follows.
        """
        safe = x.is_cuda or not self.backbone.strided_points
        last = safe or not torch.is_grad_enabled()
        return x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def build_network(
    name: str, dropout: float = 0.1, seed: int = 0, outputs: int = 1, channels: int = 1
) -> Network:
    """The network of the backbone `name` for images of 1 or 3 channels, drawn from `seed` alone.

    The global random generators are neither read nor advanced. Convolutions and BatchNorm as
    torchvision initialises them, head Xavier uniform with bias 0.01. `dropout`: probability
    before the head, which gives `outputs` logits. ConfigError for another name.
    """
    return Network(backbone_of(name, channels), dropout, seed, outputs)
