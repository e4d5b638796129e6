"""Labelled images in memory, and the error for a file that has none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shared.errors import SiteError

MOST_BYTES = 4 * 2**30
"""Of pixels in one file; MNIST has 47 million, CIFAR's batches 31 million."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images of 8 bits, (N, H, W) grey or (N, H, W, 3) red, green and blue; labels (N,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def of_classes(self, labels: frozenset[int]) -> LabelledImages:
        """The images with one of these labels, in their order."""
        chosen = np.isin(self.labels, sorted(labels))
        return LabelledImages(self.pixels[chosen], self.labels[chosen])

    def padded(self, side: int) -> LabelledImages:
        """Each image in the middle of black, at least `side` pixels high and wide."""
        missing = [max(side - size, 0) for size in self.pixels.shape[1:3]]
        around = [(size // 2, size - size // 2) for size in missing]
        colours = [(0, 0)] * (self.pixels.ndim - 3)
        return LabelledImages(np.pad(self.pixels, [(0, 0), *around, *colours]), self.labels)

    def part(self, skip: int, most: int | None) -> LabelledImages:
        """At most `most` images after the first `skip`."""
        end = None if most is None else skip + most
        return LabelledImages(self.pixels[skip:end], self.labels[skip:end])


def damaged(path: Path, why: str) -> SiteError:
    """What to raise for a file that is not what it should be."""
    return SiteError(f"{path.name} {why}; download it again, or name another file.")
