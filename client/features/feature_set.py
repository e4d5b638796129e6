"""The features of a cohort at one boundary: read where they are kept, computed where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from client.data.dataset import Sample, loader_workers
from client.features.prefix import Prefix
from client.features.store import FeatureKey, FeatureStore
from client.features.views import Views, Wanted, load_views, stack_views
from shared.model.backbone import Part

Stores = Mapping[Path, FeatureStore]
"""By the folder of the cache that an image belongs to: pooled sites have several."""


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features as training and evaluation take them; whether they are kept changes no bit."""

    samples: Sequence[Sample]
    views: Views
    prefix: Prefix
    boundary: Part
    key: FeatureKey
    stores: Stores
    kept: bool

    def batches(self, wanted: Sequence[Sequence[Wanted]]) -> Iterator[Tensor]:
        """The features of each batch of views, (N, C, H, W) of the storage's format."""
        if self.kept:
            for batch in wanted:
                yield self._read(batch)
            return
        workers = loader_workers(self.prefix.device)
        for images in load_views(self.samples, self.views, wanted, workers):
            yield self.prefix.features(images, [self.boundary])[self.boundary]

    def _read(self, wanted: Sequence[Wanted]) -> Tensor:
        found = [self._kept(one) for one in wanted]
        missing = [one for one, features in zip(wanted, found, strict=True) if features is None]
        if missing:  # damaged, or removed to make room for another run
            images = stack_views(self.samples, self.views, missing)
            computed = iter(self.prefix.features(images, [self.boundary])[self.boundary].cpu())
            found = [next(computed) if features is None else features for features in found]
        stacked = torch.stack([features for features in found if features is not None])
        return stacked.to(self.prefix.device)

    def _kept(self, wanted: Wanted) -> Tensor | None:
        sample = self.samples[wanted.sample]
        store = self.stores[sample.cache.folder]
        return store.read(self.key, sample.radiograph.digest, wanted.view)
