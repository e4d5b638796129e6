"""torchvision's ResNets (He et al., arXiv:1512.03385), for grey or colour images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from shared.model.backbone import Backbone, Unit
from shared.model.published import of_torchvision, of_torchxrayvision

if TYPE_CHECKING:
    from torch import nn

_Block = Literal["BasicBlock", "Bottleneck"]
_EXPANSION = {"BasicBlock": 1, "Bottleneck": 4}
_LAST_NORM = {"BasicBlock": "bn2", "Bottleneck": "bn3"}
_STEM, _HEAD = ("conv1", "bn1", "relu", "maxpool"), ("fc",)
_FORMER = {
    "unfreeze-layer4": ("thaw-at", "layer4"),
    "unfreeze-layer3": ("thaw-at", "layer3"),
    "unfreeze-layer2": ("thaw-at", "layer2"),
    "lr-layer4": ("rates", "layer4"),
    "lr-layer3": ("rates", "layer3"),
    "lr-layer2": ("rates", "layer2"),
}


def _build(block: _Block, blocks: tuple[int, ...], planes: int, channels: int) -> nn.Module:
    from torch import nn
    from torchvision.models import resnet

    kind = getattr(resnet, block)
    network = resnet.ResNet(kind, list(blocks), num_classes=1)
    network.inplanes = planes
    network.conv1 = nn.Conv2d(channels, planes, kernel_size=7, stride=2, padding=3, bias=False)
    network.bn1 = nn.BatchNorm2d(planes)
    for index, count in enumerate(blocks):
        stride = 1 if index == 0 else 2
        layer = network._make_layer(kind, planes * 2**index, count, stride=stride)
        setattr(network, f"layer{index + 1}", layer)
    network.fc = nn.Linear(8 * planes * _EXPANSION[block], 1)
    built: nn.Module = network  # torchvision ships no types
    return built


def _resnet(
    name: str, block: _Block, blocks: tuple[int, ...], planes: int = 64, **files: str
) -> Backbone:
    """A ResNet by its block, the number of blocks of each layer, and the first layer's planes."""
    names = [f"layer{n}.{m}" for n, count in enumerate(blocks, start=1) for m in range(count)]
    sources = {"xrv": of_torchxrayvision, "imagenet": of_torchvision}
    return Backbone(
        name=name,
        units=(
            Unit("stem", "stem", _STEM),
            *(Unit(one, one.partition(".")[0], (one,)) for one in names),
            Unit("head", "head", _HEAD),
        ),
        features=8 * planes * _EXPANSION[block],
        build=partial(_build, block, blocks, planes),
        published={weights: sources[weights](file) for weights, file in files.items()},
        torchvision=name if planes == 64 else "",
        zeroed=tuple(f"{one}.{_LAST_NORM[block]}" for one in names),
        former=_FORMER,
    )


RESNET50 = _resnet(
    "resnet50", "Bottleneck", (3, 4, 6, 3),
    xrv="pc-nih-rsna-siim-vin-resnet50-test512-e400-state.pt",
    imagenet="resnet50-11ad3fa6.pth",
)  # fmt: skip
RESNET18 = _resnet("resnet18", "BasicBlock", (2, 2, 2, 2), imagenet="resnet18-f37072fd.pth")
MICRO = _resnet("micro", "BasicBlock", (1, 1, 1, 1), planes=8)
"""For rehearsals and tests."""
