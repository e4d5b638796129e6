"""What a proposed site.toml finds in the table and the folder of images, without reading pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from client.data.image_file import ImageContent, ImageFile
from client.data.labels import read_labels
from client.data.matching import classify, match_by_image
from client.data.patient_matching import match_by_patient
from client.settings import SiteSettings
from shared.outcome.outcome import Outcome, OutcomeClass


@dataclass(frozen=True)
class Found:
    """What the proposal finds in table and folder; contradictory patients are in no class."""

    rows: int
    files: int
    patients: tuple[tuple[str, int, int], ...]
    """Word of the class, its patients, its images; of labels a word for each side."""
    rows_without_image: int
    nearly_matched: int
    """Of these, rows that an image has but for zeros, letter case or a final .0."""
    files_without_row: int
    contradictory: int
    bad_rows: int
    excluded: int
    """Rows with another outcome or none."""
    shared: int
    """Images with rows of several patients; they are in no class."""


def find(
    settings: SiteSettings, paths: Sequence[str], identifiers: Mapping[str, str | None]
) -> Found:
    """What admission will match, as far as it needs no pixels.

    `paths` are relative to the folder of images, `identifiers` Patient IDs of DICOM files.
    """
    labels = read_labels(settings)
    outcomes = classify(settings, labels.rows)
    files = [ImageFile(file, "", ImageContent(patient_id=identifiers.get(file))) for file in paths]
    matching = (
        match_by_patient(labels.rows, files)
        if settings.image is None
        else match_by_image(settings, labels.rows, files)
    )
    labels_of: dict[str, int] = {}
    images: Counter[int] = Counter()
    shared = [len({labels.rows[number].patient for number in rows}) > 1 for rows in matching.rows]
    for rows in (rows for rows, several in zip(matching.rows, shared, strict=True) if not several):
        usable = [number for number in rows if outcomes.classes[number] is not None]
        patient = labels.rows[usable[0]].patient if usable else ""
        label = outcomes.classes[usable[0]] if usable else None
        if label is not None and patient not in outcomes.contradictory:
            labels_of[patient] = label
            images[label] += 1
    patients = Counter(labels_of.values())
    outcome = settings.encoding.outcome
    return Found(
        rows=len(labels.rows) + len(labels.bad_rows),
        files=len(files),
        patients=tuple(
            (one.word, _number(patients, outcome, one), _number(images, outcome, one))
            for one in outcome.classes
        ),
        rows_without_image=matching.labels_without_image + len(matching.ambiguous_images),
        nearly_matched=matching.labels_nearly_matched,
        files_without_row=sum(not rows for rows in matching.rows),
        contradictory=len(outcomes.contradictory),
        bad_rows=len(labels.bad_rows),
        excluded=sum(label is None for label in outcomes.classes),
        shared=sum(shared),
    )


def _number(labels: Mapping[int, int], outcome: Outcome, one: OutcomeClass) -> int:
    return sum(number for label, number in labels.items() if outcome.holds(label, one))
