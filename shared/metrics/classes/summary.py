"""All metrics of the counts of an outcome with several classes or labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from shared.metrics import binary
from shared.metrics.classes import agreement
from shared.metrics.classes.agreement import Estimate, macro
from shared.metrics.classes.contrasts import (
    against_rest,
    mean_auroc,
    one_against_one,
)
from shared.metrics.classes.copula import copulas
from shared.metrics.classes.counts import ClassCounts
from shared.metrics.classes.label_interval import label_auroc_interval
from shared.metrics.classes.labels import LabelCounts
from shared.metrics.classes.macro import mean_auroc_interval, mean_interval
from shared.metrics.classes.results import (
    ClassMetrics,
    ClassResult,
    CutResult,
    Interval,
    LabelMetrics,
)
from shared.metrics.histogram import Histogram
from shared.metrics.interval import auprc_interval, auroc_interval
from shared.metrics.summary import summarise


def summarise_counts(
    names: Sequence[str], counts: ClassCounts | LabelCounts
) -> ClassMetrics | LabelMetrics:
    """All metrics of counts; `names` are those of the classes, or of the labels, in their order.

    Raises ValueError where there are more or fewer names.
    """
    if isinstance(counts, ClassCounts):
        return summarise_classes(names, counts)
    return summarise_labels(names, counts)


def summarise_classes(names: Sequence[str], counts: ClassCounts) -> ClassMetrics:
    """All metrics of a nominal or ordinal outcome; ValueError for another number of names."""
    _require_names(names, counts.classes)
    rest = against_rest(counts)
    weighted = against_rest(counts, by_support=True)
    pairs = () if counts.ordinal else one_against_one(counts)
    joint = copulas(counts)
    splits = [counts.split_by(score) for score in range(counts.score_count)]
    matrix = counts.confusion
    accuracy, balanced = agreement.accuracy(matrix), agreement.balanced_accuracy(matrix)
    plain, quadratic = agreement.kappa(matrix), agreement.kappa(matrix, quadratic=True)
    return ClassMetrics(
        auroc=mean_auroc(counts, rest),
        auroc_ci95=mean_auroc_interval(counts, rest, joint=joint),
        auroc_of=len(rest),
        auroc_weighted=mean_auroc(counts, weighted),
        auroc_weighted_ci95=mean_auroc_interval(counts, weighted, joint=joint),
        auroc_one_vs_one=mean_auroc(counts, pairs),
        auroc_one_vs_one_ci95=mean_auroc_interval(counts, pairs, joint=joint),
        accuracy=_value(accuracy),
        accuracy_ci95=_interval(accuracy),
        balanced_accuracy=_value(balanced),
        balanced_accuracy_ci95=_interval(balanced),
        f1=macro(agreement.f1_scores(matrix)),
        kappa=_value(plain),
        kappa_ci95=_interval(plain),
        kappa_quadratic=_value(quadratic) if counts.ordinal else None,
        kappa_quadratic_ci95=_interval(quadratic) if counts.ordinal else None,
        brier=macro([binary.brier(one) for one in splits]),
        ece=macro([binary.ece(one) for one in splits]),
        patients=counts.patients,
        classes=dict(zip(names, _classes(counts, splits), strict=True)),
        cuts=dict(zip(names[1:], map(_cut, splits), strict=True)) if counts.ordinal else {},
        confusion=tuple(map(tuple, matrix.tolist())),
    )


def summarise_labels(names: Sequence[str], counts: LabelCounts) -> LabelMetrics:
    """All metrics of several labels; ValueError for another number of names."""
    _require_names(names, counts.labels)
    each = [summarise(one) for one in counts.histograms]
    shares = {
        name: macro([getattr(one, name) for one in each])
        for name in (
            "auroc", "auprc", "balanced_accuracy", "f1", "sensitivity", "specificity", "brier",
            "ece",
        )
    }  # fmt: skip
    return LabelMetrics(
        **shares,
        auroc_ci95=label_auroc_interval(counts),
        auroc_of=sum(one.auroc is not None for one in each),
        auprc_ci95=_mean_interval([auprc_interval(one) for one in counts.histograms]),
        labels=dict(zip(names, each, strict=True)),
    )


def _classes(counts: ClassCounts, splits: Sequence[Histogram]) -> list[ClassResult]:
    matrix = counts.confusion
    sensitivities, precisions = agreement.sensitivities(matrix), agreement.precisions(matrix)
    found = [
        ClassResult(
            sensitivity=_value(sensitivity),
            sensitivity_ci95=_interval(sensitivity),
            precision=_value(precision),
            precision_ci95=_interval(precision),
            f1=f1,
            support=support,
        )
        for sensitivity, precision, f1, support in zip(
            sensitivities, precisions, agreement.f1_scores(matrix), counts.support, strict=True
        )
    ]
    if counts.ordinal:
        return found
    return [
        dataclasses.replace(
            one,
            auroc=binary.auroc(split),
            auroc_ci95=auroc_interval(split),
            brier=binary.brier(split),
            ece=binary.ece(split),
        )
        for one, split in zip(found, splits, strict=True)
    ]


def _cut(split: Histogram) -> CutResult:
    return CutResult(
        auroc=binary.auroc(split),
        auroc_ci95=auroc_interval(split),
        brier=binary.brier(split),
        ece=binary.ece(split),
        positives=split.total_positives,
        negatives=split.total_negatives,
    )


def _mean_interval(intervals: Sequence[Interval | None]) -> Interval | None:
    held = [one for one in intervals if one is not None]
    return mean_interval([(1 / len(held), one) for one in held])


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _interval(estimate: Estimate | None) -> Interval | None:
    return None if estimate is None else estimate.ci95


def _require_names(names: Sequence[str], number: int) -> None:
    if len(names) != number or len(set(names)) != number:
        raise ValueError(f"There are counts of {number} classes or labels, and names {names}.")
