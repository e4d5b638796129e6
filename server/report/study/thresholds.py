"""Calibration and operating points: chosen on validation patients, evaluated on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence

from server.report.html import Html, element, figure, joined, paragraph, section, table
from server.report.numbers import share
from server.report.reliability import reliability_plot, reliability_table
from server.report.study.data import StudyReport
from server.report.study.words import spread
from server.results.study import ArmResult, StudyResult

_POINTS = {
    "youden": "maximum Youden index",
    "sensitivity-0.8": "sensitivity of 0.80 or more",
    "sensitivity-0.9": "sensitivity of 0.90 or more",
    "sensitivity-0.95": "sensitivity of 0.95 or more",
}


def thresholds_section(report: StudyReport) -> Html:
    """The first arm's reliability curve, and every arm's operating points and Brier scores."""
    assert isinstance(report.result, StudyResult)
    arms = report.result.arms
    return section(
        "thresholds",
        "Calibration and thresholds",
        element("div", _reliability(arms[0]), _brier(arms), class_="plots"),
        *map(_points, arms),
        paragraph(
            "A threshold that reaches a sensitivity in a few validation patients need not reach it "
            "in others: the tables show what it reached. Predictive values hold only at this "
            "prevalence. Where a run could choose no threshold, because its validation patients "
            "were all of one class, 0.5 was used.",
            class_="note",
        ),
    )


def _reliability(arm: ArmResult) -> Html:
    curves = {"uncalibrated": arm.reliability, "temperature-scaled": arm.reliability_calibrated}
    svg = reliability_plot(curves, "reliability", f"Reliability of {arm.arm.name}")
    caption = (
        f"Reliability of {arm.arm.name} in held-out patients: on the dotted line, three in ten "
        "patients with a probability of 0.3 have the finding. The temperature was fitted to each "
        "run's validation patients. CIs are for the number of patients in one repeat."
    )
    return figure(svg, caption, reliability_table(curves, "Groups of the reliability curve"))


def _brier(arms: Sequence[ArmResult]) -> Html:
    rows = [(one.arm.name, spread(one.brier), spread(one.brier_calibrated)) for one in arms]
    head = ("arm", "uncalibrated", "temperature-scaled")
    caption = "Brier score in held-out patients; mean (standard deviation over repeats)"
    note = "0 is perfect; predicting the prevalence for everybody scores"
    positives, negatives = arms[0].patients
    prevalence = positives / (positives + negatives)
    text = f"{note} {share(prevalence * (1 - prevalence))} in those of the first arm."
    return element("div", joined(table(caption, head, rows), paragraph(text, class_="note")))


def _points(arm: ArmResult) -> Html:
    rows = [
        (
            _POINTS.get(point.name, point.name),
            spread(point.sensitivity),
            spread(point.specificity),
            spread(point.positive_predictive_value),
            spread(point.negative_predictive_value),
        )
        for point in arm.points
    ]
    head = (
        "chosen for", "sensitivity", "specificity", "positive predictive value",
        "negative predictive value",
    )  # fmt: skip
    caption = (
        f"{arm.arm.name}: thresholds chosen on validation patients, evaluated on held-out ones"
    )
    return table(caption, head, rows)
