"""Whether the clinical grade of all sites together may be shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from server.disclosure.groups import Counts
from server.disclosure.suppression import below_limit, suppress
from shared.limits import MIN_CELL


def may_be_compared(graded: Mapping[str, Counts], hidden: Collection[str]) -> bool:
    """Whether sums over these sites tell no small count to a reader who knows all other sites'.

    `graded` has the positives and negatives with a grade by site, `hidden` the sites that are not
    shown.
    """
    own = below_limit(graded, dict.fromkeys(graded, MIN_CELL)) | (set(hidden) & set(graded))
    told = suppress(graded, own, MIN_CELL)
    # Who else would have to be hidden may be known: a site's patients can all have a grade.
    return told.hidden == own and told.shows_totals
