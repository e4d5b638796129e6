"""Each file and row that is not used, or that its owner should look at, by name, and why.

It names patients and files: it is for the site's own terminal, where its owner asks for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from client.data.fates import SHARED, Fate
from client.data.identity import folded
from client.data.image_file import ImageFile
from client.data.image_names import stem_of
from client.data.labels import BadRow, LabelRow, LabelTable
from client.data.matching import Matching, Outcomes
from client.imaging.facts import ImageFacts
from client.imaging.subject import other_than_frontal_chest


@dataclass(frozen=True)
class Listed:
    """An `image` or a `row`, its name, whether it is left `out` or only doubtful, and why."""

    kind: str
    name: str = field(repr=False)
    out: bool
    why: str = field(repr=False)


def doubts_of(facts: ImageFacts) -> Iterator[str]:
    """What in its header makes an image doubtful among frontal chest radiographs; it is used."""
    if facts.burned_in_annotation == "YES":
        yield "annotation is burned in"
    yield from other_than_frontal_chest(facts)
    if facts.presentation_intent == "FOR PROCESSING":
        yield "for processing, not for presentation"


def listed_images(
    files: Sequence[ImageFile],
    fates: Sequence[Fate],
    table: LabelTable,
    matching: Matching,
    contradicting: dict[str, str],
) -> Iterator[Listed]:
    """Files in their order; `contradicting` has the Patient ID and patient of those that differ."""
    bad_rows: dict[str, list[BadRow]] = defaultdict(list)
    for row in table.bad_rows:
        if row.image:
            bad_rows[_key(row.image)].append(row)
    for number, (file, fate) in enumerate(zip(files, fates, strict=True)):
        if fate.kind != "admitted":
            rows = [table.rows[row] for row in matching.rows[number]]
            why = [fate.why, *(_lines_of(rows) if fate.why == SHARED else ())]
            if fate.kind == "without label":
                meant = (_meaning(table.rows[row]) for row in matching.meant_by.get(number, ()))
                why = [matching.unmatched_files.get(number, fate.kind), *meant]
                why += [_bad_row(row) for row in bad_rows.get(_key(file.relative), ())]
            yield Listed("image", file.relative, True, "; ".join(why))
            continue
        facts = file.content.facts
        remarks = [*doubts_of(facts), *facts.remarks] if facts is not None else []
        if file.relative in contradicting:
            remarks.append(contradicting[file.relative])
        if remarks:
            yield Listed("image", file.relative, False, "; ".join(remarks))


def listed_rows(table: LabelTable, outcomes: Outcomes, matching: Matching) -> Iterator[Listed]:
    """Rows in the order of the file."""
    found: list[tuple[int, Listed]] = [
        (row.line, Listed("row", row_name(row), True, row.reason)) for row in table.bad_rows
    ]
    ambiguous = set(matching.ambiguous_images)
    for number, (row, label) in enumerate(zip(table.rows, outcomes.classes, strict=True)):
        why = []
        if number in matching.unmatched_rows:
            reason, example = matching.unmatched_rows[number]
            why.append(f"{reason}: {example}" if example else reason)
        if row.image in ambiguous:
            why.append("several files of this name; give the path relative to the images folder")
        if label is None:
            why.append(outcomes.why_unused(row))
        elif row.patient in outcomes.contradictory:
            why.append("its patient has contradictory outcomes")
        if why:
            found.append((row.line, Listed("row", row_name(row), True, "; ".join(why))))
        elif outcomes.unknown and (lost := outcomes.unknown[number]):
            values = ", ".join(f"'{value}'" for value in lost)
            what = (
                f"{values} {outcomes.no_list}: missing, unless another row of the patient says it"
            )
            found.append((row.line, Listed("row", row_name(row), False, what)))
    return (item for _, item in sorted(found, key=lambda pair: pair[0]))


def _key(name: str) -> str:
    """The name of a file or of an entry that may mean it, without folders and suffix."""
    return folded(stem_of(name.replace("\\", "/").rpartition("/")[2]))


def _lines_of(rows: Sequence[LabelRow]) -> Iterator[str]:
    if rows:
        yield f"line{'s' * (len(rows) > 1)} {', '.join(str(row.line) for row in rows)} of the table"


def _bad_row(row: BadRow) -> str:
    return f"line {row.line} may mean it, and is set aside: {row.reason}"


def _meaning(row: LabelRow) -> str:
    return f"line {row.line} may mean it, '{row.image or row.patient}'"


def row_name(row: LabelRow | BadRow) -> str:
    """A row's name for a reader: its line, patient and image."""
    image = f", image '{row.image}'" if row.image else ""
    return f"line {row.line}, patient '{row.patient}'{image}"
