"""ROC and reliability curves of each class, cut or label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from server.report.classes.words import KINDS, View, split_name
from server.report.data import ClassCohort
from server.report.html import Html, figure, table
from server.report.numbers import interval, share
from server.report.plot import LINES, MUTED, SERIES, drawing, legend, to_svg
from shared.metrics.curve import roc_points
from shared.metrics.histogram import Histogram
from shared.metrics.reliability import reliability_curve

DRAWN = len(SERIES)
FEWEST = 5
"""Patients that a group needs to say anything of a share; the rules of disclosure may ask more."""


def class_roc_figure(view: View, cohort: ClassCohort) -> Html | None:
    """The curve of each class against the rest, of each cut, or of each label."""
    chosen = _chosen(cohort)
    if not chosen:
        return None
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        for number, (name, split) in enumerate(chosen.items()):
            points = roc_points(split, view.min_cell)
            _draw(
                axes, number, split_name(view, name),
                [(point.false_positive_rate, point.true_positive_rate) for point in points],
            )  # fmt: skip
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel("false positive rate (1 - specificity)")
        axes.set_ylabel("true positive rate (sensitivity)")
        legend(axes, columns=3)
        svg = to_svg(
            canvas,
            f"roc-{cohort.name}",
            f"ROC curves of {cohort.title}",
            f"True positive rate against false positive rate, one curve a {KINDS[view.kind]}.",
        )
    caption = f"ROC curves of {cohort.title}, {_of_what(view)}.{_left_out(cohort)}"
    return figure(svg, caption, _corners(view, cohort))


def class_reliability_figure(view: View, cohort: ClassCohort) -> Html | None:
    """How often what was given a probability happened, for each class, cut or label."""
    chosen, least = _chosen(cohort), max(view.min_cell, FEWEST)
    curves = {
        name: groups
        for name, split in chosen.items()
        if (groups := reliability_curve(split, min_cell=least))
    }
    if not curves:
        return None
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="ideal")
        for number, (name, groups) in enumerate(curves.items()):
            line = [(group.mean_probability, group.share_positive) for group in groups]
            _draw(axes, number, split_name(view, name), line, marker="o", markersize=4)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axes.set_xlabel("mean probability given by the model")
        axes.set_ylabel("share of patients")
        legend(axes, columns=3)
        svg = to_svg(
            canvas,
            f"reliability-{cohort.name}",
            f"Reliability curves of {cohort.title}",
            "Share of patients against mean predicted probability, by group of patients.",
        )
    rows = [
        (
            split_name(view, name),
            share(group.mean_probability),
            f"{group.patients:.0f}",
            share(group.share_positive),
            interval(group.share_ci95),
        )
        for name, groups in curves.items()
        for group in groups
    ]
    head = (KINDS[view.kind], "mean probability", "patients", "share", "95 % CI")
    caption = (
        f"Reliability in {cohort.title}, {_of_what(view)}: on the dotted line, three in ten "
        "patients with a probability of 0.3 are of that kind. Patients are in groups of 0.1, "
        f"joined until each has {least} or more.{_left_out(cohort)}"
    )
    numbers = table(f"Groups of the reliability curves, {cohort.title}", head, rows)
    return figure(svg, caption, numbers)


def _draw(
    axes: Axes, number: int, name: str, points: Sequence[tuple[float, float]], **style: Any
) -> None:
    axes.plot(
        [x for x, _ in points], [y for _, y in points], color=SERIES[number],
        linestyle="-" if not number else LINES[number - 1], label=name, **style,
    )  # fmt: skip


def _chosen(cohort: ClassCohort) -> Mapping[str, Histogram]:
    """Those that are drawn: of too many to distinguish, those with the most patients."""
    held = {name: split for name, split in cohort.splits.items() if min(split.totals) > 0}
    largest = sorted(held, key=lambda name: -held[name].total_positives)[:DRAWN]
    return {name: split for name, split in held.items() if name in largest}


def _left_out(cohort: ClassCohort) -> str:
    left = len(cohort.splits) - len(_chosen(cohort))
    return f" {left} more, with fewer patients, are not drawn." if left > 0 else ""


def _of_what(view: View) -> str:
    return {
        "classes": "each class against all others",
        "ordinal": "each grade and those above it against those below",
        "labels": "patients with each label against those without it",
    }[view.kind]


def _corners(view: View, cohort: ClassCohort) -> Html:
    rows = [
        (
            split_name(view, name),
            share(point.false_positive_rate),
            share(point.true_positive_rate),
        )
        for name, split in _chosen(cohort).items()
        for point in roc_points(split, view.min_cell, convex=True)
    ]
    head = (KINDS[view.kind], "false positive rate", "true positive rate")
    return table(f"Corners of the ROC curves, {cohort.title}", head, rows)
