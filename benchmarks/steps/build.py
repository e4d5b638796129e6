"""One training step, plain or FedThaw's own, ready to be repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.steps.task import Task
from benchmarks.torchvision_network import torchvision_network
from client.model.device import choose_precision
from client.train.optimizer import build_optimizer
from client.train.step import Learner
from shared.memory import keep_freed_memory, spare_memory
from shared.model.freezing import set_trainable
from shared.model.network import Network, build_network
from shared.settings.config import RunConfig
from shared.settings.overrides import parse_overrides
from shared.settings.parse import parse_run_config
from shared.settings.schedule import Plan, maximum_rate


@dataclass(frozen=True)
class Step:
    """A step to be called again and again, and what lives on between two of them."""

    run: Callable[[], object]
    model: nn.Module
    optimizer: Optimizer

    def held(self) -> list[Tensor]:
        """Weights, buffers, gradients and moments."""
        parameters = list(self.model.parameters())
        moments = [
            value
            for state in self.optimizer.state.values()
            for value in state.values()
            if isinstance(value, Tensor)
        ]
        gradients = [p.grad for p in parameters if p.grad is not None]
        return [*parameters, *self.model.buffers(), *gradients, *moments]


def plain_step(task: Task) -> Step:
    """Full fine-tuning as a plain PyTorch loop does it: the reference."""
    model = torchvision_network(task.backbone).to(task.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    criterion = nn.BCEWithLogitsLoss()
    images, labels = _batch(task)

    def run() -> None:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()

    return Step(run, model, optimizer)


def fedthaw_step(task: Task, width: str, settings: Sequence[str]) -> Step:
    """A site's own step where the network trains from `width` on, under these run settings."""
    config = run_config(task, settings)
    if config.activations == "exact":
        keep_freed_memory()
    else:
        spare_memory()
    plan = plan_of(width, config)
    model = build_network(task.backbone, config.dropout).to(task.device)
    set_trainable(model, plan.trainable, config.batch_norm)
    model.recompute = config.activations == "recompute"
    optimizer = build_optimizer(_by_stage(model, plan), plan, config)
    precision = choose_precision(config.precision, torch.device(task.device))
    learner = Learner(
        model=model, optimizer=optimizer, scaler=precision.scaler(), precision=precision,
        plan=plan, config=config, entry=model.backbone.stages[0], received=(),
    )  # fmt: skip
    images, labels = _batch(task)
    return Step(lambda: learner.step(images, labels), model, optimizer)


def run_config(task: Task, settings: Sequence[str]) -> RunConfig:
    """The run configuration of such steps; ConfigError for an unknown setting."""
    own = [f"backbone={task.backbone}", f"image-size={task.side}", f"batch-size={task.images}"]
    return parse_run_config(parse_overrides([*own, "weights=random", *settings]))


def plan_of(width: str, config: RunConfig) -> Plan:
    """A fine-tuning round that trains from `width` on, without CutMix."""
    stages = config.network.stages
    first = stages[0] if width == "full" else width
    trainable = stages[stages.index(first) :]
    rates = {stage: maximum_rate(config, stage, probing=False) for stage in trainable}
    return Plan(1, "fine-tune", 0, 1, trainable, trainable, rates, cutmix_probability=0.0)


def _by_stage(model: Network, plan: Plan) -> dict[str, list[nn.Parameter]]:
    return {
        stage: [p for n, p in model.named_parameters() if model.backbone.stage_of(n) == stage]
        for stage in plan.trainable
    }


def _batch(task: Task) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(task.images, 1, task.side, task.side, generator=generator) * 2048 - 1024
    labels = torch.arange(task.images).remainder(2).float()
    return images.to(task.device), labels.to(task.device)
