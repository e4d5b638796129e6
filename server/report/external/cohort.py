"""One cohort: curves, operating points, calibration and subgroups."""

from __future__ import annotations

from server.report.data import CohortResults
from server.report.external.cells import performance_table, with_interval
from server.report.external.roc import roc_figure
from server.report.html import Html, element, figure, joined, paragraph, section, table
from server.report.numbers import NOT_SHOWN, count, metric
from server.report.reliability import reliability_plot, reliability_table
from server.report.sections.scores import scores_figure
from server.results.external import CohortOutcome, ExternalEvaluation, Performance
from server.results.shown import Audience
from shared.limits import MIN_CELL
from shared.metrics.summary import BinaryMetrics

_CALIBRATION = (
    ("brier", "Brier score"),
    ("ece", "expected calibration error"),
    ("in_the_large", "calibration-in-the-large"),
    ("intercept", "calibration intercept"),
    ("slope", "calibration slope"),
)


def cohort_section(evaluation: ExternalEvaluation, cohort: CohortOutcome, identifier: str) -> Html:
    """All that is known of the model at these patients."""
    found = cohort.performance
    if found is None:
        text = "Not shown: it would reveal too few patients of this cohort."
        return section(identifier, cohort.name, paragraph(text))
    min_cell = 0 if evaluation.audience is Audience.OWNER else MIN_CELL
    return section(
        identifier,
        cohort.name,
        paragraph(_who(cohort, found)),
        performance_table(f"The model at {cohort.name}, with 95 % CIs", "cohort", [cohort])
        if evaluation.pooled is None
        else None,
        element(
            "div",
            roc_figure(cohort.name, found, identifier, min_cell),
            _reliability(evaluation, cohort.name, found, identifier),
            _scores(cohort.name, found, identifier, min_cell),
            element("div", _calibration(evaluation, found)),
            class_="plots",
        ),
        _points(cohort.name, found),
        *_subgroups(cohort),
    )


def _who(cohort: CohortOutcome, found: Performance) -> str:
    images = NOT_SHOWN if cohort.images is None else count(cohort.images)
    return (
        f"{count(found.patients)} patients ({images} images), {count(found.positives)} with "
        f"the finding, {cohort.finding}. A patient's score is the mean probability of the "
        "patient's images."
    )


def _reliability(
    evaluation: ExternalEvaluation, name: str, found: Performance, identifier: str
) -> Html:
    curves = {"uncalibrated": found.before.reliability}
    if found.after is not None:
        curves["recalibrated"] = found.after.reliability
    svg = reliability_plot(curves, f"reliability-{identifier}", f"Reliability curve of {name}")
    caption = (
        f"Reliability of {name}: on the dotted line, three in ten patients with a probability of "
        "0.3 have the finding. Patients are grouped by probability in steps of 0.1; bars are "
        "95 % CIs."
    )
    fit = evaluation.chosen.recalibration
    if fit is not None:
        caption += (
            f" Recalibrated with the run's intercept {fit[0]:+.2f} and slope {fit[1]:.2f}, fitted "
            "to its validation patients."
        )
    return figure(svg, caption, reliability_table(curves, f"Groups of the curve, {name}"))


def _scores(name: str, found: Performance, identifier: str, min_cell: int) -> Html:
    point = found.points[0]
    cohort = CohortResults(
        name=identifier,
        pooled=BinaryMetrics(threshold=point.threshold),
        sites={},
        counts=found.counts,
        site_counts={},
        grade=None,
    )
    return scores_figure(cohort, found.counts, min_cell, title=f"patients of {name}")


def _points(name: str, found: Performance) -> Html:
    rows = [
        (
            point.title,
            metric(point.threshold),
            *(with_interval(share) for _, share in point.shares),
            *(count(cell) for cell in point.counts or ()),
        )
        for point in found.points
    ]
    cells = ("true positives", "false positives", "true negatives", "false negatives")
    head = (
        "chosen for", "threshold", *(name.replace("_", " ") for name, _ in found.points[0].shares),
        *(cells if found.points[0].counts else ()),
    )  # fmt: skip
    caption = f"Operating points at {name}, with exact 95 % CIs"
    note = (
        "All thresholds but the default were chosen on the run's validation patients. "
        "Predictive values hold at this prevalence only."
    )
    return joined(table(caption, head, rows), paragraph(note, class_="note"))


def _calibration(evaluation: ExternalEvaluation, found: Performance) -> Html:
    rows = []
    before, after = dict(found.before.estimates), dict(found.after.estimates) if found.after else {}
    for name, words in _CALIBRATION:
        last = with_interval(after[name]) if after else "none"
        rows.append((words, with_interval(before[name]), last))
    why = None
    if not after:
        why = evaluation.chosen.caution or (
            "The run chose no recalibration: its validation patients were too few, or did not "
            "allow one."
        )
    head = ("", "uncalibrated", "recalibrated")
    note = (
        "Ideal: calibration-in-the-large 0 (below it probabilities are too high), intercept 0, "
        "slope 1 (below it scores are too extreme, above it not extreme enough)."
    )
    return joined(
        table("Calibration, before and after the run's recalibration", head, rows),
        paragraph(note, class_="note"),
        why and paragraph(why, class_="note"),
    )


def _subgroups(cohort: CohortOutcome) -> list[Html]:
    columns = dict.fromkeys(one.column for one in cohort.subgroups)
    return [
        performance_table(
            f"{cohort.name} by {column}, with 95 % CIs",
            column,
            [one for one in cohort.subgroups if one.column == column],
        )
        for column in columns
    ]
