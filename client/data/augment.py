"""Augmentations of images in TorchXRayVision's range [-1024, 1024].

The recipe's (Goedicke-Fritz et al., arXiv:2507.12269): rotation, flip, random resized crop, blur,
random masking; CutMix (Yun et al., arXiv:1905.04899) on batches; two cheaper ones for small
pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

AUGMENTATION_VERSION = "v1"
"""Raised whenever the same seed would give another picture; kept features are then not used."""
BLACK = -1024.0
MIDDLE_GREY = 0.0
_SHIFTED, _CROPPED = 1 / 16, 1 / 8
"""Of the side, for small pictures: two and four pixels of 32 (He et al., arXiv:1512.03385)."""

Augmentation = Callable[[Tensor], Tensor]
"""(C, size, size) float32 -> same, all channels alike; what is random is drawn from torch's global
generator."""


def augmentation_of(name: str, image_size: int) -> Augmentation | None:
    """What the setting `augmentation` names; None for none of all."""
    recipe = recipe_augmentation(image_size) if name == "recipe" else None
    shift, crop = (partial(_flip_and_shift, share=share) for share in (_SHIFTED, _CROPPED))
    known = {"recipe": recipe, "affine": _affine, "shift": shift, "crop": crop, "none": None}
    return known[name]


def _affine(image: Tensor) -> Tensor:
    """Rotation up to 10 degrees, zoom up to 10 %, shear, shift and contrast; outside is black."""
    angle, *zoom, shear, right, down, contrast = (torch.rand(7) * 2 - 1).tolist()
    wide, high = (1 + share / 10 for share in zoom)
    cosine, sine = math.cos(math.radians(10 * angle)), math.sin(math.radians(10 * angle))
    matrix = [
        [cosine * wide, 0.15 * shear - sine * high, right * 2 * _SHIFTED],
        [sine * wide, cosine * high, down * 2 * _SHIFTED],
    ]
    rows, columns = image.shape[1:]
    grid = (_places(rows, columns) @ torch.tensor(matrix).T).reshape(1, rows, columns, 2)
    above_black = F.grid_sample((image - BLACK).unsqueeze(0), grid, align_corners=False)
    brighter = above_black.squeeze(0).mul_(1 + contrast / 10)
    return brighter.clamp_(max=-2 * BLACK).add_(BLACK)


@lru_cache(maxsize=4)
def _places(rows: int, columns: int) -> Tensor:
    """Each pixel's x and y from -1 to 1, and 1: (rows * columns, 3)."""
    same = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    grid = F.affine_grid(same, [1, 1, rows, columns], align_corners=False).reshape(-1, 2)
    return torch.cat([grid, torch.ones(len(grid), 1)], dim=1)


def _flip_and_shift(image: Tensor, share: float) -> Tensor:
    """A horizontal flip of every other image, and a shift by whole pixels; outside is black.

    By up to a share of the side.
    """
    most = max(1, round(image.shape[-1] * share))
    flip, down, right = (torch.rand(3) * torch.tensor([2, 2 * most + 1, 2 * most + 1])).int()
    padded = F.pad(image.flip(2) if flip else image, (most,) * 4, value=BLACK)
    rows, columns = image.shape[1:]
    return padded[:, down : down + rows, right : right + columns]


class RandomMasking(v2.Transform):  # type: ignore[misc]  # torchvision ships no types
    """Set a share of the pixels to middle grey, as the recipe's code does."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Mask one tensor; called by torchvision."""
        return inpt.masked_fill(torch.rand_like(inpt[:1]) < self.share, MIDDLE_GREY)


def recipe_augmentation(image_size: int) -> v2.Transform:
    """The transform of one training image, (C, size, size) float32 -> same.

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
