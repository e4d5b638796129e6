"""Reliability curves as a plot and as a table, of a run or of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from server.report.html import Html, table
from server.report.numbers import interval, share
from server.report.plot import BLUE, MUTED, ORANGE, drawing, legend, to_svg
from shared.metrics.reliability import ReliabilityGroup

Curves = Mapping[str, Sequence[ReliabilityGroup]]
"""One or two of them, by what the probabilities are."""


def reliability_plot(curves: Curves, name: str, title: str) -> Html:
    """Share of positives against the model's probability, with intervals."""
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="ideal")
        styles = ((BLUE, "o-"), (ORANGE, "s--"))
        for (label, groups), (colour, style) in zip(curves.items(), styles, strict=False):
            _draw(axes, groups, label, colour, style)
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        axes.set_xlabel("mean probability given by the model")
        axes.set_ylabel("share of patients with the finding")
        legend(axes, columns=3)
        return to_svg(
            canvas, name, title,
            "Share with the finding against mean predicted probability, by group of patients.",
        )  # fmt: skip


def _draw(
    axes: Axes, groups: Sequence[ReliabilityGroup], label: str, colour: str, style: str
) -> None:
    y = [group.share_positive for group in groups]
    # An average share may lie a rounding beyond the interval of whole patients.
    below = [max(0.0, group.share_positive - group.share_ci95[0]) for group in groups]
    above = [max(0.0, group.share_ci95[1] - group.share_positive) for group in groups]
    axes.errorbar(
        [group.mean_probability for group in groups], y, yerr=[below, above], fmt=style,
        color=colour, markersize=5, linewidth=1.4, elinewidth=1, capsize=3, label=label,
    )  # fmt: skip


def reliability_table(curves: Curves, caption: str) -> Html:
    """The plot's numbers."""
    rows = [
        (
            label,
            share(group.mean_probability),
            f"{group.patients:.1f}".removesuffix(".0"),
            share(group.share_positive),
            interval(group.share_ci95),
        )
        for label, groups in curves.items()
        for group in groups
    ]
    head = ("scores", "mean probability", "patients", "share with the finding", "95 % CI")
    return table(caption, head, rows)
