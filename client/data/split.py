"""Training and validation patients of a site."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from client.data.cohort import Cohort
from shared.errors import SiteError


@dataclass(frozen=True)
class Split:
    """Two parts of a cohort without a common patient."""

    train: Cohort
    validation: Cohort


def split_patients(cohort: Cohort, fraction: float, seed: int) -> Split:
    """Put `fraction` of each class's patients into validation, at least one on either side.

    Patients are ordered by a hash of seed, site and patient, so a patient who joins later moves
    the others by no more than the change of the quota. Raises SiteError for a class of fewer
    than two patients.
    """
    labels = cohort.patients()
    validation: set[str] = set()
    for label, name in ((1, "positive"), (0, "negative")):
        patients = [patient for patient, own in labels.items() if own == label]
        if len(patients) < 2:
            raise SiteError(
                f"Site '{cohort.site}' has {len(patients)} {name} patients; training and "
                "validation need at least 2 of each class."
            )
        patients.sort(key=lambda patient: _order(seed, cohort.site, patient))
        quota = min(max(1, round(fraction * len(patients))), len(patients) - 1)
        validation.update(patients[:quota])
    return Split(cohort.subset(labels.keys() - validation), cohort.subset(validation))


def _order(seed: int, site: str, patient: str) -> str:
    return hashlib.sha256(f"{seed}|{site}|{patient}".encode("utf-8", "surrogateescape")).hexdigest()
