"""Training, validation and test patients of a site."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from client.data.cohort import Cohort
from client.data.strata import strata_of
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

    Each class of which there are two patients has at least one on either side, but for a rare label
    all of whose few patients rarer labels have put on one; a single one is
    trained on, unless another of the patient's labels puts it into validation. Patients are ordered
    by a hash of seed, site and patient, so a patient who joins later moves the others by no more
    than the change of the quota; of several labels, as long as none becomes rarer than another by
    it. Over the folds of one seed every patient is held out once. Raises SiteError where a class
    that the outcome needs at each site has fewer than two patients left to train and to validate
    on, or where all classes have.
    """
    labels = cohort.patients()
    test = held_out_patients(cohort, seed, folds)
    rest = {patient: label for patient, label in labels.items() if patient not in test}
    outside = f" besides those of the test fold (folds={folds.count})" if folds.count else ""
    validation: set[str] = set()
    for one, patients, unsplit in strata_of(rest, cohort.outcome):
        if len(patients) < 2 and cohort.outcome.every_class:
            raise SiteError(
                f"Site '{cohort.site}' has {len(patients)} {one.word} patients{outside}; training "
                "and validation need at least 2 of each class."
            )
        quota = min(max(1, round(fraction * len(patients))), len(patients) - 1)
        missing = max(0, quota - len(validation.intersection(patients)))
        validation.update(_ordered(unsplit, seed, cohort.site)[:missing])
    if not validation:
        raise SiteError(
            f"Site '{cohort.site}' has {len(rest)} patients{outside}, and no two of the same "
            "class; training and validation need at least 2 of one."
        )
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
    for one, _, patients in strata_of(labels, cohort.outcome) if folds.count else ():
        first = int(_order(seed, site, f"fold of class {one.label}")[:8], 16)
        for number, patient in enumerate(_ordered(patients, seed, f"{site}|folds")):
            if (first + number) % folds.count == folds.held_out:
                held_out.add(patient)
    return held_out


def _ordered(patients: Iterable[str], seed: int, site: str) -> list[str]:
    return sorted(patients, key=lambda patient: _order(seed, site, patient))


def _order(seed: int, site: str, patient: str) -> str:
    return hashlib.sha256(f"{seed}|{site}|{patient}".encode("utf-8", "surrogateescape")).hexdigest()
