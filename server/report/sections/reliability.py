"""Whether the model's probabilities can be believed: the reliability curve."""

from __future__ import annotations

from server.report.data import CohortResults
from server.report.html import Html, figure
from server.report.numbers import share
from server.report.reliability import reliability_plot, reliability_table
from shared.metrics.binary import brier
from shared.metrics.calibration import (
    apply_temperature,
    calibration_in_the_large,
    recalibration,
)
from shared.metrics.histogram import Histogram, bin_logits
from shared.metrics.reliability import reliability_curve

FEWEST = 5
"""Patients that a group needs to say anything of a share; the rules of disclosure may ask more."""


def reliability_figure(
    cohort: CohortResults, counts: Histogram, min_cell: int, temperature: float | None = None
) -> Html:
    """Share of positives over the model's probability, with intervals and a table.

    With a `temperature`, which was fitted to other patients, the probabilities after it as well.
    """
    min_cell = max(min_cell, FEWEST)
    curves = {"uncalibrated": reliability_curve(counts, min_cell=min_cell)}
    if temperature is not None:
        tempered = apply_temperature(bin_logits(), temperature)
        curves[f"temperature {temperature:.2f}"] = reliability_curve(
            counts, min_cell=min_cell, probabilities=tempered
        )
    name, title = f"reliability-{cohort.name}", f"Reliability curve of {cohort.title}"
    svg = reliability_plot(curves, name, title)
    caption = _caption(cohort, counts, min_cell) + _after(counts, temperature)
    numbers = reliability_table(curves, f"Groups of the reliability curve, {cohort.title}")
    return figure(svg, caption, numbers)


def _caption(cohort: CohortResults, counts: Histogram, min_cell: int) -> str:
    text = (
        f"Reliability in {cohort.title}: on the dotted line, three in ten patients with a "
        "probability of 0.3 have the finding. Patients are in groups of 0.1, joined until each "
        f"has {min_cell} or more; bars are 95 % CIs."
    )
    fit, shift = recalibration(counts), calibration_in_the_large(counts)
    if shift is None:
        return f"{text} Calibration cannot be estimated from patients of one class alone."
    text += (
        f" Calibration-in-the-large {shift:+.2f} (0 is ideal; negative where probabilities are too "
        "high)"
    )
    if fit is None:
        return f"{text}; the calibration slope cannot be estimated from these patients."
    return f"{text}, slope {fit.slope:.2f} (1 is ideal; less where scores are too extreme)."


def _after(counts: Histogram, temperature: float | None) -> str:
    if temperature is None:
        return ""
    tempered = apply_temperature(bin_logits(), temperature)
    return (
        " The temperature was fitted to validation patients; with it the Brier score here is "
        f"{share(brier(counts, tempered))}, without it {share(brier(counts))}."
    )
