"""Which rows of the table are of which image file, where patients are matched and no names."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from client.data.identity import folded, same_identifier
from client.data.image_file import ImageFile
from client.data.image_names import CASE, stem_of
from client.data.labels import LabelRow
from client.data.likely import likely_names
from client.data.matching import Matching, meant_by
from client.imaging.facts import NO_IMAGE
from client.imaging.patient_id import has_lost_letters

NO_IMAGE_OF_PATIENT = "no image of this patient"
NEARLY = "an image has this patient but for leading zeros, a final .0 or letter case"
SIMILAR = "no image of this patient, but one of a similar patient that has no row"
NO_ROW_OF_PATIENT = "no row of its patient"
NO_PATIENT_ID = "it has no Patient ID"
LOST_PATIENT_ID = "letters of its Patient ID are lost"
FOREIGN_PATIENT_ID = "its Patient ID is not in the character set that its header names"
SEVERAL_PATIENTS = "its name and folders are those of several patients"


def match_by_patient(rows: Sequence[LabelRow], files: Sequence[ImageFile]) -> Matching:
    """Match the patient column: DICOM Patient ID; of other files the name or a folder above.

    A file whose name and folders are those of several patients is nobody's: `7/1.png` may be
    the first image of patient 7 or an image of patient 1.
    """
    of_patient: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        of_patient[row.patient].append(number)
    names_of = [_patients_named(file) for file in files]
    alike = _alike(of_patient, names_of)
    matched: list[tuple[int, ...]] = []
    could_match: list[bool] = []
    ambiguous: list[str] = []
    without_row: dict[str, str] = {}
    with_image: set[int] = set()
    unmatched_files: dict[int, str] = {}
    for place, (file, names) in enumerate(zip(files, names_of, strict=True)):
        known = [name for name in dict.fromkeys(names) if name in of_patient]
        known = known or list(dict.fromkeys(alike[name] for name in names if name in alike))
        matched.append(tuple(of_patient[known[0]]) if len(known) == 1 else ())
        with_image.update(number for name in known for number in of_patient[name])
        for name in () if known else names:
            without_row.setdefault(same_identifier(name), file.relative)
        if len(known) > 1 and file.content.reason is None:
            ambiguous.append(file.relative)
        if len(known) != 1:
            unmatched_files[place] = SEVERAL_PATIENTS if known else _why_no_row(names)
        # A damaged file that names no patient may belong to anyone; a report or plan in the
        # patient's folder was never meant to be one of the images.
        could_match.append(file.content.reason != NO_IMAGE and bool(known or not names))
    unmatched_rows = {
        number: (NEARLY, without_row[same_identifier(row.patient)])
        if same_identifier(row.patient) in without_row
        else (NO_IMAGE_OF_PATIENT, "")
        for number, row in enumerate(rows)
        if number not in with_image
    }
    unmatched_rows |= _similar_patients(rows, unmatched_rows, without_row)
    return Matching(
        rows=tuple(matched),
        could_match=tuple(could_match),
        labels_without_image=len(unmatched_rows),
        ambiguous_files=tuple(ambiguous),
        labels_nearly_matched=sum(reason == NEARLY for reason, _ in unmatched_rows.values()),
        unmatched_rows=unmatched_rows,
        unmatched_files=unmatched_files,
        meant_by=meant_by(files, unmatched_rows, {}),
        adapted=Counter({CASE: len(alike)} if alike else {}),
    )


def _similar_patients(
    rows: Sequence[LabelRow],
    unmatched: Mapping[int, tuple[str, str]],
    without_row: Mapping[str, str],
) -> dict[int, tuple[str, str]]:
    """Rows without an image -> an image whose patient has no row and a similar identifier."""
    names = list(without_row)
    left = {n: rows[n].patient for n, (reason, _) in unmatched.items() if reason != NEARLY}
    likely = likely_names(left.values(), names)
    return {
        number: (SIMILAR, without_row[names[likely[patient]]])
        for number, patient in left.items()
        if patient in likely
    }


def _alike(of_patient: Mapping[str, object], names_of: Sequence[tuple[str, ...]]) -> dict[str, str]:
    """A file's spelling of a patient -> the table's, where each knows but one under `folded`."""
    spelled: dict[str, set[str]] = defaultdict(set)
    for names in names_of:
        for name in names:
            spelled[folded(name)].add(name)
    in_table: dict[str, list[str]] = defaultdict(list)
    for patient in of_patient:
        in_table[folded(patient)].append(patient)
    return {
        next(iter(spelled[key])): patients[0]
        for key, patients in in_table.items()
        if len(patients) == 1 and len(spelled[key]) == 1 and patients[0] not in spelled[key]
    }


def _why_no_row(names: tuple[str, ...]) -> str:
    if names in ((), ("",)):
        return NO_PATIENT_ID
    if any(map(has_lost_letters, names)):
        return LOST_PATIENT_ID
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return FOREIGN_PATIENT_ID
    return NO_ROW_OF_PATIENT


def _patients_named(file: ImageFile) -> tuple[str, ...]:
    """Patient identifiers that a file may mean, accents composed; none of a damaged file's."""
    return tuple(unicodedata.normalize("NFC", name) for name in _names_in(file))


def _names_in(file: ImageFile) -> tuple[str, ...]:
    facts = file.content.facts
    if facts is not None and facts.format == "DICOM":
        return (facts.patient_id,) if facts.patient_id else ("",)
    if file.content.patient_id:
        return (file.content.patient_id,)
    path = PurePosixPath(file.relative)
    if facts is None and path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        return ()
    return (stem_of(path.name), *path.parent.parts)
