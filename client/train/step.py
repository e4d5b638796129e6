"""One optimiser step: what is frozen runs without autograd, the rest with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer

from client.data.augment import cutmix
from client.model.device import Precision
from client.model.teacher import Teacher
from client.train.activations.keep import keeping
from client.train.early_step import stepping_in_backward
from shared.model.backbone import Part
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan

MOST_FROZEN = 2**19
"""Values that enter frozen units at once, two images at 512 px, where `activations` save memory."""


@dataclass(frozen=True, eq=False)
class Learner:
    """What the steps of a round share."""

    model: Network
    optimizer: Optimizer
    scaler: GradScaler
    precision: Precision
    plan: Plan
    config: RunConfig
    entry: Part
    """What a batch enters: the first stage's are images, later ones' feature maps."""
    received: tuple[Tensor, ...]
    """The trainable weights received, where FedProx pulls to them; else none."""
    outcome: Outcome = BINARY
    teacher: Teacher | None = None

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Train on one batch, in place; returns its mean loss () without the proximal term.

        With a teacher it is the mean of both losses, weighted by `teacher-share`.
        """
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(inputs, targets)
        objective = loss
        if self.received:
            objective = loss + self.config.proximal_mu / 2 * self._distance()
        self._descend(objective)
        return loss.detach()

    def _descend(self, objective: Tensor) -> None:
        """Backward pass and optimiser step, in one where memory counts and nothing is scaled."""
        if self.config.activations != "exact" and not self.scaler.is_enabled():
            with stepping_in_backward(self.optimizer):
                objective.backward()  # type: ignore[no-untyped-call]
            return
        self.scaler.scale(objective).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        start = self.model.backbone.first_of(self.plan.trainable)
        if self.plan.cutmix_probability > 0 and torch.rand(()) < self.plan.cutmix_probability:
            inputs, targets = cutmix(inputs, targets, self.config.cutmix_alpha)
        with self.precision.autocast(), keeping(self.config.activations, self.model):
            # Nothing here holds on to what the frozen units give: it can be the largest tensor.
            logits = self.model.rest(self._frozen(inputs, start), start)
        loss = self.outcome.loss(logits, targets)
        if self.teacher is None:
            return loss
        share = self.config.teacher_share
        return (1 - share) * loss + share * self._distance_to_teacher(logits, inputs)

    @torch.no_grad()
    def _frozen(self, inputs: Tensor, start: Part) -> Tensor:
        """What enters the first unit that trains; a few images at a time where memory counts."""
        images = len(inputs)
        if self.config.activations != "exact":
            images = max(1, MOST_FROZEN // inputs[0].numel())
        parts = torch.split(inputs, images)
        first = self.model.between(parts[0], self.entry, start)
        if len(parts) == 1:
            return first
        whole = first.new_empty((len(inputs), *first.shape[1:]))
        whole[: len(parts[0])] = first
        del first
        for number, part in enumerate(parts[1:], start=1):
            features = self.model.between(part, self.entry, start)
            whole[number * images : number * images + len(part)] = features
        return whole

    def _distance_to_teacher(self, logits: Tensor, images: Tensor) -> Tensor:
        """Cross-entropy of softened probabilities (Hinton et al., arXiv:1503.02531).

        The factor keeps its gradient as large as that of the labels whatever the temperature.
        """
        assert self.teacher is not None
        temperature = self.config.teacher_temperature
        with self.precision.autocast():
            said = self.teacher.logits(images)
        taught = self.outcome.taught(said.float() / temperature)
        return temperature**2 * self.outcome.loss(logits / temperature, taught)

    def _distance(self) -> Tensor:
        """Squared distance of the trainable weights to those received (arXiv:1812.06127)."""
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        pairs = zip(trainable, self.received, strict=True)
        return torch.stack([((p - r) ** 2).sum() for p, r in pairs]).sum()
