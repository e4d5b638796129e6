"""What a file's header says against it, by the file's name: subject, shape, Patient ID."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from client.data.admission import admit
from client.data.report import AdmissionReport
from client.settings import SiteSettings

Make = Callable[..., SiteSettings]
WriteDicom = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]
HEAD = "patient,file,grade\n"
GOOD = "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


def listed(report: AdmissionReport) -> list[tuple[str, str, bool, str]]:
    return [(item.kind, item.name, item.out, item.why) for item in report.listed]


@pytest.mark.parametrize("only", [False, True])
def test_what_is_no_frontal_chest_radiograph_is_flagged_or_excluded(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp, only: bool
) -> None:
    chest = {"ViewPosition": "AP", "BodyPartExamined": "CHEST"}
    headers: list[dict[str, Any]] = [
        chest, chest, chest, chest, {"ViewPosition": "LL", "BodyPartExamined": "HAND"},
        {"SeriesDescription": "Thorax seitlich SECRET"}, {},
    ]  # fmt: skip
    for number, header in enumerate(headers, start=1):
        write_dicom(ramp(seed=number), 12, name=f"images/{number}.dcm", **header)
    rows = "".join(f"P{n},{n}.dcm,{'none' if n % 2 else 'severe'}\n" for n in range(1, 8))
    more = "frontal-chest-only = true\n" if only else ""
    report = admit(make_site(HEAD + rows, f'image = "file"\n{more}'), 16, "pad").report
    assert listed(report) == [
        ("image", "5.dcm", only, "view LL; body part HAND"),
        ("image", "6.dcm", only, "lateral by its description"),
    ]
    assert report.images_admitted == (5 if only else 7)
    assert (report.images_of_other_subjects, report.images_flagged_as_other) == (
        (2, 0) if only else (0, 2)
    )
    assert report.rejected_share == 0
    (sentence,) = [text for text in report.warnings if "frontal" in text]
    assert ("excluded" in sentence) == only
    assert report.not_checked[0].startswith("1 image(s) do not say all")
    assert "SECRET" not in str(report)


def test_what_looks_wrong_in_a_picture_is_named(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    for number in range(1, 5):
        spacing = [2, 1] if number == 3 else [1, 1]
        write_dicom(ramp(seed=number), 12, PixelAspectRatio=spacing, name=f"images/{number}.dcm")
    report = admit(make_site(HEAD + GOOD.replace(".png", "")), 16, "pad").report
    assert [(name, "not square" in why) for _, name, _, why in listed(report)] == [("3.dcm", True)]


def test_a_patient_id_that_contradicts_the_table_is_named(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    for number, identifier in enumerate(["p1", "002.0", "P4", "OTHER", None], start=1):
        write_dicom(
            ramp(seed=number), 12, PatientID=identifier, name=f"images/{number}.dcm",
            ViewPosition="LL" if number == 5 else "PA",
        )  # fmt: skip
    table = f"{HEAD}P1,1,severe\n2,2,severe\nP3,3,none\nP4,4,none\nP5,5,none\n"
    report = admit(make_site(table), 16, "pad").report
    # Two agree and two do not, so that the table may have pseudonyms: another's ID is what counts.
    assert listed(report) == [
        ("image", "3.dcm", False, "its Patient ID is 'P4', but the table has it for 'P3'"),
        ("image", "5.dcm", False, "view LL"),
    ]
    assert report.contradicting_patient_ids == 1
    assert any(text.startswith("1 image(s) whose Patient ID is not") for text in report.warnings)
    report = admit(make_site(table.replace("P3,3", "P4,3")), 16, "pad").report
    assert [name for _, name, _, _ in listed(report)] == ["4.dcm", "5.dcm"]


def test_pseudonyms_in_the_table_contradict_nothing(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    for number in range(1, 5):
        write_dicom(ramp(seed=number), 12, PatientID=f"A{number}", name=f"images/{number}.dcm")
    report = admit(make_site(HEAD + GOOD.replace(".png", "")), 16, "pad").report
    assert (report.contradicting_patient_ids, listed(report)) == (0, [])
