"""`schedule=adaptive`, as far as its settings say: stretches of rounds, and what each may train.

A stretch is `patience` rounds that train the same. After each the coordinator decides by what
training has shown (`server/schedule/adaptive.py`); where a run can be in any round follows from
the settings alone, so that a site can refuse a plan that its owner has not approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.settings.config import RunConfig


@dataclass(frozen=True)
class Place:
    """Where a round lies."""

    probing: bool
    position: int
    """Rounds of the stretch before it; of all of the probe's rounds in the probe."""
    length: int
    """Rounds of the stretch; of the probe at most."""
    stages: int
    """Stages before the head that train, counted from the last one."""
    thawed: int
    """Those of them that have trained before the round."""


def thawing_stages(config: RunConfig) -> tuple[str, ...]:
    """The stages that may thaw, the last first."""
    thaws = config.thaws
    return tuple(stage for stage in config.network.stages[-2::-1] if thaws.get(stage, 1.0) < 1)


def probe_ends(config: RunConfig) -> list[int]:
    """The rounds that may be the probe's last: it has two stretches to compare, or all rounds."""
    early = range(2 * config.patience, config.probe_rounds, config.patience)
    return [*early, config.probe_rounds]


def probing_place(config: RunConfig, number: int) -> Place:
    """Of a round of the probe."""
    return Place(True, number - 1, config.probe_rounds, 0, 0)


def tuning_place(config: RunConfig, done: int, stages: int, *, fresh: bool) -> Place:
    """Of the fine-tuning round after `done` others; `fresh` in the stretch that thaws a stage."""
    position = done % config.patience
    length = min(config.patience, config.rounds - (done - position))
    thawed = stages - 1 if fresh and position == 0 else stages
    return Place(False, position, length, stages, thawed)


def typical_place(config: RunConfig, number: int) -> Place:
    """For estimates: no stretch gains anything, so that each thaws a stage, and none ends the run.

    Of all runs of these settings it takes the most rounds and has thawed the most in each
    fine-tuning round.
    """
    if number <= config.probe_rounds:
        return probing_place(config, number)
    done, most = number - config.probe_rounds - 1, len(thawing_stages(config))
    stretch = done // config.patience
    return tuning_place(config, done, min(stretch + 1, most), fresh=stretch < most)


def possible_places(config: RunConfig, number: int) -> Iterator[Place]:
    """All places that round 1 ... may have, whatever training shows."""
    if number <= config.probe_rounds:
        yield probing_place(config, number)
    most = len(thawing_stages(config))
    for end in probe_ends(config):
        done = number - end - 1
        if 0 <= done < config.rounds:
            stretch = done // config.patience
            for stages in range(1, min(stretch + 1, most) + 1):
                if stretch == 0 or stages > 1:  # the first stretch thaws the first stage
                    yield tuning_place(config, done, stages, fresh=True)
                if stretch >= stages:
                    yield tuning_place(config, done, stages, fresh=False)
