"""XLSX: the one sheet that has the columns, each cell as a person sees it."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl

from client.data.table import bounded
from client.data.table.hidden import hidden_rows, refuse_hidden
from client.data.table.kinds import check_workbook
from client.data.table.line import HEADER_ROWS, Line, Sheet, clean, header_in, nearest_header
from client.imaging.quiet import quiet_libraries
from shared.errors import SiteError
from shared.storage.archives import ArchiveTooLarge

DATE = "a date (a spreadsheet takes identifiers such as 3-4 for dates)"
ERROR = "an error of the spreadsheet, such as #N/A"
ROUNDED = "a number of over 15 digits, which a spreadsheet rounds"
_LARGEST = 10**15
# Zeros, with a text before or behind; what stands after ";" is for negative numbers.
_ZEROS = re.compile(r'(?:"([^"]*)")?(0+)(?:"([^"]*)")?(?:;[^;]*)?')


def read_workbook(file: Path, data: bytes, wanted: Sequence[str]) -> Sheet:
    """The table from its header on, or its nearest line where there is no header.

    Raises SiteError for what is no workbook, for several visible sheets with the columns, for rows
    that are hidden, and for formulas in these columns whose values are not stored.
    """
    with _read_quietly(file):
        stored = bounded.without_compression(data)
        check_workbook(file, stored)
        return _read(file, stored, wanted)


def first_lines_of_sheets(file: Path, data: bytes) -> tuple[tuple[Line, ...], ...]:
    """The first lines of each visible sheet that has any; SiteError for what is no workbook."""
    with _read_quietly(file):
        stored = bounded.without_compression(data)
        check_workbook(file, stored)
        book = openpyxl.load_workbook(io.BytesIO(stored), read_only=True, data_only=True)
        heads = _heads(book)
        book.close()
    return tuple(tuple(lines) for lines in heads.values() if lines)


@contextmanager
def _read_quietly(file: Path) -> Iterator[None]:
    """SiteError for whatever openpyxl raises inside the block."""
    with quiet_libraries():
        try:
            yield
        except SiteError:
            raise
        except ArchiveTooLarge as error:
            raise SiteError(
                f"{file} holds more than {bounded.MAXIMUM_CELLS:,} cells, or unpacks to more "
                f"than {bounded.UNPACKED_BYTES >> 20} MiB; keep only the columns and rows that are "
                "needed."
            ) from error
        except Exception as error:  # openpyxl raises nearly anything on a damaged workbook
            raise SiteError(
                f"{file} is not a readable workbook; save it again as .xlsx or as .csv."
            ) from error


def _heads(book: Any) -> dict[str, list[Line]]:
    """The first lines of each visible sheet, by its title."""
    heads = {}
    for sheet in book.worksheets:
        if sheet.sheet_state == "visible":
            sheet.reset_dimensions()  # some programs write a wrong extent
            rows = bounded.bounded_rows(islice(sheet.iter_rows(), HEADER_ROWS))
            heads[sheet.title] = _lines(rows)
    return heads


def _read(file: Path, data: bytes, wanted: Sequence[str]) -> Sheet:
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    heads = _heads(book)
    found = [title for title, lines in heads.items() if header_in(lines, wanted) is not None]
    if len(found) > 1:
        raise SiteError(
            f"{file} has the columns in several sheets ({', '.join(map(repr, found[:5]))}); keep "
            "the one that counts, or put all rows into one."
        )
    if not found:
        nearest = [nearest_header(lines, wanted) for lines in heads.values()]
        return Sheet([nearest_header(nearest, wanted)])
    sheet = book[found[0]]
    lines = _lines(bounded.bounded_rows(sheet.iter_rows()))
    with sheet._get_source() as source:
        hidden = hidden_rows(source)
    book.close()
    start = header_in(lines, wanted)
    assert start is not None
    lines = lines[start:]
    refuse_hidden(file, found[0], lines[1:], hidden)
    positions = {name: lines[0].cells.index(name) for name in wanted}
    if any(not line.cell(position) for line in lines for position in positions.values()):
        _refuse_unknown_values(file, data, found[0], positions)
    return Sheet(lines)


def _lines(rows: Any) -> list[Line]:
    lines = []
    for number, row in enumerate(rows, start=1):
        read = [_cell(cell) for cell in row]
        flaws = {place: flaw for place, (_, flaw) in enumerate(read) if flaw is not None}
        line = Line(number, tuple(text for text, _ in read), flaws=flaws)
        if not line.is_blank:
            lines.append(line)
    return lines


def _cell(cell: Any) -> tuple[str, str | None]:
    """The cell's text, and why it may not be what was entered."""
    value = cell.value
    if value is None:
        return "", None
    if cell.data_type == "e":
        return str(value), ERROR
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value), DATE
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int and abs(value) >= _LARGEST:
        return str(value), ROUNDED
    form = _ZEROS.fullmatch(cell.number_format or "")
    if form and type(value) is int and value >= 0:  # 7 in the format "P"000 is seen as P007
        return clean(f"{form[1] or ''}{str(value).zfill(len(form[2]))}{form[3] or ''}"), None
    return clean(str(value)), None


def _refuse_unknown_values(file: Path, data: bytes, title: str, positions: dict[str, int]) -> None:
    """SiteError where an empty cell is a formula: the program that wrote it computes nothing."""
    values, formulas = (
        openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=data_only)
        for data_only in (True, False)
    )
    for book in (values, formulas):
        book[title].reset_dimensions()
    unknown = [
        row[place].coordinate
        for stored, row in zip(values[title].iter_rows(), formulas[title].iter_rows(), strict=True)
        for place in positions.values()
        # A formula whose stored value is an empty text has the type `str`.
        if place < len(row)
        and row[place].data_type == "f"
        and stored[place].value is None
        and stored[place].data_type != "str"
    ]
    values.close()
    formulas.close()
    if unknown:
        more = f", as are {len(unknown) - 1} more of these columns" if len(unknown) > 1 else ""
        raise SiteError(
            f"{file}: cell {unknown[0]} of the sheet {title!r} is a formula whose value is not "
            f"stored{more}. Open the table in a spreadsheet program and save it, or save it as "
            ".csv."
        )
