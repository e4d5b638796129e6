"""From the sites' histograms to what may be shown of them: pooled and per-site metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.run.evaluation_file import CohortCounts
from server.run.ledger import RoundRecord
from shared.limits import MIN_CELL
from shared.metrics.disclosure import Suppression, suppress
from shared.metrics.histogram import Histogram, summed
from shared.metrics.summary import BinaryMetrics, summarise, suppressed


@dataclass(frozen=True)
class Evaluation:
    """A cohort under a model, as far as it may be shown; objects as summary.json has them."""

    pooled: Mapping[str, Any]
    sites: Mapping[str, Mapping[str, Any]]
    counts: CohortCounts
    hidden: frozenset[str]
    total: Histogram
    """To compute with; `counts` has it where it may be shown."""


def pooled_metrics(histograms: Iterable[Histogram]) -> BinaryMetrics:
    """Metrics of all patients together, whether they may be shown or not."""
    return summarise(summed(histograms))


def evaluation_of(
    histograms: Mapping[str, Histogram],
    own: Collection[str],
    earlier: Sequence[RoundRecord] = (),
) -> Evaluation:
    """What may be shown where the sites in `own` suppress their own values.

    Hidden sites are null throughout. Where the totals would tell a hidden site's counts, they are
    null and so is what holds them: the scores' counts, sensitivity, specificity and interval.
    `earlier` are the run's rounds before, which counted the same patients.
    """
    told = _told(histograms, own, earlier)
    both = told.shows_total_positives and told.shows_total_negatives
    total = summed(histograms.values())
    shown = {name: None if name in told.hidden else one for name, one in histograms.items()}
    return Evaluation(
        pooled=_without_totals(summarise(total), told).to_json(),
        sites={
            name: (suppressed() if one is None else summarise(one)).to_json()
            for name, one in shown.items()
        },
        counts=CohortCounts(total if both else None, shown),
        hidden=told.hidden,
        total=total,
    )


def _told(
    histograms: Mapping[str, Histogram], own: Collection[str], earlier: Sequence[RoundRecord]
) -> Suppression:
    """Complementary suppression, over the rounds too.

    A site that was hidden once stays hidden. Where sites join or leave, the differences of totals
    would be single sites' counts; so behind all totals that are shown stand the same hidden sites,
    and none that was ever shown.
    """
    before = [_hidden_in(record) for record in earlier]
    always = (set(own) | set().union(*before)) & set(histograms)
    counts = {name: (h.total_positives, h.total_negatives) for name, h in histograms.items()}
    told = suppress(counts, always, MIN_CELL)
    behind_totals = {
        hidden
        for hidden, record in zip(before, earlier, strict=True)
        if hidden and not _hides_totals(record)
    }
    ever_shown = {
        name
        for hidden, record in zip(before, earlier, strict=True)
        for name in record.sites.keys() - hidden
    }
    if told.hidden and (behind_totals - {told.hidden} or told.hidden & ever_shown):
        return Suppression(frozenset(always), False, False)
    return told


def _hidden_in(record: RoundRecord) -> frozenset[str]:
    sites = record.sites.items()
    return frozenset(name for name, site in sites if site.metrics.get("positives") is None)


def _hides_totals(record: RoundRecord) -> bool:
    return record.validation.get("positives") is None and record.validation.get("negatives") is None


def _without_totals(metrics: BinaryMetrics, told: Suppression) -> BinaryMetrics:
    """Without the totals that are hidden, and what they could be computed from."""
    positives = metrics.positives if told.shows_total_positives else None
    negatives = metrics.negatives if told.shows_total_negatives else None
    if told.shows_total_positives and told.shows_total_negatives:
        return metrics
    return replace(
        metrics, positives=positives, negatives=negatives,
        sensitivity=None, specificity=None, auroc_ci95=None,
    )  # fmt: skip
