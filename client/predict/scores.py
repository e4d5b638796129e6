"""Scores of images and, from them, of patients; what an image's own header says against it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit
from scipy.special import logit as logit_of

from client.data.listing import doubts_of
from client.imaging.facts import ImageFacts
from client.imaging.patient_id import has_lost_letters
from client.predict.distance import UNLIKE
from client.predict.files import ReadImage, Refused, printable
from client.predict.owners import Owner
from shared.errors import ConfigError
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome
from shared.plain import shown
from shared.run.finished import Calibration, FinishedRun, OperatingPoint


def notes_on(facts: ImageFacts, owner: Owner | None = None) -> tuple[str, ...]:
    """Phrases on what admission only warns of; such an image is scored."""
    notes = [*doubts_of(facts), *facts.remarks]
    if owner is not None:
        notes += owner.notes_on(facts)
    elif has_lost_letters(facts.patient_id):
        notes.append("letters of its Patient ID are lost, so it stands for a patient of its own")
    return tuple(map(shown, notes))


Person = tuple[str, bool, str]
"""Site, whether the patient is identified, and the patient."""
UNCHOSEN = OperatingPoint("none chosen by the run", 0.5)


@dataclass(frozen=True)
class ImageScore:
    """One image under the model."""

    file: Path
    patient: str
    """The table's patient, else the DICOM Patient ID, else the file's name: such a file is a
    patient of its own."""
    identified: bool
    """Whether `patient` is a table's or a Patient ID."""
    fingerprint: str
    """Equal for the same image in different files."""
    probability: float
    """Of several classes or labels that of what an explanation is of."""
    distance: float | None
    """From the images of the training, 1 as far as noise; None where the model describes none."""
    notes: tuple[str, ...] = ()
    explanation: str | None = None
    counts: bool = True
    """False for a further copy of one of its patient's images."""
    site: str = ""
    """The site whose table names the patient; empty where none does."""
    scores: tuple[float, ...] = ()
    """Of an outcome with several: `Outcome.probabilities`."""

    @property
    def person(self) -> Person:
        """The patient, distinct from another site's and from a file of that name."""
        return self.site, self.identified, self.patient


@dataclass(frozen=True)
class PatientScore:
    """All images of a patient. `calibrated` is None where the run has no recalibration.

    Of several classes or labels `scores` are the means, and `probability` and `positive` say
    nothing.
    """

    person: Person
    """As `ImageScore.person`."""
    images: int
    probability: float
    calibrated: float | None
    positive: bool
    scores: tuple[float, ...] = ()

    @property
    def patient(self) -> str:
        """The patient's name in the table, else the Patient ID, else the file's name."""
        return self.person[2]

    @property
    def site(self) -> str:
        """The site whose table names the patient; empty where none does."""
        return self.person[0]


@dataclass(frozen=True)
class Prediction:
    """What came of the files that were named; `point` is what the patients are decided by."""

    run: str
    point: OperatingPoint
    temperature: float | None
    recalibration: tuple[float, float] | None
    images: tuple[ImageScore, ...]
    patients: tuple[PatientScore, ...]
    refused: tuple[Refused, ...]
    rows_without_image: tuple[str, ...] = ()
    """Rows of the tables that were named whose images are not there, and why."""
    tables: tuple[str, ...] = ()
    """Which columns of the tables have patients and images, a sentence each."""
    caution: str | None = None
    """Why what the run chose does not hold for its final model, which is not used then."""
    outcome: Outcome = BINARY


def person_of(image: ReadImage, owner: Owner | None) -> Person:
    """The patient that a table says (`owner`), else the DICOM Patient ID.

    Where letters of its Patient ID were lost, two patients may have become one text: then the file
    stands for a patient of its own.
    """
    if owner is not None:
        return owner.site, True, owner.patient
    patient = image.facts.patient_id
    if patient is None or has_lost_letters(patient):
        return "", False, printable(image.path)
    return "", True, patient


def point_of(finished: FinishedRun, name: str | None) -> OperatingPoint:
    """`choose_point`; ConfigError also for any name where the run's points are of other models."""
    if name is not None and finished.caution:
        raise ConfigError(
            f"{finished.caution} Its operating point '{name}' is not this model's; leave out "
            f"--operating-point, and patients are classified at {UNCHOSEN.threshold:g}."
        )
    return choose_point(finished.calibration, name)


def choose_point(calibration: Calibration | None, name: str | None) -> OperatingPoint:
    """The run's operating point of that name, without one its first, or 0.5 where it chose none.

    ConfigError for a name that the run does not know.
    """
    points = calibration.points if calibration else ()
    if name is None:
        return points[0] if points else UNCHOSEN
    for point in points:
        if point.name == name:
            return point
    if not points:
        raise ConfigError(
            f"The run has no operating points, so none is called '{name}'; leave it out."
        )
    known = ", ".join(point.name for point in points)
    raise ConfigError(f"The run has no operating point '{name}'; it has: {known}.")


def score_patients(
    images: Sequence[ImageScore],
    point: OperatingPoint,
    recalibration: tuple[float, float] | None,
) -> tuple[PatientScore, ...]:
    """The mean probability of a patient's images, each image once, as evaluation takes it.

    Intercept and slope of the `recalibration` are on the logit of that mean, since they were fitted
    to such; the decision is by the mean itself, on which thresholds are chosen.
    """
    probabilities: dict[Person, list[float]] = defaultdict(list)
    for image in images:
        if image.counts:
            probabilities[image.person].append(image.probability)
    scores = []
    for person, values in probabilities.items():
        mean = float(np.mean(values))
        calibrated = None
        if recalibration is not None:
            intercept, slope = recalibration
            calibrated = float(expit(intercept + slope * logit_of(mean)))
        positive = mean >= point.threshold
        scores.append(PatientScore(person, len(values), mean, calibrated, positive))
    return tuple(scores)


def score_classes(images: Sequence[ImageScore]) -> tuple[PatientScore, ...]:
    """`score_patients` for several classes or labels: the mean of each score, without a decision"""
    of_person: dict[Person, list[tuple[float, ...]]] = defaultdict(list)
    for image in images:
        if image.counts:
            of_person[image.person].append(image.scores)
    return tuple(
        PatientScore(
            person, len(own), math.nan, None, False,
            tuple(float(np.mean(one)) for one in zip(*own, strict=True)),
        )
        for person, own in of_person.items()
    )  # fmt: skip


def shared_images(images: Sequence[ImageScore]) -> frozenset[str]:
    """Fingerprints of images that are filed under more than one patient."""
    patients: dict[str, set[Person]] = defaultdict(set)
    for image in images:
        if image.identified:
            patients[image.fingerprint].add(image.person)
    return frozenset(image for image, named in patients.items() if len(named) > 1)


def is_unlike(image: ImageScore) -> bool | None:
    """Whether the image is farther from the training images than `UNLIKE`; None where unknown."""
    return None if image.distance is None else image.distance > UNLIKE
