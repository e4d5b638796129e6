"""OneCycle as a pure function of the position in the schedule.

torch's OneCycleLR keeps its position in an object and would restart with every round; here a site
computes its position from the round and its own step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WARM_UP = 0.3
START_DIVISOR = 25.0
FINAL_DIVISOR = 1e4
MOMENTUM_HIGH, MOMENTUM_LOW = 0.95, 0.85
MOMENTUM = 0.9
"""Where no cycle moves it, as in the probe: PyTorch's default."""


@dataclass(frozen=True)
class StepRate:
    """Learning rate as a share of the stage's maximum, and the first-moment decay (beta 1)."""

    share: float
    momentum: float


def noise_alone(momentum: float) -> float:
    """|m|^2 / v of Adam's moments, after many steps whose gradients have nothing in common.

    m weighs the last gradients so that its variance is this share of theirs. After few steps, n, it
    is about 1/n.
    """
    return (1 - momentum) / (1 + momentum)


def one_cycle(step: int, total_steps: int) -> StepRate:
    """The OneCycle of Smith and Topin (arXiv:1708.07120) at `step` of `total_steps`.

    Equals torch.optim.lr_scheduler.OneCycleLR with its defaults: 30 % warm-up from 1/25 of the
    maximum, cosine down to 1/250,000, momentum inverse between 0.95 and 0.85. Of a cycle of one
    step torch's has only the end, which trains nothing; here it has the peak. ValueError where
    step is not within 0 ... total_steps - 1.
    """
    if not 0 <= step < total_steps:
        raise ValueError(f"step {step} is outside 0 to {total_steps - 1}")
    if total_steps == 1:
        return StepRate(1.0, MOMENTUM_LOW)
    peak, last = WARM_UP * total_steps - 1, total_steps - 1
    start, final = 1 / START_DIVISOR, 1 / (START_DIVISOR * FINAL_DIVISOR)
    # In a cycle of three steps or fewer the warm-up ends before it begins, in torch too: all is
    # descent.
    if step <= peak:
        done = step / peak
        return StepRate(_cosine(start, 1.0, done), _cosine(MOMENTUM_HIGH, MOMENTUM_LOW, done))
    done = (step - peak) / (last - peak)
    return StepRate(_cosine(1.0, final, done), _cosine(MOMENTUM_LOW, MOMENTUM_HIGH, done))


def _cosine(begin: float, end: float, done: float) -> float:
    return end + (begin - end) / 2 * (1 + math.cos(math.pi * done))
