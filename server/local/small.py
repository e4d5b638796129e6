"""Small settings for runs of minutes: the demo, and the quick look of --quick."""

from __future__ import annotations

from collections.abc import Mapping

from shared.model.registry import BACKBONES
from shared.settings.setting import Scalar
from shared.settings.stage_values import DEFAULTS, SMALL_THAWS, former_of, replaced

UNTRAINED: Mapping[str, Scalar] = {
    "weights": "random",
    "backbone": "micro",
    "image-size": 96,
    "probe-rounds": 2,
    "rounds": 22,
    "thaw-at": SMALL_THAWS,
    "lr-head": 5e-3,
    "rates": "0.005,0.005,0.005",
    "cutmix-probability": 0.0,
    "precision": "float32",
}
"""Without a download: the smallest network, which learns from nothing, with higher rates and
earlier thawing than a pretrained one wants."""

PRETRAINED: Mapping[str, Scalar] = {
    "image-size": 128,
    "probe-rounds": 20,
    "rounds": 0,
    "lr-probe": 5e-3,
    "augmentation": "none",
}
"""With pretrained weights: their own network, its head alone. Without augmentation each image goes
through the frozen stages once (`feature-cache`), so that many rounds cost little more than one; a
few rounds of fine-tuning would take longer and spoil the weights."""


def small_settings(given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The small settings that suit what is given, which is taken in their place."""
    if is_pretrained(given):
        return replaced(PRETRAINED, given)
    small = dict(UNTRAINED)
    if network := BACKBONES.get(str(given.get("backbone", small["backbone"]))):
        for key in DEFAULTS:
            small |= former_of(key, str(small[key]), network)
    return replaced(small, given)


def is_pretrained(given: Mapping[str, Scalar]) -> bool:
    """Whether these settings start from weights that were trained before."""
    return given.get("weights", "random") != "random"
