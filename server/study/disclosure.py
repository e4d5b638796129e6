"""Which arms of a study may be shown, so that no few patients of a site can be computed.

Every arm tells of the patients of all its sites together. Sums and differences of what is shown
may leave a site that must stay hidden by itself: all sites, less each of the others alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shared.metrics.disclosure import Counts

MOST_HIDDEN = 12
"""Up to so many hidden sites all groups of them are looked at; beyond, single ones and pairs."""


class ShownGroups:
    """Groups of sites whose patients' results are shown; it grows by `admit`."""

    def __init__(self, counts: Mapping[str, Counts], hidden: Collection[str], min_cell: int):
        """`counts` are positives and negatives by site, `hidden` the sites never shown alone."""
        self.hidden = frozenset(hidden)
        self._counts, self._min_cell = counts, min_cell
        self._names = list(counts)
        self._rows: list[NDArray[np.float64]] = []
        self._guarded = [self._row(group) for group in _guarded(counts, hidden, min_cell)]

    def admit(self, group: Collection[str]) -> bool:
        """Whether the group may be shown beside those before; if so it counts as shown."""
        rows = [*self._rows, self._row(group)]
        if any(_spanned(rows, guarded) for guarded in self._guarded):
            return False
        self._rows = rows
        return True

    def hides_few(self, group: Collection[str]) -> bool:
        """Whether the hidden sites among these are a single one, or hold too few patients."""
        hidden = self.hidden & set(group)
        return bool(hidden) and _few(self._counts, hidden, self._min_cell)

    def _row(self, group: Collection[str]) -> NDArray[np.float64]:
        return np.array([float(name in group) for name in self._names])


def _guarded(
    counts: Mapping[str, Counts], hidden: Collection[str], min_cell: int
) -> list[tuple[str, ...]]:
    """Each hidden site, and the groups of them that hold fewer than `min_cell` of a class."""
    names = sorted(hidden)
    sizes = range(1, len(names) + 1 if len(names) <= MOST_HIDDEN else 3)
    return [
        group
        for size in sizes
        for group in combinations(names, size)
        if _few(counts, group, min_cell)
    ]


def _few(counts: Mapping[str, Counts], group: Collection[str], min_cell: int) -> bool:
    smallest = min(sum(counts[name][k] for name in group) for k in (0, 1))
    return len(group) == 1 or smallest < min_cell


def _spanned(rows: Sequence[NDArray[np.float64]], row: NDArray[np.float64]) -> bool:
    """Whether the row is a linear combination of the others."""
    matrix = np.array(rows)
    return bool(np.linalg.matrix_rank(np.vstack([matrix, row])) == np.linalg.matrix_rank(matrix))
