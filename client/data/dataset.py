"""From cached images to batches in TorchXRayVision's range, reproducible whatever the loader."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from client.data.augment import Augmentation
from client.data.cache import ImageCache
from client.data.cohort import Radiograph
from client.data.strata import drawing_weights
from shared.errors import SiteError
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.seeds import derive_seed
from shared.settings.config import RunConfig

RANGE = 1024.0
_LEVELS = 65535.0


@dataclass(frozen=True)
class Sample:
    """One radiograph and the cache that holds it."""

    radiograph: Radiograph
    site: str
    cache: ImageCache

    @property
    def patient(self) -> tuple[str, str]:
        """The patient, distinct from another site's patient of the same number."""
        return self.site, self.radiograph.patient

    def load(self) -> Tensor:
        """The image, (C, size, size) float32 in [-1024, 1024] (`(2 x / max - 1) * 1024`)."""
        pixels = self.cache.load(self.radiograph.digest)
        if pixels is None:
            raise SiteError(
                f"The preprocessed images in {self.cache.folder} were removed or damaged while "
                "they were in use; restart the site, which prepares them again."
            )
        return to_input(pixels)


def to_input(pixels: NDArray[np.uint16]) -> Tensor:
    """What the network sees of a square of 0 to 65535, or of three; as `Sample.load`."""
    image = torch.from_numpy(pixels.astype("float32")).reshape(-1, *pixels.shape[-2:])
    return image.div_(_LEVELS).mul_(2.0).sub_(1.0).mul_(RANGE)


@dataclass(frozen=True)
class Draw:
    """One image of an epoch: which sample, and the seed of its augmentation."""

    sample: int
    seed: int


class RadiographDataset(Dataset[tuple[Tensor, Tensor]]):
    """Training images by position in an epoch's draws; each augmented by its own seed."""

    def __init__(
        self,
        samples: Sequence[Sample],
        draws: Sequence[Draw],
        augment: Augmentation | None,
        outcome: Outcome = BINARY,
        *,
        paired: bool = False,
    ) -> None:
        """With `paired` each image comes before its augmented version, as further channels."""
        self._samples = samples
        self._draws = draws
        self._augment = augment
        self._outcome = outcome
        self._paired = paired

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        """Image (C or 2C, size, size); target () or (n,) as the outcome's loss takes it."""
        draw = self._draws[position]
        sample = self._samples[draw.sample]
        image = sample.load()
        if self._augment is not None:
            changed = augmented(image, self._augment, draw.seed)
            image = torch.cat([image, changed]) if self._paired else changed
        return image, torch.tensor(self._outcome.target(sample.radiograph.label))


def augmented(image: Tensor, augment: Augmentation, seed: int) -> Tensor:
    """The image transformed, all that is random drawn from `seed`; the same in any process.

    Images are augmented on the CPU; torch.manual_seed would reseed the GPUs as well, for good, and
    where there is none it takes a millisecond to find that out.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return augment(image)


def draw_epoch(
    labels: Sequence[int], *, balanced: bool, seed: int, outcome: Outcome = BINARY
) -> list[Draw]:
    """As many draws as there are images.

    Balanced: with replacement, all classes equally likely, the images of a class too (torch's
    WeightedRandomSampler; several labels: see `drawing_weights`). Otherwise each image once,
    shuffled.
    """
    generator = torch.Generator().manual_seed(seed)
    if balanced:
        weights = drawing_weights(labels, outcome)
        order = torch.multinomial(weights, len(labels), replacement=True, generator=generator)
    else:
        order = torch.randperm(len(labels), generator=generator)
    return [
        Draw(sample, derive_seed(seed, "augmentation", position))
        for position, sample in enumerate(order.tolist())
    ]


def batch_positions(images: int, batch_size: int) -> list[list[int]]:
    """Positions of an epoch in batches; a single left-over image joins the batch before it.

    BatchNorm cannot take statistics of one image where its feature map has one pixel.
    """
    starts = list(range(0, images, batch_size))
    batches = [list(range(start, min(start + batch_size, images))) for start in starts]
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches[-2:] = [batches[-2] + batches[-1]]
    return batches


def steps_of_round(images: int, config: RunConfig) -> int:
    """Optimiser steps that a round takes on so many training images."""
    return len(batch_positions(images, config.batch_size)) * config.local_epochs


MOST_WORKERS = 4


def loader_workers(device: torch.device) -> int:
    """Processes that prepare batches; none for a CPU, whose cores the training itself needs."""
    if device.type == "cpu":
        return 0
    return max(0, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))
