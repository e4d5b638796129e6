"""Which counts of a table by site are hidden, so that no small one can be computed.

The table has a row for each site, positives and negatives as columns, and the totals over all
sites. A site is shown or hidden as a whole. What is hidden in a column is known as one sum, the
total less the rows shown; so a total is shown only where at least two sites stand behind that
sum and it is no small cell itself.

This protects against readers of the table. A hidden site that knows its own counts can subtract
them as well: where two sites are hidden, each can compute the other's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

Counts = tuple[int, int]


@dataclass(frozen=True)
class Suppression:
    """The sites that are hidden, and which totals may be shown beside the others."""

    hidden: frozenset[str]
    shows_total_positives: bool
    shows_total_negatives: bool


def suppress(counts: Mapping[str, Counts], own: Collection[str], min_cell: int) -> Suppression:
    """Complementary suppression (Cox, JASA 1980;75:377-385) for a table with totals.

    `counts` has positives and negatives by site, `own` names the sites that suppress their own
    (`below_limit`). Where there is such a site, the smallest others by patients, then by name,
    are hidden as well, until two or more are and both sums of the hidden are `min_cell` or more,
    and 1 or more. Where even all sites do not reach that, the totals that fall short are not to
    be shown. `min_cell` is the largest of the sites' limits, where these differ. Raises
    ValueError for a negative `min_cell` and for sites without counts.
    """
    if min_cell < 0:
        raise ValueError(f"min-cell is {min_cell}; it must be 0 or more.")
    if unknown := sorted(set(own) - set(counts)):
        raise ValueError(f"Sites without counts are to be hidden: {', '.join(unknown)}.")
    if not own:
        return Suppression(frozenset(), True, True)
    hidden = list(dict.fromkeys(own))
    others = sorted(set(counts) - set(hidden), key=lambda name: (sum(counts[name]), name))
    while others and not all(_covered(counts, hidden, min_cell)):
        hidden.append(others.pop(0))
    return Suppression(frozenset(hidden), *_covered(counts, hidden, min_cell))


def below_limit(counts: Mapping[str, Counts], limits: Mapping[str, int]) -> frozenset[str]:
    """The sites with a class smaller than their own limit, as each decides for itself.

    `limits` has one for each site, 0 or more.
    """
    return frozenset(name for name, both in counts.items() if min(both) < limits[name])


def _covered(
    counts: Mapping[str, Counts], hidden: Collection[str], min_cell: int
) -> tuple[bool, bool]:
    """Whether the total of either class may be shown."""
    positives, negatives = (sum(counts[name][k] for name in hidden) for k in (0, 1))
    smallest = max(min_cell, 1)
    many = len(hidden) > 1
    return many and positives >= smallest, many and negatives >= smallest
