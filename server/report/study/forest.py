"""Forest plots: a value with its interval for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from server.report.html import Html
from server.report.plot import BLUE, MUTED, drawing, to_svg

LETTERS = 24
"""Longer labels are cut; the table beside the plot has them whole."""


@dataclass(frozen=True)
class Row:
    """A line of the plot; without an interval the value alone."""

    label: str
    value: float
    interval: tuple[float, float] | None


def forest(rows: Sequence[Row], axis: str, middle: float, name: str, description: str) -> Html:
    """The rows from top to bottom, with a dotted line at `middle`, where there is no effect."""
    with drawing(1.1 + 0.36 * len(rows)) as canvas:
        axes: Axes = canvas.subplots()
        axes.axvline(middle, color=MUTED, linewidth=0.9, linestyle=":")
        for number, row in enumerate(rows):
            if row.interval is not None:
                axes.plot(row.interval, (number, number), color=BLUE, linewidth=1.6)
            axes.plot(row.value, number, "s", color=BLUE, markersize=5)
        axes.set_yticks(range(len(rows)), [_cut(row.label) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(axis)
        return to_svg(canvas, name, axis, description)


def _cut(label: str) -> str:
    return label if len(label) <= LETTERS else f"{label[: LETTERS - 1]}\u2026"
