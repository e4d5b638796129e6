"""XLSX as spreadsheets and other programs leave it."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import openpyxl
import pytest

from client.data.labels import LabelTable
from client.data.table.workbook import DATE, ERROR, ROUNDED
from shared.errors import SiteError

Read = Callable[..., LabelTable]
HEAD = ["patient", "file", "grade", "score"]


def workbook(*sheets: Sequence[Sequence[Any]], formats: dict[str, str] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for lines in sheets:
        sheet = book.create_sheet()
        for line in lines:
            sheet.append(line)
        for cell, form in (formats or {}).items():
            sheet[cell].number_format = form
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def changed(data: bytes, old: str, new: str) -> bytes:
    """The same archive, its first sheet's XML changed."""
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(result, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("sheet1.xml"):
                assert old.encode() in content
                content = content.replace(old.encode(), new.encode())
            target.writestr(name, content)
    return result.getvalue()


@pytest.mark.parametrize(
    ("form", "seen"),
    [
        ("000", "007"), ('"P"000', "P007"), ('00000"-X"', "00007-X"), ("0000;-0000", "0007"),
        ("0", "7"), ("General", "7"), ("#,##0", "7"), ("0.00", "7"),
    ],
)  # fmt: skip
def test_a_number_is_what_a_person_sees_of_it(read: Read, form: str, seen: str) -> None:
    """As identifiers that a spreadsheet shows with a letter and zeros."""
    data = workbook([HEAD, [7, "7.png", "none", 1]], formats={"A2": form})
    assert [row.patient for row in read(data, "labels.xlsx").rows] == [seen]


def test_a_formula_without_its_value_is_refused_with_its_cell(read: Read) -> None:
    lines: list[list[Any]] = [
        HEAD,
        ["P1", "1.png", "=IF(D2>2,1,0)", 3],
        ["P2", "2.png", "=IF(D3>2,1,0)", 1],
    ]
    data = workbook(lines)
    with pytest.raises(SiteError, match=r"cell C2 .* formula whose value is not stored, as are 1"):
        read(data, "labels.xlsx")
    stored = changed(data, "0)</f><v />", "0)</f><v>1</v>")
    assert [row.outcome for row in read(stored, "labels.xlsx").rows] == ["1", "1"]


def test_a_formula_that_gives_nothing_is_an_empty_cell(read: Read) -> None:
    data = workbook([HEAD, ["P1", "1.png", '=IF(D2>2,1,"")', 1]])
    stored = changed(data, '<c r="C2">', '<c r="C2" t="str">')
    assert [row.outcome for row in read(stored, "labels.xlsx").rows] == [""]


def test_formulas_of_other_columns_are_nobodys_business(read: Read) -> None:
    data = workbook([HEAD, ["P1", "1.png", "none", "=1+1"], ["P2", "2.png", None, "=1+1"]])
    assert [row.patient for row in read(data, "labels.xlsx").rows] == ["P1", "P2"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime.datetime(2026, 4, 3), DATE),
        (datetime.date(2026, 4, 3), DATE),
        (datetime.time(4, 3), DATE),
        (1234567890123456, ROUNDED),
        (1.5e17, ROUNDED),
        ("#N/A", ERROR),
        ("#REF!", ERROR),
    ],
)
def test_an_identifier_that_the_spreadsheet_changed_is_set_aside(
    read: Read, value: object, reason: str
) -> None:
    table = read(workbook([HEAD, ["P1", "1.png", "none"], [value, "2.png", "none"]]), "l.xlsx")
    assert [row.patient for row in table.rows] == ["P1"]
    assert [(row.line, row.reason) for row in table.bad_rows] == [
        (3, f"in the column 'patient': {reason}")
    ]


def test_zeros_that_a_format_shows_are_read(read: Read) -> None:
    data = workbook([HEAD, [7, 12, "none"], [1234567, 3, "none"]], formats={
        "A2": "000000", "A3": "000000", "B2": "0000"})  # fmt: skip
    rows = read(data, "labels.xlsx").rows
    assert [(row.patient, row.image) for row in rows] == [("000007", "0012"), ("1234567", "3")]


def test_the_one_sheet_with_the_columns_is_read(read: Read) -> None:
    notes = [["How this was made"], ["by hand"]]
    table: list[list[Any]] = [["Export 2026"], [], HEAD, ["P1", "1.png", "none"]]
    rows = read(workbook(notes, table), "labels.xlsx").rows
    assert [(row.patient, row.line) for row in rows] == [("P1", 4)]
    with pytest.raises(SiteError, match=r"in several sheets \('Sheet1?', 'Sheet\d'\)"):
        read(workbook(table, table), "labels.xlsx")


def test_names_over_two_merged_rows_are_no_header(read: Read) -> None:
    two: list[list[Any]] = [
        ["patient", None, "grade"],
        [None, "file", None],
        ["P1", "1.png", "none"],
    ]
    with pytest.raises(
        SiteError, match=r"has no column 'file'; its columns are 'patient', 'grade'"
    ):
        read(workbook(two), "labels.xlsx")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"mimetype": "application/vnd.oasis.opendocument.spreadsheet"}, "an OpenDocument file"),
        ({"xl/workbook.bin": ""}, "a binary Excel file"),
        ({"Index/Document.iwa": ""}, "a file of Apple Numbers"),
        ({"labels.csv": "patient,file,grade"}, "a ZIP archive"),
    ],
)
def test_other_archives_are_called_by_their_names(
    read: Read, names: dict[str, str], says: str
) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
    with pytest.raises(SiteError, match=says):
        read(data.getvalue(), "labels.xlsx")


PATIENTS: list[list[Any]] = [HEAD, *([f"P{n}", f"{n}.png", "none", n] for n in range(1, 5))]


@pytest.mark.parametrize("written", ['hidden="1"', 'hidden="true"'])
def test_rows_that_a_filter_hides_are_refused_with_their_number(read: Read, written: str) -> None:
    """Neither taken, as the person who looks at the table does not see them, nor left out."""
    book = openpyxl.load_workbook(io.BytesIO(workbook(PATIENTS)))
    book.active.auto_filter.ref = "A1:D5"
    for row in (3, 4, 9):  # the last is empty
        book.active.row_dimensions[row].hidden = True
    data = io.BytesIO()
    book.save(data)
    hidden = changed(data.getvalue(), 'hidden="1"', written)
    with pytest.raises(SiteError, match=r"are hidden .*\(2 in all, the first is row 3\)"):
        read(hidden, "labels.xlsx")
    shown = changed(data.getvalue(), 'hidden="1"', 'hidden="0"')
    assert [row.patient for row in read(shown, "labels.xlsx").rows] == ["P1", "P2", "P3", "P4"]


def test_rows_without_their_number_are_counted(read: Read) -> None:
    data = changed(workbook(PATIENTS), '<row r="3"', '<row hidden="1"')
    with pytest.raises(SiteError, match="1 in all, the first is row 3"):
        read(data, "labels.xlsx")


def test_columns_and_titles_may_be_hidden(read: Read) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook([["Export"], *PATIENTS])))
    book.active.column_dimensions["D"].hidden = True
    book.active.row_dimensions[1].hidden = True
    data = io.BytesIO()
    book.save(data)
    assert len(read(data.getvalue(), "labels.xlsx").rows) == 4
