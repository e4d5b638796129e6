"""How far the sites' updates of a round agree, unit by unit.

With updates d of weights p that sum to 1, |sum p d|^2 / sum p |d|^2 is 1 where all are equal. Of
updates that have nothing in common it is sum p^2 |d|^2 / sum p |d|^2 on average, which for n sites
alike is 1/n. What is beyond that, as a share of what could be, is

    sum over pairs p_i p_j <d_i, d_j>  /  sum over pairs p_i p_j (|d_i|^2 + |d_j|^2) / 2

which lies in -1 to 1, with 0 for nothing in common; for two updates as long as each other it is
their cosine.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from server.aggregation.mean import RunningMean
from shared.update.norm import sum_of_squares


class Agreement:
    """Takes updates one by one; what it finds depends on them, not on their order."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], unit_of: Mapping[str, str]) -> None:
        """`shapes` of the tensors that are looked at, and the unit of each."""
        self._shapes, self._unit_of = dict(shapes), dict(unit_of)
        self.begin()

    def begin(self) -> None:
        """Forget what was added."""
        self._sum = RunningMean(self._shapes)
        self._squares: dict[str, dict[str, float]] = {}
        self._weights: dict[str, int] = {}

    def add(self, site: str, update: Mapping[str, NDArray[np.float32]], weight: int) -> None:
        """Take one site's update with its weight in the average. Nothing of it is kept."""
        self._sum.add(update, weight)
        self._squares[site] = self._by_unit(update)
        self._weights[site] = weight

    def result(self) -> dict[str, float | None]:
        """The agreement of each unit; None where there is no pair of updates that are not zero."""
        if not self._weights:
            return dict.fromkeys(self._unit_of.values())
        total = sum(self._weights.values())
        shares = {site: self._weights[site] / total for site in sorted(self._weights)}
        of_sum = self._by_unit(self._sum.result())
        found: dict[str, float | None] = {}
        for unit, together in of_sum.items():
            own = {site: self._squares[site][unit] for site in shares}
            chance = sum(share**2 * own[site] for site, share in shares.items())
            most = sum(share * own[site] for site, share in shares.items())
            pairs = most - chance
            found[unit] = max(-1.0, min(1.0, (together - chance) / pairs)) if pairs > 0 else None
        return found

    def _by_unit(self, arrays: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
        found: dict[str, float] = {}
        for key, unit in self._unit_of.items():
            found[unit] = found.get(unit, 0.0) + sum_of_squares(arrays[key])
        return found
