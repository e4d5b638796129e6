"""How long a run will take on this machine, from steps on one batch of its images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from client.data.dataset import Sample, steps_of_round
from client.evaluate import predict_logits
from client.features.boundary import draws_from_views, training_boundary
from client.features.views import training_views
from client.train.eight_bits import eight_bit_adamw
from client.train.trainer import train_round
from client.workspace import Workspace, network_of, open_workspace, teacher_of, training_samples
from shared.model.freezing import state_digest
from shared.model.manifest import manifest_of_parts, sizes_of_units
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, expected_plan, stages_ever_thawed, total_rounds
from shared.wire.arrays import encode

_FROM_CACHE = 0.02
"""What a step of the head on cached activations costs, as a share of one from images."""
_QUICK = 5.0
"""Seconds; what took less is repeated, since the first time chooses and compiles kernels."""


@dataclass(frozen=True)
class _Costs:
    """Seconds on this machine: a step by what trains, evaluating an image, exchanging a model."""

    batch: int
    head: float
    """A step that trains the fewest stages, loading and augmentation included."""
    stage: float
    """What each further stage adds to it."""
    evaluate: float
    hash: float
    """All of the model's weights."""
    encode: float
    """One stage's."""

    def step(self, plan: Plan) -> float:
        """A step of this round, from images."""
        return self.head + self.stage * (len(plan.trainable) - 1)

    def exchange(self, plan: Plan) -> float:
        """A round's messages and digests of one site, the coordinator's part included."""
        return 3 * self.hash + self.encode * (2 * len(plan.trainable) + len(plan.thawed))


def expected_seconds(nodes: Sequence[Mapping[str, object]], config: RunConfig) -> tuple[float, ...]:
    """Seconds of each round with these nodes one after the other, and of the final evaluation.

    Measured on the first batch of the first node's training images: a step of the first round and
    one of the round that trains most, on a copy of the base; the stages between take their share.
    Nothing of it is kept. Raises as opening a workspace and training do.
    """
    workspaces = [open_workspace(node, config) for node in nodes]
    sizes = sizes_of_units(network_of(workspaces[0], config), config.batch_norm)
    plans = [expected_plan(config, n, sizes) for n in range(1, total_rounds(config) + 1)]
    costs = _measure(workspaces[0], config, plans)
    by_site = [_of_site(costs, workspace, config, plans) for workspace in workspaces]
    return tuple(map(sum, zip(*by_site, strict=True)))


def _measure(workspace: Workspace, config: RunConfig, plans: Sequence[Plan]) -> _Costs:
    least = min(plans, key=lambda plan: len(plan.trainable))
    most = max(plans, key=lambda plan: len(plan.trainable))
    batch = training_samples(workspace, config).train[: config.batch_size]
    model = network_of(workspace, config)
    model.load_state_dict(dict(workspace.base.state))
    if config.optimizer == "adamw8bit":  # its library takes seconds to load, once: no step does
        eight_bit_adamw([{"params": [*model.parameters()]}])

    def step(plan: Plan) -> float:
        trained = train_round(
            model, batch, plan, config, stream="estimate", moments={}, outcome=workspace.outcome,
            teacher=teacher_of(workspace, config),
        )  # fmt: skip
        return trained.steps

    head = _seconds(lambda: step(least)) / config.local_epochs
    further = len(most.trainable) - len(least.trainable)
    whole = _seconds(lambda: step(most)) / config.local_epochs if further else head
    state = model.state_dict()
    specs = manifest_of_parts(model, most.trainable, config.batch_norm, config.sent_dtype)
    arrays = {spec.name: state[spec.name].cpu().numpy() for spec in specs}
    return _Costs(
        batch=len(batch),
        head=head,
        stage=max(0.0, whole - head) / further if further else 0.0,
        evaluate=_seconds(lambda: predict_logits(model, batch, config.batch_size)) / len(batch),
        hash=_seconds(lambda: state_digest(state)),
        encode=_seconds(lambda: encode(arrays, specs)) / len(most.trainable),
    )


def _of_site(
    costs: _Costs, workspace: Workspace, config: RunConfig, plans: Sequence[Plan]
) -> list[float]:
    """Seconds of each round at one site, and of its final evaluation."""
    samples = training_samples(workspace, config)
    training = (
        [len(samples.train) * costs.evaluate]
        if config.schedule == "logistic"
        else _training(costs, samples.train, plans, config)
    )
    evaluated = len(samples.validation) * costs.evaluate
    shares = [_evaluated_share(config, done) for done in range(len(plans) + 1)]
    if config.feature_cache != "off":
        shares[0] = 1.0  # then the frozen stages' activations are computed
    seconds = [
        trained + evaluated * share + costs.exchange(plan)
        for trained, share, plan in zip(training, shares, plans, strict=False)
    ]
    held_out = len(samples.test) * costs.evaluate
    return [*seconds, evaluated * shares[-1] + held_out + costs.exchange(plans[-1])]


def _training(
    costs: _Costs, samples: Sequence[Sample], plans: Sequence[Plan], config: RunConfig
) -> list[float]:
    """Seconds of each round's training, with cached activations where those are faster."""
    steps = steps_of_round(len(samples), config)
    plain = [steps * costs.step(plan) for plan in plans]
    cached = [n for n, plan in enumerate(plans) if _can_cache(config, plan)]
    if not cached:
        return plain
    kept = {n: plain[n] - steps * costs.head * (1 - _FROM_CACHE) for n in cached}
    views = training_views(config).count
    filling = len(samples) * views * costs.head / costs.batch
    if filling + sum(kept.values()) >= sum(plain[n] for n in cached):
        return plain
    kept[cached[0]] += filling
    return [kept.get(n, seconds) for n, seconds in enumerate(plain)]


def _can_cache(config: RunConfig, plan: Plan) -> bool:
    boundary = training_boundary(config, plan)
    frozen = config.network.position(boundary) > 0
    return config.feature_cache != "off" and frozen and draws_from_views(config, boundary)


def _evaluated_share(config: RunConfig, done: int) -> float:
    """The part of the network that evaluates after so many rounds; the rest may be cached."""
    if config.feature_cache == "off":
        return 1.0
    return len(stages_ever_thawed(config, done)) / len(config.network.stages)


def _seconds(work: Callable[[], object]) -> float:
    """Seconds that something takes once it is warm."""
    for _ in range(2):
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
        if seconds > _QUICK:
            break
    return seconds
