"""A patient's covariate, from all rows of the table about the patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from client.data.labels import LabelRow


@dataclass(frozen=True, repr=False)
class Covariates:
    """Patient -> covariate, and the patients whose rows differ in it, who count as without one."""

    of_patient: dict[str, float]
    contradictory: frozenset[str]


def covariates_of(rows: Sequence[LabelRow], classes: Sequence[int | None]) -> Covariates:
    """The patients' covariates; rows whose outcome has no class (None) do not count."""
    named: dict[str, set[float]] = defaultdict(set)
    for row, label in zip(rows, classes, strict=True):
        if label is not None and row.covariate is not None:
            named[row.patient].add(row.covariate)
    return Covariates(
        {patient: next(iter(values)) for patient, values in named.items() if len(values) == 1},
        frozenset(patient for patient, values in named.items() if len(values) > 1),
    )
