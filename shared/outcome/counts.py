"""Counts by class under their names, as messages, summaries and files have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from shared.metrics.classes.counts import ClassCounts
    from shared.metrics.classes.kinds import Counts
    from shared.metrics.classes.labels import LabelCounts
    from shared.metrics.histogram import Histogram

KIND = "outcome"
"""Key of the outcome's kind in the metrics of all but a binary one."""
_Written = TypeVar("_Written")


def named(counts: Histogram) -> dict[str, NDArray[np.int64]]:
    """Each class's patients in each bin."""
    return dict(zip(BINARY.keys, counts.by_class, strict=True))


def from_named(
    written: Mapping[str, _Written], read: Callable[[_Written], NDArray[np.int64]]
) -> Histogram:
    """Back from each class's counts as they are written, which `read` reads.

    KeyError where a class is missing; ValueError where no patients can have the counts.
    """
    return BINARY.of_classes([read(written[key]) for key in BINARY.keys])


def by_bin(counts: Histogram, prefix: str = "") -> dict[str, list[int]]:
    """`named` with lists as values and a prefix to the names."""
    return {f"{prefix}{key}": own.tolist() for key, own in named(counts).items()}


def totals(counts: Histogram) -> dict[str, int]:
    """Each class's patients."""
    return dict(zip(BINARY.keys, counts.totals, strict=True))


def shown_totals(metrics: Mapping[str, Any]) -> dict[str, int | None]:
    """Class (as tables name it) -> patients, of the metrics of a summary; None where hidden."""
    return {one.word: metrics.get(one.counted_as) for one in BINARY.classes}


def summed_counts(outcome: Outcome, counts: Iterable[Counts]) -> Counts:
    """All patients of several sites' counts together; none of none."""
    total: Any = outcome.empty()
    for one in counts:
        total = total + one
    whole: Counts = total
    return whole


def metrics_of(outcome: Outcome, counts: Counts) -> dict[str, Any]:
    """The metrics of counts, as summary.json has them."""
    from shared.metrics.classes.summary import summarise_counts
    from shared.metrics.histogram import Histogram
    from shared.metrics.summary import summarise

    if isinstance(counts, Histogram):
        return summarise(counts).to_json()
    return {KIND: outcome.kind, **summarise_counts(outcome.names, counts).to_json()}


def splits_of(outcome: Outcome, counts: ClassCounts | LabelCounts) -> dict[str, Histogram]:
    """Binary counts by name: of each class against the rest, of each cut, or of each label.

    A cut has the name of the lowest class above it.
    """
    from shared.metrics.classes.counts import ClassCounts
    from shared.metrics.classes.kinds import contrasts_of

    cuts = isinstance(counts, ClassCounts) and counts.ordinal
    names = outcome.names[1:] if cuts else outcome.names
    return dict(zip(names, contrasts_of(counts), strict=True))


def hidden_metrics(outcome: Outcome) -> dict[str, Any]:
    """The same where nothing may be shown, not even numbers of patients."""
    from shared.metrics.classes.results import ClassMetrics, LabelMetrics
    from shared.metrics.summary import suppressed

    if outcome == BINARY:
        return suppressed().to_json()
    nothing = ClassMetrics() if outcome.exclusive else LabelMetrics()
    return {KIND: outcome.kind, **nothing.to_json()}


def are_hidden(metrics: Mapping[str, Any]) -> bool:
    """Whether these metrics may not be shown, and so have no numbers of patients."""
    if KIND in metrics:
        return not (metrics.get("classes") or metrics.get("labels"))
    return None in shown_totals(metrics).values()
