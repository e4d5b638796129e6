"""A table's file, CSV or XLSX, to its sheet; and the first lines of one whose columns are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from client.data.table.delimited import first_lines, read_delimited
from client.data.table.kinds import is_archive, refuse_other_kinds
from client.data.table.line import Line, Sheet
from client.data.table.workbook import first_lines_of_sheets, read_workbook
from shared.errors import SiteError

# A million rows of a hundred characters.
_MAXIMUM_BYTES = 100_000_000


def read_sheet(
    file: Path, wanted: Sequence[str], looks_like_row: Callable[[Line, Line], bool]
) -> Sheet:
    """The table with the wanted columns, from its header on.

    Raises SiteError for a file that is no such table and for one that could be read in two ways.
    """
    data = _read_bytes(file)
    if is_archive(data):
        return read_workbook(file, data, wanted)
    refuse_other_kinds(file, data)
    return read_delimited(file, data, wanted, looks_like_row)


def first_lines_of(file: Path) -> tuple[tuple[Line, ...], ...]:
    """The first lines of each visible sheet, where nobody knows yet which columns count.

    A CSV is one sheet. Raises SiteError as `read_sheet`.
    """
    data = _read_bytes(file)
    if is_archive(data):
        return first_lines_of_sheets(file, data)
    refuse_other_kinds(file, data)
    return (first_lines(file, data),)


def _read_bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > _MAXIMUM_BYTES:
            raise SiteError(
                f"{file} is larger than {_MAXIMUM_BYTES // 10**6} MB; keep only the columns and "
                "rows that are needed."
            )
        return file.read_bytes()
    except OSError as error:
        raise SiteError(
            f"{file} cannot be read ({error.strerror}); check its permissions."
        ) from error
