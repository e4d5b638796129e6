"""Which sites of one table are hidden, and whether its totals may stand beside the others.

The table has a row for each site and the totals over all sites. A site is shown or hidden as a
whole, and so are the totals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from server.disclosure.groups import Counts, Earlier, ShownGroups


@dataclass(frozen=True)
class Suppression:
    """The sites that are hidden, and whether anything of all sites together may be shown."""

    hidden: frozenset[str]
    shows_totals: bool


def suppress(
    counts: Mapping[str, Counts],
    own: Collection[str],
    min_cell: int,
    earlier: Earlier | None = None,
) -> Suppression:
    """Complementary suppression (Cox, JASA 1980;75:377-385) for a table with totals.

    `counts` has positives and negatives by site, `own` names the sites that are never shown alone.
    Totals come first, then the sites from the largest to the smallest (by patients, then by name);
    whatever would tell of few patients beside what is shown already is hidden. Raises ValueError
    for a negative `min_cell` and for sites without counts.
    """
    if min_cell < 0:
        raise ValueError(f"min-cell is {min_cell}; it must be 0 or more.")
    if unknown := sorted(set(own) - set(counts)):
        raise ValueError(f"Sites without counts are to be hidden: {', '.join(unknown)}.")
    groups = ShownGroups(counts, own, min_cell, earlier)
    totals = groups.admit(counts)
    largest = sorted(set(counts) - set(own), key=lambda name: (sum(counts[name]), name))[::-1]
    shown = [name for name in largest if groups.admit([name])]
    return Suppression(frozenset(counts) - set(shown), totals)


def below_limit(counts: Mapping[str, Counts], limits: Mapping[str, int]) -> frozenset[str]:
    """The sites with a class smaller than their own limit, as each decides for itself.

    `limits` has one for each site, 0 or more.
    """
    return frozenset(name for name, both in counts.items() if min(both) < limits[name])
