"""Two classifiers on the same pictures: the difference of their accuracies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binomtest, norm


@dataclass(frozen=True)
class Difference:
    """`gained` pictures only the second one has right, `lost` only the first; shares of 1.

    `low` and `high` are Wald's 95 % interval for paired shares, `p` McNemar's exact test's.
    """

    gained: int
    lost: int
    value: float
    low: float
    high: float
    p: float


def compare(first: Sequence[bool], second: Sequence[bool]) -> Difference:
    """The second's accuracy minus the first's; ValueError where their lengths differ."""
    pairs = list(zip(first, second, strict=True))
    gained, lost = pairs.count((False, True)), pairs.count((True, False))
    value, changed = (gained - lost) / len(pairs), (gained + lost) / len(pairs)
    margin = float(norm.ppf(0.975)) * math.sqrt((changed - value**2) / len(pairs))
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Difference(gained, lost, value, value - margin, value + margin, p)
