"""CSV: cells between commas, semicolons, tabs or bars, with or without quotation marks.

An opening quotation mark without its closing one takes the rows that follow into its cell. Such a
file is read line by line where that has one meaning, and refused with the line where it has not.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from client.data.table.encoding import Text, decode
from client.data.table.line import HEADER_ROWS, Line, Sheet, clean, header_in, nearest_header
from shared.errors import SiteError

DELIMITERS = (",", ";", "\t", "|")
_AS_TEXT = re.compile(r'="([^"]*)"')
LONGER = "more cells than the header (a separator in a cell without quotation marks?)"
Record = tuple[int, int, list[str]]
"""First and last physical line, cells."""


def read_delimited(
    file: Path, data: bytes, wanted: Sequence[str], looks_like_row: Callable[[Line, Line], bool]
) -> Sheet:
    """The table from its header on; all lines where there is no header with the wanted columns.

    `looks_like_row(header, line)` says whether a line in the middle of a cell is a row that the
    cell has swallowed. Raises SiteError for text that is no such table, with the line.
    """
    decoded = decode(file, data)
    physical = _physical(decoded)
    delimiter = max(DELIMITERS, key=lambda sign: _columns(physical, sign, wanted))
    notes: tuple[str, ...] = ()
    try:
        records = _records(physical, delimiter, file)
        _refuse_swallowed(file, physical, delimiter, records, wanted, looks_like_row)
    except _OpenQuote as broken:
        records = _line_by_line(file, physical, delimiter, wanted, broken)
        notes = (
            "The quotation marks of the table do not come in pairs (from line "
            f"{broken.line} on); it was read line by line, a row each.",
        )
    lines = [Line(first, tuple(cells)) for first, _, cells in records]
    lines = [line for line in lines if not line.is_blank] or [Line(1, ())]
    start = header_in(lines, wanted)
    if start is None:
        return Sheet([nearest_header(lines, wanted)], notes, decoded.assumed)
    header, rows = lines[start], lines[start + 1 :]
    width = len(header.cells)
    return Sheet([header, *(_checked(row, width) for row in rows)], notes, decoded.assumed)


def first_lines(file: Path, data: bytes) -> tuple[Line, ...]:
    """The first lines that are not blank, split where most of them have equally many cells.

    For a table whose columns nobody has named yet. Raises SiteError for what is no text.
    """
    physical = _physical(decode(file, data))
    counted = {sign: _first_cells(physical, sign) for sign in DELIMITERS}
    delimiter = max(DELIMITERS, key=lambda sign: _regularity(counted[sign]))
    lines = (Line(n, tuple(_strip(cells))) for n, cells in enumerate(counted[delimiter], start=1))
    return tuple(line for line in lines if not line.is_blank)


def _physical(decoded: Text) -> list[str]:
    """The lines of the file as they are written, without Excel's own hint of the separator."""
    # Untranslated: cells may hold line ends, and old programs end lines with CR alone.
    physical = list(io.StringIO(decoded.text, newline=""))
    if physical and physical[0].strip().lower() in {f"sep={sign}" for sign in DELIMITERS}:
        physical[0] = "\n"  # no part of the table; its line still counts
    return physical


