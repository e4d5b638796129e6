"""What a step on the transformer holds in memory, where these units train."""

from __future__ import annotations

import statistics
import time

import torch
from torchvision.models import VisionTransformer

from benchmarks.machine import peak_resident, resident
from benchmarks.memory import Footprint
from benchmarks.slimfit_arms import base
from benchmarks.slimfit_arms.rounds import learner_of
from benchmarks.slimfit_arms.task import Arm, Task
from benchmarks.steps.build import Step
from benchmarks.steps.footprint import kept_for_backward, peak_on_cpu
from shared.settings.config import RunConfig
from shared.settings.dynamics import candidates, most_units, typical_units
from shared.settings.schedule import Plan, plan_of_units

NAMES = tuple("abcdefghij")


def units_of(which: str, config: RunConfig) -> tuple[str, ...]:
    """Which units train with the head: `all`, none (`head`), or those of a round at this freeze
    rate, either the `first` ones, to which the gradient has the longest way, or the `middle` ones
    of each part."""
    network = config.network
    found = {
        "all": tuple(unit.name for unit in network.units),
        "head": (),
        "first": candidates(config)[: most_units(config)],
        "middle": typical_units(config),
    }
    return found[which]


def measure(task: Task, which: str, activations: str, steps: int) -> Footprint:
    """In a process that has done nothing else; `process` is what it took beyond what it had before,
    `seconds` are the processor's."""
    torch.set_num_threads(1)
    arm = Arm("", ("schedule=dynamics", "freeze-rate=0.9", f"activations={activations}"))
    config = task.config(arm, NAMES)
    units = {*units_of(which, config), config.network.head}
    plan: Plan = plan_of_units(config, 1, units, units)
    model = base.build(base.read(task.weights), config.outputs, task.seed)
    base.read.cache_clear()
    learner = learner_of(config, model, plan)
    images = torch.randn(task.batch, 3, task.side, task.side)
    classes = torch.eye(len(NAMES))[torch.arange(task.batch) % len(NAMES)]
    step = Step(lambda: learner.step(images, classes), model, learner.optimizer)
    _load_libraries()
    before, seconds = resident("self", "VmRSS"), []
    for _ in range(steps):
        began = time.process_time()
        step.run()
        seconds.append(time.process_time() - began)
    process = peak_resident() - before
    return Footprint(
        kept_for_backward(step), peak_on_cpu(step), process, statistics.median(seconds)
    )


def _load_libraries() -> None:
    """What a step runs of PyTorch is in memory afterwards, without a tensor of ours."""
    small = VisionTransformer(
        image_size=32, patch_size=16, num_layers=1, num_heads=1, hidden_dim=64, mlp_dim=64
    )
    small(torch.randn(2, 3, 32, 32)).sum().backward()
    torch.optim.AdamW(small.parameters(), fused=True).step()
