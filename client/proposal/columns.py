"""The columns of a table that nobody has described yet: where their names stand, what they hold."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from client.data.discover import IMAGE_SUFFIXES
from client.data.table.line import Line, clean
from client.data.table.read import first_lines_of, read_sheet
from client.declared import normalised_value
from client.proposal.words import is_known_name
from shared.errors import SiteError

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
# Of the widest line: titles above the table are narrower, and some columns may have no name.
_WIDTH = 0.6


@dataclass(frozen=True)
class Column:
    """A column by its name, and its cells in the order of the rows."""

    name: str
    cells: tuple[str, ...] = field(repr=False)

    @cached_property
    def values(self) -> Counter[str]:
        """How often each value occurs, empty cells aside; spelled as where it occurs first."""
        spelled: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for cell in filter(None, self.cells):
            counts[spelled.setdefault(normalised_value(cell), cell)] += 1
        return counts

    @property
    def filled(self) -> int:
        """How many cells are not empty."""
        return sum(self.values.values())


def read_columns(file: Path) -> tuple[Column, ...]:
    """The columns whose names are unique; SiteError where no row looks like the names of columns.

    Of several sheets the first that looks like a table is taken.
    """
    sheets = first_lines_of(file)
    names = next(filter(None, map(_names, sheets)), None)
    if names is None:
        raise SiteError(
            f"{file} has no row that looks like the names of its columns; write one above the "
            "first row of data, such as patient,image,outcome."
        )
    sheet = read_sheet(file, names, lambda header, line: False)
    header = sheet.lines[0].cells
    rows = [line for line in sheet.lines[1:] if not line.is_blank and line.flaw is None]
    if not rows:
        raise SiteError(f"{file} has the names of columns and no row below them.")
    columns = tuple(
        Column(name, tuple(line.cell(header.index(name)) for line in rows)) for name in names
    )
    if not any(map(is_known_name, names)) and any(map(_named_by_own_value, columns)):
        raise SiteError(
            f"The first row of {file} looks like data; write a row with the names of the columns "
            "above it, such as patient,image,outcome."
        )
    return columns


def column_named(columns: Sequence[Column], name: str, file: Path) -> Column:
    """The column of that name, whatever its letter case; SiteError with the names there are."""
    found = find_column(columns, name)
    if found is None:
        raise SiteError(f"{file} has no column '{name}'; its columns are {names_of(columns)}.")
    return found


def find_column(columns: Sequence[Column], name: str) -> Column | None:
    """`column_named`, but None where there is no such column."""
    wanted = clean(name)
    for same in (str, str.casefold):
        found = [column for column in columns if same(column.name) == same(wanted)]
        if len(found) == 1:
            return found[0]
    return None


def names_of(columns: Sequence[Column]) -> str:
    """The names of the first columns, in a sentence."""
    return ", ".join(f"'{column.name[:40]}'" for column in columns[:30])


def _names(lines: Sequence[Line]) -> tuple[str, ...] | None:
    """The names in the first line that looks like a header, each that stands there once."""
    width = max((_filled(line) for line in lines), default=0)
    for line in lines:
        cells = [cell for cell in line.cells if cell]
        if len(cells) >= max(2, _WIDTH * width) and not any(map(_is_data, cells)):
            names = tuple(name for name in cells if cells.count(name) == 1)
            return names if len(names) > 1 else None
    return None


def _filled(line: Line) -> int:
    return sum(map(bool, line.cells))


def _is_data(cell: str) -> bool:
    name = PurePosixPath(cell.replace("\\", "/"))
    return bool(_NUMBER.fullmatch(cell)) or name.suffix.lower() in IMAGE_SUFFIXES


def _named_by_own_value(column: Column) -> bool:
    """Whether its name is one of its values, of which there are few, as in a row of data."""
    few = column.values if len(column.values) <= 20 else ()
    return normalised_value(column.name) in map(normalised_value, few)
