"""Signs that identifiers tell patients apart wrongly.

One patient under two identifiers may be in training and in validation at once. Excel takes
identifiers for numbers and drops their leading zeros, pandas adds `.0` where a column has gaps.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from client.data.cohort import Radiograph
from client.data.reading import ImageFile

_NUMBER = re.compile(r"0*([0-9]+?)(?:\.0+)?")


def bare(identifier: str) -> str:
    """A number without leading zeros and a final .0; anything else as it is."""
    number = _NUMBER.fullmatch(identifier)
    return number[1] if number else identifier


def coinciding(patients: Iterable[str]) -> int:
    """How many of these patients have an identifier that is another's but for zeros."""
    sharing = Counter(map(bare, set(patients)))
    return sum(number for number in sharing.values() if number > 1)


def shared_patient_ids(admitted: Iterable[tuple[ImageFile, Radiograph]]) -> int:
    """How many DICOM Patient IDs stand under several patients of the table.

    0 where all images have one and the same: it was written over them and names nobody.
    """
    patients: dict[str, set[str]] = defaultdict(set)
    for file, radiograph in admitted:
        facts = file.picture.facts
        if facts is not None and facts.patient_id:
            patients[facts.patient_id].add(bare(radiograph.patient))
    if len(patients) == 1:
        return 0
    return sum(len(named) > 1 for named in patients.values())
