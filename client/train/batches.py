"""The batches of a round: freshly augmented images, or the features of an image's views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from client.data.augment import augmentation_of
from client.data.dataset import (
    Draw,
    RadiographDataset,
    Sample,
    batch_positions,
    draw_epoch,
    loader_workers,
)
from client.features.feature_set import FeatureSet
from client.features.views import wanted_of
from client.model.device import Precision
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan

Batches = Iterator[tuple[Tensor, Tensor]]
"""Inputs (N, C, H, W) of a stage and targets of the outcome's loss, (N,) or (N, n), on the device.
"""


def drawn_batches(
    samples: Sequence[Sample],
    plan: Plan,
    config: RunConfig,
    stream: str,
    outcome: Outcome = BINARY,
) -> list[list[Draw]]:
    """What each batch of the round takes: `local_epochs` times each epoch's draws, in order."""
    labels = [sample.radiograph.label for sample in samples]
    positions = batch_positions(len(samples), config.batch_size)
    batches: list[list[Draw]] = []
    for epoch in range(config.local_epochs):
        seed = derive_seed(config.seed, stream, plan.round, "epoch", epoch)
        balanced = config.sampling == "balanced"
        draws = draw_epoch(labels, balanced=balanced, seed=seed, outcome=outcome)
        batches += [[draws[position] for position in batch] for batch in positions]
    return batches


def image_batches(
    samples: Sequence[Sample],
    draws: list[list[Draw]],
    config: RunConfig,
    device: torch.device,
    outcome: Outcome = BINARY,
    *,
    paired: bool = False,
) -> Batches:
    """Images, each augmented by its draw's own seed; `paired` with the image as it is before it."""
    augment = augmentation_of(config.augmentation, config.image_size)
    flat = [draw for batch in draws for draw in batch]
    ends = [0]
    for batch in draws:
        ends.append(ends[-1] + len(batch))
    loader = DataLoader(
        RadiographDataset(samples, flat, augment, outcome, paired=paired),
        batch_sampler=[list(range(*ends[n : n + 2])) for n in range(len(draws))],
        num_workers=loader_workers(device),
        generator=torch.Generator(),  # else it draws from the global one
    )
    for images, targets in loader:
        yield images.to(device), targets.to(device)


def feature_batches(
    features: FeatureSet,
    draws: list[list[Draw]],
    precision: Precision,
    outcome: Outcome = BINARY,
) -> Batches:
    """Features of the views that are drawn, in the compute dtype."""
    device = features.prefix.device
    known = [outcome.target(sample.radiograph.label) for sample in features.samples]
    wanted = [[wanted_of(draw, features.views) for draw in batch] for batch in draws]
    for batch, inputs in zip(draws, features.batches(wanted), strict=True):
        targets = torch.tensor([known[draw.sample] for draw in batch], device=device)
        yield inputs.to(precision.dtype), targets
