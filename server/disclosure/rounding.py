"""How many digits of a result are shown.

Two limits, of which the coarser holds. A value stands to the second digit of its standard error
(JCGM 100:2008, 7.2.6): further digits say nothing of other patients, and much of these. And it has
at most as many decimals as the number of patients behind it has digits.
"""

from __future__ import annotations

import math
from dataclasses import replace

from shared.limits import MIN_CELL
from shared.metrics.proportion import normal_quantile, wilson_interval
from shared.metrics.summary import BinaryMetrics

Interval = tuple[float, float]
_WIDTH = 2 * normal_quantile(0.95)
"""Of a 95 % CI, in standard errors."""


def decimals(patients: float, error: float | None = None) -> int:
    """Decimals of a value behind which so many patients stand, with this standard error.

    Without an error that of a share of one half, the largest that a share can have.
    """
    most = len(str(max(1, round(patients))))
    if error is None:
        error = 0.5 / math.sqrt(max(1.0, patients))
    if error <= 0:
        return most
    return min(most, max(1, 1 - math.floor(math.log10(error))))


def standard_error(limits: Interval | None) -> float | None:
    """The standard error of a value with this 95 % CI."""
    return None if limits is None else (limits[1] - limits[0]) / _WIDTH


def rounded(metrics: BinaryMetrics) -> BinaryMetrics:
    """All metrics to the digits that their patients support; counts and threshold as they are.

    Nothing but counts and threshold where a class is not counted.
    """
    positives, negatives = metrics.positives, metrics.negatives
    if positives is None or negatives is None:
        return BinaryMetrics(threshold=metrics.threshold)
    patients = positives + negatives
    area = decimals(patients, standard_error(metrics.auroc_ci95))
    plain = decimals(patients)
    rates = (
        _error_of_share(metrics.sensitivity, positives),
        _error_of_share(metrics.specificity, negatives),
    )
    of_rates = [
        decimals(count, error) for count, error in zip((positives, negatives), rates, strict=True)
    ]
    return replace(
        metrics,
        auroc=_to(metrics.auroc, area),
        auroc_bounds=_both(metrics.auroc_bounds, area),
        auroc_ci95=_both(metrics.auroc_ci95, area),
        auprc=_to(metrics.auprc, plain),
        balanced_accuracy=_to(metrics.balanced_accuracy, min(of_rates)),
        f1=_to(metrics.f1, plain),
        sensitivity=_to(metrics.sensitivity, of_rates[0]),
        specificity=_to(metrics.specificity, of_rates[1]),
        brier=_to(metrics.brier, plain),
        ece=_to(metrics.ece, plain),
    )


def rounded_value(value: float | None, patients: float, error: float | None = None) -> float | None:
    """One value to the digits that so many patients support."""
    return _to(value, decimals(patients, error))


def rounded_interval(
    limits: Interval | None, patients: float, error: float | None = None
) -> Interval | None:
    """Both limits to the digits of the value between them."""
    return _both(limits, decimals(patients, error or standard_error(limits)))


def rounded_loss(loss: float | None, patients: int) -> float | None:
    """A mean loss, in which one patient more or less is no change that can be read off."""
    return _to(loss, max(1, decimals(patients) - 1))


def rounded_count(count: int | None) -> int | None:
    """Training images or patients, in steps of min-cell: few more or less do not show."""
    return None if count is None else max(MIN_CELL, MIN_CELL * round(count / MIN_CELL))


def rounded_bytes(size: int) -> int:
    """Bytes to the full kilobyte: a message is some bytes longer where its counts are larger."""
    return round(size, -3)


def rounded_memory(size: int | None) -> int | None:
    """Bytes of memory to the full megabyte."""
    return None if size is None else round(size, -6)


def rounded_seconds(seconds: float | None) -> float | None:
    """Seconds to the full second."""
    return None if seconds is None else float(round(seconds))


def significant(value: float | None, digits: int = 2) -> float | None:
    """The value with this many significant digits."""
    if value is None or value == 0:
        return value
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def _error_of_share(share: float | None, patients: int) -> float | None:
    if share is None or patients < 1:
        return None
    return standard_error(wilson_interval(round(share * patients), patients))


def _to(value: float | None, places: int) -> float | None:
    return None if value is None else round(value, places)


def _both(limits: Interval | None, places: int) -> Interval | None:
    return None if limits is None else (round(limits[0], places), round(limits[1], places))
