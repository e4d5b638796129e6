"""Results of an outcome with several classes or labels, as summary.json has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shared.metrics.summary import BinaryMetrics

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
