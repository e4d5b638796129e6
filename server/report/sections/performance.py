"""The final model at the patients it was evaluated on, as numbers and curves."""

from __future__ import annotations

from collections.abc import Callable

from server.report.data import CohortResults, Report
from server.report.html import Html, element, joined, paragraph, section, table
from server.report.numbers import NOT_DEFINED, interval, share
from server.report.sections.curves import roc_figure
from server.report.sections.reliability import reliability_figure
from server.report.sections.scores import scores_figure
from shared.metrics.calibration import fit_temperature
from shared.metrics.histogram import Histogram
from shared.metrics.operating import (
    Share,
    ThresholdPerformance,
    at_threshold,
    threshold_at_sensitivity,
    youden_threshold,
)

_MEASURES: tuple[tuple[str, Callable[[ThresholdPerformance], Share | None]], ...] = (
    ("sensitivity", lambda point: point.sensitivity),
    ("specificity", lambda point: point.specificity),
    ("positive predictive value", lambda point: point.positive_predictive_value),
    ("negative predictive value", lambda point: point.negative_predictive_value),
)


def performance_section(report: Report) -> Html:
    """One part for each cohort; a sentence where nothing was evaluated."""
    if not report.cohorts:
        text = "No round is finished yet, so no model has been evaluated."
        return section("performance", "Performance", paragraph(text))
    parts = [_part(report, cohort) for cohort in report.cohorts]
    return section("performance", "Performance", *parts)


def _part(report: Report, cohort: CohortResults) -> Html:
    heading = element("h3", cohort.title[0].upper() + cohort.title[1:])
    if cohort.pooled is None:
        return joined(heading, paragraph("Not shown: it would reveal too few patients of a site."))
    if cohort.counts is None:
        text = (
            "The run is not finished, so there are no curves of its final model yet."
            if not report.finished
            else "This run kept no scores (it has no evaluation.json), so there is no ROC curve, "
            "reliability curve or score distribution."
        )
        return joined(heading, paragraph(text))
    plots = joined(
        roc_figure(cohort, cohort.counts, report.min_cell),
        reliability_figure(cohort, cohort.counts, report.min_cell, _temperature(report, cohort)),
        scores_figure(cohort, cohort.counts, report.min_cell),
        element("div", _operating_points(report, cohort, cohort.counts), _grade(cohort)),
    )
    return joined(heading, element("div", plots, class_="plots"))


def _validated(report: Report, cohort: CohortResults) -> Histogram | None:
    """Validation patients' scores, where the cohort is another one."""
    if cohort.name == "validation":
        return None
    return next((c.counts for c in report.cohorts if c.name == "validation"), None)


def _temperature(report: Report, cohort: CohortResults) -> float | None:
    other = _validated(report, cohort)
    if other is None:
        return None
    return fit_temperature(other) if report.chosen is None else report.chosen.temperature


def _chosen(report: Report, validation: Histogram) -> list[tuple[str, float | None]]:
    """The run's own thresholds; where its folder has none, those that it would have chosen."""
    if report.chosen is None:
        youden, sensitive = youden_threshold(validation), threshold_at_sensitivity(validation, 0.9)
    else:
        known = {point.name: point.threshold for point in report.chosen.points}
        youden, sensitive = known.get("youden"), known.get("sensitivity-0.9")
    return [("maximum Youden index", youden), ("sensitivity of 0.90 or more", sensitive)]


def _operating_points(report: Report, cohort: CohortResults, counts: Histogram) -> Html:
    """What thresholds do; chosen ones only where they were chosen on other patients."""
    chosen: list[tuple[str, float | None]] = [("default threshold (0.5)", 0.5)]
    other = _validated(report, cohort)
    if other is not None:
        chosen += _chosen(report, other)
    points = {
        name: at_threshold(counts, threshold) for name, threshold in chosen if threshold is not None
    }
    rows: list[tuple[str, ...]] = [
        ("probability", *(share(point.confusion.threshold) for point in points.values()))
    ]
    rows += [
        (name, *(_with_interval(measure(point)) for point in points.values()))
        for name, measure in _MEASURES
    ]
    note = "Predictive values hold only at the prevalence in these patients. " + (
        "Only the default threshold is shown: others, if the run could choose any, were chosen on "
        "these same patients (calibration.json), and would look better here than they are."
        if len(points) == 1
        else "All thresholds but the first were chosen on validation patients, not on these."
    )
    of_patients = cohort.title.removesuffix(" patients")
    caption = f"Operating points in the {of_patients} set, with exact 95 % CIs"
    return joined(table(caption, ("threshold", *points), rows), paragraph(note, class_="note"))


def _with_interval(value: Share | None) -> str:
    if value is None:
        return NOT_DEFINED
    limits = element("span", f"({interval(value.ci95)})", class_="ci")
    return joined(share(value.value), " ", limits)


def _grade(cohort: CohortResults) -> Html | None:
    if cohort.grade is None:
        return None
    grade = cohort.grade
    text = (
        f"For comparison, the sites' clinical grade alone has an AUROC of {share(grade.auroc)} "
        f"(95 % CI {interval(grade.auroc_ci95)}) in those of the {cohort.title} who have "
        f"one; the model has {share(grade.model_auroc)} in the same patients."
    )
    if grade.difference is not None:
        text += f" The difference is {grade.difference:+.3f}"
        if grade.difference_ci95 is not None and grade.p is not None:
            p = "p < 0.001" if grade.p < 0.001 else f"p = {grade.p:.3f}"
            text += f" (95 % CI {interval(grade.difference_ci95)}; {p}, DeLong's test)"
        text += "."
    return paragraph(text)
