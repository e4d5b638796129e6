"""Columns that look like labels, and columns whose cells list several findings."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from client.declared import normalised_value
from client.proposal.columns import Column
from client.proposal.several import class_name
from client.proposal.words import (
    CLINICAL_NAME,
    IDENTIFIER_NAME,
    IMAGE_NAME,
    NOT_OUTCOME_NAME,
    PATIENT_NAME,
    is_condition,
    is_unknown,
    meaning_of,
    plain,
)
from shared.outcome.registry import MOST_LABELS

_BETWEEN, _IN_LISTS = re.compile(r"[|;]"), re.compile(r"[|;,]")
_AROUND = " []'\""
_OTHER_NAMES = (CLINICAL_NAME, IDENTIFIER_NAME, IMAGE_NAME, NOT_OUTCOME_NAME, PATIENT_NAME)


def listed_in(column: Column) -> tuple[str, ...]:
    """The findings that its cells list, several in one as in `Effusion|Mass`, commonest first.

    Empty where no cell does, where parts have no letters, and where they hardly repeat, as in
    prose.
    """
    cells = {value: _parts(value) for value in column.values}
    rows = Counter[str]()
    for value, parts in cells.items():
        rows.update(dict.fromkeys(parts, column.values[value]))
    different = sum(map(len, cells.values()))
    if (
        all(len(parts) < 2 for parts in cells.values())
        or not len(rows) < different
        or not 2 * len(rows) <= rows.total()
        or len(rows) > 2 * MOST_LABELS
        or any(not any(map(str.isalpha, part)) for part in rows)
    ):
        return ()
    return tuple(part for part, _ in rows.most_common())


def own_columns_wanted(column: Column, names: Iterable[str] = ()) -> str:
    """The sentence that says which table is wanted in place of such a column, with these labels."""
    example = next((value for value in column.values if len(_parts(value)) > 1), "")
    found = (name for name in listed_in(column) if meaning_of(name, "") is not False)
    wanted = [*names] or [*islice(found, 3), "..."]
    return (
        f"'{column.name}' lists several findings in a cell ('{example[:60]}'), but a label needs a "
        f"column of its own: make a table with a column for each ({', '.join(wanted)}), 1 where it "
        "is there and 0 where it is not, and name these columns with --labels."
    )


def labels_hint(columns: Sequence[Column]) -> str:
    """A sentence, with a blank before it, where some columns look like labels; else empty."""
    found = [column for column in columns if _looks_like_label(column)]
    parts = _to_paste(found)
    if len(parts) > 1 and any(len(_known(column)) > 1 for column in found):
        first = f" (the first {MOST_LABELS} of {len(parts)})" if len(parts) > MOST_LABELS else ""
        return (
            " If a patient may have several of these findings at once, rerun with --labels "
            f"{shlex.quote(' | '.join(parts[:MOST_LABELS]))}{first}, without any column "
            "that is not a finding."
        )
    listing = next((c for c in columns if not _is_something_else(c) and listed_in(c)), None)
    return "" if listing is None else f" {own_columns_wanted(listing)}"


def _to_paste(columns: Sequence[Column]) -> list[str]:
    """What --labels takes for each; without columns whose names it cannot take."""
    named: dict[str, str] = {}
    for column in columns:
        name = class_name(column.name)
        if name and "|" not in column.name:
            part = name if name == column.name else f"{name}={column.name}"
            named.setdefault(name.casefold(), part)
    return list(named.values())


def _looks_like_label(column: Column) -> bool:
    """Whether it says of each row yes or no, or one of them alone, and is not called otherwise."""
    known = _known(column)
    if not 1 <= len(known) <= 2 or column.filled < 2:
        return False
    if _is_something_else(column):
        return False
    said = [meaning_of(normalised_value(value), "") for value in known]
    return None not in said and len(set(said)) == len(said) and not any(map(is_condition, known))


def _known(column: Column) -> list[str]:
    return [value for value in column.values if not is_unknown(value)]


def _is_something_else(column: Column) -> bool:
    """Whether its name says that it is no finding."""
    name = plain(column.name)
    return not is_condition(name) and any(other.search(name) for other in _OTHER_NAMES)


def _parts(value: str) -> tuple[str, ...]:
    """What stands between bars or semicolons, or between commas in brackets (`['a', 'b']`)."""
    between = _IN_LISTS if value.startswith("[") and value.endswith("]") else _BETWEEN
    return tuple(filter(None, (part.strip(_AROUND) for part in between.split(value))))
