"""The networks that a run may name as its `backbone`: a line each."""

from __future__ import annotations

from collections.abc import Mapping

from shared.errors import ConfigError
from shared.model import densenet, resnet, tiny, vit
from shared.model.backbone import Backbone

_ALL = (
    resnet.RESNET50,
    resnet.RESNET18,
    resnet.MICRO,
    densenet.DENSENET121,
    vit.VIT_B_16,
    vit.VIT_TINY,
    tiny.TINY,
)

BACKBONES: Mapping[str, Backbone] = {backbone.name: backbone for backbone in _ALL}


def backbone_of(name: str) -> Backbone:
    """The backbone of this name; ConfigError where there is none."""
    if name not in BACKBONES:
        raise ConfigError(f"backbone is '{name}'; it must be one of {', '.join(BACKBONES)}.")
    return BACKBONES[name]


def former_settings() -> Mapping[str, tuple[str, str]]:
    """Settings of earlier versions: key -> the setting that replaced it, and the stage."""
    return {key: new for backbone in BACKBONES.values() for key, new in backbone.former.items()}
