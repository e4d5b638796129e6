"""The table of outcomes: its rows, and those that cannot be believed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from client.data.discover import IMAGE_SUFFIXES
from client.data.table.columns import found_instead, place_of
from client.data.table.line import Line, Sheet, clean
from client.data.table.read import read_sheet
from client.data.table.workbook import ERROR
from client.declared import normalised_value
from client.imaging.patient_id import LOST
from client.settings import SiteSettings
from shared.errors import SiteError

NO_PATIENT = "no patient"
LOST_LETTERS = "letters of it are lost (shown as \ufffd)"
IN_TENS = "a rounded number such as 1.23E+15, as spreadsheets write it"
HEADER_AGAIN = "the header once more"
# What programs (`NA` is R's) and people write where nobody knows the patient. Taken for a name, it
# makes one patient of many, some of whom may be on the other side of a split under their own name.
_MISSING = frozenset(
    {"nan", "null", "none", "n/a", "na", "n.a.", "<na>", "nat", "-", "--", "?", ".", "unknown"}
)
_IN_TENS = re.compile(r"[+-]?\d([.,]\d+)?E\+\d{2,3}", re.IGNORECASE)
_EXCEL_ERROR = re.compile(r"#(N/A|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!)")
JOINED = " | "
"""Between the cells of several columns of an outcome, where they are shown."""


@dataclass(frozen=True)
class LabelRow:
    """One row: identifiers stripped, outcome as `normalised_value` writes it ("" if missing)."""

    patient: str = field(repr=False)
    image: str | None = field(repr=False)
    outcome: str
    covariate: float | None
    line: int = field(default=0, compare=False)
    """Its line in the file, from 1."""
    more: tuple[str, ...] = ()
    """Of an outcome of several columns the cell of each; `outcome` then has those that are there,
    to be shown."""

    @property
    def cells(self) -> tuple[str, ...]:
        """What each column of the outcome says."""
        return self.more or (self.outcome,)


@dataclass(frozen=True)
class BadRow:
    """A row that is set aside: its line, why, and what it says."""

    line: int
    reason: str
    patient: str = field(default="", repr=False)
    image: str = field(default="", repr=False)
    outcome: str = ""


@dataclass(frozen=True)
class LabelTable:
    """The rows with a patient, and those set aside.

    `without_patient` of `bad_rows` have none; `unreadable_covariates` of the rows have a covariate
    that is no number. `notes` are sentences on the file as a whole.
    """

    rows: tuple[LabelRow, ...]
    without_patient: int
    unreadable_covariates: int
    bad_rows: tuple[BadRow, ...] = ()
    notes: tuple[str, ...] = ()


def read_labels(settings: SiteSettings) -> LabelTable:
    """Read the site's table: CSV (see `decode` and `read_delimited`), or XLSX.

    Raises SiteError for a file that is no such table, for one that could be read in two ways, and
    for a missing or repeated column.
    """
    file, wanted, sheet = settings.labels, _wanted(settings), _read_sheet(settings)
    header = sheet.lines[0].cells
    positions = {column: place_of(file, column, header, wanted) for column in wanted}
    return _table(settings, positions, sheet)


def read_columns(
    settings: SiteSettings, columns: Sequence[str], without: Collection[str] = ()
) -> dict[str, dict[int, str]]:
    """What further columns of the table say, by column and line.

    A column that is not there is left out where it is in `without`, else SiteError; also for one
    that is there twice, and as `read_labels` for the table.
    """
    file, wanted, sheet = settings.labels, _wanted(settings), _read_sheet(settings)
    header = sheet.lines[0].cells
    found: dict[str, dict[int, str]] = {}
    for column in columns:
        name = clean(column)
        if name not in header:
            if column in without:
                continue
            raise SiteError(
                f"{file} has no column '{column}' for subgroups; "
                f"{found_instead(name, header, wanted)}"
            )
        position = place_of(file, name, header, wanted)
        found[column] = {line.number: line.cell(position) for line in sheet.lines[1:]}
    return found


def _wanted(settings: SiteSettings) -> list[str]:
    return [
        clean(column)
        for column in (
            settings.patient, settings.image, *settings.outcome_columns, settings.covariate
        )
        if column is not None
    ]  # fmt: skip


def _read_sheet(settings: SiteSettings) -> Sheet:
    return read_sheet(settings.labels, _wanted(settings), _row_test(settings))


def _row_test(settings: SiteSettings) -> Callable[[Line, Line], bool]:
    """Whether a line has an outcome that counts, or an image's name, where the header says."""
    outcomes = settings.encoding.known
    columns, image = [*map(clean, settings.outcome_columns)], clean(settings.image or "")

    def looks_like_row(header: Line, line: Line) -> bool:
        named = line.cell(header.cells.index(image)) if image in header.cells and image else ""
        is_image = PurePosixPath(named).suffix.lower() in IMAGE_SUFFIXES
        cells = (line.cell(header.cells.index(column)) for column in columns)
        return is_image or any(normalised_value(cell) in outcomes for cell in cells)

    return looks_like_row


def _table(settings: SiteSettings, positions: dict[str, int], sheet: Sheet) -> LabelTable:
    rows: list[LabelRow] = []
    bad: list[BadRow] = []
    unreadable = foreign = 0
    for line in sheet.lines[1:]:
        if line.is_blank:
            continue
        patient, image, text = (
            line.cell(positions[clean(column)]) if column else ""
            for column in (settings.patient, settings.image, settings.covariate)
        )
        said = [line.cell(positions[clean(column)]) for column in settings.outcome_columns]
        outcome = JOINED.join(filter(None, said))
        foreign += not f"{patient}{image}{outcome}".isascii()
        reason = _fault(settings, positions, line)
        if reason is not None:
            bad.append(BadRow(line.number, reason, patient, image, normalised_value(outcome)))
            continue
        covariate = _number(text)
        unreadable += bool(text) and covariate is None
        rows.append(
            LabelRow(
                patient,
                image or None,
                normalised_value(outcome),
                covariate,
                line.number,
                tuple(map(normalised_value, said)) if len(said) > 1 else (),
            )
        )
    notes = sheet.notes
    if sheet.assumed_encoding and foreign:
        notes += (
            f"{foreign} row(s) of the table have letters beyond ASCII and the file does not say in "
            f"which encoding; they were read as {sheet.assumed_encoding}. If names do not match, "
            "save it in UTF-8.",
        )
    without_patient = sum(row.reason == NO_PATIENT for row in bad)
    return LabelTable(tuple(rows), without_patient, unreadable, tuple(bad), notes)


def _fault(settings: SiteSettings, positions: dict[str, int], line: Line) -> str | None:
    """Why the row cannot be believed, None where it can."""
    if line.flaw is not None:
        return line.flaw
    if all(line.cell(position) == column for column, position in positions.items()):
        return HEADER_AGAIN
    columns = [clean(column) for column in (settings.patient, settings.image) if column]
    for column in (*columns, *map(clean, settings.outcome_columns)):
        if flaw := line.flaws.get(positions[column]):
            return f"in the column '{column}': {flaw}"
    patient = line.cell(positions[clean(settings.patient)])
    if not patient:
        return NO_PATIENT
    if patient.casefold() in _MISSING:
        return f"a patient that is a missing value, '{patient}'"
    for column in columns:
        text = line.cell(positions[column])
        if LOST in text:
            return f"in the column '{column}': {LOST_LETTERS}"
        if _IN_TENS.fullmatch(text):
            return f"in the column '{column}': {IN_TENS}"
        if _EXCEL_ERROR.fullmatch(text):
            return f"in the column '{column}': {ERROR}"
    return None


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "."))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
