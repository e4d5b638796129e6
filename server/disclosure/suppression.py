"""Which sites of one table are hidden, and whether its totals may be shown with the others.

The table has a row for each site and the totals over all sites. A site is shown or hidden as a
whole, and so are the totals.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from server.disclosure.groups import Counts, ShownGroups


@dataclass(frozen=True)
class Suppression:
    """The sites that are hidden, and whether anything of all sites together may be shown."""

    hidden: frozenset[str]
    shows_totals: bool


def suppress(counts: Mapping[str, Counts], own: Collection[str], min_cell: int) -> Suppression:
    """Complementary suppression (Cox, JASA 1980;75:377-385) for a table with totals.

    `counts` has positives and negatives by site, `own` names the sites that are never shown alone.
    Where there is such a site, the smallest others (by patients, then by name) are hidden as well,
    until the hidden ones together are not few (`is_few`). Where even all sites are, nothing is
    shown. Raises ValueError for a negative `min_cell` and for sites without counts.
    """
    if min_cell < 0:
        raise ValueError(f"min-cell is {min_cell}; it must be 0 or more.")
    if unknown := sorted(set(own) - set(counts)):
        raise ValueError(f"Sites without counts are to be hidden: {', '.join(unknown)}.")
    return suppress_given_earlier(ShownGroups(counts, own, min_cell), counts)


def suppress_given_earlier(groups: ShownGroups, counts: Mapping[str, Counts]) -> Suppression:
    """`suppress`, and hide also what would reveal few patients given what was shown before."""
    hidden = [name for name in counts if name in groups.hidden]
    others = sorted(set(counts) - set(hidden), key=lambda name: (sum(counts[name]), name))
    while hidden and others and groups.are_few(hidden):
        hidden.append(others.pop(0))
    if hidden and groups.are_few(hidden):
        # Nobody alone either: the same sites in a larger cohort could not be shown together then.
        return Suppression(frozenset(counts), False)
    totals = bool(counts) and groups.admit(counts)
    if not totals:  # nothing is hidden by the others then
        others = sorted(set(counts) - groups.hidden)
    shown = [name for name in reversed(others) if groups.admit([name])]
    return Suppression(frozenset(counts) - set(shown), totals)


def below_limit(counts: Mapping[str, Counts], limits: Mapping[str, int]) -> frozenset[str]:
    """The sites with a class smaller than their own limit, as each decides for itself.

    `limits` has one for each site, 0 or more.
    """
    return frozenset(name for name, both in counts.items() if min(both) < limits[name])
