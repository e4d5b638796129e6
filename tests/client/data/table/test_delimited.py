"""Quotation marks, separators and headers: what was meant, or the line where it went wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.data.labels import LabelTable
from client.data.table.delimited import LONGER
from shared.errors import SiteError

Read = Callable[..., LabelTable]
HEAD = "patient,file,grade,note\n"
QUIET = [HealthCheck.function_scoped_fixture]


def rows(table: LabelTable) -> list[tuple[str, str | None, str, int]]:
    return [(row.patient, row.image, row.outcome, row.line) for row in table.rows]


def lines_of(notes: dict[int, str], count: int = 20) -> str:
    """A row a line, some with a note of their own."""
    return HEAD + "".join(
        f"P{n},{n}.png,{'severe' if n % 2 else 'none'},{notes.get(n, 'ok')}\n" for n in range(count)
    )


@pytest.mark.parametrize("written", ['="007"', '"=""007"""', ' ="007" ', '="007 "'])
def test_what_keeps_zeros_in_a_spreadsheet_is_no_part_of_the_cell(read: Read, written: str) -> None:
    table = read(f'{HEAD}{written},="7.png",="none",="="\n007,8.png,none,\n'.encode())
    assert rows(table) == [("007", "7.png", "none", 2), ("007", "8.png", "none", 3)]


@pytest.mark.parametrize(
    "notes",
    [
        {2: '"see report', 15: '5" tube'},
        {2: '"see report', 8: '"again'},
        {2: '"see report'},
        {19: '"'},
        {0: '"a"b', 19: 'x"y"'},
    ],
)
def test_a_stray_quotation_mark_takes_no_row(read: Read, notes: dict[int, str]) -> None:
    table = read(lines_of(notes).encode())
    assert [row.patient for row in table.rows] == [f"P{n}" for n in range(20)]
    assert [row.line for row in table.rows] == list(range(2, 22))
    (note,) = table.notes
    assert f"from line {min(notes) + 2} on" in note


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        ({2: '"see report', 15: 'it ends here"'}, 4),  # by the rules one cell of 14 lines
        ({2: '"see report', 3: '"'}, 4),
        ({2: '"see report, page 2', 15: '5" tube'}, 4),  # a comma within: rows differ in length
        ({2: '"open, and no end'}, 4),
    ],
)
def test_what_could_be_two_things_is_refused_with_its_line(
    read: Read, notes: dict[int, str], line: int
) -> None:
    with pytest.raises(SiteError, match=rf"\bline {line}\b") as caught:
        read(lines_of(notes).encode())
    assert "P2" not in str(caught.value)


def test_a_quotation_mark_in_a_column_that_counts_is_refused(read: Read) -> None:
    with pytest.raises(SiteError, match="line 2 is not closed"):
        read(b'patient,file,grade\n"P1,1.png,none\nP2,2.png,none\n')


