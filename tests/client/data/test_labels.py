from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.data.labels import LabelRow, LabelTable, read_labels
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
DATA = 'image = "file"\ncovariate = "irds"'


def table_of(site: SiteSettings, content: bytes) -> LabelTable:
    site.labels.write_bytes(content)
    return read_labels(site)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_csv_of_common_programs(
    make_site: Make, delimiter: str, encoding: str, newline: str
) -> None:
    lines = [
        ["grade", " file ", "patient", "irds", "note"],
        [" Severe ", "a, b; c.png", "Jürg 1", "2", 'said "no"'],
        ["NONE", "d.png", "P2", "3,5" if delimiter != "," else "3.5", "two\nlines"],
    ]
    quoted = ['"' + '"|"'.join(c.replace('"', '""') for c in line) + '"' for line in lines]
    text = newline.join(quoted).replace('"|"', f'"{delimiter}"') + newline
    table = table_of(make_site("", DATA), text.encode(encoding))
    assert all("Windows-1252" in note for note in table.notes)
    assert len(table.notes) == (encoding == "latin-1")
    assert dataclasses.replace(table, notes=()) == LabelTable(
        (
            LabelRow("Jürg 1", "a, b; c.png", "severe", 2.0),
            LabelRow("P2", "d.png", "none", 3.5),
        ),
        without_patient=0,
        unreadable_covariates=0,
    )


def test_delimiter_is_the_one_under_which_the_columns_are_there(make_site: Make) -> None:
    content = b"sep=;\r\npatient;file;grade;a,b,c,d,e,f,g,irds\r\n1;x.png;none;1,2\r\n"
    assert table_of(make_site(""), content).rows == (LabelRow("1", "x.png", "none", None),)
    content = content.replace(b"\r\n", b"\r")
    assert table_of(make_site(""), content).rows == (LabelRow("1", "x.png", "none", None),)


def test_gaps_are_counted(make_site: Make) -> None:
    content = b"patient,file,grade,irds\n,x.png,none,1\n2,,,many\n3,y.png\n,,,\n4,z.png,None,nan\n"
    table = table_of(make_site("", DATA), content)
    assert table.rows == (
        LabelRow("2", None, "", None),
        LabelRow("3", "y.png", "", None),
        LabelRow("4", "z.png", "none", None),
    )
    assert (table.without_patient, table.unreadable_covariates) == (1, 2)


@pytest.mark.parametrize("nobody", ["NA", "nan", "N/A", "None", "?", "-", "unknown", "<NA>"])
def test_a_patient_whom_nobody_knows_is_not_one_patient(make_site: Make, nobody: str) -> None:
    content = f"patient,file,grade\n{nobody},x.png,none\n{nobody},y.png,none\nNAN1,z.png,none\n"
    table = table_of(make_site(""), content.encode())
    assert [row.patient for row in table.rows] == ["NAN1"]
    assert [row.reason for row in table.bad_rows] == [
        f"a patient that is a missing value, '{nobody}'"
    ] * 2


def test_whole_numbers_of_a_statistics_program_are_the_outcome_they_mean(
    make_site: Make,
) -> None:
    table = table_of(make_site(""), b"patient,file,grade\n1,a,1.0\n2,b,1\n3,c,1.5\n")
    assert [row.outcome for row in table.rows] == ["1", "1", "1.5"]


def test_xlsx_reads_its_first_sheet(make_site: Make, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["patient", "file", "grade", "irds"])
    sheet.append([1, "a.png", 1, 2.0])
    sheet.append([2.0, " b.png ", "Severe", None])
    sheet.append([None, None, None, None])
    sheet.append(["003", 7, True, "x"])
    book.create_sheet("other").append(["nothing"])
    path = tmp_path / "labels.xlsx"
    book.save(path)
    site = dataclasses.replace(make_site("", DATA), labels=path)
    assert read_labels(site) == LabelTable(
        (
            LabelRow("1", "a.png", "1", 2.0),
            LabelRow("2", "b.png", "severe", None),
            LabelRow("003", "7", "true", None),
        ),
        without_patient=0,
        unreadable_covariates=1,
    )


def test_missing_column_lists_what_is_there(make_site: Make) -> None:
    site = make_site("patient,File,grade\n")
    with pytest.raises(
        SiteError,
        match=r"labels\.csv has no column 'file'; its columns are 'patient', 'File', 'grade'\. "
        r"Did you mean 'File'\? Name the right one in \[data\] of site\.toml\.",
    ):
        read_labels(site)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; it must have"),
        (b"patient,file,grade,grade\n", "2 columns 'grade'; rename all but the one"),
        (b"\xd0\xcf\x11\xe0old", "an old Excel file, or one that asks for a password; open"),
        (b"PK\x03\x04broken", "not a readable workbook; save it again"),
        (b"patient,file,grade\n1," + b"x" * 200_000 + b",none\n", "not a readable CSV table"),
    ],
)
def test_what_is_no_table_is_an_error(make_site: Make, content: bytes, message: str) -> None:
    with pytest.raises(SiteError, match=message):
        table_of(make_site(""), content)


def test_a_table_that_went_away_is_an_error(make_site: Make) -> None:
    site = make_site("")
    site.labels.unlink()
    with pytest.raises(SiteError, match=r"cannot be read \(No such file or directory\)"):
        read_labels(site)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_table_or_an_error_for_people(make_site: Make, content: bytes) -> None:
    site = make_site("", DATA)
    with pytest.raises(SiteError):
        table_of(site, content)
    head = b"patient,file,grade,irds\n"
    try:
        table = table_of(site, head + content)
    except SiteError:
        return
    assert all(row.patient for row in table.rows)
    lines = [row.line for row in table.rows] + [row.line for row in table.bad_rows]
    assert len(set(lines)) == len(lines) <= 1 + len(re.findall(rb"[\r\n]", content))


def test_repr_hides_identifiers() -> None:
    assert "P7" not in repr(LabelRow("P7", "P7.png", "none", 1.0))
