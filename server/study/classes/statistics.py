"""From held-out counts of several classes or labels to an arm's row of the table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from server.disclosure.classes import ManyCounts, without_others
from server.results.plan import Arm
from server.results.study import (
    ClassArm,
    ContrastResult,
    Interval,
    Measure,
    PredictedClass,
    RoundsTaken,
)
from server.study.statistics import mean_interval
from shared.limits import MIN_CELL
from shared.metrics.binary import auroc
from shared.metrics.classes.agreement import macro
from shared.metrics.classes.kinds import most_patients
from shared.metrics.classes.results import ClassMetrics, LabelMetrics
from shared.metrics.classes.summary import summarise_counts
from shared.metrics.curve import roc_points
from shared.metrics.histogram import Histogram, summed
from shared.metrics.interval import auroc_interval
from shared.metrics.repeats import spread
from shared.outcome.counts import splits_of
from shared.outcome.outcome import Outcome

_OF_CLASSES = (
    "auroc_weighted", "auroc_one_vs_one", "accuracy", "balanced_accuracy", "kappa",
    "kappa_quadratic", "f1", "brier", "ece",
)  # fmt: skip
_OF_LABELS = ("auprc", "balanced_accuracy", "f1", "sensitivity", "specificity", "brier", "ece")
Metrics = Sequence[ClassMetrics | LabelMetrics]


def class_arm(
    arm: Arm,
    outcome: Outcome,
    repeats: Sequence[ManyCounts],
    kept: Sequence[int],
    megabytes: float,
    rounds: RoundsTaken,
) -> ClassArm:
    """An arm's metrics, of the classes or labels that are kept alone; the counts by repeat.

    ValueError where no class or label has patients on both sides.
    """
    rest = [without_others(one, kept) for one in repeats]
    metrics = [_of_kept(summarise_counts(outcome.names, one), kept) for one in rest]
    names = [name for name in _metrics_of(metrics[0]) if _held(metrics, name)]
    return ClassArm(
        arm=arm,
        patients=most_patients(rest[0]),
        auroc=spread([one.auroc for one in metrics if one.auroc is not None]),
        auroc_ci95=mean_interval(list(_intervals(metrics, "auroc"))),
        metrics={name: _measure(metrics, name) for name in names},
        contrasts=_contrasts(outcome, rest),
        classes=_classes(metrics, kept),
        megabytes=megabytes,
        rounds=rounds,
    )


def _of_kept(
    found: ClassMetrics | LabelMetrics, kept: Collection[int]
) -> ClassMetrics | LabelMetrics:
    """With the mean F1 of the classes that are kept.

    Of another class no patient is counted, but some may be predicted to be of it: its F1 is 0.
    """
    if isinstance(found, LabelMetrics):
        return found
    own = [one.f1 for place, one in enumerate(found.classes.values()) if place in kept]
    return replace(found, f1=macro(own))


def _metrics_of(one: ClassMetrics | LabelMetrics) -> tuple[str, ...]:
    return _OF_LABELS if isinstance(one, LabelMetrics) else _OF_CLASSES


def _held(metrics: Metrics, name: str) -> bool:
    return any(getattr(one, name) is not None for one in metrics)


def _measure(results: Sequence[Any], name: str) -> Measure:
    """Of what all repeats define."""
    return measure([getattr(one, name) for one in results], _intervals(results, name))


def measure(values: Sequence[float | None], intervals: Iterable[Interval]) -> Measure:
    """Values by repeat and their intervals; undefined where one of the values is."""
    held = [value for value in values if value is not None]
    if not held or len(held) < len(values):
        return Measure(None, None)
    return Measure(spread(held), mean_interval(list(intervals)))


def _intervals(results: Sequence[Any], name: str) -> Iterable[Interval]:
    found = (getattr(one, f"{name}_ci95", None) for one in results)
    return (limits for limits in found if limits is not None)


def _contrasts(outcome: Outcome, repeats: Sequence[ManyCounts]) -> tuple[ContrastResult, ...]:
    by_repeat = [splits_of(outcome, one) for one in repeats]
    return tuple(_contrast(name, [one[name] for one in by_repeat]) for name in by_repeat[0])


def _contrast(name: str, repeats: Sequence[Histogram]) -> ContrastResult:
    """Each patient stands in the curve once a repeat, so its steps hold as many times more."""
    positives, negatives = repeats[0].totals
    curve: tuple[tuple[float, float], ...] = ()
    if positives and negatives:
        points = roc_points(summed(repeats), MIN_CELL * len(repeats))
        curve = tuple((one.false_positive_rate, one.true_positive_rate) for one in points)
    intervals = (limits for one in repeats if (limits := auroc_interval(one)))
    areas = [auroc(one) for one in repeats]
    return ContrastResult(name, positives, negatives, measure(areas, intervals), curve)


def _classes(metrics: Metrics, kept: Sequence[int]) -> tuple[PredictedClass, ...]:
    first = metrics[0]
    if isinstance(first, LabelMetrics):
        return ()
    own = [list(one.classes.items()) for one in metrics if isinstance(one, ClassMetrics)]
    return tuple(
        PredictedClass(
            name,
            one.support if place in kept else None,
            _measure([repeat[place][1] for repeat in own], "sensitivity"),
            _measure([repeat[place][1] for repeat in own], "precision"),
        )
        for place, (name, one) in enumerate(first.classes.items())
    )
