"""Which units a round trains with the head: pure functions of what earlier rounds showed.

Ties are broken by the seed or by the network's order, so that the same past gives the same choice
on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.seeds import derive_seed
from shared.settings.dynamics import Budget, Sizes

CYCLES = 2
"""An agreement that was measured longer ago than so many cycles, in each of which every unit could
have trained once, counts as unknown: without new updates nothing would ever correct it."""


@dataclass(frozen=True)
class Seen:
    """What a unit showed when it last trained."""

    round: int
    distance: float | None
    """None where the round has no signals of it."""
    agreement: float | None


Past = Mapping[str, Seen]
"""Of each unit that has trained."""


@dataclass(frozen=True)
class Choice:
    """What a rule chooses from."""

    round: int
    units: Sequence[str]
    """The candidates, in network order."""
    sizes: Sizes
    budget: Budget
    seed: int


def select_units(rule: str, choice: Choice, past: Past) -> tuple[str, ...]:
    """The units that train with the head, in network order; empty where none fits.

    The rule ranks them, and each is taken that the budget admits with those before it.
    ValueError for an unknown rule.
    """
    taken = choice.budget.filled(_ranked(rule, choice, past), choice.sizes)
    return tuple(unit for unit in choice.units if unit in taken)


def _ranked(rule: str, choice: Choice, past: Past) -> list[str]:
    match rule:
        case "random":
            return sorted(choice.units, key=lambda unit: _drawn(choice, unit, choice.round))
        case "round-robin":
            return _longest_waiting(choice, past)
        case "distance":
            known = {u: s.distance for u, s in past.items() if s.distance is not None}
            return _unknown_first(choice, past, known)
        case "coherence":
            first = choice.round - CYCLES * _cycle(choice)
            return _unknown_first(
                choice, past, {u: s.agreement or 0.0 for u, s in past.items() if s.round >= first}
            )
    raise ValueError(f"no rule '{rule}'")


def _cycle(choice: Choice) -> int:
    """The fewest rounds in which every unit could train once that the budget admits at all."""
    budget = choice.budget
    sizes = [choice.sizes[unit] for unit in choice.units if budget.admits([unit], choice.sizes)]
    if not sizes:
        return 1
    by_size = sum(sizes) / max(1, budget.values - budget.head)
    return math.ceil(max(len(sizes) / budget.units, by_size))


def _longest_waiting(choice: Choice, past: Past) -> list[str]:
    """Those first that trained longest ago or never, of these the last ones of the network."""

    def last(unit: str) -> int:
        return past[unit].round if unit in past else 0

    later_first = {unit: -place for place, unit in enumerate(choice.units)}
    return sorted(choice.units, key=lambda unit: (last(unit), later_first[unit]))


def _unknown_first(choice: Choice, past: Past, known: Mapping[str, float]) -> list[str]:
    """Units of which nothing is known, the longest waiting first, then by falling value."""
    drawn = sorted(choice.units, key=lambda unit: _drawn(choice, unit, 0))
    unknown = [unit for unit in drawn if unit not in known]
    unknown.sort(key=lambda unit: past[unit].round if unit in past else 0)
    return [*unknown, *sorted((u for u in drawn if u in known), key=lambda unit: -known[unit])]


def _drawn(choice: Choice, unit: str, number: int) -> int:
    return derive_seed(choice.seed, "units", number, unit)
