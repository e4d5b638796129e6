"""Two arms in the same patients over the repeats of a study, and what their difference is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean, variance

from server.results.study import Interval
from shared.metrics.delong import PairedComparison, normal_inference


@dataclass(frozen=True)
class PairedRepeats:
    """AUROCs of A and B in each repeat, and the comparison of their means."""

    areas: tuple[tuple[float, float], ...]
    means: PairedComparison

    @property
    def differences(self) -> list[float]:
        """A minus B, by repeat."""
        return [a - b for a, b in self.areas]

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean difference, for chance in patients and in models over repeats.

        With one repeat the latter is unknown and left out. None without two patients a class.
        """
        if self.means.standard_error is None:
            return None
        between = variance(self.differences) / len(self.areas) if len(self.areas) > 1 else 0.0
        return math.sqrt(self.means.standard_error**2 + between)

    @property
    def ci95(self) -> Interval | None:
        """The mean difference -+ 1.96 standard errors, cut to [-1, 1]; None where that is zero."""
        if not self.standard_error:
            return None
        ci95, _, _ = normal_inference(mean(self.differences), self.standard_error)
        return ci95

    @property
    def p(self) -> float | None:
        """Two-sided, of that interval; 1 where all differences are zero, None without an error."""
        if not any(self.differences):
            return 1.0
        if not self.standard_error:
            return None
        _, _, p = normal_inference(mean(self.differences), self.standard_error)
        return p
