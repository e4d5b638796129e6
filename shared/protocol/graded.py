"""The clinical grade's counts in a reply, with the model's for the same patients."""

from __future__ import annotations

from dataclasses import dataclass

from flwr.app import MetricRecord

from shared.errors import ProtocolError
from shared.metrics.grades import MOST_LEVELS, GradeCounts
from shared.metrics.histogram import MAX_COUNT, Histogram
from shared.outcome.binary import BINARY
from shared.protocol.histogram import (
    MOST_OF_A_SITE,
    histogram_from_metrics,
    histogram_to_values,
)
from shared.protocol.records import counts

_PREFIX, _LEVELS = "graded-", "grade-levels"
_KEYS = tuple(f"grade-{key}" for key in BINARY.keys)


@dataclass(frozen=True)
class Graded:
    """Patients who have a grade, counted by grade and by the model's score."""

    grades: GradeCounts
    model: Histogram


def grades_to_values(grades: GradeCounts) -> dict[str, list[int] | list[float]]:
    """Counts by grade as values of a MetricRecord."""
    named = zip(_KEYS, grades.by_class, strict=True)
    return {_LEVELS: list(grades.levels), **{key: list(own) for key, own in named}}


def grades_from_metrics(metrics: MetricRecord, most: int = MAX_COUNT) -> GradeCounts | None:
    """Read them, None where there are no grades.

    ProtocolError where they are invalid, or a count is above `most`.
    """
    if _LEVELS not in metrics:
        return None
    levels = metrics[_LEVELS]
    if not isinstance(levels, list) or not 0 < len(levels) <= MOST_LEVELS:
        raise ProtocolError(f"'{_LEVELS}' is not a list of 1 to {MOST_LEVELS} grades")
    by_class = [tuple(counts(metrics, key, len(levels), most)) for key in _KEYS]
    try:
        values = tuple(float(level) for level in levels)
        return GradeCounts(values, *by_class)
    except ValueError as error:
        raise ProtocolError(f"invalid grades: {error}") from error


def graded_to_values(graded: Graded) -> dict[str, list[int] | list[float]]:
    """Counts by grade, and the model's of the same patients, as values of a MetricRecord."""
    return grades_to_values(graded.grades) | histogram_to_values(graded.model, _PREFIX)


def graded_from_metrics(metrics: MetricRecord) -> Graded | None:
    """Read them, None where the site has no grade; ProtocolError where they contradict."""
    if (grades := grades_from_metrics(metrics, MOST_OF_A_SITE)) is None:
        return None
    model = histogram_from_metrics(metrics, _PREFIX)
    if model.totals != grades.totals:
        raise ProtocolError("the grades and the scores are not of the same number of patients")
    return Graded(grades, model)
