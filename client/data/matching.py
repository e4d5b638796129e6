"""Which row of the table belongs to which image file."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from client.data.image_file import ImageFile
from client.data.image_names import NO_NAME, match_names
from client.data.labels import LabelRow
from client.settings import SiteSettings
from shared.outcome.binary import BINARY
from shared.outcome.outcome import Outcome

NO_ROW = "no row of the table names it"


@dataclass(frozen=True)
class Outcomes:
    """The rows' labels, or None for an outcome that is missing or in no class's list.

    Of several labels a row has the label of its patient, to which other rows may add; `excluded`
    also counts the values by which a label is as good as missing. `unknown` has the values
    of each row that are in no list, and `no_list` says so in words.
    """

    classes: tuple[int | None, ...]
    missing: int
    excluded: dict[str, int]
    contradictory: frozenset[str]
    unknown: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    no_list: str = "in neither list"

    def why_unused(self, row: LabelRow) -> str:
        """Why a row has no label."""
        return f"outcome '{row.outcome}' {self.no_list}" if row.outcome else "no outcome"


@dataclass(frozen=True)
class Matching:
    """For each image file the rows that name it, and what found no partner.

    `could_match` says of each file whether it has a row or, being unreadable, might have one.
    `ambiguous_images` are entries of the image column that several files answer to,
    `ambiguous_files` files whose name and folders are those of several patients.
    `labels_nearly_matched` of the rows without an image would have one but for zeros (`bare`).
    `unmatched_rows` says of rows without an image why, and which file or patient may be meant;
    `unmatched_files` of files without a row why, and `meant_by` which rows may mean such a file.
    `adapted` counts names or patients that were matched though they are written otherwise, by what
    they differ in.
    """

    rows: tuple[tuple[int, ...], ...]
    could_match: tuple[bool, ...]
    labels_without_image: int
    ambiguous_images: tuple[str, ...] = ()
    ambiguous_files: tuple[str, ...] = ()
    labels_nearly_matched: int = 0
    unmatched_rows: Mapping[int, tuple[str, str]] = field(default_factory=dict, repr=False)
    unmatched_files: Mapping[int, str] = field(default_factory=dict, repr=False)
    meant_by: Mapping[int, tuple[int, ...]] = field(default_factory=dict, repr=False)
    adapted: Mapping[str, int] = field(default_factory=dict)


def classify(settings: SiteSettings, rows: Sequence[LabelRow]) -> Outcomes:
    """Class of each row; a patient with rows of two classes is contradictory."""
    encoding = settings.encoding
    classes = [encoding.label_of_row(row.cells) for row in rows]
    unknown = tuple(encoding.unknown(row.cells) for row in rows)
    excluded = Counter(value for values in unknown for value in values)
    of_patient: dict[str, set[int]] = defaultdict(set)
    for row, label in zip(rows, classes, strict=True):
        if label is not None:
            of_patient[row.patient].add(label)
    merged = {patient: encoding.outcome.merged(own) for patient, own in of_patient.items()}
    return Outcomes(
        classes=tuple(
            label if label is None or merged[row.patient] is None else merged[row.patient]
            for row, label in zip(rows, classes, strict=True)
        ),
        missing=sum(not any(row.cells) for row in rows),
        excluded=dict(sorted(excluded.items())),
        contradictory=frozenset(p for p, label in merged.items() if label is None),
        unknown=unknown,
        no_list=in_no_list(encoding.outcome),
    )


def in_no_list(outcome: Outcome) -> str:
    """In words, where a value is that means no outcome."""
    return "in neither list" if outcome == BINARY or not outcome.exclusive else "in no class's list"


def match_by_image(
    settings: SiteSettings, rows: Sequence[LabelRow], files: Sequence[ImageFile]
) -> Matching:
    """Match the image column, see `image_names`."""
    found = match_names(
        settings.images,
        settings.labels,
        (row.image for row in rows if row.image),
        [file.relative for file in files],
    )
    of_file: list[list[int]] = [[] for _ in files]
    unmatched: dict[int, tuple[str, str]] = {}
    several: dict[int, tuple[int, ...]] = {}
    for number, row in enumerate(rows):
        if row.image is None:
            unmatched[number] = (NO_NAME, "")
        elif row.image in found.file_of:
            of_file[found.file_of[row.image]].append(number)
        elif row.image in found.ambiguous:
            several[number] = found.ambiguous[row.image]
        else:
            unmatched[number] = found.unmatched[row.image]
    matched = tuple(map(tuple, of_file))
    return Matching(
        rows=matched,
        could_match=tuple(map(bool, matched)),
        labels_without_image=len(unmatched),
        ambiguous_images=tuple(sorted(found.ambiguous)),
        unmatched_rows=unmatched,
        unmatched_files={number: NO_ROW for number, rows_of in enumerate(matched) if not rows_of},
        meant_by=meant_by(files, unmatched, several),
        adapted=found.adapted,
    )


def meant_by(
    files: Sequence[ImageFile],
    unmatched: Mapping[int, tuple[str, str]],
    several: Mapping[int, tuple[int, ...]],
) -> dict[int, tuple[int, ...]]:
    """File -> the rows that may mean it: nearly its name, or one that several files have."""
    place_of = {file.relative: place for place, file in enumerate(files)}
    rows_of: dict[int, list[int]] = defaultdict(list)
    for number, (_, example) in unmatched.items():
        if example in place_of:
            rows_of[place_of[example]].append(number)
    for number, places in several.items():
        for place in places:
            rows_of[place].append(number)
    return {place: tuple(numbers) for place, numbers in rows_of.items()}
