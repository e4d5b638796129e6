"""Which values of a page's tables may be shown, besides what the run's files hide already."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.disclosure.rounding import rounded, rounded_loss, rounded_value
from server.disclosure.run_files import shown_signals, shown_site
from server.disclosure.suppression import Suppression, below_limit, suppress
from server.results.ending import CandidateResult, Ending
from server.run.ledger import RoundRecord
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.summary import BinaryMetrics


def may_show(
    sites: Mapping[str, BinaryMetrics], pooled: BinaryMetrics, min_cell: int
) -> Suppression:
    """The sites to hide, and whether the totals may be shown with the others.

    Hidden are those whose values are null already, those with a class below `min_cell`, and as
    many others as complementary suppression needs (`suppress`).
    """
    counts = {
        name: (metrics.positives, metrics.negatives)
        for name, metrics in sites.items()
        if metrics.positives is not None and metrics.negatives is not None
    }
    null = sorted(set(sites) - set(counts))
    own = {*null, *below_limit(counts, dict.fromkeys(counts, min_cell))}
    if pooled.positives is None or pooled.negatives is None:
        return Suppression(frozenset(own), False)
    # What all null sites hold together is known, and only that sum matters.
    left = (
        max(0, pooled.positives - sum(both[0] for both in counts.values())),
        max(0, pooled.negatives - sum(both[1] for both in counts.values())),
    )
    for number, name in enumerate(null):
        counts[name] = (0, 0) if number else left
    return suppress(counts, own, min_cell)


def metrics_of(document: Mapping[str, Any]) -> BinaryMetrics:
    """The object of summary.json; what it lacks is None, what it has besides is passed over."""
    names = {item.name for item in dataclasses.fields(BinaryMetrics)}
    values = {key: value for key, value in document.items() if key in names}
    pairs = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return BinaryMetrics(**{**values, **pairs})


def round_on_page(record: RoundRecord, min_cell: int) -> RoundRecord:
    """A round of the ledger as a page may show it; a `min_cell` of 0 hides nothing.

    Whatever the ledger holds, hidden sites are left without their numbers, what is of all sites
    without theirs where it would reveal few patients, and the rest is rounded.
    """
    if min_cell == 0:
        return record
    sites = {name: metrics_of(site.metrics) for name, site in record.sites.items()}
    pooled = metrics_of(record.validation)
    decision = may_show(sites, pooled, min_cell)
    patients = sum(site.patients or 0 for site in record.sites.values())
    return replace(
        record,
        sites={
            name: shown_site(
                site,
                (BinaryMetrics() if name in decision.hidden else rounded(sites[name])).to_json(),
                hidden=name in decision.hidden,
            )
            for name, site in record.sites.items()
        },
        loss=rounded_loss(record.loss, patients) if decision.shows_totals and patients else None,
        validation=(rounded(pooled) if decision.shows_totals else BinaryMetrics()).to_json(),
        signals=shown_signals(record.signals, record.validation, totals=decision.shows_totals),
    )


def ending_on_page(
    ending: Ending, pooled: BinaryMetrics | ClassMetrics | LabelMetrics | None, min_cell: int
) -> Ending:
    """How the final model came about as a page may show it; a `min_cell` of 0 hides nothing.

    `pooled` are the validation patients of all sites, None where they are not shown: then the
    candidates are without numbers. So they are where a class or label is left out, whose patients
    an exact file counts; of several classes the log-loss never stands in a file for others.
    """
    if min_cell == 0 or ending.choice is None:
        return ending
    patients = 0 if pooled is None else _patients(pooled)

    def on_page(one: CandidateResult) -> CandidateResult:
        if not patients:
            return CandidateResult(one.share, None, None, None)
        loss = None
        if isinstance(pooled, BinaryMetrics):
            loss = rounded_loss(one.log_loss, patients)
        return CandidateResult(one.share, loss, None, rounded_value(one.auroc, patients))

    shown = tuple(map(on_page, ending.choice.candidates))
    return replace(ending, choice=replace(ending.choice, candidates=shown))


def _patients(pooled: BinaryMetrics | ClassMetrics | LabelMetrics) -> int:
    """Those evaluated; 0 where a class or label is left out of the metrics."""
    if isinstance(pooled, BinaryMetrics):
        return (pooled.positives or 0) + (pooled.negatives or 0)
    if isinstance(pooled, ClassMetrics):
        supports = [one.support for one in pooled.classes.values()]
        return 0 if None in supports else sum(filter(None, supports))
    sizes = [(one.positives, one.negatives) for one in pooled.labels.values()]
    known = [one + other for one, other in sizes if one is not None and other is not None]
    return max(known) if known and len(known) == len(sizes) else 0
