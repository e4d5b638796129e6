"""What an evaluation of cohorts shows: to the owner of their folders all, to others what may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from server.disclosure.coarse import coarse
from server.disclosure.evaluations import HIDDEN, ShownEvaluations
from server.disclosure.groups import Counts
from server.disclosure.rounding import (
    decimals,
    rounded,
    rounded_count,
    rounded_interval,
    rounded_value,
    standard_error,
)
from server.disclosure.suppression import Suppression, below_limit
from server.external.performance import point_outcomes, roc_corners
from server.results.external import (
    Chosen,
    CohortOutcome,
    ExternalEvaluation,
    FindingSubgroup,
    Performance,
    PointOutcome,
    RocCorner,
)
from server.results.shown import Audience, Shown
from shared.limits import MIN_CELL
from shared.metrics.histogram import Histogram, summed
from shared.metrics.reliability import ReliabilityGroup
from shared.metrics.scored import CalibrationQuality, Estimate, Scored


def shown_evaluation(
    exact: ExternalEvaluation,
    audience: Audience,
    limits: Mapping[str, int],
    earlier: ShownEvaluations,
) -> Shown[ExternalEvaluation]:
    """The evaluation for its audience; `limits` has each cohort's own `min-cell`.

    For others, a cohort or subgroup with fewer patients of a class is hidden, and so are others of
    which it could be computed with the totals or with what was shown before (`earlier`). Subgroups
    of all cohorts together are left out.
    """
    if audience is Audience.OWNER:
        return Shown(exact)
    counts = {one.name: _counts(one.performance) for one in exact.cohorts}
    strictest = {name: max(MIN_CELL, limits[name]) for name in counts}
    decision = earlier.cohorts(counts, below_limit(counts, strictest))
    pooled = exact.pooled
    if pooled is not None:
        hidden = summed(
            one.performance.counts
            for one in exact.cohorts
            if one.performance is not None and one.name in decision.hidden
        )
        shown = _shown(pooled.performance, hidden, exact.chosen) if decision.shows_totals else None
        pooled = replace(pooled, performance=shown, images=_images(pooled, shown), subgroups=())
    return Shown(
        replace(
            exact,
            audience=Audience.OTHERS,
            cohorts=tuple(
                _cohort(one, strictest[one.name], decision, exact.chosen, earlier)
                for one in exact.cohorts
            ),
            pooled=pooled,
        )
    )


def _cohort(
    exact: CohortOutcome,
    limit: int,
    decision: Suppression,
    chosen: Chosen,
    earlier: ShownEvaluations,
) -> CohortOutcome:
    shown = None
    if exact.name not in decision.hidden:
        shown = _shown(exact.performance, Histogram.empty(), chosen)
    return replace(
        exact,
        performance=shown,
        images=_images(exact, shown),
        subgroups=_subgroups(exact, limit, chosen, earlier, whole=shown is not None),
    )


def _subgroups(
    cohort: CohortOutcome, limit: int, chosen: Chosen, earlier: ShownEvaluations, *, whole: bool
) -> tuple[FindingSubgroup, ...]:
    """Without those that are small, or that could be computed from the others and the whole.

    In the place of those of a column there is one, `HIDDEN`.
    """
    found: list[FindingSubgroup] = []
    for column in dict.fromkeys(one.column for one in cohort.subgroups):
        own = [one for one in cohort.subgroups if one.column == column]
        counts = {one.value: _counts(one.performance) for one in own}
        small = below_limit(counts, dict.fromkeys(counts, limit))
        hidden = frozenset(counts)
        if whole:
            hidden = earlier.subgroups(cohort.name, column, counts, small, limit)
        found += [
            replace(one, performance=_shown(one.performance, Histogram.empty(), chosen))
            for one in own
            if one.value not in hidden
        ]
        if hidden:  # their names would say that such a patient is there
            found.append(FindingSubgroup(column, HIDDEN, None))
    return tuple(found)


def _images(cohort: CohortOutcome, shown: Performance | None) -> int | None:
    return None if shown is None else rounded_count(cohort.images)


def _counts(exact: Performance | None) -> Counts:
    return (0, 0) if exact is None else (exact.positives, exact.negatives)


def _shown(exact: Performance | None, hidden: Histogram, chosen: Chosen) -> Performance | None:
    """Rounded metrics, and all that is by score from counts in groups (`coarse`)."""
    if exact is None:
        return None
    counts = coarse(exact.counts, hidden, MIN_CELL)
    grouped, places = Scored.of_bins(counts), decimals(exact.patients)
    after = grouped.recalibrated(*chosen.recalibration) if chosen.recalibration else grouped
    return replace(
        exact,
        prevalence=_estimate(exact.prevalence, exact.patients),
        auroc=_estimate(exact.auroc, exact.patients),
        auprc=_estimate(exact.auprc, exact.positives),
        points=tuple(_point(one, exact) for one in point_outcomes(grouped, exact.points)),
        before=_quality(exact.before, grouped, exact.patients),
        after=exact.after and _quality(exact.after, after, exact.patients),
        roc=tuple(_corner(one, places) for one in roc_corners(grouped, MIN_CELL)),
        counts=counts,
        metrics=rounded(exact.metrics),
    )


def _corner(exact: RocCorner, places: int) -> RocCorner:
    return RocCorner(
        round(exact.false_positive_rate, places), round(exact.true_positive_rate, places), None
    )


def _point(grouped: PointOutcome, exact: Performance) -> PointOutcome:
    return replace(
        grouped,
        sensitivity=_estimate(grouped.sensitivity, exact.positives),
        specificity=_estimate(grouped.specificity, exact.negatives),
        positive_predictive_value=_estimate(grouped.positive_predictive_value, exact.patients),
        negative_predictive_value=_estimate(grouped.negative_predictive_value, exact.patients),
        counts=None,
    )


def _quality(exact: CalibrationQuality, grouped: Scored, patients: int) -> CalibrationQuality:
    places = decimals(patients)
    groups = grouped.calibration(MIN_CELL).reliability
    return CalibrationQuality(
        brier=_estimate(exact.brier, patients),
        ece=_estimate(exact.ece, patients),
        in_the_large=_estimate(exact.in_the_large, patients),
        intercept=_estimate(exact.intercept, patients),
        slope=_estimate(exact.slope, patients),
        reliability=tuple(_group(one, places) for one in groups),
    )


def _group(exact: ReliabilityGroup, places: int) -> ReliabilityGroup:
    low, high = exact.share_ci95
    return replace(
        exact,
        mean_probability=round(exact.mean_probability, places),
        share_positive=round(exact.share_positive, places),
        share_ci95=(round(low, places), round(high, places)),
    )


def _estimate(exact: Estimate, patients: int) -> Estimate:
    """To the digits that its interval and so many patients support."""
    error = standard_error(exact.ci95)
    return Estimate(
        rounded_value(exact.value, patients, error), rounded_interval(exact.ci95, patients, error)
    )
