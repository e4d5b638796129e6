"""Confidence intervals of a proportion of patients."""

from __future__ import annotations

import math
from statistics import NormalDist

from scipy.special import betaincinv


def normal_quantile(level: float) -> float:
    """The standard normal quantile of a two-sided level, 1.96 for 0.95.

    Raises ValueError for a level outside the open interval 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"The confidence level is {level:g}; it must lie between 0 and 1.")
    return NormalDist().inv_cdf((1 + level) / 2)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of successes / trials, within [0, 1] (JASA 1927;22:209-212).

    It covers the truth about as often as it claims, on the average over truths. Raises
    ValueError without trials, for successes outside 0 to `trials`, and for a level outside the
    open interval 0 to 1.
    """
    _check(successes, trials)
    square = normal_quantile(level) ** 2
    middle = successes + square / 2
    spread = math.sqrt(square * (successes * (trials - successes) / trials + square / 4))
    # Rounding must neither move the ends off 0 and 1 nor push the proportion out.
    low = 0.0 if successes == 0 else (middle - spread) / (trials + square)
    high = 1.0 if successes == trials else (middle + spread) / (trials + square)
    return min(low, successes / trials), max(high, successes / trials)


def clopper_pearson_interval(
    successes: int, trials: int, level: float = 0.95
) -> tuple[float, float]:
    """The exact interval of successes / trials, within [0, 1] (Biometrika 1934;26:404-413).

    It covers the truth at least as often as it claims, whatever the truth. Raises ValueError as
    `wilson_interval` does.
    """
    _check(successes, trials)
    normal_quantile(level)
    tail, failures = (1 - level) / 2, trials - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, tail))
    high = 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - tail))
    return min(low, successes / trials), max(high, successes / trials)


def _check(successes: int, trials: int) -> None:
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"There are {successes} successes in {trials} trials; a proportion needs one trial "
            "or more, and no more successes than trials."
        )
