"""How many digits of a study's arm of several classes or labels are shown."""

from __future__ import annotations

from dataclasses import replace

from server.disclosure.rounding import (
    decimals,
    rounded_interval,
    rounded_value,
    significant,
    standard_error,
)
from server.results.study import ClassArm, ContrastResult, Measure, PredictedClass
from shared.metrics.repeats import Spread

NOTHING = Measure(None, None)


def rounded_arm(exact: ClassArm) -> ClassArm:
    """The arm to the digits that its patients support; each class's values to those of its own.

    It is of the classes or labels that are kept; of the others there is nothing.
    """
    patients = exact.patients
    error = standard_error(exact.auroc_ci95)
    return replace(
        exact,
        auroc=rounded_spread(exact.auroc, patients, error),
        auroc_ci95=rounded_interval(exact.auroc_ci95, patients),
        metrics={name: _measure(one, patients) for name, one in exact.metrics.items()},
        contrasts=tuple(map(_contrast, exact.contrasts)),
        classes=tuple(map(_class, exact.classes)),
        megabytes=round(exact.megabytes, 3),
    )


def rounded_spread(exact: Spread, patients: int, error: float | None = None) -> Spread:
    """Mean and deviation over repeats, in which so many patients stand."""
    mean = rounded_value(exact.mean, patients, error)
    return replace(
        exact,
        mean=exact.mean if mean is None else mean,
        standard_deviation=significant(exact.standard_deviation),
    )


def _measure(exact: Measure, patients: int) -> Measure:
    error = standard_error(exact.ci95)
    return Measure(
        exact.over_repeats and rounded_spread(exact.over_repeats, patients, error),
        rounded_interval(exact.ci95, patients, error),
    )


def _contrast(exact: ContrastResult) -> ContrastResult:
    fewer = min(exact.positives or 0, exact.negatives or 0)
    if not fewer:
        return ContrastResult(exact.name, None, None, NOTHING, ())
    places = decimals((exact.positives or 0) + (exact.negatives or 0))
    curve = tuple((round(x, places), round(y, places)) for x, y in exact.curve)
    return replace(exact, auroc=_measure(exact.auroc, fewer), curve=curve)


def _class(exact: PredictedClass) -> PredictedClass:
    if exact.patients is None:
        return PredictedClass(exact.name, None, NOTHING, NOTHING)
    return PredictedClass(
        exact.name,
        exact.patients,
        _measure(exact.sensitivity, exact.patients),
        _measure(exact.precision, exact.patients),
    )
