"""Patients of the table and Patient IDs that are written in another way."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from client.data.admission import Admission, admit
from client.data.image_file import ImageContent, ImageFile
from client.data.image_names import CASE
from client.data.labels import LabelRow
from client.data.patient_matching import match_by_patient
from client.imaging.facts import ImageFacts
from client.settings import SiteSettings

Make = Callable[..., SiteSettings]
Fill = Callable[..., None]
Ramp = Callable[..., NDArray[Any]]
Write = Callable[[list[bytes]], None]
HEAD = "patient,grade\n"


@pytest.fixture
def write(write_dicom: Callable[..., Path], ramp: Ramp) -> Write:
    """A DICOM file for each of these raw Patient IDs, whose header declares UTF-8."""

    def files(identifiers: list[bytes]) -> None:
        for number, raw in enumerate(identifiers):
            name = "Q" * len(raw)
            path = write_dicom(
                ramp(seed=number), 12, name=f"images/{number}.dcm", PatientID=name,
                SpecificCharacterSet="ISO_IR 192",
            )  # fmt: skip
            content = path.read_bytes()
            assert content.count(b"LO" + (len(raw) + len(raw) % 2).to_bytes(2, "little")) >= 1
            path.write_bytes(content.replace(name.encode(), raw, 1))

    return files


def patients(admission: Admission) -> set[str]:
    return set(admission.cohort.patients())


def reasons(admission: Admission) -> dict[str, str]:
    return {item.name: item.why for item in admission.report.listed if item.kind == "image"}


@pytest.mark.parametrize("of_table", ["NFC", "NFD"])
@pytest.mark.parametrize("of_image", ["NFC", "NFD"])
def test_accents_are_the_same_however_they_are_composed(
    make_site: Make, write: Write, of_table: Any, of_image: Any
) -> None:
    names = ["Mü1", "Åsa2", "é3"]
    write([unicodedata.normalize(of_image, name).encode() for name in names])
    table = HEAD + "".join(f"{unicodedata.normalize(of_table, name)},none\n" for name in names)
    admission = admit(make_site(table, ""), 16, "pad")
    assert patients(admission) == set(names)
    assert admission.report.labels_without_image == 0


def test_letter_case_is_looked_past_where_one_patient_is_left(
    make_site: Make, write: Write, fill: Fill
) -> None:
    fill("P3.png", "P4/1.png")
    write([b"P1", b"P1", b"a2", b"A2", b"B5"])
    table = HEAD + "p1,none\nA2,none\np3,none\np4,none\nb5,none\nB5,none\n"
    admission = admit(make_site(table, ""), 16, "pad")
    assert patients(admission) == {"p1", "A2", "p3", "p4", "B5"}
    assert admission.report.adapted == {CASE: 3}
    assert reasons(admission) == {"2.dcm": "no row of its patient"}


def test_blanks_and_invisible_signs_are_looked_past_where_one_patient_is_left(
    make_site: Make, write: Write
) -> None:
    write([b"P 1", b"P2", b"P 3", "P\u00a03".encode()])
    table = HEAD + "P\u00a01,none\nP\u200b2,none\nP\u20073,none\n"
    admission = admit(make_site(table, ""), 16, "pad")
    assert patients(admission) == {"P\u00a01", "P\u200b2"}
    assert admission.report.adapted == {CASE: 2}
    assert admission.report.labels_without_image == 1


def test_identifiers_that_nobody_can_read_match_nobody(make_site: Make, write: Write) -> None:
    write([b"M\xfcll", b"M\xf6ll", b"M\xef\xbf\xbdll", b"M\xef\xbf\xbdll", b"A\\B1", b"P1"])
    table = HEAD + "Müll,none\nM\ufffdll,severe\nA\\B1,none\nP1,severe\n"
    admission = admit(make_site(table, ""), 16, "pad")
    assert patients(admission) == {"A\\B1", "P1"}
    broken = "its Patient ID is not in the character set that its header names"
    lost = "letters of its Patient ID are lost"
    assert reasons(admission) == {
        "0.dcm": broken, "1.dcm": broken, "2.dcm": lost, "3.dcm": lost,
    }  # fmt: skip
    assert list(admission.report.bad_rows.values()) == [1]


_PATIENTS = st.sampled_from(["a", "b", "c", "d"])
_CONTENT = ImageContent(ImageFacts(format="PNG", photometric="L", bits=8, rows=9, columns=9))


@given(
    table=st.lists(_PATIENTS, max_size=6),
    paths=st.lists(st.tuples(_PATIENTS, _PATIENTS, _PATIENTS), max_size=6, unique=True),
)
def test_names_and_folders_against_a_loop_over_pairs(
    table: list[str], paths: list[tuple[str, str, str]]
) -> None:
    """A file has the rows of the one patient that its name and folders mention, else none."""
    rows = [LabelRow(patient, None, "yes", None) for patient in table]
    files = [ImageFile(f"{'/'.join(path)}.png", str(n), _CONTENT) for n, path in enumerate(paths)]
    found = match_by_patient(rows, files)
    mentioned = [{part for part in path if part in table} for path in paths]
    assert found.rows == tuple(
        tuple(n for n, patient in enumerate(table) if own == {patient}) for own in mentioned
    )
    several = [file.relative for file, own in zip(files, mentioned, strict=True) if len(own) > 1]
    assert list(found.ambiguous_files) == several
    assert set(found.unmatched_files) == {n for n, own in enumerate(mentioned) if len(own) != 1}
    with_image = set().union(*mentioned)
    assert found.labels_without_image == sum(patient not in with_image for patient in table)
