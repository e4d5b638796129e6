"""Indications that identifiers separate or merge patients wrongly.

One patient under two identifiers may be in training and in validation at once. Excel takes
identifiers for numbers and drops their leading zeros, pandas adds `.0` where a column has gaps.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

from client.data.cohort import Radiograph
from client.data.image_file import ImageFile
from client.imaging.patient_id import has_lost_letters


def folded(text: str) -> str:
    """Equal for texts that differ in letter case, kind of blank, and how accents are written.

    Accents are composed (NFC); characters without width are dropped.
    """
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", as_seen(text)).casefold())


def as_seen(text: str) -> str:
    """Equal for texts that look the same: each blank as a space, no characters without width."""
    kinds = ((sign, unicodedata.category(sign)) for sign in text)
    return "".join(" " if kind == "Zs" else sign for sign, kind in kinds if kind != "Cf")


# Zeros before it are stripped afterwards: an expression for them takes hours over a million.
_NUMBER = re.compile(r"([0-9]+)(?:\.0+)?")
_IN_TENS = re.compile(r"([0-9])(?:\.([0-9]+))?e\+?([0-9]{1,2})", re.IGNORECASE)


def bare(identifier: str) -> str:
    """A number without leading zeros, a final .0 and powers of ten; anything else as it is."""
    if tens := _IN_TENS.fullmatch(identifier):
        decimals, power = tens[2] or "", int(tens[3])
        if len(decimals) <= power:
            identifier = f"{tens[1]}{decimals}{'0' * (power - len(decimals))}"
    number = _NUMBER.fullmatch(identifier)
    return number[1].lstrip("0") or "0" if number else identifier


def coinciding(patients: Iterable[str]) -> int:
    """How many of these patients have an identifier that is another's but for zeros.

    Or that looks the same on a screen: other blanks, characters without width.
    """
    sharing = Counter(bare(" ".join(as_seen(patient).split())) for patient in set(patients))
    return sum(number for number in sharing.values() if number > 1)


def differing_in_case(patients: Iterable[str]) -> int:
    """How many of these patients have an identifier that is another's but for letter case."""
    sharing = Counter(map(folded, set(patients)))
    return sum(number for number in sharing.values() if number > 1)


def contradictions(
    admitted: Sequence[tuple[ImageFile, Radiograph]], patients: Collection[str]
) -> tuple[int, ...]:
    """Places of images whose DICOM Patient ID is not the patient that the table gives them.

    Pseudonyms of the table's own contradict nothing: an ID counts where it is another patient's of
    the table, and where more images agree with the table than not.
    """
    known = {same_identifier(patient) for patient in patients}
    differing: list[tuple[int, str]] = []
    agreeing = 0
    for place, (file, radiograph) in enumerate(admitted):
        identifier = file.content.facts.patient_id if file.content.facts is not None else None
        if identifier is None:
            continue
        if same_identifier(identifier) == same_identifier(radiograph.patient):
            agreeing += 1
        else:
            differing.append((place, identifier))
    if agreeing > len(differing):
        return tuple(place for place, _ in differing)
    return tuple(place for place, identifier in differing if same_identifier(identifier) in known)


def same_identifier(identifier: str) -> str:
    """Equal for identifiers that differ in letter case, leading zeros or a final .0 alone."""
    return bare(folded(identifier))


def shared_patient_ids(admitted: Iterable[tuple[ImageFile, Radiograph]]) -> int:
    """How many DICOM Patient IDs stand under several patients of the table.

    0 where all images have one and the same: it was written over them and names nobody.
    """
    patients: dict[str, set[str]] = defaultdict(set)
    for file, radiograph in admitted:
        facts = file.content.facts
        if facts is not None and facts.patient_id and not has_lost_letters(facts.patient_id):
            patients[facts.patient_id].add(bare(radiograph.patient))
    if len(patients) == 1:
        return 0
    return sum(len(named) > 1 for named in patients.values())
