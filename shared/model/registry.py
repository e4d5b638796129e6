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


_IN_COLOUR: Mapping[str, Backbone] = {
    backbone.name: backbone.in_colour() for backbone in (*_ALL, tiny.TINY_IN_COLOUR)
}


def backbone_of(name: str, channels: int = 1) -> Backbone:
    """The backbone of this name, for grey images or for colour images (3 channels).

    ConfigError where there is none.
    """
    if name not in BACKBONES:
        raise ConfigError(f"backbone is '{name}'; it must be one of {', '.join(BACKBONES)}.")
    return BACKBONES[name] if channels == 1 else _IN_COLOUR[name]


def former_settings() -> Mapping[str, tuple[str, str]]:
    """Settings of earlier versions: key -> the setting that replaced it, and the stage."""
    return {key: new for backbone in BACKBONES.values() for key, new in backbone.former.items()}
