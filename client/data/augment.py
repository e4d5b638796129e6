"""The recipe's augmentations, on images in TorchXRayVision's range [-1024, 1024].

Goedicke-Fritz et al., arXiv:2507.12269: rotation, flip, random resized crop, blur, random masking;
CutMix (Yun et al., arXiv:1905.04899) on batches.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

AUGMENTATION_VERSION = "v1"
"""Raised whenever the same seed would give another picture; kept features are then not used."""
BLACK = -1024.0
MIDDLE_GREY = 0.0


class RandomMasking(v2.Transform):  # type: ignore[misc]  # torchvision ships no types
    """Set a share of the pixels to middle grey, as the recipe's code does."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Mask one tensor; called by torchvision."""
        return inpt.masked_fill(torch.rand_like(inpt) < self.share, MIDDLE_GREY)


def recipe_augmentation(image_size: int) -> v2.Transform:
    """The transform of one training image, (1, size, size) float32 -> same.

    It draws from torch's global generator, as torchvision does. Corners that a rotation uncovers
    become black, not the middle grey of the recipe's code: radiographs end in black.
    """
    return v2.Compose(
        [
            v2.RandomRotation(5, interpolation=InterpolationMode.BILINEAR, fill=BLACK),
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop(image_size, scale=(0.95, 1.05), antialias=True),
            v2.RandomApply([v2.GaussianBlur(kernel_size=9, sigma=(0.05, 2.0))], p=0.5),
            v2.RandomApply([RandomMasking(0.25)], p=0.1),
        ]
    )


def cutmix(images: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """CutMix of a batch: images (N, C, H, W), targets (N,) or (N, n), mixed by the same shares."""
    mixed, shares = v2.CutMix(alpha=alpha)(images, targets.reshape(len(targets), -1))
    return mixed, shares.reshape(targets.shape)
