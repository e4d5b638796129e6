"""CIFAR-10 (Krizhevsky 2009) from a folder of pictures, `train|test/CLASS/NNNN.jpg`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from PIL import Image
from torch import Tensor

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, which the base was made for."""


@dataclass(frozen=True)
class Pictures:
    """Pixels (N, 3, 32, 32) in 0 to 255, uint8, and classes (N,), int64."""

    pixels: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.classes)

    def parts(self, most: int) -> Iterator[Tensor]:
        """All places in order, so many at a time."""
        for start in range(0, len(self), most):
            yield torch.arange(start, min(start + most, len(self)))

    def batch(self, places: Tensor, side: int, mirrored: Tensor | None = None) -> Tensor:
        """Those at these places (n,) at this side, normalised; the `mirrored` ones (n,) flipped."""
        found = self.pixels[places].float() / 255
        if mirrored is not None:
            found = torch.where(mirrored[:, None, None, None], found.flip(3), found)
        found = (found - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]
        return F.interpolate(found, size=(side, side), mode="bicubic", align_corners=False)


def class_names(folder: Path) -> tuple[str, ...]:
    """The folders in `train`, by name."""
    return tuple(sorted(path.name for path in (folder / "train").iterdir()))


def load(folder: Path, part: str, each: int) -> Pictures:
    """The first `each` pictures of every class, by name."""
    names = class_names(folder)
    paths = [
        (n, p) for n, c in enumerate(names) for p in sorted((folder / part / c).iterdir())[:each]
    ]
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for _, path in paths])
    return Pictures(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        torch.tensor([number for number, _ in paths]),
    )
