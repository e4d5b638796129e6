"""The head of the page of a run with several classes or labels."""

from __future__ import annotations

from server.report.classes.distinguished import distinguished
from server.report.classes.words import first, kind_of, patients_of
from server.report.data import Report
from server.report.html import Html
from server.report.numbers import (
    NOT_DEFINED,
    NOT_SHOWN,
    in_words,
    listed,
    metric,
    metric_interval,
    percent,
)
from server.report.sections.outcome import head, who
from shared.metrics.classes.results import ClassMetrics, LabelMetrics

FEW = 10
"""Patients of a class, below which a few more or less make another result."""


def class_outcome(report: Report) -> Html:
    """Title, sentence, notices and key figures."""
    return head(
        report,
        f"{who(report)}; {_at(report)}." if report.rounds else "",
        _few(report),
        _tiles(report),
    )


def _at(report: Report) -> str:
    cohort = first(report)
    if cohort is None or cohort.pooled is None:
        return "its performance is not shown, because it would reveal too few patients of a site"
    metrics = cohort.pooled
    which = "it" if report.finished else "before the last of them it"
    return f"in {patients_of(metrics)} {cohort.title} {which} {_said(report, metrics)}"


def _said(report: Report, metrics: ClassMetrics | LabelMetrics) -> str:
    text, more_than_chance = distinguished(
        report.config.predicts, metrics.auroc, metrics.auroc_ci95
    )
    return text + _agreed(metrics, kind_of(report)) if more_than_chance else text


def _agreed(metrics: ClassMetrics | LabelMetrics, kind: str) -> str:
    if not isinstance(metrics, ClassMetrics) or metrics.accuracy is None:
        return ""
    if kind == "ordinal" and metrics.kappa_quadratic is not None:
        return f"; its quadratic weighted kappa was {metric(metrics.kappa_quadratic)}"
    return f" and assigned {percent(metrics.accuracy)} of the patients to their class"


def _few(report: Report) -> str | None:
    cohort = first(report)
    if cohort is None or cohort.pooled is None:
        return None
    sizes = smallest(cohort.pooled)
    few = [f"{name} ({size:,})" for name, size in sizes.items() if size < FEW]
    if not few:
        return None
    return (
        f"Few patients of {listed(few)}: one patient more or less changes these results noticeably."
    )


def smallest(metrics: ClassMetrics | LabelMetrics) -> dict[str, int]:
    """Patients of each class that is shown; of a label the fewer of those with and without it."""
    if isinstance(metrics, ClassMetrics):
        return {
            name: one.support for name, one in metrics.classes.items() if one.support is not None
        }
    return {
        name: min(one.positives, one.negatives)
        for name, one in metrics.labels.items()
        if one.positives is not None and one.negatives is not None
    }


def _tiles(report: Report) -> tuple[tuple[str, str, str], ...]:
    cohort = first(report)
    metrics = cohort.pooled if cohort else None
    if metrics is None:
        return (("Mean AUROC", NOT_SHOWN, ""), ("Patients evaluated", NOT_SHOWN, ""))
    limits = metrics.auroc_ci95
    own = (
        ("Mean AUROC", metric(metrics.auroc),
         f"95 % CI {metric_interval(limits) if limits else NOT_DEFINED}"),
        ("Patients evaluated", patients_of(metrics), _spread(metrics)),
    )  # fmt: skip
    if isinstance(metrics, LabelMetrics):
        return own
    if kind_of(report) == "ordinal":
        named = "Quadratic kappa", metrics.kappa_quadratic, metrics.kappa_quadratic_ci95
    else:
        named = "Balanced accuracy", metrics.balanced_accuracy, metrics.balanced_accuracy_ci95
    name, value, ends = named
    more = f"95 % CI {metric_interval(ends) if ends else NOT_DEFINED}"
    return (own[0], (name, metric(value), more), own[1])


def _spread(metrics: ClassMetrics | LabelMetrics) -> str:
    sizes = smallest(metrics).values()
    if not sizes:
        return ""
    if isinstance(metrics, LabelMetrics):
        return f"{in_words(len(sizes), 'label', 'labels')}"
    return f"{min(sizes):,} to {max(sizes):,} of each class"
