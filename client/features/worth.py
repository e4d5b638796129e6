"""Which boundaries' features are worth keeping: the cheapest way through the rounds to come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

from client.features.boundary import Passes
from shared.schedule import STAGES, Stage


@dataclass(frozen=True)
class Cost:
    """Measured cost of the features of one boundary: seconds and bytes a view of an image."""

    compute: float
    """From the image on the disk, augmentation included."""
    write: float
    read: float
    bytes: int


Costs = Mapping[Stage, Cost]


def worth_keeping(costs: Costs, passes: Passes, *, views: int, room: int) -> tuple[Stage, ...]:
    """The boundaries to keep, in the network's order, so that the time of all passes is least.

    Keeping computes all views of an image once, for all boundaries together, writes them, and reads
    one at each pass; what is not kept is computed at each pass. Of equals the fewer, so nothing
    where nothing is gained. At most `room` bytes an image are taken.
    """
    stages = [stage for stage in STAGES if stage in costs and passes.get(stage, 0) > 0]
    subsets = [s for size in range(len(stages) + 1) for s in combinations(stages, size)]
    fitting = [s for s in subsets if _bytes(costs, s) * views <= room]
    return min(fitting, key=lambda kept: seconds(costs, passes, kept, views=views))


def seconds(costs: Costs, passes: Passes, kept: Collection[Stage], *, views: int) -> float:
    """Seconds an image takes over all passes when these boundaries are kept."""
    filling = views * max((costs[stage].compute for stage in kept), default=0.0)
    writing = views * sum(costs[stage].write for stage in kept)
    passing = sum(
        count * (costs[stage].read if stage in kept else costs[stage].compute)
        for stage, count in passes.items()
        if stage in costs
    )
    return filling + writing + passing


def _bytes(costs: Costs, kept: Collection[Stage]) -> int:
    return sum(costs[stage].bytes for stage in kept)
