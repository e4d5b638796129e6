"""Text from outside where it is shown: printable, one line, no formula, and still told apart."""

from __future__ import annotations

import csv
import io
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SiteError
from shared.plain import (
    name_part,
    one_line,
    shown,
    shown_lines,
    spreadsheet_cell,
)

ANY = st.text(st.characters())  # surrogates too, as in names of files that are no UTF-8
HOSTILE = st.text(
    st.sampled_from("=+-@'\" \t\r\n,;|aé\x1b\x9b\u202e\u2028\uff1d\udcff"), max_size=12
)
DANGEROUS = ("Cc", "Cf", "Cs", "Zl", "Zp")


def is_dangerous(character: str) -> bool:
    return unicodedata.category(character) in DANGEROUS


@given(st.text(), st.integers(0, 20))
def test_it_is_printable_and_short(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) == min(len(text), limit)


def test_what_is_printable_stays() -> None:
    assert one_line("Grüße [red]\x1b[2J\n\u2028\u202e.", 99) == "Grüße [red] [2J   ."
    assert shown("Grüße\u00a0[red] \u3000é") == "Grüße\u00a0[red] \u3000é"


@given(ANY)
def test_what_is_shown_holds_nothing_that_acts(text: str) -> None:
    assert not any(map(is_dangerous, shown(text)))
    assert not any(map(is_dangerous, shown_lines(text).replace("\n", "")))
    shown(text).encode("utf-8")
    assert not any(map(is_dangerous, str(SiteError(text)).replace("\n", "")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\u2066\x85\u2029", "\\u2066\\x85\\u2029"),
        (b"M\xfcller".decode("utf-8", "surrogateescape"), "M\\xfcller"),
        ("\U000e0041", "\\U000e0041"),
        ("one\ntwo", "one\\x0atwo"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.one_of(ANY, HOSTILE))
def test_no_cell_is_a_formula_however_lines_are_split(text: str) -> None:
    """A spreadsheet of another country splits lines at semicolons, within quotes too."""
    cell = spreadsheet_cell(text)
    assert not any(map(is_dangerous, cell))
    for separator in (",", ";", "|", "\t"):
        for piece in cell.split(separator):
            begins = piece.lstrip(" \"\u00a0\u3000'")[:1]
            assert not begins or begins not in "=+-@\uff1d" or piece.startswith("'")


@given(st.one_of(ANY, HOSTILE))
def test_the_apostrophes_can_be_taken_away_again(text: str) -> None:
    pieces = re.split("([,;|])", spreadsheet_cell(text))
    assert "".join(piece.removeprefix("'") for piece in pieces) == shown(text)
    line = io.StringIO()
    csv.writer(line).writerow([spreadsheet_cell(text), "end"])
    assert next(csv.reader(io.StringIO(line.getvalue()))) == [spreadsheet_cell(text), "end"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|'' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("-1", "'-1"),
        ("\t=1", "\\x09=1"),
        (" =1", "' =1"),
        ("a;=1", "a;'=1"),
        ("O'Neil-7 a=b", "O'Neil-7 a=b"),
    ],
)
def test_formulas_are_quoted(text: str, cell: str) -> None:
    assert spreadsheet_cell(text) == cell


@given(ANY, st.integers(0, 60))
def test_a_name_is_one_on_any_system(text: str, limit: int) -> None:
    name = name_part(text, limit)
    assert len(name) <= limit
    assert name.isprintable()
    assert not set(name) & set('\\/:*?"<>|')
