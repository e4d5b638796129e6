"""What follows from a confusion matrix, exactly; with confidence intervals.

`confusion` is (K true, K predicted) throughout, integers that are not negative. None where
undefined: without patients, of a class without any, or with a denominator of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.proportion import normal_quantile, wilson_interval

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % confidence interval, None where it has no estimate."""

    value: float
    ci95: tuple[float, float] | None


def accuracy(confusion: Matrix) -> Estimate | None:
    """Share of the patients whose class is predicted, with Wilson's interval."""
    return proportion(int(np.trace(confusion)), int(confusion.sum()))


def sensitivities(confusion: Matrix) -> list[Estimate | None]:
    """Each class's sensitivity: the share of its patients that are predicted to be of it."""
    called, support = np.diagonal(confusion).tolist(), confusion.sum(axis=1).tolist()
    return [proportion(*both) for both in zip(called, support, strict=True)]


def precisions(confusion: Matrix) -> list[Estimate | None]:
    """Each class's precision: the share of the patients predicted to be of it that are."""
    called, all_called = np.diagonal(confusion).tolist(), confusion.sum(axis=0).tolist()
    return [proportion(*both) for both in zip(called, all_called, strict=True)]


def f1_scores(confusion: Matrix) -> list[float | None]:
    """Each class's F1, 2 TP / (2 TP + FP + FN)."""
    doubled = (2 * np.diagonal(confusion)).tolist()
    either = (confusion.sum(axis=0) + confusion.sum(axis=1)).tolist()
    return [hits / all_ if all_ else None for hits, all_ in zip(doubled, either, strict=True)]


def balanced_accuracy(confusion: Matrix) -> Estimate | None:
    """The mean sensitivity of the classes that have patients.

    Interval: from the sensitivities' by Zou and Donner's recovery of variances (Stat Med
    2008;27:1693-1702), since different classes have different patients.
    """
    held = [one for one in sensitivities(confusion) if one is not None]
    if not held:
        return None
    mean = sum(one.value for one in held) / len(held)
    ends = [(one.value, one.ci95) for one in held if one.ci95]
    below = math.sqrt(sum((value - ci[0]) ** 2 for value, ci in ends)) / len(held)
    above = math.sqrt(sum((ci[1] - value) ** 2 for value, ci in ends)) / len(held)
    return Estimate(mean, (max(mean - below, 0.0), min(mean + above, 1.0)))


def kappa(confusion: Matrix, *, quadratic: bool = False) -> Estimate | None:
    """Cohen's kappa, -1 to 1; weighted by the squared distance of the classes with `quadratic`.

    Cohen, Psychol Bull 1968;70:213-220. Interval: the variance of Fleiss, Cohen and Everitt
    (Psychol Bull 1969;72:323-327) on the scale of Fisher's z; None where it is zero, as for perfect
    agreement. None without patients, and where all patients are of one class and predicted so.
    """
    patients, classes = int(confusion.sum()), len(confusion)
    if not patients:
        return None
    distance = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    loss = distance if quadratic else (distance > 0).astype(np.int64)
    true, called = confusion.sum(axis=1), confusion.sum(axis=0)
    # Python's integers: exact, and zero where it is zero.
    observed = sum((loss * confusion).ravel().tolist()) * patients
    expected = sum(
        weight * rows * columns
        for weights, rows in zip(loss.tolist(), true.tolist(), strict=True)
        for weight, columns in zip(weights, called.tolist(), strict=True)
    )
    if not expected:
        return None
    value = 1 - observed / expected
    return Estimate(value, _kappa_interval(confusion, loss / loss.max(), value))


def macro(values: Sequence[float | None]) -> float | None:
    """The mean of those that are defined; None of none."""
    held = [one for one in values if one is not None]
    return sum(held) / len(held) if held else None


def proportion(part: int, whole: int) -> Estimate | None:
    """A share of patients with Wilson's interval; None of none."""
    return Estimate(part / whole, wilson_interval(part, whole)) if whole else None


def _kappa_interval(
    confusion: Matrix, loss: NDArray[np.float64], value: float
) -> tuple[float, float] | None:
    patients = int(confusion.sum())
    shares, weights = confusion / patients, 1 - loss
    true, called = shares.sum(axis=1), shares.sum(axis=0)
    agreed, by_chance = float((weights * shares).sum()), float(true @ weights @ called)
    margins = np.add.outer(weights @ called, true @ weights)
    spread = float((shares * (weights * (1 - by_chance) - margins * (1 - agreed)) ** 2).sum())
    offset = agreed * by_chance - 2 * by_chance + agreed
    variance = (spread - offset**2) / (patients * (1 - by_chance) ** 4)
    if variance <= 1e-15 or abs(value) >= 1:
        return None
    half_width = normal_quantile(0.95) * math.sqrt(variance) / (1 - value**2)
    z = math.atanh(value)
    return math.tanh(z - half_width), math.tanh(z + half_width)
