"""Two arms of a study compared over its repeats.

These tests are about the repeats: that another split or seed would favour the same arm.
Repeats that share their patients say nothing of other patients, however many there are; for that
there is DeLong's test (`shared.metrics.delong`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

# AUROCs that differ by less are one and the same, computed in another order.
DECIMALS = 12


@dataclass(frozen=True)
class Spread:
    """Mean of the repeats, and their standard deviation (n - 1); None for a single one."""

    repeats: int
    mean: float
    standard_deviation: float | None


def spread(values: ArrayLike) -> Spread:
    """Mean and standard deviation of one value a repeat, shape (repeats,).

    Raises ValueError without repeats, and for values that are not finite.
    """
    finite = _finite(values)
    deviation = float(np.std(finite, ddof=1)) if finite.size > 1 else None
    return Spread(finite.size, float(np.mean(finite)), deviation)


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test, two-sided and exact.

    `statistic` is the smaller of the rank sums of gains and of losses, `zeros` the repeats without
    a difference. `smallest_p` is what p would be had all repeats gone the same way, 2 / 2^repeats:
    no result of this number of repeats can be below it.
    """

    repeats: int
    zeros: int
    statistic: float
    p: float
    smallest_p: float


def signed_rank(differences: ArrayLike) -> SignedRank:
    """Test that differences lie symmetrically about zero (Wilcoxon, Biometrics Bull 1945;1:80).

    One difference a repeat, shape (repeats,), rounded to 12 decimals. Zeros are ranked with the
    others and then left out of the sums (Pratt, JASA 1959;54:655-667), since leaving them out
    first can make p smaller; tied differences share their mean rank. p is the share of all signs
    of the ranks at hand whose sum lies as far from its mean, or further. 1 where all differences
    are zero. Raises ValueError as `spread` does.
    """
    values = np.round(_finite(differences), DECIMALS)
    # Twice the mean ranks are integers: patients below, and up to and including their ties.
    sizes = np.sort(np.abs(values))
    doubled = np.searchsorted(sizes, np.abs(values)) + 1
    doubled += np.searchsorted(sizes, np.abs(values), side="right")
    gains, losses = int(doubled[values > 0].sum()), int(doubled[values < 0].sum())
    ways = _ways(doubled[values != 0].tolist())
    distance = abs(gains - losses)
    as_far = sum(n for total, n in enumerate(ways) if abs(2 * total - gains - losses) >= distance)
    return SignedRank(
        repeats=values.size,
        zeros=int((values == 0).sum()),
        statistic=min(gains, losses) / 2,
        p=as_far / sum(ways),
        smallest_p=2 / 2**values.size,
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values of several tests, in the order given (Holm, Scand J Stat 1979;6:65-70).

    The k-th smallest of m is multiplied by m - k + 1, is no smaller than the one before it, and at
    most 1. A test without a p-value (None) stays so and does not count. Raises ValueError for a
    value outside [0, 1].
    """
    given = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(given):
        if not 0 <= p <= 1:
            raise ValueError(f"A p-value is {p:g}; it must lie in 0 to 1.")
        highest = max(highest, min((len(given) - rank) * p, 1.0))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class ResampledComparison:
    """Mean difference over resamples of the same patients; t distribution of n - 1 degrees.

    `ci95` is its 95 % confidence interval and `p` two-sided. Where all resamples give the same
    difference there is no `ci95`: p is 1 (t 0) for a difference of zero, and without a value
    otherwise.
    """

    resamples: int
    mean: float
    standard_error: float
    ci95: tuple[float, float] | None
    t: float | None
    p: float | None


def corrected_resampled_t(
    differences: ArrayLike, test_to_train: float
) -> ResampledComparison | None:
    """The corrected resampled t-test (Nadeau and Bengio, Machine Learning 2003;52:239-281).

    One difference a fold, shape (resamples,), of all repeats; `test_to_train` is the size of a
    test fold over that of its training set, 1 / (k - 1) for k folds. Training sets overlap, so the
    variance of the mean is (1 / n + test_to_train) s^2 instead of s^2 / n. None for a single
    resample. Raises ValueError as `spread` does, and for a ratio that is not above 0.
    """
    if not 0 < test_to_train < math.inf:
        raise ValueError(f"The ratio of test to training is {test_to_train:g}; it must be above 0.")
    values = np.round(_finite(differences), DECIMALS)
    n, mean = values.size, float(np.mean(values))
    if n < 2:
        return None
    if np.ptp(values) == 0:
        t, p = (0.0, 1.0) if mean == 0 else (None, None)
        return ResampledComparison(n, mean, 0.0, None, t, p)
    error = math.sqrt((1 / n + test_to_train) * float(np.var(values, ddof=1)))
    half_width, t = float(stdtrit(n - 1, 0.975)) * error, mean / error
    p = 2 * float(stdtr(n - 1, -abs(t)))
    return ResampledComparison(n, mean, error, (mean - half_width, mean + half_width), t, p)


def _ways(ranks: list[int]) -> list[int]:
    """For every sum from 0, in how many ways the ranks that count as gains can make it."""
    ways = [1]
    for rank in ranks:
        apart = [0] * rank
        ways = [
            without + within for without, within in zip(ways + apart, apart + ways, strict=True)
        ]
    return ways


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"The values have shape {numbers.shape}; it must be (repeats,).")
    wrong = numbers[~np.isfinite(numbers)]
    if wrong.size:
        raise ValueError(f"The value of a repeat is {wrong[0]:g}; it must be a number.")
    return numbers
