"""What may be shown of an outcome with several classes or labels.

Sites are hidden as of a binary outcome, with each class counted. Beside that, a class or label of
which all sites together have fewer than `min-cell` patients is left out, and its patients with it:
what is shown is computed of the other patients alone, so that nothing of these follows from it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from server.disclosure.class_rounding import rounded_classes, rounded_labels
from server.disclosure.coarse import coarse
from shared.limits import MIN_CELL
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.label_pairs import LabelPairs
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.summary import summarise_classes, summarise_labels
from shared.metrics.histogram import Histogram
from shared.outcome.counts import KIND, splits_of
from shared.outcome.outcome import Outcome

ManyCounts = ClassCounts | LabelCounts


def kept_of(pooled: ManyCounts) -> tuple[int, ...]:
    """The classes or labels that are shown at all, by their place.

    Those of which all sites together have `MIN_CELL` patients; of a label, with and without it.
    None where that leaves a single class.
    """
    if isinstance(pooled, LabelCounts):
        return tuple(n for n, both in enumerate(pooled.support) if min(both) >= MIN_CELL)
    kept = tuple(n for n, patients in enumerate(pooled.support) if patients >= MIN_CELL)
    return kept if len(kept) > 1 else ()


def kept_counts(counts: ManyCounts, kept: Collection[int]) -> tuple[int, ...]:
    """A site's patients of each class that is kept; of labels with and without each."""
    if isinstance(counts, LabelCounts):
        return tuple(number for n in sorted(kept) for number in counts.support[n])
    return tuple(counts.support[n] for n in sorted(kept))


def without_others(counts: ManyCounts, kept: Collection[int]) -> ManyCounts:
    """The same without the patients of the other classes, or without what is known of labels."""
    if isinstance(counts, LabelCounts):
        return _labels_alone(counts, kept)
    others = [n for n in range(counts.classes) if n not in kept]
    scores, confusion, products = (
        one.copy() for one in (counts.scores, counts.confusion, counts.products)
    )
    scores[:, others], confusion[others], products[others] = 0, 0, 0
    return ClassCounts(scores, confusion, products)


def shown_metrics(outcome: Outcome, counts: ManyCounts, kept: Collection[int]) -> dict[str, Any]:
    """Rounded metrics of a group that may be shown, of the classes or labels that are kept."""
    rest = without_others(counts, kept)
    names = outcome.names
    if isinstance(rest, LabelCounts):
        found = rounded_labels(summarise_labels(names, rest), kept).to_json()
    else:
        found = rounded_classes(summarise_classes(names, rest), kept).to_json()
    return {KIND: outcome.kind, **found}


def shown_splits(
    outcome: Outcome, counts: ManyCounts, behind: ManyCounts, kept: Collection[int]
) -> dict[str, Histogram]:
    """What curves are drawn of (`splits_of`), in groups of scores; `behind` are hidden patients."""
    of_hidden = splits_of(outcome, without_others(behind, kept))
    return {
        name: coarse(split, of_hidden.get(name, Histogram.empty()), MIN_CELL)
        for name, split in splits_of(outcome, without_others(counts, kept)).items()
        if min(split.totals) > 0
    }


def _labels_alone(counts: LabelCounts, kept: Collection[int]) -> LabelCounts:
    own = np.array([n in kept for n in range(counts.labels)])
    both = (own[:, None] & own)[:, :, None, None]
    pairs = counts.pairs and LabelPairs(
        counts.pairs.patients * both, counts.pairs.bins * both, counts.pairs.products * both
    )
    return LabelCounts(
        tuple(one if n in kept else Histogram.empty() for n, one in enumerate(counts.histograms)),
        pairs,
    )
