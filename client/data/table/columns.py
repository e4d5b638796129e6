"""Where the columns that site.toml names stand in a table."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from shared.errors import SiteError

_SHOWN_COLUMNS, _SHOWN_LETTERS = 30, 40


def place_of(file: Path, column: str, header: Sequence[str], wanted: Sequence[str]) -> int:
    """The place of a column, from 0; SiteError where there is none, or more than one.

    `wanted` are all columns that site.toml names.
    """
    match header.count(column):
        case 1:
            return header.index(column)
        case 0 if not any(header):
            raise SiteError(f"{file} is empty; it must have a row with the names of its columns.")
        case 0:
            raise SiteError(
                f"{file} has no column '{column}'; {found_instead(column, header, wanted)} "
                "Name the right one in [data] of site.toml."
            )
        case number:
            raise SiteError(
                f"{file} has {number} columns '{column}'; rename all but the one that counts."
            )


def found_instead(column: str, header: Sequence[str], wanted: Sequence[str]) -> str:
    """What the first row has in its place.

    Of a table without column names, that row is a patient's: it is quoted only where it holds a
    wanted name, or a name so like the wanted one that it is meant for it.
    """
    folded = {name.casefold(): name for name in header if name}
    near = difflib.get_close_matches(column.casefold(), folded, n=1, cutoff=0.75)
    hint = f" Did you mean '{folded[near[0]]}'?" if near else ""
    names = [name for name in header if name]
    if any(name in header for name in wanted):
        shown = ", ".join(f"'{name[:_SHOWN_LETTERS]}'" for name in names[:_SHOWN_COLUMNS])
        more = len(names) - _SHOWN_COLUMNS
        return f"its columns are {shown}{f' and {more} more' if more > 0 else ''}.{hint}"
    return (
        "none of the columns that site.toml names is in its first row, which has "
        f"{len(names)} cell(s) and may not be the row of column names.{hint}"
    )
