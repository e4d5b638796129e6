"""ROC curves: of all cohorts in one plot, and of one with its band and the chosen thresholds."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from server.report.html import Html, figure, table
from server.report.numbers import metric, share
from server.report.plot import (
    BLUE,
    LETTERS,
    LINES,
    MUTED,
    ORANGE,
    SERIES,
    drawing,
    legend,
    to_svg,
)
from server.report.sections.curves import draw_band
from server.results.external import CohortOutcome, Performance
from shared.metrics.curve import roc_points

CURVES = 6
_MARKS = "osD^v"
_DRAWN = 1000
_ROWS = 200
"""A longer table of points is left to roc.csv."""


def overview_figure(cohorts: Sequence[CohortOutcome]) -> Html:
    """The curves of the first cohorts."""
    drawn = [one for one in cohorts if one.performance is not None][:CURVES]
    with drawing(4.6) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        for number, one in enumerate(drawn):
            assert one.performance is not None
            axes.plot(
                *_line(one.performance), color=SERIES[number], linewidth=1.8,
                linestyle=LINES[number - 1] if number else "-", label=one.name[:LETTERS],
            )  # fmt: skip
        _frame(axes)
        legend(axes)
        svg = to_svg(
            canvas, "roc-overview", "ROC curves of the cohorts",
            "True positive rate against false positive rate, by cohort.",
        )  # fmt: skip
    caption = "ROC curves of the cohorts" + (
        f"; {len(drawn)} of {len(cohorts)}." if len(drawn) < len(cohorts) else "."
    )
    rows = [(one.name, metric(one.performance.auroc.value)) for one in drawn if one.performance]
    return figure(svg, caption, table("AUROC of the curves", ("cohort", "AUROC"), rows))


def roc_figure(name: str, found: Performance, identifier: str, min_cell: int) -> Html:
    """One cohort's curve with its band; marks are the operating points, chosen elsewhere."""
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        draw_band(axes, found.counts, min_cell)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        axes.plot(*_line(found), color=BLUE, linewidth=2.0, label="model")
        _draw_points(axes, found)
        _frame(axes)
        legend(axes)
        svg = to_svg(
            canvas, f"roc-{identifier}", f"ROC curve of {name}",
            "True positive rate against false positive rate for every threshold; AUROC "
            f"{metric(found.auroc.value)}.",
        )  # fmt: skip
    caption = (
        f"ROC curve of {name}. The shaded area is a 95 % confidence band: 95 % of such bands "
        "contain the whole true curve. Marks are thresholds that the run chose on its own "
        "validation patients."
    )
    if min_cell:
        caption += f" Each step joins at least {min_cell} patients, so marks may lie off the line."
    return figure(svg, caption, _numbers(name, found))


def _draw_points(axes: Axes, found: Performance) -> None:
    for point, mark in zip(found.points, _MARKS, strict=False):
        if point.sensitivity.value is not None and point.specificity.value is not None:
            axes.plot(
                1 - point.specificity.value, point.sensitivity.value, mark, color=ORANGE,
                markersize=6, markerfacecolor="none", linestyle="none", clip_on=False,
                label=point.title.replace(" or more", "+"),
            )  # fmt: skip


def _line(found: Performance) -> tuple[list[float], list[float]]:
    """The curve's corners; of many patients those between score bins, which look the same."""
    corners = found.roc if len(found.roc) <= _DRAWN else roc_points(found.counts)
    return (
        [corner.false_positive_rate for corner in corners],
        [corner.true_positive_rate for corner in corners],
    )


def _frame(axes: Axes) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel("false positive rate (1 - specificity)")
    axes.set_ylabel("true positive rate (sensitivity)")


def _numbers(name: str, found: Performance) -> Html:
    rows = [
        (
            share(corner.false_positive_rate),
            share(corner.true_positive_rate),
            "above all" if corner.threshold is None else share(corner.threshold),
        )
        for corner in found.roc[:_ROWS]
    ]
    caption = f"Points of the ROC curve, {name}"
    if len(found.roc) > _ROWS:
        caption += f"; the first {_ROWS} of {len(found.roc)}, all are in roc.csv"
    return table(caption, ("false positive rate", "true positive rate", "threshold"), rows)