@given(
    texts=st.lists(st.text("ab,;\"'\n\r \t1é", max_size=8), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)  # fmt: skip
@settings(max_examples=150, suppress_health_check=QUIET, deadline=None)
def test_what_a_program_writes_is_read_back(
    read: Read, texts: list[str], delimiter: str, quoting: int
) -> None:
    """Free text with anything in it, written by another program: no row is lost or moved."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["note", "patient", "file", "grade"])
    for number, note in enumerate(texts):
        writer.writerow([note, f"P{number}", f"{number}.png", "none"])
    table = read(text.getvalue().encode())
    assert [(row.patient, row.image, row.outcome) for row in table.rows] == [
        (f"P{number}", f"{number}.png", "none") for number in range(len(texts))
    ]
    assert not table.bad_rows
    assert not table.notes


@given(st.integers(0, 200), st.sampled_from(['"', '\n"', ',"', '",', "\x00", "\n\n"]))
@settings(max_examples=150, suppress_health_check=QUIET, deadline=None)
def test_one_stroke_more_never_gives_a_patient_another_outcome(
    read: Read, place: int, stroke: str
) -> None:
    good = lines_of({}, 8)
    expected = {f"P{n}": "severe" if n % 2 else "none" for n in range(8)}
    place = len(HEAD) + place % (len(good) - len(HEAD))
    try:
        table = read((good[:place] + stroke + good[place:]).encode())
    except SiteError:
        return
    used = [row for row in table.rows if row.outcome in ("severe", "none")]
    assert all(expected.get(row.patient, row.outcome) == row.outcome for row in used)
    assert len(table.rows) + len(table.bad_rows) >= 8


def test_a_row_with_a_cell_too_many_is_set_aside(read: Read) -> None:
    table = read(f"{HEAD}P1,a,b.png,none,x\nP2,2.png,none,x,,\nP3,3.png,none\n".encode())
    assert [row.patient for row in table.rows] == ["P2", "P3"]
    assert [(row.line, row.reason) for row in table.bad_rows] == [(2, LONGER)]


@pytest.mark.parametrize("titles", ["Export of 2026\n", "a,b,c,d\n\n,,,\n", "Ward 7;;;\n"])
def test_titles_above_the_header_are_passed(read: Read, titles: str) -> None:
    table = read(f"{titles}{HEAD}P1,1.png,none,\n".encode())
    assert rows(table) == [("P1", "1.png", "none", titles.count("\n") + 2)]


def test_a_header_that_comes_again_is_no_patient(read: Read) -> None:
    table = read(f"{HEAD}P1,1.png,none,\n{HEAD}P2,2.png,none,\n".encode())
    assert [row.patient for row in table.rows] == ["P1", "P2"]
    assert [row.line for row in table.bad_rows] == [3]


def test_a_bar_and_thousands_of_columns(read: Read) -> None:
    head = "|".join([*(f"c{n}" for n in range(5000)), "patient", "file", "grade"])
    table = read((head + "\n" + "|".join([*["0"] * 5000, "P1", "1.png", "none"]) + "\n").encode())
    assert rows(table) == [("P1", "1.png", "none", 2)]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("Meier,m.png,severe\nHuber,h.png,none\n", "none of the columns .* has 3 cell"),
        ("File,Grades,Patients\n", "Did you mean 'Patients'"),
        ("P1" + ",x" * 5000 + "\n", "has 5001 cell"),
    ],
)
def test_a_first_row_that_may_be_a_patients_is_not_quoted(
    read: Read, content: str, says: str
) -> None:
    with pytest.raises(SiteError, match=says) as caught:
        read(content.encode())
    assert "Meier" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_of_many_columns_some_are_named(read: Read) -> None:
    head = "patient,grade," + ",".join(f"c{n}" for n in range(1000))
    with pytest.raises(SiteError, match="'c27' and 972 more"):
        read(head.encode())


@pytest.mark.parametrize(
    ("patient", "file"),
    [
        ("1.23457E+15", "1.png"), ("NaN", "1.png"), ("", "1.png"), ("#N/A", "1.png"),
        ("M\ufffdller", "1.png"), ("P1", "M\ufffdller.png"), ("None", "1.png"),
    ],
)  # fmt: skip
def test_a_patient_that_is_none_is_set_aside(read: Read, patient: str, file: str) -> None:
    table = read(f"{HEAD}P0,0.png,none,\n{patient},{file},none,\n".encode())
    assert [row.patient for row in table.rows] == ["P0"]
    (bad,) = table.bad_rows
    assert (bad.line, bad.patient, bad.image) == (3, patient, file)


@pytest.mark.parametrize(
    "mark", ["\u202a{}\u202c", "{}\u200b", "\u200e{}", "\u00a0{}\ufeff ", "{}\u00ad"]
)
def test_invisible_signs_around_a_cell_are_no_part_of_it(read: Read, mark: str) -> None:
    """Windows puts U+202A before a path that is copied from its dialog on a file's security."""
    text = f"{HEAD}{mark.format('P1')},{mark.format('1.png')},{mark.format('none')},\n"
    assert rows(read(text.encode())) == [("P1", "1.png", "none", 2)]
