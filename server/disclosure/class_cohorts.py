"""A cohort of an outcome with several classes or labels, as far as it may be shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from server.disclosure.classes import (
    ManyCounts,
    kept_counts,
    kept_of,
    shown_metrics,
    shown_splits,
)
from server.disclosure.cohorts import CohortDecisions, ShownCohort
from server.run.evaluation_file import CohortCounts
from shared.limits import MIN_CELL
from shared.outcome.counts import hidden_metrics, metrics_of, splits_of, summed_counts
from shared.outcome.outcome import Outcome
from shared.protocol.counts import counts_to_values


def whole_classes(counts: Mapping[str, ManyCounts], outcome: Outcome) -> ShownCohort:
    """The whole cohort, exactly, for the owner of every site's data."""
    total = added_up(outcome, counts)
    return ShownCohort(
        pooled=metrics_of(outcome, total),
        sites={name: metrics_of(outcome, one) for name, one in counts.items()},
        counts=CohortCounts(
            None,
            splits=splits_of(outcome, total),
            by_site={name: counts_to_values(one) for name, one in counts.items()},
        ),
        hidden=frozenset(),
        shows_totals=True,
    )


def shown_classes(
    scope: str,
    counts: Mapping[str, ManyCounts],
    own: Collection[str],
    data: Mapping[str, str],
    outcome: Outcome,
    decisions: CohortDecisions,
) -> ShownCohort:
    """Rounded metrics and coarse counts of the sites and totals that may be shown.

    The sites in `own` suppress their own values, and so do all of which a class that is shown has
    fewer than `MIN_CELL` patients; `data` has a digest of each site's data.
    """
    kept = kept_of(added_up(outcome, counts))
    patients = {name: kept_counts(one, kept) for name, one in counts.items()}
    small = {name for name, own_ in patients.items() if min(own_, default=0) < MIN_CELL}
    decision = decisions.decide(scope, patients, small | set(own), data)
    hidden = decision.hidden
    behind = added_up(outcome, {name: one for name, one in counts.items() if name in hidden})
    total = added_up(outcome, counts) if decision.shows_totals else None
    return ShownCohort(
        pooled=hidden_metrics(outcome) if total is None else shown_metrics(outcome, total, kept),
        sites={
            name: hidden_metrics(outcome) if name in hidden else shown_metrics(outcome, one, kept)
            for name, one in counts.items()
        },
        counts=CohortCounts(
            None, splits={} if total is None else shown_splits(outcome, total, behind, kept)
        ),
        hidden=hidden,
        shows_totals=decision.shows_totals,
    )


def added_up(outcome: Outcome, counts: Mapping[str, ManyCounts]) -> ManyCounts:
    """All patients of these sites together."""
    return cast(ManyCounts, summed_counts(outcome, counts.values()))
