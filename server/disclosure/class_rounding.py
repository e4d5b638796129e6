"""How many digits of the metrics of several classes or labels are shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from server.disclosure.rounding import (
    rounded,
    rounded_interval,
    rounded_value,
    standard_error,
)
from shared.limits import MIN_CELL
from shared.metrics.classes.agreement import macro
from shared.metrics.classes.results import ClassMetrics, ClassResult, CutResult, LabelMetrics
from shared.metrics.summary import suppressed


def rounded_classes(exact: ClassMetrics, kept: Collection[int]) -> ClassMetrics:
    """The metrics of patients of the classes `kept`, to the digits that these support.

    Of the other classes there is nothing. Each value of a class has the digits of its patients.
    """
    patients = exact.patients or 0
    classes = {
        name: _rounded_result(one) if n in kept else ClassResult()
        for n, (name, one) in enumerate(exact.classes.items())
    }
    found = {
        name: _with_interval(getattr(exact, name), getattr(exact, f"{name}_ci95"), patients)
        for name in (
            "auroc", "auroc_weighted", "auroc_one_vs_one", "accuracy", "balanced_accuracy",
            "kappa", "kappa_quadratic",
        )
    }  # fmt: skip
    held = [one.f1 for n, one in enumerate(exact.classes.values()) if n in kept]
    values: dict[str, Any] = {name: value for name, (value, _) in found.items()}
    intervals: dict[str, Any] = {f"{name}_ci95": ends for name, (_, ends) in found.items()}
    return replace(
        exact,
        **values,
        **intervals,
        f1=rounded_value(macro(held), patients),
        brier=rounded_value(exact.brier, patients),
        ece=rounded_value(exact.ece, patients),
        classes=classes,
        cuts={name: _rounded_cut(one) for name, one in exact.cuts.items()},
        confusion=_in_steps(exact.confusion),
    )


def _rounded_result(exact: ClassResult) -> ClassResult:
    support = exact.support or 0
    auroc, auroc_ci95 = _with_interval(exact.auroc, exact.auroc_ci95, support)
    sensitivity, of_sensitivity = _with_interval(exact.sensitivity, exact.sensitivity_ci95, support)
    precision, of_precision = _with_interval(exact.precision, exact.precision_ci95, support)
    return ClassResult(
        auroc=auroc,
        auroc_ci95=auroc_ci95,
        sensitivity=sensitivity,
        sensitivity_ci95=of_sensitivity,
        precision=precision,
        precision_ci95=of_precision,
        f1=rounded_value(exact.f1, support),
        brier=rounded_value(exact.brier, support),
        ece=rounded_value(exact.ece, support),
        support=exact.support,
    )


def _rounded_cut(exact: CutResult) -> CutResult:
    if not exact.positives or not exact.negatives:
        return CutResult()
    patients = min(exact.positives, exact.negatives)
    auroc, auroc_ci95 = _with_interval(exact.auroc, exact.auroc_ci95, patients)
    return replace(
        exact,
        auroc=auroc,
        auroc_ci95=auroc_ci95,
        brier=rounded_value(exact.brier, patients),
        ece=rounded_value(exact.ece, patients),
    )


def rounded_labels(exact: LabelMetrics, kept: Collection[int]) -> LabelMetrics:
    """The metrics of the labels `kept`, to the digits that their patients support."""
    labels = {
        name: rounded(one) if n in kept else suppressed()
        for n, (name, one) in enumerate(exact.labels.items())
    }
    held = [one for n, one in enumerate(exact.labels.values()) if n in kept]
    patients = min(((one.positives or 0) + (one.negatives or 0) for one in held), default=0)
    auroc, auroc_ci95 = _with_interval(exact.auroc, exact.auroc_ci95, patients)
    auprc, auprc_ci95 = _with_interval(exact.auprc, exact.auprc_ci95, patients)
    means: dict[str, Any] = {
        name: rounded_value(macro([getattr(one, name) for one in held]), patients)
        for name in ("balanced_accuracy", "f1", "sensitivity", "specificity", "brier", "ece")
    }
    return replace(
        exact,
        auroc=auroc,
        auroc_ci95=auroc_ci95,
        auprc=auprc,
        auprc_ci95=auprc_ci95,
        labels=labels,
        **means,
    )


def _with_interval(
    value: float | None, interval: tuple[float, float] | None, patients: int
) -> tuple[float | None, tuple[float, float] | None]:
    error = standard_error(interval)
    return rounded_value(value, patients, error), rounded_interval(interval, patients, error)


def _in_steps(
    confusion: tuple[tuple[int, ...], ...] | None,
) -> tuple[tuple[int, ...], ...] | None:
    """Each cell down to a multiple of `MIN_CELL`: few patients are shown as none."""
    if confusion is None:
        return None
    return tuple(tuple(cell // MIN_CELL * MIN_CELL for cell in row) for row in confusion)
