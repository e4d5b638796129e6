"""Each arm in the held-out patients: areas, curves, table."""

from __future__ import annotations

from matplotlib.axes import Axes

from server.report.html import Html, element, figure, paragraph, section, table
from server.report.numbers import megabytes, share
from server.report.plot import (
    LETTERS,
    LINES,
    MUTED,
    SERIES,
    drawing,
    legend,
    to_svg,
)
from server.report.study.areas import areas_figure
from server.report.study.class_arms import class_arms_section
from server.report.study.data import StudyReport
from server.report.study.words import spread, with_interval
from server.results.study import ArmResult, StudyResult
from server.study.table import remarks
from server.study.wording import rounds_text

CURVES = 6


def arms_section(report: StudyReport) -> Html:
    """Areas under the curve as a forest plot, the curves of the first arms, and the table."""
    if not isinstance(report.result, StudyResult):
        return class_arms_section(report.result)
    arms = report.result.arms
    return section(
        "arms",
        "Arms",
        element("div", areas_figure(arms), _curves(arms), class_="plots"),
        _table(arms),
        *(paragraph(text, class_="note") for text in remarks(report.result)),
    )


def _curves(arms: tuple[ArmResult, ...]) -> Html:
    # Those of all sites first; the sort keeps the order of the others.
    drawn = sorted(arms, key=lambda one: -sum(one.patients))[:CURVES]
    with drawing(4.6) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        for number, one in enumerate(drawn):
            axes.plot(
                *zip(*one.curve, strict=True) if one.curve else ((), ()),
                color=SERIES[number], linewidth=1.4 if number else 2.2,
                linestyle=LINES[number - 1] if number else "-", label=one.arm.name[:LETTERS],
            )  # fmt: skip
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel("false positive rate (1 - specificity)")
        axes.set_ylabel("true positive rate (sensitivity)")
        legend(axes)
        svg = to_svg(
            canvas, "roc", "ROC curves of the arms",
            "True positive rate against false positive rate in held-out patients, by arm.",
        )  # fmt: skip
    caption = (
        "ROC curves in held-out patients, of the scores of all folds and repeats together"
        + (f"; {CURVES} of {len(arms)} arms are drawn." if len(arms) > CURVES else ".")
        + " Points are joined until each step holds as many patients as may be shown."
    )
    rows = [(one.arm.name, share(x), share(y)) for one in drawn for x, y in one.curve]
    head = ("arm", "false positive rate", "true positive rate")
    return figure(svg, caption, table("Points of the ROC curves", head, rows))


def _table(arms: tuple[ArmResult, ...]) -> Html:
    head = (
        "arm", "with the finding", "without", "AUROC", "balanced accuracy at 0.5", "F1 at 0.5",
        "Brier score", "rounds of a run", "data transferred by a run",
    )  # fmt: skip
    rows = [
        (
            one.arm.name,
            str(one.patients[0]),
            str(one.patients[1]),
            with_interval(one.auroc, one.auroc_ci95),
            spread(one.balanced_accuracy),
            spread(one.f1),
            spread(one.brier),
            rounds_text(one.rounds),
            megabytes(round(one.megabytes * 1e6)),
        )
        for one in arms
    ]
    return table("Arms; mean (standard deviation over repeats)", head, rows)
