"""Which scores either class gets: the distribution of the model's probability."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from server.report.data import CohortResults
from server.report.html import Html, figure, table
from server.report.numbers import share
from server.report.plot import BLUE, MUTED, ORANGE, drawing, legend, to_svg
from shared.metrics.histogram import SCORE_BINS, Histogram, bin_probabilities
from shared.metrics.scores import merged_cuts

INTERVALS = 20


@dataclass(frozen=True)
class ScoreGroup:
    """Patients of one class with a probability from `low` to `high`, and their share of it."""

    low: float
    high: float
    patients: int
    share: float

    @property
    def density(self) -> float:
        """Share of the class per interval of the narrowest width, so that none is above 1."""
        return self.share / ((self.high - self.low) * INTERVALS)


def score_groups(counts: NDArray[np.int64], min_cell: int) -> list[ScoreGroup]:
    """One class's patients by probability, `counts` of shape (514,).

    Each class has groups of its own, of equal widths that are joined until each holds `min_cell`
    patients of this class, so that no group reveals fewer, not even none; with a `min_cell` of 0
    none are joined. Empty with fewer in all, and without patients.
    """
    ends = np.arange(INTERVALS + 1) / INTERVALS
    cuts: list[int] = np.searchsorted(bin_probabilities(), ends).tolist()
    cuts[-1] = SCORE_BINS
    probability = dict(zip(cuts, ends.tolist(), strict=True))
    patients: list[int] = counts.tolist()
    total = sum(patients)
    if min_cell == 0:
        joined_cuts = cuts if total else []
    else:
        joined_cuts = merged_cuts(cuts, patients, min_cell)
    return [
        ScoreGroup(
            probability[low], probability[high], held := sum(patients[low:high]), held / total
        )
        for low, high in pairwise(joined_cuts)
    ]


def scores_figure(
    cohort: CohortResults, counts: Histogram, min_cell: int, title: str | None = None
) -> Html:
    """Both classes' distributions and a table; `title` names the patients, else the cohort does."""
    patients = title or f"{cohort.title} of all sites"
    classes = {
        "with the finding": score_groups(counts.positives, min_cell),
        "without": score_groups(counts.negatives, min_cell),
    }
    with drawing(3.0) as canvas:
        axes: Axes = canvas.subplots()
        if cohort.pooled and cohort.pooled.threshold is not None:
            axes.axvline(cohort.pooled.threshold, color=MUTED, linewidth=0.9, linestyle=":")
        for (name, groups), colour in zip(classes.items(), (ORANGE, BLUE), strict=True):
            if groups:
                _draw(axes, name, groups, colour)
        axes.margins(y=0.08)
        axes.set(xlim=(-0.01, 1.01), ylim=(0, None))
        axes.set_xlabel("probability given by the model")
        axes.set_ylabel(f"share of the class per {1 / INTERVALS:g}")
        if any(classes.values()):
            legend(axes)
        svg = to_svg(
            canvas,
            f"scores-{cohort.name}",
            f"Distribution of scores by class, {patients}",
            "How the probabilities of patients with and without the finding are spread.",
        )
    caption = f"Scores of {patients}, by class; the dotted line is the threshold."
    if min_cell > 1:
        caption += (
            f" Each class is grouped by itself, so that each step holds {min_cell} or more of its "
            "patients."
        )
    rows = [
        (name, f"{group.low:.2f} to {group.high:.2f}", str(group.patients), share(group.share))
        for name, groups in classes.items()
        for group in groups
    ]
    head = ("class", "probability", "patients", "share of the class")
    numbers = table(f"Scores by class, {title or cohort.title}", head, rows)
    return figure(svg, caption, numbers)


def _draw(axes: Axes, name: str, groups: list[ScoreGroup], colour: str) -> None:
    edges = [groups[0].low, *(group.high for group in groups)]
    heights = [group.density for group in groups]
    dashes = "-" if colour == ORANGE else "--"
    axes.stairs(heights, edges, color=colour, fill=True, alpha=0.18)
    axes.stairs(heights, edges, color=colour, linewidth=1.8, linestyle=dashes, label=name)
