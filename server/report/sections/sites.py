"""The model at each site, and what each site contributed."""

from __future__ import annotations

from server.report.data import CohortResults, Contribution, Report
from server.report.html import Html, paragraph, section, table
from server.report.numbers import (
    NOT_SHOWN,
    count,
    duration,
    megabytes,
    metric,
    metric_interval,
    percent,
    ranges,
)
from shared.metrics.summary import BinaryMetrics

_METRICS = (
    "AUROC", "95 % CI", "sensitivity", "specificity", "balanced accuracy", "F1",
    "Brier score", "with the finding", "without",
)  # fmt: skip


def sites_section(report: Report) -> Html:
    """Performance by site for every cohort, and the contributions."""
    if not report.rounds and not report.cohorts:
        return section("sites", "Sites", paragraph("No round is finished yet."))
    return section(
        "sites",
        "Sites",
        *(_performance(cohort) for cohort in report.cohorts),
        why_hidden(report) if _hides(report) else None,
        contributions(report),
    )


def _performance(cohort: CohortResults) -> Html:
    rows = [("all sites", *_cells(cohort.pooled))]
    rows += [(name, *_cells(metrics)) for name, metrics in cohort.sites.items()]
    return table(f"Performance by site, {cohort.title}", ("site", *_METRICS), rows)


def _cells(metrics: BinaryMetrics | None) -> tuple[str, ...]:
    if metrics is None:
        return (NOT_SHOWN,) * len(_METRICS)
    return (
        metric(metrics.auroc),
        metric_interval(metrics.auroc_ci95),
        metric(metrics.sensitivity),
        metric(metrics.specificity),
        metric(metrics.balanced_accuracy),
        metric(metrics.f1),
        metric(metrics.brier),
        count(metrics.positives),
        count(metrics.negatives),
    )


def _hides(report: Report) -> bool:
    return any(None in (c.pooled, *c.sites.values()) for c in report.cohorts)


def why_hidden(report: Report) -> Html:
    """Why numbers are not shown, of a page on which some are not."""
    return paragraph(
        "Not shown: the site has fewer patients of a class than may be shown "
        f"({report.min_cell}, or its own limit), or its numbers could be computed from the totals "
        "and those of the others. For all sites: the totals would reveal such a site.",
        class_="note",
    )


def contributions(report: Report) -> Html | None:
    """What each site gave; None before the first round."""
    if not report.contributions:
        return None
    rows = [_contribution(own, len(report.rounds)) for own in report.contributions]
    head = (
        "site", "rounds", "training images", "training patients", "weight", "time training",
        "time evaluating", "peak memory", "restarted in rounds",
    )  # fmt: skip
    return table("What each site contributed", head, rows)


def _contribution(own: Contribution, rounds: int) -> tuple[str, ...]:
    return (
        own.site,
        f"{len(own.rounds)} of {rounds}",
        count(own.images),
        count(own.patients),
        NOT_SHOWN if own.weight is None else percent(own.weight),
        NOT_SHOWN if own.train_seconds is None else duration(own.train_seconds),
        NOT_SHOWN if own.evaluate_seconds is None else duration(own.evaluate_seconds),
        NOT_SHOWN if own.peak_memory_bytes is None else megabytes(own.peak_memory_bytes),
        ranges(own.afresh),
    )
