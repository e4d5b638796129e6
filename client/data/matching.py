"""Which row of the table speaks of which image file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from client.data.discover import IMAGE_SUFFIXES
from client.data.identity import bare
from client.data.labels import LabelRow
from client.data.reading import ImageFile
from client.imaging.facts import NO_IMAGE
from client.settings import SiteSettings


@dataclass(frozen=True)
class Outcomes:
    """The rows' classes: 1, 0, or None for an outcome that is missing or in neither list."""

    classes: tuple[int | None, ...]
    missing: int
    excluded: dict[str, int]
    contradictory: frozenset[str]


@dataclass(frozen=True)
class Matching:
    """For each image file the rows that name it, and what found no partner.

    `could_match` says of each file whether it has a row or, being unreadable, might have one.
    `ambiguous_images` are entries of the image column that several files answer to,
    `ambiguous_files` files whose name and folders are those of several patients.
    `labels_nearly_matched` of the rows without an image would have one but for zeros (`bare`).
    """

    rows: tuple[tuple[int, ...], ...]
    could_match: tuple[bool, ...]
    labels_without_image: int
    ambiguous_images: tuple[str, ...] = ()
    ambiguous_files: tuple[str, ...] = ()
    labels_nearly_matched: int = 0


def classify(settings: SiteSettings, rows: Sequence[LabelRow]) -> Outcomes:
    """Class of each row; a patient with rows of both classes is contradictory."""
    classes: list[int | None] = []
    excluded: dict[str, int] = defaultdict(int)
    of_patient: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        label = 1 if row.outcome in settings.positive else 0
        if label == 0 and row.outcome not in settings.negative:
            classes.append(None)
            if row.outcome:
                excluded[row.outcome] += 1
            continue
        classes.append(label)
        of_patient[row.patient].add(label)
    return Outcomes(
        classes=tuple(classes),
        missing=sum(not row.outcome for row in rows),
        excluded=dict(sorted(excluded.items())),
        contradictory=frozenset(p for p, labels in of_patient.items() if len(labels) > 1),
    )


def match_by_image(
    settings: SiteSettings, rows: Sequence[LabelRow], files: Sequence[ImageFile]
) -> Matching:
    """Match the image column: relative path first, then file name, then that without suffix."""
    indexes = _name_indexes(settings, files)
    of_file: list[list[int]] = [[] for _ in files]
    without = 0
    ambiguous: set[str] = set()
    for number, row in enumerate(rows):
        candidates = _first_hit(indexes, row.image)
        if len(candidates) > 1:
            ambiguous.add(str(row.image))
        elif candidates:
            of_file[candidates[0]].append(number)
        else:
            without += 1
    matched = tuple(map(tuple, of_file))
    return Matching(matched, tuple(map(bool, matched)), without, tuple(sorted(ambiguous)))


def match_by_patient(rows: Sequence[LabelRow], files: Sequence[ImageFile]) -> Matching:
    """Match the patient column: DICOM Patient ID; of other files the name or a folder above.

    A file whose name and folders are those of several patients is nobody's: `7/1.png` may be
    the first image of patient 7 or an image of patient 1.
    """
    of_patient: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        of_patient[row.patient].append(number)
    matched: list[tuple[int, ...]] = []
    could_match: list[bool] = []
    ambiguous: list[str] = []
    without_row: set[str] = set()
    with_image: set[int] = set()
    for file in files:
        names = _patients_named(file)
        known = [name for name in dict.fromkeys(names) if name in of_patient]
        matched.append(tuple(of_patient[known[0]]) if len(known) == 1 else ())
        with_image.update(number for name in known for number in of_patient[name])
        without_row.update(() if known else map(bare, names))
        if len(known) > 1 and file.picture.reason is None:
            ambiguous.append(file.relative)
        # A damaged file that tells no patient may belong to anyone; a report or plan in the
        # patient's folder was never meant to be one of the images.
        could_match.append(file.picture.reason != NO_IMAGE and bool(known or not names))
    return Matching(
        rows=tuple(matched),
        could_match=tuple(could_match),
        labels_without_image=len(rows) - len(with_image),
        ambiguous_files=tuple(ambiguous),
        labels_nearly_matched=sum(
            bare(row.patient) in without_row
            for number, row in enumerate(rows)
            if number not in with_image
        ),
    )


def _patients_named(file: ImageFile) -> tuple[str, ...]:
    """Patient identifiers that a file may mean; none where a damaged file tells nothing."""
    facts = file.picture.facts
    if facts is not None and facts.format == "DICOM":
        return (facts.patient_id,) if facts.patient_id else ("",)
    if file.picture.patient_id:
        return (file.picture.patient_id,)
    path = PurePosixPath(file.relative)
    if facts is None and path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        return ()
    return (_stem(path), *path.parent.parts)


def _stem(path: PurePosixPath) -> str:
    """The name without the suffix of an image; the last component of a UID is no suffix."""
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name


def _name_indexes(
    settings: SiteSettings, files: Sequence[ImageFile]
) -> tuple[dict[str, list[int]], ...]:
    paths, names, stems = (defaultdict[str, list[int]](list) for _ in range(3))
    # A table beside the images folder may well give paths relative to itself.
    prefix = _relative(settings.images, settings.labels.parent)
    for number, file in enumerate(files):
        path = PurePosixPath(file.relative)
        for key in {file.relative, f"{prefix}/{file.relative}"}:
            paths[key].append(number)
        names[path.name].append(number)
        stems[_stem(path)].append(number)
    return paths, names, stems


def _first_hit(indexes: Iterable[dict[str, list[int]]], name: str | None) -> list[int]:
    if name is None:
        return []
    key = name.replace("\\", "/").removeprefix("./")
    return next((index[key] for index in indexes if key in index), [])


def _relative(path: Path, start: Path) -> str:
    return path.relative_to(start).as_posix() if path.is_relative_to(start) else path.as_posix()
