"""How long a run still takes: what its rounds are expected to cost, and what they have cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from shared.model.manifest import sizes_of_units
from shared.model.network import Network
from shared.settings.config import RunConfig
from shared.settings.schedule import Plan, expected_plan, total_rounds

_LAST = 5
"""Rounds by which the expectation is corrected: later ones say more of what is to come."""


@dataclass(frozen=True)
class Expected:
    """What each round is expected to cost, and behind them the final evaluation."""

    costs: tuple[float, ...] = ()
    measured: bool = False
    """In seconds; else in an unknown unit, by which rounds can be compared with each other."""

    def seconds_left(self, finished: Sequence[float], last: int | None = None) -> float:
        """Seconds until the run ends after these rounds, given as the seconds that they took.

        `last` is its last round where that has been brought forward.

        What the last rounds took, compared with what was expected of them, corrects what is
        expected of the others; where that was measured, rounds that cost little correct little.
        """
        done = len(finished)
        first = max(0, done - _LAST)
        ahead = self.costs[done:] if last is None else (*self.costs[done:last], *self.costs[-1:])
        took, thought = sum(finished[first:]), sum(self.costs[first:done])
        if self.measured:
            typical = sum(ahead) / max(1, len(ahead))
            took, thought = took + typical, thought + typical
        return sum(ahead) * (took / thought if thought > 0 else 1.0)


def unmeasured(config: RunConfig, network: Network) -> Expected:
    """What a run's rounds cost relative to each other, where nothing can be measured.

    A forward pass through a stage counts 1, the backward pass 2 where it trains and 1 where it only
    lies behind one that trains, as if all stages took as long, and all units of one.
    """
    sizes = sizes_of_units(network, config.batch_norm)
    plans = [expected_plan(config, number, sizes) for number in range(1, total_rounds(config) + 1)]
    stages = len(config.network.stages)
    return Expected((*(stages + _backward(config, plan) for plan in plans), stages / 4))


def _backward(config: RunConfig, plan: Plan) -> float:
    network = config.network
    trained = network.units_of(plan.trainable)
    behind = network.units[network.position(network.first_of(plan.trainable)) :]
    in_stage = Counter(unit.stage for unit in network.units)
    return sum((1 + (unit.name in trained)) / in_stage[unit.stage] for unit in behind)
