"""What an evaluation of several classes or labels on cohorts shows to others than their owner.

A class or label of which all cohorts together have fewer than `MIN_CELL` patients is left out of
every number, a class with all its patients (`server/disclosure/classes.py`). Cohorts and subgroups
are hidden as of a finding, each class that is kept counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from server.disclosure.class_cohorts import added_up
from server.disclosure.class_rounding import rounded_classes, rounded_labels
from server.disclosure.classes import (
    ManyCounts,
    kept_counts,
    kept_of,
    shown_splits,
    without_others,
)
from server.disclosure.evaluations import HIDDEN, ShownEvaluations
from server.disclosure.groups import Counts
from server.disclosure.rounding import rounded_count
from server.disclosure.suppression import Suppression, below_limit
from server.results.external import (
    ClassCohortOutcome,
    ClassEvaluation,
    ClassPerformance,
    ClassSubgroup,
)
from server.results.shown import Audience, Shown
from shared.limits import MIN_CELL
from shared.metrics.classes.results import ClassMetrics
from shared.metrics.classes.summary import summarise_counts
from shared.outcome.outcome import Outcome
from shared.outcome.registry import parse_outcome


def shown_class_evaluation(
    exact: ClassEvaluation,
    audience: Audience,
    limits: Mapping[str, int],
    earlier: ShownEvaluations,
) -> Shown[ClassEvaluation]:
    """The evaluation for its audience; as `shown_evaluation`."""
    if audience is Audience.OWNER:
        return Shown(exact)
    outcome = parse_outcome(exact.outcome)
    counts = {one.name: _counts_of(one.performance) for one in exact.cohorts}
    kept = kept_of(added_up(outcome, counts))
    rules = _Rules(outcome, kept, {name: max(MIN_CELL, own) for name, own in limits.items()})
    if kept:
        patients = {name: kept_counts(one, kept) for name, one in counts.items()}
        decision = earlier.cohorts(patients, below_limit(patients, rules.limits))
    else:
        decision = Suppression(frozenset(counts), False)
    pooled = exact.pooled
    if pooled is not None:
        behind = {name: one for name, one in counts.items() if name in decision.hidden}
        found = None
        if decision.shows_totals:
            found = rules.shown(pooled.performance, added_up(outcome, behind))
        images = rules.images(pooled, found)
        pooled = replace(pooled, performance=found, images=images, subgroups=())
    cohorts = tuple(_cohort(one, rules, decision, earlier) for one in exact.cohorts)
    return Shown(replace(exact, audience=Audience.OTHERS, cohorts=cohorts, pooled=pooled))


@dataclass(frozen=True)
class _Rules:
    """The classes or labels that are kept, and each cohort's limit."""

    outcome: Outcome
    kept: Sequence[int]
    limits: Mapping[str, int]

    def patients(self, found: ClassPerformance | None) -> Counts:
        """The patients of each class that is kept."""
        return kept_counts(_counts_of(found), self.kept)

    def images(self, cohort: ClassCohortOutcome, shown: ClassPerformance | None) -> int | None:
        """None, too, where some are of patients who are left out."""
        if shown is None or len(self.kept) < len(self.outcome.names):
            return None
        return rounded_count(cohort.images)

    def shown(self, exact: ClassPerformance | None, behind: ManyCounts) -> ClassPerformance | None:
        """Rounded metrics, and curves of groups of scores; `behind` are hidden patients."""
        if exact is None:
            return None
        counts = _counts_of(exact)
        found = summarise_counts(self.outcome.names, without_others(counts, self.kept))
        metrics = (
            rounded_classes(found, self.kept)
            if isinstance(found, ClassMetrics)
            else rounded_labels(found, self.kept)
        )
        splits = shown_splits(self.outcome, counts, behind, self.kept)
        return ClassPerformance(metrics, splits, None)


def _cohort(
    exact: ClassCohortOutcome, rules: _Rules, decision: Suppression, earlier: ShownEvaluations
) -> ClassCohortOutcome:
    found = None
    if exact.name not in decision.hidden:
        found = rules.shown(exact.performance, _nobody(rules.outcome))
    return replace(
        exact,
        performance=found,
        images=rules.images(exact, found),
        subgroups=_subgroups(exact, rules, earlier, whole=found is not None),
    )


def _subgroups(
    cohort: ClassCohortOutcome, rules: _Rules, earlier: ShownEvaluations, *, whole: bool
) -> tuple[ClassSubgroup, ...]:
    """As of a finding: those of a column that are hidden are one, `HIDDEN`."""
    found: list[ClassSubgroup] = []
    limit = rules.limits[cohort.name]
    for column in dict.fromkeys(one.column for one in cohort.subgroups):
        own = [one for one in cohort.subgroups if one.column == column]
        counts = {one.value: rules.patients(one.performance) for one in own}
        hidden = frozenset(counts)
        if whole:
            small = below_limit(counts, dict.fromkeys(counts, limit))
            hidden = earlier.subgroups(cohort.name, column, counts, small, limit)
        found += [
            replace(one, performance=rules.shown(one.performance, _nobody(rules.outcome)))
            for one in own
            if one.value not in hidden
        ]
        if hidden:  # their names would say that such a patient is there
            found.append(ClassSubgroup(column, HIDDEN, None))
    return tuple(found)


def _nobody(outcome: Outcome) -> ManyCounts:
    return added_up(outcome, {})


def _counts_of(found: ClassPerformance | None) -> ManyCounts:
    assert found is not None
    assert found.counts is not None  # an exact evaluation has all
    return found.counts
