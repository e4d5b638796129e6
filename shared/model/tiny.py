"""Small networks with two branches, of fewer than 14,862 weights, in colour of 20,000.

After arXiv:2501.15547. That paper trains two identical small networks, one on images and one on
their augmented versions, then carries both into one network with further layers. It does not
publish its layers; these are our own. The branches are the two groups of the same convolutions, so
they are computed at once. The further layers are residual blocks whose scales start at zero: they
begin as the identity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

from shared.model.backbone import Backbone, Unit

if TYPE_CHECKING:
    from torch import Tensor, nn

    Run = Callable[[str, nn.Module, Tensor], Tensor]

_BRANCHES = 2
_STEM, _BODY, _JOINED = 24, 40, 60
"""Channels, of both branches together."""


def _build(channels: int) -> nn.Module:
    return _assembled(
        _convolution(_BRANCHES * channels, _STEM, kernel=5, stride=2, groups=_BRANCHES),
        _JOINED,
        widen=_separable(_STEM, _BODY, groups=_BRANCHES),
        block=_separable(_BODY, _BODY, groups=_BRANCHES),
        down=_separable(_BODY, _JOINED, groups=_BRANCHES, stride=2),
        joined1=_separable(_JOINED, _JOINED),
        joined2=_separable(_JOINED, _JOINED),
    )


def _assembled(first: nn.Conv2d, width: int, **layers: nn.Sequential) -> nn.Module:
    """The first convolution, the layers by name, and a head of what is so wide."""
    from torch import nn

    network = nn.Module()
    network.conv1, network.bn1 = first, nn.BatchNorm2d(first.out_channels)
    network.relu = nn.ReLU(inplace=True)
    for name, layer in layers.items():
        network.add_module(name, layer)
    network.fc = nn.Linear(width, 1)
    return network


def _convolution(
    channels: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    from torch import nn

    return nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False)


def _separable(channels: int, out: int, *, groups: int = 1, stride: int = 1) -> nn.Sequential:
    """A convolution of each channel, then one over the channels of each group."""
    from torch import nn

    return nn.Sequential(
        _convolution(channels, channels, kernel=3, stride=stride, groups=channels),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        _convolution(channels, out, kernel=1, groups=groups),
        nn.BatchNorm2d(out),
    )


def _plain(name: str, network: nn.Module, x: Tensor) -> Tensor:
    return cast("Tensor", network.get_submodule(name)(x).relu_())


def _residual(name: str, network: nn.Module, x: Tensor) -> Tensor:
    return cast("Tensor", (x + network.get_submodule(name)(x)).relu_())


def _unit(name: str, module: str, run: Run) -> Unit:
    return Unit(name, name.partition(".")[0], (module,), run=partial(run, module))


TINY = Backbone(
    name="tiny",
    units=(
        Unit("stem", "stem", ("conv1", "bn1", "relu")),
        _unit("branches1.0", "widen", _plain),
        _unit("branches1.1", "block", _residual),
        _unit("branches2", "down", _plain),
        _unit("joined.0", "joined1", _residual),
        _unit("joined.1", "joined2", _residual),
        Unit("head", "head", ("fc",)),
    ),
    features=_JOINED,
    build=_build,
    fan="fan_in",
    zeroed=tuple(f"{name}.4" for name in ("block", "joined1", "joined2")),
    strided_points=False,
    single_up_to=4,
    branches=("stem", "branches1", "branches2"),
)


_COLOUR_STEM, _COLOUR_BODY, _COLOUR_JOINED = 16, 56, 64
"""Channels of the network for colours, which looks at each pixel before it halves the sides."""


def _build_in_colour(channels: int) -> nn.Module:
    stem, body, joined = _COLOUR_STEM, _COLOUR_BODY, _COLOUR_JOINED
    return _assembled(
        _convolution(_BRANCHES * channels, stem, kernel=3, groups=_BRANCHES),
        joined,
        early=_separable(stem, stem, groups=_BRANCHES),
        widen=_separable(stem, body, groups=_BRANCHES, stride=2),
        block1=_separable(body, body, groups=_BRANCHES),
        block2=_separable(body, body, groups=_BRANCHES),
        down=_separable(body, joined, groups=_BRANCHES, stride=2),
        joined1=_separable(joined, joined),
        joined2=_separable(joined, joined),
    )


TINY_IN_COLOUR = replace(
    TINY,
    units=(
        Unit("stem", "stem", ("conv1", "bn1", "relu")),
        _unit("branches1.0", "early", _residual),
        _unit("branches1.1", "widen", _plain),
        _unit("branches1.2", "block1", _residual),
        _unit("branches1.3", "block2", _residual),
        *TINY.units[3:],
    ),
    features=_COLOUR_JOINED,
    build=_build_in_colour,
    zeroed=tuple(f"{name}.4" for name in ("early", "block1", "block2", "joined1", "joined2")),
)
"""The same stages for colours: less can be said of a photograph at half its sides."""
