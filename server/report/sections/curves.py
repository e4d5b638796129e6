"""How well the model separates the classes: the ROC curve."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from matplotlib.axes import Axes

from server.report.data import CohortResults
from server.report.html import Html, figure, table
from server.report.numbers import metric, share
from server.report.plot import BLUE, GREEN, LINES, MUTED, ORANGE, PURPLE, drawing, legend, to_svg
from shared.metrics.band import roc_band
from shared.metrics.curve import RocPoint, roc_points
from shared.metrics.histogram import Histogram

SITES_DRAWN = 6
FEWEST = 5
"""Patients of each class that a site's curve needs: that of fewer is a few large steps."""
_CORNERS = 2
"""Points of a curve that says nothing: its ends."""


def roc_figure(cohort: CohortResults, counts: Histogram, min_cell: int) -> Html:
    """The curve of all sites with its band, the sites' own where their counts allow, a table."""
    pooled = roc_points(counts, min_cell)
    sites = _site_curves(cohort, min_cell)
    with drawing(4.3) as canvas:
        axes: Axes = canvas.subplots()
        draw_band(axes, counts, min_cell)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=":", label="chance")
        if len(cohort.sites) > 1:
            _draw_sites(axes, sites)
            _draw_points(axes, _site_points(cohort, sites))
        whole = "all sites" if len(cohort.sites) > 1 else "the site"
        _draw_line(axes, pooled, color=BLUE, linewidth=2.2, label=whole)
        if cohort.pooled and cohort.pooled.sensitivity is not None:
            at = 1 - (cohort.pooled.specificity or 0), cohort.pooled.sensitivity
            label = f"threshold {share(cohort.pooled.threshold, 2)}"
            axes.plot(
                *at, "o", color=BLUE, markersize=6, linestyle="none", label=label, clip_on=False
            )
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel("false positive rate (1 - specificity)")
        axes.set_ylabel("true positive rate (sensitivity)")
        legend(axes, columns=3)
        auroc = metric(cohort.pooled.auroc if cohort.pooled else None)
        svg = to_svg(
            canvas,
            f"roc-{cohort.name}",
            f"ROC curve of {cohort.title}",
            f"True positive rate against false positive rate for every threshold; AUROC {auroc}.",
        )
    return figure(svg, _caption(cohort, sites, min_cell), _numbers(cohort, pooled, sites))


def _site_curves(cohort: CohortResults, min_cell: int) -> dict[str, tuple[RocPoint, ...]]:
    """The curves of the largest sites that have points between the ends, by name."""
    curves = {name: roc_points(own, min_cell) for name, own in cohort.site_counts.items()}
    telling = [
        name
        for name, points in curves.items()
        if len(points) > _CORNERS + 1 and min(cohort.site_counts[name].totals) >= FEWEST
    ]
    telling.sort(key=lambda name: (-_patients(cohort.site_counts[name]), name))
    return {name: curves[name] for name in sorted(telling[:SITES_DRAWN])}


def _patients(counts: Histogram) -> int:
    return counts.total_positives + counts.total_negatives


def draw_band(axes: Axes, counts: Histogram, min_cell: int) -> None:
    """The confidence band, where the counts have one."""
    band = roc_band(counts, min_cell=min_cell)
    if band is not None:
        outline = [*band.lower, *reversed(band.upper)]
        axes.fill(
            [x for x, _ in outline], [y for _, y in outline],
            color=BLUE, alpha=0.13, linewidth=0, label="95 % band",
        )  # fmt: skip


def _draw_sites(axes: Axes, sites: dict[str, tuple[RocPoint, ...]]) -> None:
    colours = (ORANGE, GREEN, PURPLE)
    for number, (name, points) in enumerate(sites.items()):
        _draw_line(
            axes, points, color=colours[number % 3], linewidth=1.2,
            linestyle=LINES[number % len(LINES)], label=f"site {name[:16]}",
        )  # fmt: skip


def _site_points(cohort: CohortResults, curves: Collection[str]) -> dict[str, tuple[float, float]]:
    """Sites that are shown but have no curve, at the threshold; as many as there are markers."""
    shown = {
        name: (1 - own.specificity, own.sensitivity)
        for name, own in cohort.sites.items()
        if own is not None and own.specificity is not None and own.sensitivity is not None
    }
    left = [name for name in shown if name not in curves]
    return {name: shown[name] for name in left[:SITES_DRAWN]}


def _draw_points(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    for (name, at), marker in zip(points.items(), "s^DvP*", strict=False):
        axes.plot(
            *at, marker, color=ORANGE, markersize=5, markerfacecolor="none", linestyle="none",
            clip_on=False, label=f"site {name[:16]}",
        )  # fmt: skip


def _draw_line(axes: Axes, points: tuple[RocPoint, ...], **style: Any) -> None:
    axes.plot(
        [point.false_positive_rate for point in points],
        [point.true_positive_rate for point in points],
        **style,
    )


def _caption(cohort: CohortResults, sites: dict[str, tuple[RocPoint, ...]], min_cell: int) -> str:
    points = _site_points(cohort, sites) if len(cohort.sites) > 1 else {}
    text = (
        f"ROC curve of {cohort.title}: sensitivity and false positive rate at every threshold. "
        "The shaded area is a 95 % confidence band: 95 % of such bands contain the whole true "
        "curve. The dot is the model at its threshold"
    )
    text += (
        f"; each step of the line joins at least {min_cell} patients, so the dot may lie off it."
        if min_cell > 1
        else "."
    )
    if points:
        text += " Hollow marks are sites with too few patients for a curve, at this threshold."
    return text


def _numbers(
    cohort: CohortResults, pooled: tuple[RocPoint, ...], sites: dict[str, tuple[RocPoint, ...]]
) -> Html:
    """No thresholds of single sites: beside the others' they would reveal how many lie between."""
    rows = [
        (
            "all sites",
            share(point.false_positive_rate),
            share(point.true_positive_rate),
            "above all" if point.threshold is None else share(point.threshold),
        )
        for point in pooled
    ]
    if len(cohort.sites) > 1:
        rows += [
            (f"site {name}", share(point.false_positive_rate), share(point.true_positive_rate), "")
            for name, points in sites.items()
            for point in points
        ]
    head = ("curve", "false positive rate", "true positive rate", "threshold")
    return table(f"Points of the ROC curve, {cohort.title}", head, rows)
