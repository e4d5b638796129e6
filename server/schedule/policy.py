"""The plan of the next round, from the settings and the rounds so far.

A policy is a pure function of the round and of the ledger, so that a run that is continued decides
as one that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from server.federation.global_model import Reference
from server.run.ledger import RoundRecord
from server.schedule.adaptive import next_plan
from server.schedule.select import Choice, Past, Seen, select_units
from shared.model.manifest import sizes_of_units
from shared.settings.config import RunConfig
from shared.settings.dynamics import Budget, Sizes, candidates
from shared.settings.schedule import (
    Plan,
    decides_as_it_goes,
    plan_of_units,
    plan_round,
)

History = Sequence[RoundRecord]
"""The rounds before, in order."""
Policy = Callable[[int, History], Plan | None]
"""None where the run ends before this round."""


def policy_for(config: RunConfig, reference: Reference) -> Policy:
    """The policy that `schedule` names."""
    sizes = sizes_of_units(reference.network, config.batch_norm)

    def policy(round_number: int, history: History) -> Plan | None:
        if config.schedule == "adaptive":
            return next_plan(config, history[: round_number - 1])
        if not decides_as_it_goes(config, round_number):
            return plan_round(config, round_number)
        return _decide(config, sizes, round_number, history)

    return policy


def _decide(config: RunConfig, sizes: Sizes, number: int, history: History) -> Plan:
    head = config.network.head
    choice = Choice(number, candidates(config), sizes, Budget.of(config, sizes), config.seed)
    past = past_of(config, history[: number - 1])
    chosen = select_units(config.select, choice, past)
    return plan_of_units(config, number, {*chosen, head}, {*past, head})


def past_of(config: RunConfig, history: History) -> Past:
    """What each unit that has trained showed when it last did."""
    past: dict[str, Seen] = {}
    for record in history:
        signals = record.signals.units if record.signals else {}
        for unit in sorted(config.network.units_of(record.plan["trainable"])):
            own = signals.get(unit)
            past[unit] = (
                Seen(record.round, own.distance, own.agreement)
                if own is not None
                else Seen(record.round, None, None)
            )
    return past
