"""Groups of sites whose patients' results are shown, so that no small site can be computed.

Sums and differences of what is shown may leave a site that must stay hidden by itself: all sites,
less each of the others alone. What was shown before counts as well (`Earlier`), and so do the few
patients by which a site's data have changed since.

This protects against readers of the results. A hidden site that knows its own counts can subtract
them as well: where two sites are hidden, each can compute the other's.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, zip_longest

import numpy as np
from numpy.typing import NDArray

from shared.metrics.classes.kinds import Counts as AnyCounts
from shared.metrics.classes.kinds import patients_by_class

Vector = Mapping[Hashable, float]
"""A sum over parts of patients: how often each part counts."""
_ZERO = 1e-9


def spans(rows: Sequence[Vector], wanted: Sequence[Vector]) -> list[bool]:
    """For each wanted sum whether it is a linear combination of the rows."""
    parts = list(dict.fromkeys(part for vector in (*rows, *wanted) for part in vector))
    if not wanted or not parts:
        return [True] * len(wanted)
    matrix, asked = _matrix(rows, parts), _matrix(wanted, parts)
    if len(rows) == 0:
        left = asked
    else:
        _, sizes, directions = np.linalg.svd(matrix, full_matrices=False)
        known = directions[sizes > _ZERO * max(1.0, float(sizes.max(initial=0.0)))]
        left = asked - (asked @ known.T) @ known
    return [bool(np.abs(row).max() < _ZERO**0.5) for row in left]


def _matrix(vectors: Sequence[Vector], parts: Sequence[Hashable]) -> NDArray[np.float64]:
    column = {part: number for number, part in enumerate(parts)}
    matrix = np.zeros((len(vectors), len(parts)))
    for row, vector in zip(matrix, vectors, strict=True):
        for part, times in vector.items():
            row[column[part]] = times
    return matrix


Counts = tuple[int, ...]
"""Patients of each class, such as positives and negatives; none where they are unknown."""

MOST_HIDDEN = 12
"""Up to so many hidden sites all groups of them are looked at; beyond, single ones and pairs."""


def counts_of(counts: AnyCounts) -> Counts:
    """A site's patients by class."""
    return patients_by_class(counts)


def added_up(counts: Mapping[str, Counts], group: Iterable[str]) -> Counts:
    """The patients of these sites together."""
    return _added([counts[name] for name in group])


def is_few(counts: Sequence[Counts], min_cell: int) -> bool:
    """Whether hidden sites together are a single one, or too few patients of a class.

    Each site may be known to have a patient of each class. Beyond those, `min_cell` are needed,
    so that the count of each can be any of more than `min_cell` values.
    """
    smallest = min(_added(counts), default=0)
    return len(counts) < 2 or smallest < max(min_cell, 1) + len(counts)


def _added(counts: Sequence[Counts]) -> Counts:
    return tuple(map(sum, zip_longest(*counts, fillvalue=0)))


@dataclass(frozen=True)
class Few:
    """Patients that no sum may leave by themselves; no counts where they are unknown."""

    what: Vector
    counts: Counts = ()


@dataclass(frozen=True)
class Earlier:
    """What was shown before, together with which something new is to be shown."""

    same: Sequence[Vector] = ()
    """Groups of the same cohort, in parts that separate a site's earlier data from its present."""
    few: Sequence[Few] = ()
    """Hidden behind these sums, and the patients by which a site's data have changed since."""
    data: Mapping[str, str] = field(default_factory=dict)
    """A digest of each site's present data."""
    others: Sequence[Vector] = ()
    """Groups of any cohort, in sites alone: a site's other cohorts reveal much of this one."""
    small: frozenset[str] = frozenset()
    """Sites that are hidden behind sums of any cohort."""


class ShownGroups:
    """Groups of sites whose patients' results are shown; it grows by `admit`."""

    def __init__(
        self,
        counts: Mapping[str, Counts],
        hidden: Collection[str],
        min_cell: int,
        earlier: Earlier | None = None,
    ):
        """`counts` by site, `hidden` the sites never shown alone."""
        self.hidden, self._counts, self._min_cell = frozenset(hidden), counts, min_cell
        before = earlier or Earlier()
        self._data = before.data
        self._same, self._others = [*before.same], [*before.others]
        self._admitted: list[tuple[str, ...]] = []
        own = [Few(self.parts([name]), counts[name]) for name in sorted(self.hidden)]
        self._guarded = _too_few([*own, *before.few], min_cell)
        sites = [Few({name: 1.0}, counts[name]) for name in sorted(self.hidden)]
        sites += [Few({name: 1.0}) for name in sorted(before.small - self.hidden)]
        guarded = _too_few(sites, min_cell)
        # What was shown of a site's other patients cannot be hidden any more.
        shown = spans(self._others, guarded)
        self._guarded_others = [one for one, known in zip(guarded, shown, strict=True) if not known]

    def admit(self, group: Collection[str]) -> bool:
        """Whether the group may be shown given those before; if so it counts as shown."""
        same = [*self._same, self.parts(group)]
        others: list[Vector] = [*self._others, dict.fromkeys(group, 1.0)]
        if any(spans(same, self._guarded)) or any(spans(others, self._guarded_others)):
            return False
        self._same, self._others = same, others
        self._admitted.append(tuple(group))
        return True

    def admitted(self) -> list[tuple[dict[str, str], Counts]]:
        """The groups that were admitted: a digest of each site's data, and the patients."""
        return [
            ({name: self._data.get(name, "") for name in group}, added_up(self._counts, group))
            for group in self._admitted
        ]

    def hides_few(self, group: Collection[str]) -> bool:
        """Whether the hidden sites among these are a single one, or hold too few patients."""
        hidden = self.hidden & set(group)
        return bool(hidden) and self.are_few(hidden)

    def are_few(self, group: Collection[str]) -> bool:
        """Whether these sites together are too few to hide one another (`is_few`)."""
        return is_few([self._counts[name] for name in group], self._min_cell)

    def parts(self, group: Collection[str]) -> Vector:
        """The group as a sum of its sites' data."""
        return {(name, self._data.get(name, "")): 1.0 for name in group}


def _too_few(units: Sequence[Few], min_cell: int) -> list[Vector]:
    """Sums of these, each alone and several together, that hold too few patients."""
    sizes = range(1, len(units) + 1 if len(units) <= MOST_HIDDEN else 3)
    return [
        _sum([one.what for one in chosen])
        for size in sizes
        for chosen in combinations(units, size)
        if is_few([one.counts for one in chosen], min_cell)
    ]


def _sum(vectors: Sequence[Vector]) -> Vector:
    total: dict[Hashable, float] = {}
    for vector in vectors:
        for part, times in vector.items():
            total[part] = total.get(part, 0.0) + times
    return total
