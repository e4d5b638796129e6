"""The metrics of summary.json of an outcome with several classes or labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

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
from shared.metrics.histogram import Histogram
from shared.metrics.interval import auprc_interval, auroc_interval
from shared.metrics.summary import BinaryMetrics, summarise

Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassResult:
    """One class against the rest: `classes` of summary.json; None where undefined or not shown.

    `auroc`, `brier` and `ece` are of the probability of this class, which an ordinal outcome has
    not (`CutResult`); the others are of the predicted class. `support` is patients of this class.
    """

    auroc: float | None = None
    auroc_ci95: Interval | None = None
    sensitivity: float | None = None
    sensitivity_ci95: Interval | None = None
    precision: float | None = None
    precision_ci95: Interval | None = None
    f1: float | None = None
    brier: float | None = None
    ece: float | None = None
    support: int | None = None


@dataclass(frozen=True)
class CutResult:
    """The classes from one upward against those below it: `cuts` of summary.json.

    Of the score P(Y > k), so `positives` are the patients above the cut.
    """

    auroc: float | None = None
    auroc_ci95: Interval | None = None
    brier: float | None = None
    ece: float | None = None
    positives: int | None = None
    negatives: int | None = None


@dataclass(frozen=True)
class ClassMetrics:
    """The object `pooled` of summary.json for a nominal or ordinal outcome; None where undefined.

    `auroc` is the mean over `auroc_of` scores that split the patients: of the classes against the
    rest, or of the cumulative cuts of an ordinal outcome; `auroc_weighted` the same weighted by
    positives, `auroc_one_vs_one` Hand and Till's mean over pairs of classes. `balanced_accuracy`
    is the mean sensitivity of the classes that have patients, `f1` the mean over the classes where
    it is defined, `brier` and `ece` the means over the scores (of cuts: the ranked probability
    score over its cuts). `confusion` has a row for each true class.
    """

    auroc: float | None = None
    auroc_ci95: Interval | None = None
    auroc_of: int | None = None
    auroc_weighted: float | None = None
    auroc_weighted_ci95: Interval | None = None
    auroc_one_vs_one: float | None = None
    auroc_one_vs_one_ci95: Interval | None = None
    accuracy: float | None = None
    accuracy_ci95: Interval | None = None
    balanced_accuracy: float | None = None
    balanced_accuracy_ci95: Interval | None = None
    f1: float | None = None
    kappa: float | None = None
    kappa_ci95: Interval | None = None
    kappa_quadratic: float | None = None
    kappa_quadratic_ci95: Interval | None = None
    brier: float | None = None
    ece: float | None = None
    patients: int | None = None
    classes: Mapping[str, ClassResult] = field(default_factory=dict)
    cuts: Mapping[str, CutResult] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The object as JSON has it: pairs are lists, None is null."""
        document: dict[str, Any] = as_json(self)
        return document


@dataclass(frozen=True)
class LabelMetrics:
    """The object `pooled` of summary.json for several labels; None where undefined.

    Each is the mean over the labels where it is defined; `auroc_of` says of how many `auroc` is.
    """

    auroc: float | None = None
    auroc_ci95: Interval | None = None
    auroc_of: int | None = None
    auprc: float | None = None
    auprc_ci95: Interval | None = None
    balanced_accuracy: float | None = None
    f1: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    brier: float | None = None
    ece: float | None = None
    labels: Mapping[str, BinaryMetrics] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object as JSON has it: pairs are lists, None is null."""
        document: dict[str, Any] = as_json(self)
        return document


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


def metrics_from_json(document: Mapping[str, Any]) -> ClassMetrics | LabelMetrics:
    """Back from the object of summary.json; what it has besides is passed over."""
    if "labels" in document:
        labels = {name: _typed(BinaryMetrics, one) for name, one in document["labels"].items()}
        return dataclasses.replace(_typed(LabelMetrics, document), labels=labels)
    confusion = document.get("confusion")
    return dataclasses.replace(
        _typed(ClassMetrics, document),
        classes={name: _typed(ClassResult, one) for name, one in document["classes"].items()},
        cuts={name: _typed(CutResult, one) for name, one in document.get("cuts", {}).items()},
        confusion=None if confusion is None else tuple(map(tuple, confusion)),
    )


_Result = TypeVar("_Result")


def _typed(kind: type[_Result], document: Mapping[str, Any]) -> _Result:
    names = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values = {key: value for key, value in document.items() if key in names}
    pairs = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return kind(**{**values, **pairs})


def as_json(value: Any) -> Any:
    """A result's dataclass as JSON has it."""
    if dataclasses.is_dataclass(value):
        return {item.name: as_json(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: as_json(own) for name, own in value.items()}
    return [as_json(own) for own in value] if isinstance(value, tuple) else value


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
