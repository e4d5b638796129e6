"""The frozen units as a function of images, with the same bits whatever batch an image is in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from client.model.device import Precision
from shared.model.backbone import Part
from shared.model.network import Network

CHUNK = 8
"""Views that are computed at a time."""
FEWEST = 4
"""PyTorch takes other kernels for one or two images on a CPU, with other roundings."""


@dataclass(frozen=True, eq=False)
class Prefix:
    """The network up to a boundary, in eval mode, and the arithmetic it is computed in."""

    model: Network
    precision: Precision
    storage: torch.dtype
    """What features are rounded to, kept or not: float16 for training, float32 to evaluate."""

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.model.device

    @torch.no_grad()
    def features(self, images: Tensor, boundaries: Sequence[Part]) -> dict[Part, Tensor]:
        """The input of each boundary for images (N, 1, H, W): (N, C, H', W') of `storage`.

        The head's is averaged over the positions, (N, C, 1, 1), as the head itself would.
        """
        chunks = [self._of_chunk(chunk, boundaries) for chunk in torch.split(images, CHUNK)]
        return {stage: torch.cat([chunk[stage] for chunk in chunks]) for stage in boundaries}

    def _of_chunk(self, images: Tensor, boundaries: Sequence[Part]) -> dict[Part, Tensor]:
        found: dict[Part, Tensor] = {}
        backbone = self.model.backbone
        reached, x = backbone.stages[0], _padded(images, self.device).to(self.device)
        with self.precision.autocast():
            for boundary in sorted(boundaries, key=backbone.position):
                x = self.model.between(x, reached, boundary)
                reached = boundary
                pooled = self.model.pool(x) if boundary == backbone.head else x
                found[boundary] = self._rounded(pooled[: len(images)])
        return found

    def _rounded(self, features: Tensor) -> Tensor:
        if self.storage == torch.float16:
            # Beyond it float16 has infinities; a feature that large has left any sensible range.
            limit = torch.finfo(torch.float16).max
            features = features.clamp(-limit, limit)
        return features.to(self.storage)


def _padded(images: Tensor, device: torch.device) -> Tensor:
    """The last image repeated up to a size of batch that gives every image the same bits."""
    count = len(images)
    # A GPU's kernels are chosen by the size of the batch, so few sizes may occur.
    wanted = max(FEWEST, count) if device.type == "cpu" else -(-count // CHUNK) * CHUNK
    if wanted == count:
        return images
    return torch.cat([images, images[-1:].expand(wanted - count, -1, -1, -1)])
