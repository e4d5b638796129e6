"""The views that an image is trained on as: itself, or a fixed number of augmented versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from client.data.augment import AUGMENTATION_VERSION, augmentation_of
from client.data.dataset import Draw, Sample, augmented
from shared.seeds import derive_seed
from shared.settings.config import RunConfig


@dataclass(frozen=True)
class Views:
    """How many views there are of each image, and what they are drawn from."""

    count: int
    seed: int | None
    """The run's seed; None where the only view is the image itself."""
    image_size: int
    augmentation: str = "none"

    def describe(self) -> str:
        """What distinguishes these views from others."""
        if self.seed is None:
            return "plain"
        return f"{self.augmentation} {AUGMENTATION_VERSION}, {self.count} views of seed {self.seed}"

    def of(self, sample: Sample, view: int) -> Tensor:
        """One view of an image, (C, size, size) float32 in [-1024, 1024]; always the same."""
        image, augment = sample.load(), augmentation_of(self.augmentation, self.image_size)
        if self.seed is None or augment is None:
            return image
        seed = derive_seed(self.seed, "view", sample.radiograph.digest, view)
        return augmented(image, augment, seed)


def plain_views(config: RunConfig) -> Views:
    """The image itself."""
    return Views(count=1, seed=None, image_size=config.image_size)


def training_views(config: RunConfig) -> Views:
    """What training draws from with feature-cache=auto."""
    if config.augmentation == "none":
        return plain_views(config)
    return Views(config.feature_cache_views, config.seed, config.image_size, config.augmentation)


@dataclass(frozen=True)
class Wanted:
    """One view of one sample."""

    sample: int
    view: int


def wanted_of(draw: Draw, views: Views) -> Wanted:
    """Which view a draw of an epoch takes."""
    return Wanted(draw.sample, draw.seed % views.count)


class _ViewDataset(Dataset[Tensor]):
    """Views by what is wanted; a loader's batches name that instead of positions."""

    def __init__(self, samples: Sequence[Sample], views: Views) -> None:
        self._samples = samples
        self._views = views

    def __getitem__(self, wanted: Wanted) -> Tensor:
        return self._views.of(self._samples[wanted.sample], wanted.view)


def load_views(
    samples: Sequence[Sample], views: Views, batches: Sequence[Sequence[Wanted]], workers: int
) -> Iterable[Tensor]:
    """Views as batches (N, C, size, size), in this order; the same with any number of `workers`."""
    return DataLoader(
        _ViewDataset(samples, views),
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=workers,
        generator=torch.Generator(),  # else it draws from the global one
    )


def stack_views(samples: Sequence[Sample], views: Views, wanted: Sequence[Wanted]) -> Tensor:
    """Views as one batch, (N, C, size, size)."""
    return torch.stack([views.of(samples[one.sample], one.view) for one in wanted])
