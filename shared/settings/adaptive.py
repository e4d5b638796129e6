"""`schedule=adaptive`, as far as its settings say: one learning rate cycle, which may be cut short.

The coordinator decides after stretches of `patience` rounds, by what training has shown
(`server/schedule/adaptive.py`). Where a round can lie in a cycle follows from the settings alone,
so that a site can refuse a plan that its owner has not approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.settings.config import RunConfig

Cycle = tuple[int, int]
"""The rounds of a cycle before a round, and all of them."""


def thawing_stages(config: RunConfig) -> tuple[str, ...]:
    """The stages that thaw after the probe, all at once."""
    thaws = config.thaws
    return tuple(stage for stage in config.network.stages[-2::-1] if thaws.get(stage, 1.0) < 1)


def decisions(config: RunConfig) -> range:
    """The fine-tuning rounds after which the cycle may be cut short.

    There are two stretches to compare, and more rounds left than a cut leaves.
    """
    return range(2 * config.patience, config.rounds - config.patience, config.patience)


def cut_cycle(config: RunConfig, done: int, further: int) -> Cycle:
    """Where the round lies that is `further` rounds after a cut, which came `done` rounds in.

    The rest of the cycle takes `patience` rounds: the last ones of a shorter cycle, which go on no
    earlier in it than the rounds before left off.
    """
    length = -(-config.patience * config.rounds // (config.rounds - done))
    return length - config.patience + further, length


def cut_cycles(config: RunConfig, number: int) -> Iterator[Cycle]:
    """Where round 1 ... may lie after a cut."""
    for done in decisions(config):
        further = number - config.probe_rounds - 1 - done
        if 0 <= further < config.patience:
            yield cut_cycle(config, done, further)


def ends_after_cut(config: RunConfig) -> list[int]:
    """The rounds that are the last one after a cut."""
    return [config.probe_rounds + done + config.patience for done in decisions(config)]
