"""Calibration and operating points: chosen on validation patients, judged on held-out ones."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from server.report.html import Html, element, figure, joined, paragraph, section, table
from server.report.numbers import interval, share
from server.report.plot import BLUE, MUTED, ORANGE, drawing, legend, to_svg
from server.report.study.data import StudyReport
from server.report.study.words import spread
from server.study.results import ArmResult, Group

_POINTS = {
    "youden": "best sensitivity + specificity",
    "sensitivity-0.8": "sensitivity 0.80 or more",
    "sensitivity-0.9": "sensitivity 0.90 or more",
    "sensitivity-0.95": "sensitivity 0.95 or more",
}


def thresholds_section(report: StudyReport) -> Html:
    """The first arm's reliability curve, and every arm's operating points and Brier scores."""
    first = report.result.arms[0]
    return section(
        "thresholds",
        "Calibration and thresholds",
        element("div", _reliability(first), _brier(report), class_="plots"),
        *(_points(one) for one in report.result.arms),
        paragraph(
            "A threshold that reaches a sensitivity at a few validation patients need not reach it "
            "at others: the tables show what it reached. Predictive values hold for as many "
            "patients with the finding as there are here.",
            class_="note",
        ),
    )


def _reliability(arm: ArmResult) -> Html:
    curves = {"as trained": arm.reliability, "after temperature": arm.reliability_calibrated}
    with drawing(4.4) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="ideal")
        for (label, groups), colour, style in zip(
            curves.items(), (BLUE, ORANGE), ("o-", "s--"), strict=True
        ):
            _draw(axes, groups, label, colour, style)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("mean probability given by the model")
        axes.set_ylabel("share of patients with the finding")
        legend(axes, columns=3)
        svg = to_svg(
            canvas, "reliability", f"Reliability of {arm.arm.name}",
            "For groups of held-out patients: the share with the finding over the probability.",
        )  # fmt: skip
    caption = (
        f"Reliability of {arm.arm.name} at held-out patients: on the dotted line a probability of "
        "0.3 comes true in three of ten. The temperature was fitted to each run's validation "
        "patients. Intervals are for as many patients as there are in one repeat."
    )
    rows = [
        (label, share(g.mean_probability), f"{g.patients:.1f}", share(g.share_positive),
         interval(g.share_ci95))
        for label, groups in curves.items()
        for g in groups
    ]  # fmt: skip
    head = ("scores", "mean probability", "patients", "share with the finding", "95 % interval")
    return figure(svg, caption, table("Groups of the reliability curve", head, rows))


def _draw(axes: Axes, groups: Sequence[Group], label: str, colour: str, style: str) -> None:
    y = [group.share_positive for group in groups]
    below = [max(0.0, g.share_positive - g.share_ci95[0]) for g in groups]
    above = [max(0.0, g.share_ci95[1] - g.share_positive) for g in groups]
    axes.errorbar(
        [group.mean_probability for group in groups], y, yerr=[below, above], fmt=style,
        color=colour, markersize=5, linewidth=1.4, elinewidth=1, capsize=3, label=label,
    )  # fmt: skip


def _brier(report: StudyReport) -> Html:
    rows = [
        (one.arm.name, spread(one.brier), spread(one.brier_calibrated))
        for one in report.result.arms
    ]
    head = ("arm", "as trained", "after temperature")
    caption = "Brier score at held-out patients; mean (standard deviation over repeats)"
    note = "0 is perfect; giving everybody the share of patients with the finding scores"
    positives, negatives = report.result.arms[0].patients
    prevalence = positives / (positives + negatives)
    text = f"{note} {share(prevalence * (1 - prevalence))} at those of the first arm."
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
    caption = f"{arm.arm.name}: thresholds chosen at validation, judged at held-out patients"
    return table(caption, head, rows)
