"""`schedule=dynamics`, as far as its settings say: which units may train, and how many of them.

Which of them a round trains is decided by the coordinator (`server/schedule`). What holds whatever
it decides follows from the settings alone, so that a site can refuse a plan that its owner has not
approved.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from shared.seeds import derive_seed

if TYPE_CHECKING:
    from shared.settings.config import RunConfig

Sizes = Mapping[str, int]
"""How many values travel of each unit of a network, its head included."""
_DRAWS = 25
"""By which the typical choice is found; of so many the one in the middle varies little."""
_ORDERS = 5
"""By which the mean size of a choice is found, each from every unit on."""


def candidates(config: RunConfig) -> tuple[str, ...]:
    """The units that a round may train with the head, in network order.

    All but the first one, which stays frozen: its updates are the largest beside its weights
    whatever the images show, so that a rule would train hardly anything else.
    """
    return tuple(unit.name for unit in config.network.units[1:-1])


def most_units(config: RunConfig) -> int:
    """How many of the candidates a round trains at most; at least one."""
    units = len(candidates(config))
    # The share is a decimal that binary floats miss by a hair (0.9 x 10), hence the rounding.
    return units - math.floor(round(config.freeze_rate * units, 9))


def typical_units(config: RunConfig) -> tuple[str, ...]:
    """As many candidates as a round may train, spread evenly."""
    units, count = candidates(config), most_units(config)
    return tuple(units[(2 * n + 1) * len(units) // (2 * count)] for n in range(count))


@dataclass(frozen=True)
class Budget:
    """What a round may train."""

    units: int
    """The largest number of units that train with the head."""
    values: int
    """Most values of all that trains, the head included."""
    head: int
    """Values of the head, which always trains."""

    @classmethod
    def of(cls, config: RunConfig, sizes: Sizes) -> Budget:
        """The budget of these settings for a network of these sizes."""
        values = math.floor(round(config.round_budget * sum(sizes.values()), 9))
        return cls(most_units(config), values, sizes[config.network.head])

    def admits(self, units: Collection[str], sizes: Sizes) -> bool:
        """Whether these units may train together with the head; the head alone always may."""
        if not units:
            return True
        values = self.head + sum(sizes[unit] for unit in units)
        return len(units) <= self.units and values <= self.values

    def filled(self, ranked: Iterable[str], sizes: Sizes) -> tuple[str, ...]:
        """The units that train when each in this order is taken that fits beside those before it.

        Beside the head; empty where none fits.
        """
        taken: list[str] = []
        for unit in ranked:
            if self.admits([*taken, unit], sizes):
                taken.append(unit)
        return tuple(taken)


def expected_units(config: RunConfig, sizes: Sizes) -> frozenset[str]:
    """What a round trains with the head before anything is known: for estimates of time.

    Of many draws within the budget the one in the middle, by how many units a step goes back
    through and how many of them it trains. A small budget may leave many small units to train.
    """
    units, budget = candidates(config), Budget.of(config, sizes)
    places = {unit: place for place, unit in enumerate(units)}

    def drawn(number: int) -> frozenset[str]:
        return frozenset(budget.filled(_order(config, number), sizes))

    def work(chosen: frozenset[str]) -> int:
        first = min((places[unit] for unit in chosen), default=len(units))
        return len(units) - first + len(chosen)

    return sorted(map(drawn, range(_DRAWS)), key=work)[_DRAWS // 2]


def expected_values(config: RunConfig, sizes: Sizes) -> float:
    """How many values a round trains on average, the head's included: for estimates of bytes.

    A few units may hold most of a network, so the size of any one choice says little. Here each
    unit comes first as often as any other, so that without a budget the mean is exact.
    """
    budget, found = Budget.of(config, sizes), []
    for number in range(_ORDERS):
        order = _order(config, number)
        for start in range(len(order)):
            chosen = budget.filled(order[start:] + order[:start], sizes)
            found.append(budget.head + sum(sizes[unit] for unit in chosen))
    return fmean(found)


def _order(config: RunConfig, number: int) -> list[str]:
    """The candidates, as the random rule could rank them."""
    return sorted(
        candidates(config), key=lambda unit: derive_seed(config.seed, "estimate", number, unit)
    )
