"""Which columns of a table name images, patients and outcomes, each with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from client.data.identity import same_identifier
from client.data.image_names import match_names, stem_of
from client.proposal.columns import Column
from client.proposal.images import FoundImages
from client.proposal.label_columns import labels_hint
from client.proposal.words import (
    CLINICAL_NAME,
    IDENTIFIER_NAME,
    IMAGE_NAME,
    NOT_OUTCOME_NAME,
    NOT_PATIENT_NAME,
    OUTCOME_NAME,
    PATIENT_NAME,
    is_condition,
    is_unknown,
    meaning_of,
    plain,
)
from shared.errors import SiteError

_MOST_OUTCOMES = 20
_SHOWN = 6
_MATCHED = 0.2
_SAMPLE = 300
"""Entries that show whether a column may name images."""
_COUNTER = re.compile(r"[ _.-]+[a-z]*[ _.-]*\d{1,3}$", re.IGNORECASE)


@dataclass(frozen=True)
class Guess:
    """A column, None where none is wanted, and why."""

    column: Column | None
    why: str


def guess_image(columns: Sequence[Column], table: Path, images: FoundImages) -> Guess:
    """The column whose entries name most of the files; none where patients are matched instead."""
    scored = []
    for column in columns:
        entries = list(column.values)
        named = bool(IMAGE_NAME.search(plain(column.name)))
        # Ages and the like are no names of files that are numbered.
        clinical = not named and CLINICAL_NAME.search(plain(column.name))
        if clinical or not entries or len(entries) < 0.5 * column.filled:
            continue
        some = entries[:: -(-len(entries) // _SAMPLE)]
        sample = match_names(images.folder, table, some, images.files)
        if len(sample.file_of) < _MATCHED * len(some):
            continue
        found = match_names(images.folder, table, entries, images.files)
        files = len(set(found.file_of.values()))
        scored.append((files / len(images.files) + named, files, column))
    if not scored:
        return Guess(None, "no column has names of the image files")
    _, files, best = max(scored, key=lambda item: item[:2])
    if PATIENT_NAME.search(plain(best.name)) and not IMAGE_NAME.search(plain(best.name)):
        return Guess(None, f"the files are named after the patients in '{best.name}'")
    return Guess(best, f"{files} of {len(images.files)} image files are named in it")


def guess_patient(
    columns: Sequence[Column],
    image: Column | None,
    table: Path,
    images: FoundImages,
    identifiers: Mapping[str, str | None],
) -> Guess:
    """The column of patients: by its name, and by the Patient IDs or names of the files.

    `identifiers` has the Patient IDs of some DICOM files. Raises SiteError where there is none and
    several images seem to be of one patient.
    """
    files = images.files
    entries = () if image is None else image.values
    file_of = match_names(images.folder, table, entries, files).file_of
    named = [_patients_of(file, identifiers) for file in files]
    known = {same_identifier(name) for names in named for name in names}
    scored = []
    for column in columns:
        words = plain(column.name)
        if column is image or not column.values or NOT_PATIENT_NAME.search(words):
            continue
        if image is None:
            agreeing = sum(same_identifier(value) in known for value in column.values)
            share = agreeing / len(column.values)
        else:
            share = _agreement(column, image, files, identifiers, file_of)
        by_name = (2 if PATIENT_NAME.search(words) else 0) + bool(IDENTIFIER_NAME.search(words))
        # Just any identifier may be of rows or readers, unless some are of several rows.
        # One value for all rows may be of anything, unless the name or the images say a patient.
        grouping = max(2, 0.1 * column.filled) <= len(column.values) < column.filled
        if by_name >= 2 or share > 0.5 or (by_name and image is not None and grouping):
            scored.append((3 * share + by_name, share, column))
    if scored:
        _, share, best = max(scored, key=lambda item: item[0])
        agree = f"; {share:.0%} of its entries fit the images' Patient IDs or names"
        return Guess(best, f"by its name{agree}" if share else "by its name")
    return _by_image(image, files, identifiers)


def _by_image(
    image: Column | None, files: Sequence[str], identifiers: Mapping[str, str | None]
) -> Guess:
    """Each image as a patient of its own, unless the files' names or headers say otherwise."""
    if image is None:
        raise SiteError(
            "No column of the table names the image files or their patients (DICOM Patient IDs, "
            "or names of files or folders). Name the column with --image or --patient, or the "
            "folder of the images with --images."
        )
    groups = {_COUNTER.sub("", stem_of(file.rpartition("/")[2])) for file in files}
    folders = {file.rpartition("/")[0] for file in files}
    headers = [patient for patient in identifiers.values() if patient]
    by_name = 1 < len(groups) < len(files) or 2 < len(folders) < len(files)
    # One and the same everywhere was written over the true ones and names nobody.
    if by_name or 1 < len(set(headers)) < len(headers):
        say = "names look as if" if by_name else "DICOM Patient IDs say that"
        raise SiteError(
            f"No column of the table names patients, and the files' {say} some patients have "
            "several images; they would be in training and in validation at once. Add a "
            "column with the patient of each image and name it with --patient, or, if each image "
            f"is of another patient, give --patient '{image.name}'."
        )
    return Guess(image, "no column names patients: each image counts as a patient of its own")


