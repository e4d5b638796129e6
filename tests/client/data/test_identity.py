"""Identifiers that tell one patient apart, or two not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from client.data.admission import admit, require_trainable
from client.data.identity import bare, coinciding
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
Fill = Callable[..., None]
WriteDicom = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]

TABLE = "patient,file,grade\n"
GOOD = TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


@pytest.mark.parametrize(
    ("identifier", "number"),
    [
        ("007", "7"), ("7", "7"), ("7.0", "7"), ("007.00", "7"), ("0", "0"), ("000", "0"),
        ("100", "100"), ("70.0", "70"), ("7.5", "7.5"), ("P007", "P007"), ("1.2.0", "1.2.0"),
        ("07a", "07a"), ("", ""), ("-7", "-7"),
    ],
)  # fmt: skip
def test_only_numbers_lose_their_zeros(identifier: str, number: str) -> None:
    assert bare(identifier) == number


@pytest.mark.parametrize("identifier", ["0" * 1_000_000 + "x", "1" * 1_000_000 + ".00x"])
def test_an_identifier_that_a_hostile_header_has_takes_no_hours(identifier: str) -> None:
    assert bare(identifier) == identifier


def test_patients_that_may_be_one_are_counted() -> None:
    assert coinciding(["7", "007", "7.0", "8", "P1"]) == 3
    assert coinciding(["7", "7", "70", "P7", "P07"]) == 0


@pytest.mark.parametrize("other", ["P\u200b7 A", "P7\u00a0A", "P7  A", "P7\u00ad A", "\u202aP7 A"])
def test_identifiers_that_look_the_same_coincide(other: str) -> None:
    assert coinciding(["P7 A", other, "P7A"]) == 2


@pytest.mark.parametrize("other", ["12.0", "0012"])
def test_one_patient_under_two_identifiers_forbids_training(
    make_site: Make, fill: Fill, other: str
) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "5.png", "6.png")
    table = GOOD + f"12,5.png,severe\n{other},6.png,severe\n"
    admission = admit(make_site(table), 16, "pad")
    assert admission.report.coinciding_patients == 2
    with pytest.raises(SiteError, match=r"2 patients whose identifiers differ .* alone") as caught:
        require_trainable(admission)
    assert other not in json.dumps(admission.report.to_json()) + str(caught.value)
    assert "zeros" not in caught.value.shareable
    require_trainable(admit(make_site(table.replace(f"{other},6", "12,6")), 16, "pad"))


def test_a_second_spelling_without_an_image_harms_nobody(make_site: Make, fill: Fill) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "5.png")
    admission = admit(make_site(GOOD + "12,5.png,severe\n012,gone.png,mild\n"), 16, "pad")
    require_trainable(admission)
    assert admission.report.coinciding_patients == 0


@pytest.mark.parametrize(
    ("identifiers", "shared"),
    [
        (["A", "B", "A", "D"], 1),
        (["A", "B", "C", "D"], 0),
        # Written over all of them: it names nobody.
        (["ANON", "ANON", "ANON", "ANON"], 0),
        ([None, "B", None, "D"], 0),
    ],
)
def test_a_patient_id_that_stands_under_several_patients_is_a_warning(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp, identifiers: list[str | None], shared: int
) -> None:
    for number, identifier in enumerate(identifiers, start=1):
        write_dicom(ramp(seed=number), 12, PatientID=identifier, name=f"images/{number}.dcm")
    admission = admit(make_site(GOOD.replace(".png", ".dcm")), 16, "pad")
    require_trainable(admission)
    assert admission.report.shared_patient_ids == shared
    found = [w for w in admission.report.warnings if "stand under several patients" in w]
    assert [w.partition(" DICOM Patient ID(s)")[0] for w in found] == ["1"] * shared


def test_the_same_patient_id_for_two_images_of_a_patient_is_as_it_should_be(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    for number, identifier in enumerate("AABCD", start=1):
        write_dicom(ramp(seed=number), 12, PatientID=identifier, name=f"images/{number}.dcm")
    rows = "P1,1,severe\nP1,2,severe\nP2,3,severe\nP3,4,none\nP4,5,none\n"
    assert admit(make_site(TABLE + rows), 16, "pad").report.shared_patient_ids == 0


def test_rows_whose_zeros_a_spreadsheet_dropped_are_hinted_at(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp, fill: Fill
) -> None:
    fill("0045.png", "P6/1.png")
    for number, identifier in enumerate(["0012", "123"]):
        write_dicom(ramp(seed=9 + number), 12, PatientID=identifier, name=f"images/{number}.dcm")
    table = "patient,grade\n12,severe\n123,none\n45.0,none\n77,none\nP6,severe\n"
    report = admit(make_site(table, ""), 16, "pad").report
    assert (report.labels_without_image, report.labels_nearly_matched) == (3, 2)
    assert any(w.startswith("2 row(s) of these would have one but for") for w in report.warnings)
    exact = table.replace("12,", "0012,", 1).replace("45.0", "0045")
    report = admit(make_site(exact, ""), 16, "pad").report
    assert (report.labels_without_image, report.labels_nearly_matched) == (1, 0)


@pytest.mark.parametrize(("second", "number"), [("p1", 2), ("P1x", 0)])
def test_patients_that_differ_in_letter_case_alone_are_a_warning(
    make_site: Make, fill: Fill, second: str, number: int
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    rows = f"P1,1.png,severe\n{second},2.png,severe\nP2,3.png,none\nP3,4.png,none\n"
    admission = admit(make_site(TABLE + rows), 16, "pad")
    require_trainable(admission)
    found = [w for w in admission.report.warnings if "upper and lower case alone" in w]
    assert [w.split(" ")[0] for w in found] == [str(number)] * bool(number)
