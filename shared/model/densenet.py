"""torchvision's DenseNets (Huang et al., arXiv:1608.06993), for grey or colour images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from shared.model.backbone import Backbone, Unit
from shared.model.published import of_torchvision, of_torchxrayvision

if TYPE_CHECKING:
    from torch import Tensor, nn

_BLOCKS = (6, 12, 24, 16)
_OLD_LAYER = r"(.*\.denselayer\d+\.(?:norm|conv))\.([12]\..*)"
"""torchvision's file is older than its code: it says norm.1 where the network has norm1."""
_CLASSES = tuple(
    f"{library}.{name}"
    for library in ("torchxrayvision.models", "torchvision.models.densenet")
    for name in ("DenseNet", "_DenseBlock", "_DenseLayer", "_Transition")
)


def _build(channels: int) -> nn.Module:
    from torch import nn
    from torchvision.models import DenseNet

    network = DenseNet(growth_rate=32, block_config=_BLOCKS, num_init_features=64, num_classes=1)
    network.features.conv0 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
    # A function in torchvision's forward; a module, without any state, it is run like the others.
    network.features.add_module("relu5", nn.ReLU())
    built: nn.Module = network  # torchvision ships no types
    return built


def _read(path: Path) -> dict[str, Tensor]:
    """A state dict, TorchXRayVision's file (a whole pickled network), or torchvision's.

    WeightsError as `read_checkpoint`, and where the file is a network of another library.
    """
    import re

    from shared.errors import WeightsError
    from shared.model.checkpoints import read_checkpoint, read_torch_checkpoint
    from shared.model.pickled import read_pickled_network

    try:
        # A download has a name of its own until it is checked.
        plain = read_checkpoint if path.suffix == ".safetensors" else read_torch_checkpoint
        state = plain(path)
    except WeightsError:
        if path.suffix == ".safetensors" or not path.is_file():
            raise
        state = read_pickled_network(path, _CLASSES)
    state.pop("op_threshs", None)  # TorchXRayVision's thresholds of its 18 findings
    return {re.sub(f"^{_OLD_LAYER}$", r"\1\2", key): value for key, value in state.items()}


def _units() -> tuple[Unit, ...]:
    """A dense block freezes as one, and thaws with the transition or norm behind it."""
    blocks = [
        unit
        for n in (1, 2, 3, 4)
        for unit in (
            _unit(f"denseblock{n}", "block", f"denseblock{n}"),
            _unit(f"denseblock{n}", "transition", f"transition{n}")
            if n < 4
            else _unit(f"denseblock{n}", "norm", "norm5", "relu5"),
        )
    ]
    stem = Unit(
        "stem", "stem", tuple(f"features.{m}" for m in ("conv0", "norm0", "relu0", "pool0"))
    )
    return (stem, *blocks, Unit("head", "head", ("classifier",)))


def _unit(stage: str, name: str, *modules: str) -> Unit:
    return Unit(f"{stage}.{name}", stage, tuple(f"features.{module}" for module in modules))


DENSENET121 = Backbone(
    name="densenet121",
    units=_units(),
    features=1024,
    build=_build,
    published={
        "xrv": of_torchxrayvision(
            "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-"
            "seed0-best.pt"
        ),
        "imagenet": of_torchvision("densenet121-a639ec97.pth"),
    },
    read=_read,
    torchvision="densenet121",
    fan="fan_in",
    single_up_to=60,
)
