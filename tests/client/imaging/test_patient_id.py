"""Whose image it is: different bytes of a Patient ID are different patients."""

from __future__ import annotations

import io
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from client.imaging.patient_id import has_lost_letters, patient_id_of
from client.imaging.quiet import quiet_libraries


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element of Explicit VR Little Endian, written by hand (PS3.5 7.1.2)."""
    value += b" " * (len(value) % 2)
    return (
        group.to_bytes(2, "little")
        + number.to_bytes(2, "little")
        + kind
        + len(value).to_bytes(2, "little")
        + value
    )


def header(identifier: bytes | None, charset: bytes | None) -> Dataset:
    parts = [element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0")]
    if charset is not None:
        parts.append(element(8, 5, b"CS", charset))
    if identifier is not None:
        parts.append(element(0x10, 0x20, b"LO", identifier))
    return dcmread(io.BytesIO(b"\0" * 128 + b"DICM" + b"".join(parts)), force=True)


def identifier_in(identifier: bytes | None, charset: bytes | None) -> str | None:
    with quiet_libraries():
        return patient_id_of(header(identifier, charset))


@pytest.mark.parametrize(
    ("raw", "charset", "text"),
    [
        (b"A\\B1", None, "A\\B1"),
        (b" P1  ", None, "P1"),
        (b"P1\0\0", None, "P1"),
        (b"", None, None),
        (b"  \0", None, None),
        (None, None, None),
        ("Müller".encode(), b"ISO_IR 192", "Müller"),
        (b"M\xfcller", b"ISO_IR 100", "Müller"),
        (b"M\xfcller", b"ISO_IR 192", "M\udcfcller"),
        (b"M\xfcller", b"NONSENSE", "Müller"),
        (b"M\xfcller", None, "Müller"),
        ("Яков".encode("iso8859_5"), b"ISO_IR 144", "Яков"),
        ("王小东".encode("gb18030"), b"GB18030", "王小东"),
        (b"\x1b$B;3\x1b(B7", b"\\ISO 2022 IR 87", "山7"),
    ],
)
def test_it_is_the_text_of_its_character_set(
    raw: bytes | None, charset: bytes | None, text: str | None
) -> None:
    assert identifier_in(raw, charset) == text


@given(
    st.binary(min_size=1, max_size=6), st.binary(min_size=1, max_size=6),
    st.sampled_from([None, b"ISO_IR 192", b"ISO_IR 100", b"UTF8", b"ISO_IR 6"]),
)  # fmt: skip
def test_other_bytes_are_another_patient(one: bytes, other: bytes, charset: bytes | None) -> None:
    """Blanks and NUL at the ends and code extensions (ESC) aside, which mean nothing there."""
    first, second = (raw.replace(b"\x1b", b"x").strip(b" \0") for raw in (one, other))
    same = identifier_in(first, charset) == identifier_in(second, charset)
    assert same == (first == second)


def test_lost_letters_are_known() -> None:
    assert has_lost_letters(identifier_in(b"M\xef\xbf\xbdller", b"ISO_IR 192"))
    assert not has_lost_letters(identifier_in(b"M\xfcller", b"ISO_IR 192"))
    assert not has_lost_letters(None)


def test_an_element_that_was_read_before_says_the_same() -> None:
    for raw in (b"A\\B1", b"P1 "):
        dataset = header(raw, None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert dataset.PatientID
        assert patient_id_of(dataset) == raw.decode().strip()
