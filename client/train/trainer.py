"""One round of training at one site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from client.data.augment import cutmix, recipe_augmentation
from client.data.dataset import RadiographDataset, Sample, batch_positions, draw_epoch
from client.train.moments import read_moments, restore_moments
from client.train.optimizer import build_optimizer, set_rates
from shared.config import RunConfig
from shared.errors import FedThawError
from shared.model.backbones import StagedResNet
from shared.model.freezing import set_trainable
from shared.model.stages import stage_of
from shared.schedule import Plan
from shared.seeds import derive_seed


@dataclass(frozen=True)
class Trained:
    """What a round of training yields beside the weights, which stay in the model."""

    steps: int
    loss: float
    """Mean over the images seen, the proximal term excluded."""
    moments: dict[str, Tensor]


def train_round(
    model: StagedResNet,
    samples: Sequence[Sample],
    plan: Plan,
    config: RunConfig,
    *,
    stream: str,
    moments: Mapping[str, Tensor],
    on_step: Callable[[], None] = lambda: None,
) -> Trained:
    """Train `model` in place as planned; all randomness follows from the seed, `stream` and round.

    `moments` are the optimiser's from the round before, empty to begin afresh. Raises FedThawError
    when the loss is no longer finite.
    """
    set_trainable(model, plan.trainable, config.batch_norm)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = build_optimizer(
        {s: [p for n, p in parameters.items() if stage_of(n) == s] for s in plan.trainable},
        plan,
        config,
    )
    restore_moments(optimizer, parameters, moments)
    received = [p.detach().clone() for p in parameters.values()] if config.proximal_mu > 0 else []

    batches = batch_positions(len(samples), config.batch_size)
    steps = len(batches) * config.local_epochs
    total, seen = 0.0, 0
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step, (images, labels) in enumerate(_batches(samples, batches, plan, config, stream)):
            torch.manual_seed(derive_seed(config.seed, stream, plan.round, "step", step))
            set_rates(optimizer, plan, config, step, steps)
            loss = _step(model, optimizer, images, labels, plan, config, received)
            if not torch.isfinite(loss):
                raise FedThawError(
                    f"The loss became {loss.item()} in round {plan.round}; lower the learning "
                    "rates (lr-head, lr-layer4, ...) of the run.",
                    shareable="its loss is no longer finite; lower the run's learning rates",
                )
            total += loss.item() * len(labels)
            seen += len(labels)
            on_step()
    return Trained(steps, total / seen, read_moments(optimizer, parameters))


def _batches(
    samples: Sequence[Sample],
    batches: list[list[int]],
    plan: Plan,
    config: RunConfig,
    stream: str,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """The batches of all local epochs of the round, in order."""
    labels = [sample.radiograph.label for sample in samples]
    draws = [
        draw
        for epoch in range(config.local_epochs)
        for draw in draw_epoch(
            labels,
            balanced=config.sampling == "balanced",
            seed=derive_seed(config.seed, stream, plan.round, "epoch", epoch),
        )
    ]
    shifted = [
        [position + epoch * len(samples) for position in batch]
        for epoch in range(config.local_epochs)
        for batch in batches
    ]
    augment = recipe_augmentation(config.image_size) if config.augmentation == "recipe" else None
    return DataLoader(RadiographDataset(samples, draws, augment), batch_sampler=shifted)


def _step(
    model: StagedResNet,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    plan: Plan,
    config: RunConfig,
    received: list[Tensor],
) -> Tensor:
    """One optimiser step; returns the batch's mean loss, detached."""
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    if plan.cutmix_probability > 0 and torch.rand(()) < plan.cutmix_probability:
        images, labels = cutmix(images, labels, config.cutmix_alpha)
    optimizer.zero_grad(set_to_none=True)
    loss = binary_cross_entropy_with_logits(model(images), labels)
    objective = loss
    if received:
        objective = loss + config.proximal_mu / 2 * _distance(model, received)
    objective.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


def _distance(model: nn.Module, received: list[Tensor]) -> Tensor:
    """Squared distance of the trainable weights to those received (FedProx, arXiv:1812.06127)."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    terms = [((p - r) ** 2).sum() for p, r in zip(trainable, received, strict=True)]
    return torch.stack(terms).sum()