def _regularity(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """How many lines have the commonest number of cells, if that is over 1; that number."""
    widths = Counter(len(cells) for cells in rows if any(map(str.strip, cells)))
    width, number = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    return (number, width) if width > 1 else (0, width)


class _OpenQuote(Exception):
    """The quotation marks from this line on do not come in pairs."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


def _columns(physical: Sequence[str], delimiter: str, wanted: Sequence[str]) -> tuple[int, int]:
    """How many of the wanted columns a line has under this delimiter, and how many cells."""
    records = _first_cells(physical, delimiter)
    found = ((sum(name in _strip(cells) for name in wanted), len(cells)) for cells in records)
    return max(found, default=(0, 0))


def _first_cells(physical: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(islice(csv.reader(physical, delimiter=delimiter), HEADER_ROWS))
    except csv.Error:  # an open quotation mark
        return [line.split(delimiter) for line in physical[:HEADER_ROWS]]


def _records(physical: Sequence[str], delimiter: str, file: Path) -> list[Record]:
    reader = csv.reader(physical, delimiter=delimiter, strict=True)
    records: list[Record] = []
    last = 0
    try:
        for cells in reader:
            records.append((last + 1, reader.line_num, _strip(cells)))
            last = reader.line_num
    except csv.Error as error:
        if "field larger" in str(error) and reader.line_num == last + 1:
            raise SiteError(
                f"{file} is not a readable CSV table: a cell of line {last + 1} has more than "
                f"{csv.field_size_limit():,} characters."
            ) from error
        raise _OpenQuote(last + 1) from error
    return records


def _refuse_swallowed(
    file: Path, physical: Sequence[str], delimiter: str, records: Sequence[Record],
    wanted: Sequence[str], looks_like_row: Callable[[Line, Line], bool],
) -> None:  # fmt: skip
    """SiteError where a cell over several lines holds what looks like a row of the table."""
    place = header_in([Line(first, tuple(cells)) for first, _, cells in records], wanted)
    if place is None:
        return
    header = Line(records[place][0], tuple(records[place][2]))
    for first, last, cells in records[place + 1 :]:
        if first == last:
            continue
        broken = [n for n, cell in enumerate(cells) if "\n" in cell or "\r" in cell] or [0]
        for number in range(first, last + 1):
            # What stands before the broken cell in its first line, and behind it in its last, is
            # the row's own.
            start = min(broken) if number == first else 0
            end = max(broken) + 1 if number == last else len(header.cells)
            found = _cells(physical[number - 1], delimiter)
            within = tuple(c if start <= n < end else "" for n, c in enumerate(found))
            if len(found) == len(header.cells) and looks_like_row(header, Line(number, within)):
                raise SiteError(
                    f"{file}: a cell in quotation marks begins in line {first} and ends in line "
                    f"{last}, but line {number} within it looks like a row of the table. Close or "
                    f"remove the quotation mark in line {first}."
                )


def _line_by_line(
    file: Path, physical: Sequence[str], delimiter: str, wanted: Sequence[str], broken: _OpenQuote
) -> list[Record]:
    """Every line as a row: sound ones by the rules, others with their quotation marks as letters.

    Only where all of them then have the header's number of cells; SiteError where they have not.
    """
    records: list[Record] = []
    header: Sequence[str] | None = None
    for number, text in enumerate(physical, start=1):
        if not text.strip():
            continue
        cells = _sound(text, delimiter)
        literal = cells is None
        if cells is None:
            cells = _strip(text.rstrip("\r\n").split(delimiter))
        records.append((number, number, cells))
        if header is None:
            header = cells if all(name in cells for name in wanted) else None
            continue
        used = [cells[header.index(name)] for name in wanted if header.index(name) < len(cells)]
        if len(cells) != len(header) or (literal and any('"' in cell for cell in used)):
            raise SiteError(
                f"{file}: a quotation mark of line {broken.line} is not closed, or stands within a "
                "cell; close it, or write it twice within a cell that is in quotation marks."
            ) from broken
    if header is None:
        raise SiteError(
            f"{file}: a quotation mark of line {broken.line} is not closed, or stands within a "
            "cell, and no line before it has the columns that site.toml names."
        ) from broken
    return records


def _sound(text: str, delimiter: str) -> list[str] | None:
    """The cells of a line whose quotation marks come in pairs, else None."""
    try:
        return _strip(next(csv.reader([text], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return None


def _cells(text: str, delimiter: str) -> tuple[str, ...]:
    return tuple(_strip(text.rstrip("\r\n").split(delimiter)))


def _checked(row: Line, width: int) -> Line:
    """The row; flawed where it has more cells than the header, as then any may have moved."""
    longer = any(row.cells[width:])
    return Line(row.number, row.cells, flaw=LONGER if longer else None)


def _strip(cells: Sequence[str]) -> list[str]:
    """The cells, `clean`; `="007"`, by which programs keep zeros in spreadsheets, is 007."""
    cleaned = map(clean, cells)
    return [clean(as_text[1]) if (as_text := _AS_TEXT.fullmatch(c)) else c for c in cleaned]
