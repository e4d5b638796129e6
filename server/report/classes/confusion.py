"""The confusion matrix as a figure."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from server.report.classes.words import View
from server.report.data import ClassCohort
from server.report.html import Html, figure, table
from server.report.plot import BLUE, INK, drawing, to_svg
from shared.limits import MIN_CELL
from shared.metrics.classes.results import ClassMetrics

_LETTERS = 12
_DEEPEST = 0.75
"""Opacity of a cell that holds all of its row's patients; text stays readable on it."""


def confusion_figure(view: View, cohort: ClassCohort) -> Html | None:
    """Patients by true and predicted class; a cell is as deep as its share of the row."""
    metrics = cohort.pooled
    if not isinstance(metrics, ClassMetrics) or metrics.confusion is None:
        return None
    shown = [n for n, one in enumerate(metrics.classes.values()) if one.support is not None]
    names = [list(metrics.classes)[n] for n in shown]
    matrix = [[metrics.confusion[row][column] for column in shown] for row in shown]
    with drawing(1.2 + min(0.55 * len(names), 4.2)) as canvas:
        axes: Axes = canvas.subplots()
        _draw(axes, matrix, names)
        svg = to_svg(
            canvas,
            f"confusion-{cohort.name}",
            f"Confusion matrix of {cohort.title}",
            "Patients by true class, from top to bottom, and predicted class, from left to right.",
        )
    rows = [(name, *(f"{cell:,}" for cell in row)) for name, row in zip(names, matrix, strict=True)]
    numbers = table(f"Confusion matrix, {cohort.title}", ("true class", *names), rows)
    caption = (
        f"Confusion matrix of {cohort.title}: each row has the patients of a true class, each "
        "column those predicted to be of a class; the deeper a cell, the larger its share of the "
        "row."
    )
    if view.min_cell:
        caption += f" Each number is rounded down to a multiple of {MIN_CELL}."
    return figure(svg, caption, numbers)


def _draw(axes: Axes, matrix: list[list[int]], names: list[str]) -> None:
    size = 9.5 if len(names) <= 10 else 6.5
    for y, row in enumerate(matrix):
        whole = sum(row) or 1
        for x, cell in enumerate(row):
            axes.add_patch(
                Rectangle(
                    (x - 0.5, y - 0.5), 1, 1, facecolor=BLUE, alpha=_DEEPEST * cell / whole,
                    linewidth=0,
                )
            )  # fmt: skip
            axes.text(
                x, y, f"{cell:,}", ha="center", va="center", color=INK, fontsize=size
            )  # fmt: skip
    labels = [name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}\u2026" for name in names]
    turned = 0 if sum(map(len, labels)) < 40 else 60
    axes.set_xticks(range(len(names)), labels, rotation=turned)
    axes.set_yticks(range(len(names)), labels)
    axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5))
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
