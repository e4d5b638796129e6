"""The patients that a study's folds hold out, and what each fold's run chose beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.metrics.binary import brier, confusion
from shared.metrics.calibration import apply_temperature
from shared.metrics.histogram import Histogram, bin_logits, bin_of, summed

AS_TRAINED = 0.5
"""The threshold where a run could choose none: its validation patients were all of one class."""


@dataclass(frozen=True)
class Fold:
    """One fold: its held-out patients, and thresholds and temperature of its validation patients.

    Thresholds are probabilities by the operating point's name; the temperature is None where none
    could be fitted.
    """

    counts: Histogram
    thresholds: Mapping[str, float]
    temperature: float | None


Repeat = Sequence[Fold]
"""All folds of a repeat, which hold out every patient once."""


def pooled(repeat: Repeat) -> Histogram:
    """Every patient's score, by class."""
    return summed(fold.counts for fold in repeat)


def recalibrated(repeat: Repeat) -> Histogram:
    """Every patient's score after its own fold's temperature; where there is none, as it was."""
    return summed(_tempered(fold.counts, fold.temperature or 1.0) for fold in repeat)


@dataclass(frozen=True)
class Rates:
    """What a threshold does to held-out patients; 0 to 1, None where nobody is in question."""

    sensitivity: float | None
    specificity: float | None
    positive_predictive_value: float | None
    negative_predictive_value: float | None

    @property
    def balanced_accuracy(self) -> float | None:
        """The mean of sensitivity and specificity."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return (self.sensitivity + self.specificity) / 2


def rates_at(repeat: Repeat, point: str) -> Rates:
    """Each fold's patients at the threshold that this fold's run chose, added up."""
    tables = [confusion(f.counts, f.thresholds.get(point, AS_TRAINED)) for f in repeat]
    hits, alarms, rest, misses = map(sum, zip(*(table.cells for table in tables), strict=True))
    return Rates(
        _ratio(hits, misses), _ratio(rest, alarms), _ratio(hits, alarms), _ratio(rest, misses)
    )


def brier_scores(repeat: Repeat) -> tuple[float | None, float | None]:
    """Brier scores of the probabilities as they are, and after each fold's temperature."""
    squared = [
        (brier(fold.counts, _probabilities(fold.temperature or 1.0)) or 0.0) * fold.counts.patients
        for fold in repeat
    ]
    patients = sum(fold.counts.patients for fold in repeat)
    return brier(pooled(repeat)), sum(squared) / patients if patients else None


def _probabilities(temperature: float) -> NDArray[np.float64]:
    return apply_temperature(bin_logits(), temperature)


def _tempered(counts: Histogram, temperature: float) -> Histogram:
    """The counts in the bins where the temperature moves the middle of each bin."""
    return counts.moved(bin_of(bin_logits() / temperature))


def _ratio(those: int, others: int) -> float | None:
    return those / (those + others) if those + others else None
