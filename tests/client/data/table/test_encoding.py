"""Encodings: the text that was meant, or the line where it cannot be known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.labels import LabelTable
from client.data.table.encoding import decode
from shared.errors import SiteError

Read = Callable[..., LabelTable]
TABLE = "patient,file,grade\nMüller 1,é.png,severe\nGroß 2,2.png,none\n"


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b""), ("utf-16-be", b""),
        ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"), ("utf-32-le", b"\xff\xfe\0\0"),
        ("cp1252", b""), ("latin-1", b""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_same_table_in_every_encoding(
    read: Read, encoding: str, mark: bytes, newline: str
) -> None:
    table = read(mark + TABLE.replace("\n", newline).encode(encoding))
    assert [(row.patient, row.image) for row in table.rows] == [
        ("Müller 1", "é.png"), ("Groß 2", "2.png"),
    ]  # fmt: skip
    assert bool(table.notes) == (encoding in ("cp1252", "latin-1"))


def test_letters_that_no_column_needs_deserve_no_note(read: Read) -> None:
    content = "patient,file,grade,note\nP1,1.png,severe,Grüße\n".encode("cp1252")
    assert read(content).notes == ()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (TABLE.encode() + "Jörg,3.png,none\n".encode("latin-1"), "line 2 is UTF-8 and line 4 is"),
        (TABLE.replace("é", "è").encode("mac_roman"), "line 2 is neither UTF-8 nor Windows-1252"),
        (TABLE.encode() + b"\0" * 512, "line 4 holds NUL"),
        (TABLE.replace("2.png", "2\0.png").encode(), "line 3 holds NUL"),
        (b"\xff\xfe" + TABLE.encode("utf-16-le")[:-1], r"line 3 is damaged \(UTF-16\)"),
    ],
)
def test_what_cannot_be_known_is_refused_with_its_line(
    read: Read, content: bytes, line: str
) -> None:
    with pytest.raises(SiteError, match=line):
        read(content)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1a\ufeff")))
def test_utf_8_is_read_exactly(text: str) -> None:
    assert decode(Path("t.csv"), text.encode()).text == text
    assert decode(Path("t.csv"), text.encode()).assumed is None


@given(st.text(st.characters(codec="cp1252", exclude_characters="\0\x1a"), max_size=40))
def test_no_eight_bit_text_is_taken_for_another_without_a_word(text: str) -> None:
    try:
        found = decode(Path("t.csv"), text.encode("cp1252"))
    except SiteError:
        return
    assert found.text == text or found.assumed is None  # by chance it is UTF-8 as well


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"<html><table><tr><td>Meier</td></tr></table></html>", "is HTML"),
        (b"\xef\xbb\xbf <!DOCTYPE html><p>Meier", "is HTML"),
        (b'<meta charset="utf-8"><table><tr><td>Meier', "is HTML"),
        ("\ufeff<html>Meier".encode("utf-16-le"), "is HTML"),
        (b'<?xml version="1.0"?><Workbook><Data>Meier', "is XML"),
        (b'[{"patient": "Meier"}]', "is JSON"),
        (b'{"patient": ["Meier"]}', "is JSON"),
        (b"MIME-Version: 1.0\r\nContent-Type: multipart/related", r"is a web page \(MHTML\)"),
        (b'ID;PWXL;N;E\r\nC;Y1;X1;K"patient"', "is a SYLK file"),
        (b"{\\rtf1 Meier", "is a text document"),
        (b"%PDF-1.7 Meier", "is a PDF"),
        (b"\x1f\x8bMeier", r"is compressed \(gzip\)"),
        (b"\xd0\xcf\x11\xe0Meier", "is an old Excel file"),
        (b"SQLite format 3\0Meier", "is an SQLite"),
        (b"PAR1Meier", "is a Parquet"),
    ],
)
def test_another_kind_of_file_is_called_by_its_name(read: Read, head: bytes, name: str) -> None:
    with pytest.raises(SiteError, match=name) as caught:
        read(head, "labels.xls")
    assert "Meier" not in str(caught.value)
