"""Which boundaries' features are worth keeping: the cheapest way through the rounds to come."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations

from client.features.boundary import Passes
from shared.model.backbone import Part


@dataclass(frozen=True)
class Cost:
    """Measured cost of the features of one boundary: seconds and bytes a view of an image."""

    compute: float
    """From the image on the disk, augmentation included."""
    write: float
    read: float
    bytes: int


Costs = Mapping[Part, Cost]


def worth_keeping(costs: Costs, passes: Passes, *, views: int, room: int) -> tuple[Part, ...]:
    """The boundaries to keep, in the order of `passes`, so that the time of all passes is least.

    Keeping computes all views of an image once, for all boundaries together, writes them, and reads
    one at each pass; what is not kept is computed at each pass. Of equals the fewer, so nothing
    where nothing is gained. At most `room` bytes an image are taken.
    """
    known = [boundary for boundary, count in passes.items() if boundary in costs and count > 0]
    subsets = [s for size in range(len(known) + 1) for s in combinations(known, size)]
    fitting = [s for s in subsets if _bytes(costs, s) * views <= room]
    return min(fitting, key=lambda kept: seconds(costs, passes, kept, views=views))


def seconds(costs: Costs, passes: Passes, kept: Collection[Part], *, views: int) -> float:
    """Seconds an image takes over all passes when these boundaries are kept."""
    filling = views * max((costs[one].compute for one in kept), default=0.0)
    writing = views * sum(costs[one].write for one in kept)
    passing = sum(
        count * (costs[one].read if one in kept else costs[one].compute)
        for one, count in passes.items()
        if one in costs
    )
    return filling + writing + passing


def _bytes(costs: Costs, kept: Collection[Part]) -> int:
    return sum(costs[one].bytes for one in kept)
