"""Whether the model's probabilities can be believed: the reliability curve."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from server.report.data import Cohort
from server.report.html import Html, figure, table
from server.report.numbers import interval, share
from server.report.plot import BLUE, MUTED, ORANGE, drawing, legend, to_svg
from shared.metrics.binary import brier
from shared.metrics.calibration import apply_temperature, recalibration
from shared.metrics.histogram import Histogram, bin_logits
from shared.metrics.reliability import ReliabilityGroup, reliability_curve


def reliability_figure(
    cohort: Cohort, counts: Histogram, min_cell: int, temperature: float | None = None
) -> Html:
    """Share of positives over the model's probability, with intervals and a table.

    With a `temperature`, which was fitted to other patients, the probabilities after it as well.
    """
    curves = {"as trained": reliability_curve(counts, min_cell=min_cell)}
    if temperature is not None:
        tempered = apply_temperature(bin_logits(), temperature)
        curves[f"at temperature {temperature:.2f}"] = reliability_curve(
            counts, min_cell=min_cell, probabilities=tempered
        )
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="ideal")
        for (label, groups), colour, style in zip(
            curves.items(), (BLUE, ORANGE), ("o-", "s--"), strict=False
        ):
            _draw(axes, groups, label, colour, style)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        axes.set_xlabel("mean probability given by the model")
        axes.set_ylabel("share of patients with the finding")
        legend(axes, columns=3)
        svg = to_svg(
            canvas,
            f"reliability-{cohort.name}",
            f"Reliability curve of {cohort.title}",
            "For groups of patients: the share with the finding over the probability given.",
        )
    caption = _caption(cohort, counts, min_cell) + _after(counts, temperature)
    return figure(svg, caption, _numbers(cohort, curves))


def _draw(
    axes: Axes, groups: tuple[ReliabilityGroup, ...], label: str, colour: str, style: str
) -> None:
    x = [group.mean_probability for group in groups]
    y = [group.share_positive for group in groups]
    below = [group.share_positive - group.share_ci95[0] for group in groups]
    above = [group.share_ci95[1] - group.share_positive for group in groups]
    axes.errorbar(
        x, y, yerr=[below, above], fmt=style, color=colour, markersize=5, linewidth=1.4,
        elinewidth=1, capsize=3, label=label,
    )  # fmt: skip


def _caption(cohort: Cohort, counts: Histogram, min_cell: int) -> str:
    text = (
        f"Reliability of {cohort.title}: on the dotted line a probability of 0.3 comes true in "
        f"three of ten. Groups of ten equal widths, joined until each holds {min_cell} patients."
    )
    fit = recalibration(counts)
    if fit is None:
        return f"{text} Calibration slope and intercept cannot be estimated from these patients."
    return (
        f"{text} Calibration slope {fit.slope:.2f} (1 is ideal, below it scores are too extreme), "
        f"intercept {fit.intercept:.2f} (0 is ideal)."
    )


def _after(counts: Histogram, temperature: float | None) -> str:
    if temperature is None:
        return ""
    tempered = apply_temperature(bin_logits(), temperature)
    return (
        " The temperature was fitted to validation patients; it takes the Brier score here from "
        f"{share(brier(counts))} to {share(brier(counts, tempered))}."
    )


def _numbers(cohort: Cohort, curves: Mapping[str, tuple[ReliabilityGroup, ...]]) -> Html:
    rows = [
        (
            label,
            share(group.mean_probability),
            str(group.patients),
            share(group.share_positive),
            interval(group.share_ci95),
        )
        for label, groups in curves.items()
        for group in groups
    ]
    head = ("scores", "mean probability", "patients", "share with the finding", "95 % interval")
    return table(f"Groups of the reliability curve, {cohort.title}", head, rows)
