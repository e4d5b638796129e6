"""Training, validation and test patients of a site."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from client.data.cohort import Cohort
from shared.errors import SiteError


@dataclass(frozen=True)
class Folds:
    """Which of how many folds is held out for testing; `count` 0 holds out nobody."""

    count: int = 0
    held_out: int = 0


@dataclass(frozen=True)
class Split:
    """Three parts of a cohort without a common patient; the test part may be empty."""

    train: Cohort
    validation: Cohort
    test: Cohort


def split_patients(cohort: Cohort, fraction: float, seed: int, folds: Folds = Folds()) -> Split:
    """Hold out a fold, then put `fraction` of each class's other patients into validation.

    Each class has at least one patient on either side. Patients are ordered by a hash of seed,
    site and patient, so a patient who joins later moves the others by no more than the change of
    the quota. Over the folds of one seed every patient is held out once. Raises SiteError where
    a class has fewer than two patients left to train and to validate on.
    """
    labels = cohort.patients()
    test = held_out_patients(cohort, seed, folds)
    validation: set[str] = set()
    for one in cohort.outcome.classes:
        patients = _ordered(labels, one.label, seed, cohort.site, without=test)
        if len(patients) < 2:
            beside = f" beside those of the test fold (folds={folds.count})" if folds.count else ""
            raise SiteError(
                f"Site '{cohort.site}' has {len(patients)} {one.word} patients{beside}; training "
                "and validation need at least 2 of each class."
            )
        quota = min(max(1, round(fraction * len(patients))), len(patients) - 1)
        validation.update(patients[:quota])
    return Split(
        train=cohort.subset(labels.keys() - validation - test),
        validation=cohort.subset(validation),
        test=cohort.subset(test),
    )


def held_out_patients(cohort: Cohort, seed: int, folds: Folds) -> set[str]:
    """The patients of the test fold: each class dealt out over the folds in a hashed order.

    Which fold gets the first patient is drawn by site and class, so that small sites do not all
    fill the same folds.
    """
    held_out: set[str] = set()
    labels, site = cohort.patients(), cohort.site
    for one in cohort.outcome.classes if folds.count else ():
        first = int(_order(seed, site, f"fold of class {one.label}")[:8], 16)
        for number, patient in enumerate(_ordered(labels, one.label, seed, f"{site}|folds")):
            if (first + number) % folds.count == folds.held_out:
                held_out.add(patient)
    return held_out


def _ordered(
    labels: Mapping[str, int], label: int, seed: int, site: str, without: Collection[str] = ()
) -> list[str]:
    patients = [p for p, own in labels.items() if own == label and p not in without]
    return sorted(patients, key=lambda patient: _order(seed, site, patient))


def _order(seed: int, site: str, patient: str) -> str:
    return hashlib.sha256(f"{seed}|{site}|{patient}".encode("utf-8", "surrogateescape")).hexdigest()
