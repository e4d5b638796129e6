"""What a measured step trains."""

from __future__ import annotations

from dataclasses import dataclass

WIDTHS = ("head", "layer4", "layer3", "layer2", "full")
"""From where on the network trains; `full` from the first layer on."""


@dataclass(frozen=True)
class Task:
    """What a step trains on: `images` of side `side`."""

    backbone: str
    side: int
    images: int
    device: str