def _agreement(
    column: Column,
    image: Column,
    files: Sequence[str],
    identifiers: Mapping[str, str | None],
    file_of: Mapping[str, int],
) -> float:
    """The share of rows, of those whose image has a Patient ID, where the cell is this ID."""
    same = total = 0
    for value, name in zip(column.cells, image.cells, strict=True):
        found = identifiers.get(files[file_of[name]]) if name in file_of else None
        total += found is not None
        same += found is not None and same_identifier(found) == same_identifier(value)
    return same / total if total else 0.0


def _patients_of(file: str, identifiers: Mapping[str, str | None]) -> tuple[str, ...]:
    """As admission has it: of DICOM the Patient ID, of others the name or a folder above."""
    if file in identifiers:
        return tuple(filter(None, (identifiers[file],)))
    path = PurePosixPath(file)
    return (stem_of(path.name), *path.parent.parts)


def guess_outcome(columns: Sequence[Column]) -> Guess:
    """The column whose name and values look most like an outcome.

    Raises SiteError where none does, or several do alike.
    """
    scored = sorted(
        ((_outcome_score(column), column) for column in columns if _may_be_outcome(column)),
        key=lambda item: -item[0],
    )
    choose = "Name the right one with --outcome COLUMN"
    if not scored or scored[0][0] < 1:
        raise SiteError(
            f"No column looks like the outcome. {choose}: {_offered(columns, _may_be_asked_for)}."
            f"{labels_hint(columns)}"
        )
    (best, column), *others = scored
    alike = [other for score, other in others if score >= best - 0.25]
    if alike:
        raise SiteError(
            f"Several columns look like the outcome. {choose}: {_offered([column, *alike])}."
            f"{labels_hint(columns)}"
        )
    return Guess(column, f"by its name or values ({_few(column)})")


def _few_values(column: Column) -> bool:
    return 2 <= len(column.values) <= _MOST_OUTCOMES and 2 * len(column.values) <= column.filled


def _may_be_asked_for(column: Column) -> bool:
    return _few_values(column) and not PATIENT_NAME.search(plain(column.name))


def _may_be_outcome(column: Column) -> bool:
    return _few_values(column) and not NOT_OUTCOME_NAME.search(plain(column.name))


def _outcome_score(column: Column) -> float:
    """Its name counts most, then values that say that a finding is there or is not."""
    known = [value for value in column.values if not is_unknown(value)]
    meanings = {meaning_of(value, column.name) for value in known}
    return (
        2.0 * bool(OUTCOME_NAME.search(plain(column.name)))
        + 1.5 * is_condition(column.name)
        + 1.5 * ({True, False} <= meanings)
        + 0.5 * (len(known) == 2)
        + 0.5 * any(map(is_condition, known))
    )


def _offered(columns: Sequence[Column], wanted: Callable[[Column], bool] = lambda _: True) -> str:
    offered = [f"'{column.name}' ({_few(column)})" for column in columns if wanted(column)]
    more = [f"{len(offered) - 10} more"] if len(offered) > 10 else []
    return "; ".join([*offered[:10], *more]) or "the table has none with 2 to 20 different values"


def _few(column: Column) -> str:
    values = [value for value, _ in column.values.most_common(_SHOWN)]
    more = len(column.values) - len(values)
    return ", ".join([*values, *([f"{more} more"] if more > 0 else [])])
