"""Which values of a table by site may be told, beside what the sites hide of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from shared.metrics.disclosure import Suppression, below_limit, suppress
from shared.metrics.summary import BinaryMetrics


def may_tell(
    sites: Mapping[str, BinaryMetrics], pooled: BinaryMetrics, min_cell: int
) -> Suppression:
    """The sites to hide, and whether the totals may stand beside the others.

    Hidden are those whose values are null already, those with a class below `min_cell`, and as
    many others as complementary suppression needs (`shared.metrics.disclosure`).
    """
    counts = {
        name: (metrics.positives, metrics.negatives)
        for name, metrics in sites.items()
        if metrics.positives is not None and metrics.negatives is not None
    }
    null = sorted(set(sites) - set(counts))
    own = {*null, *below_limit(counts, dict.fromkeys(counts, min_cell))}
    if pooled.positives is None or pooled.negatives is None:
        return Suppression(frozenset(own), False, False)
    # What all null sites hold together is known, and only that sum matters.
    left = (
        max(0, pooled.positives - sum(both[0] for both in counts.values())),
        max(0, pooled.negatives - sum(both[1] for both in counts.values())),
    )
    for number, name in enumerate(null):
        counts[name] = (0, 0) if number else left
    return suppress(counts, own, min_cell)
