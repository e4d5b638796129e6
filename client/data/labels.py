"""The table of outcomes: CSV or XLSX to rows."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.data.workbook import read_sheet
from client.settings import SiteSettings, normalised_value
from shared.errors import SiteError

_DELIMITERS = (",", ";", "\t")
# A million rows of a hundred characters.
_MAXIMUM_BYTES = 100_000_000


@dataclass(frozen=True)
class LabelRow:
    """One row: identifiers stripped, outcome as `normalised_value` writes it ("" if missing)."""

    patient: str = field(repr=False)
    image: str | None = field(repr=False)
    outcome: str
    covariate: float | None


@dataclass(frozen=True)
class LabelTable:
    """The rows with a patient, and how many had none or a covariate that is no number."""

    rows: tuple[LabelRow, ...]
    without_patient: int
    unreadable_covariates: int


def read_labels(settings: SiteSettings) -> LabelTable:
    """Read the site's table: CSV (UTF-8 or Latin-1; comma, semicolon or tab), or XLSX sheet 1.

    Raises SiteError for a file that is no such table and for a missing or repeated column.
    """
    file = settings.labels
    wanted = [
        column
        for column in (settings.patient, settings.image, settings.outcome, settings.covariate)
        if column is not None
    ]
    try:
        if file.stat().st_size > _MAXIMUM_BYTES:
            raise SiteError(
                f"{file} is larger than {_MAXIMUM_BYTES // 10**6} MB; keep only the columns and "
                "rows that are needed."
            )
        data = file.read_bytes()
    except OSError as error:
        raise SiteError(f"{file} cannot be read ({error.strerror}); mend its access.") from error
    if data.startswith(b"PK"):
        cells = _read_xlsx(file, data)
    elif data.startswith(b"\xd0\xcf\x11\xe0"):
        raise SiteError(f"{file} is an old Excel file; save it as .xlsx or .csv.")
    else:
        cells = _read_csv(file, data, wanted)
    header = next(cells, [])
    positions = {column: _position(file, column, header) for column in wanted}
    return _table(settings, positions, cells)


def _table(
    settings: SiteSettings, positions: dict[str, int], cells: Iterable[list[str]]
) -> LabelTable:
    rows: list[LabelRow] = []
    without_patient = unreadable = 0
    for line in cells:
        if not any(line):
            continue
        values = {
            column: line[position] if position < len(line) else ""
            for column, position in positions.items()
        }
        patient = values[settings.patient]
        if not patient:
            without_patient += 1
            continue
        text = values[settings.covariate] if settings.covariate else ""
        covariate = _number(text)
        unreadable += bool(text) and covariate is None
        image = values[settings.image] or None if settings.image else None
        outcome = normalised_value(values[settings.outcome])
        rows.append(LabelRow(patient, image, outcome, covariate))
    return LabelTable(tuple(rows), without_patient, unreadable)


def _position(file: Path, column: str, header: list[str]) -> int:
    match header.count(column):
        case 1:
            return header.index(column)
        case 0:
            close = difflib.get_close_matches(column, header, n=1)
            hint = f" Did you mean '{close[0]}'?" if close else ""
            found = ", ".join(f"'{name}'" for name in header if name) or "none"
            raise SiteError(
                f"{file} has no column '{column}'; its columns are {found}.{hint} "
                "Name the right one in [data] of site.toml."
            )
        case number:
            raise SiteError(
                f"{file} has {number} columns '{column}'; rename all but the one that counts."
            )


def _read_csv(file: Path, data: bytes, wanted: list[str]) -> Iterator[list[str]]:
    # Untranslated: fields may hold line ends, and old programs end lines with CR alone.
    text = list(io.StringIO(_decode(data), newline=""))
    if text and text[0].strip().lower() in {f"sep={delimiter}" for delimiter in _DELIMITERS}:
        del text[0]  # Excel's own hint, no part of the table

    def columns(delimiter: str) -> tuple[int, int]:
        header = _strip(next(csv.reader(text, delimiter=delimiter), []))
        return sum(column in header for column in wanted), len(header)

    try:
        delimiter = max(_DELIMITERS, key=columns)
        lines = list(csv.reader(text, delimiter=delimiter))
    except csv.Error as error:
        raise SiteError(f"{file} is not a readable CSV table: {error}.") from error
    return iter([_strip(line) for line in lines])


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")  # Excel's "Unicode text"
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _read_xlsx(file: Path, data: bytes) -> Iterator[list[str]]:
    lines = [[_cell(value) for value in row] for row in read_sheet(file, data)]
    return iter(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _strip(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line]


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
