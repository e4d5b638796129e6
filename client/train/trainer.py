"""One round of training at one site."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from client.data.dataset import Sample
from client.features.feature_set import FeatureSet
from client.model.device import choose_precision
from client.model.teacher import Teacher
from client.train.batches import drawn_batches, feature_batches, image_batches
from client.train.noise import signal_to_noise
from client.train.optimizer import build_optimizer, read_moments, restore_moments, set_rates
from client.train.step import Learner
from shared.errors import FedThawError
from shared.model.freezing import set_trainable
from shared.model.network import Network
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.seeds import derive_seed
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, measures_noise


@dataclass(frozen=True)
class Trained:
    """What a round of training yields besides the weights, which stay in the model."""

    steps: int
    loss: float
    """Mean over the images seen, the proximal term excluded."""
    moments: dict[str, Tensor]
    signal_to_noise: Mapping[str, float] = field(default_factory=dict)
    """By unit; empty where nobody asks for it."""


def train_round(
    model: Network,
    samples: Sequence[Sample],
    plan: Plan,
    config: RunConfig,
    *,
    stream: str,
    moments: Mapping[str, Tensor],
    features: FeatureSet | None = None,
    outcome: Outcome = BINARY,
    teacher: Teacher | None = None,
    on_step: Callable[[], None] = lambda: None,
) -> Trained:
    """Train `model` in place as planned; all randomness follows from the seed, `stream` and round.

    `moments` are the optimiser's from the round before, empty to begin afresh. With `features`, of
    these samples, images are drawn from their views; without, each is augmented again, as with a
    `teacher`. Raises FedThawError when the loss is no longer finite.
    """
    set_trainable(model, plan.trainable, config.batch_norm)
    model.recompute = config.activations == "recompute"
    learner = _learner(model, plan, config, moments, features, outcome, teacher)
    draws = drawn_batches(samples, plan, config, stream, outcome)
    device = model.device
    if features is None:
        dual = plan.phase == "dual"
        batches = image_batches(samples, draws, config, device, outcome, paired=dual)
    else:
        batches = feature_batches(features, draws, learner.precision, outcome)
    total = torch.zeros((), dtype=torch.float64, device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step, (inputs, targets) in enumerate(batches):
            _seed(derive_seed(config.seed, stream, plan.round, "step", step), device)
            set_rates(learner.optimizer, plan, config, step, len(draws))
            loss = learner.step(inputs, targets)
            _require_finite_loss(loss, plan)
            total += loss.double() * len(targets)
            on_step()
    seen = sum(len(batch) for batch in draws)
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = learner.optimizer
    return Trained(
        len(draws),
        total.item() / seen,
        read_moments(optimizer, parameters),
        signal_to_noise(optimizer, parameters, model.backbone) if measures_noise(config) else {},
    )


def _seed(seed: int, device: torch.device) -> None:
    """Seed what a step draws from.

    Where there is no GPU, `torch.manual_seed` takes milliseconds to note a traceback for the day
    that one is used; a step of the head takes no longer.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _learner(
    model: Network,
    plan: Plan,
    config: RunConfig,
    moments: Mapping[str, Tensor],
    features: FeatureSet | None,
    outcome: Outcome,
    teacher: Teacher | None,
) -> Learner:
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = build_optimizer(
        {
            part: [parameters[n] for n in model.backbone.keys_of(parameters, [part])]
            for part in plan.trainable
        },
        plan,
        config,
    )
    restore_moments(optimizer, parameters, moments)
    precision = choose_precision(config.precision, model.device)
    pulled = parameters.values() if config.proximal_mu > 0 else ()
    return Learner(
        model=model,
        optimizer=optimizer,
        scaler=precision.scaler(),
        precision=precision,
        plan=plan,
        config=config,
        entry=model.backbone.stages[0] if features is None else features.boundary,
        received=tuple(parameter.detach().clone() for parameter in pulled),
        outcome=outcome,
        teacher=teacher,
    )


def _require_finite_loss(loss: Tensor, plan: Plan) -> None:
    """FedThawError where the loss is NaN or infinite."""
    if not torch.isfinite(loss):
        raise FedThawError(
            f"The loss became {loss.item()} in round {plan.round}; lower the learning rates "
            "(lr-head, rates) of the run.",
            shareable="its loss is no longer finite; lower the run's learning rates",
            diverged=True,
        )
