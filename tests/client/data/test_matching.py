from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from client.data.admission import Admission, admit, require_trainable
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
WritePng = Callable[[Path, int], Path]
WriteDicom = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]

TABLE = "patient,file,grade\n"


def fates(admission: Admission) -> int:
    """All files, by the ways that the report says they went."""
    report = admission.report
    return (
        report.images_admitted
        + len(report.rejected)
        + report.duplicates
        + report.images_without_label
        + report.images_of_unused_outcome
        + report.images_of_contradictory_patients
    )


def patients(admission: Admission) -> dict[str, int]:
    return admission.cohort.patients()


@pytest.mark.parametrize(
    "value", ["a/1.png", "./a/1.png", "a\\1.png", "1.png", "1", "images/a/1.png"]
)
def test_image_column_matches_path_name_or_stem(
    make_site: Make, fill: Callable[..., None], value: str
) -> None:
    fill("a/1.png", "b/2.png")
    admission = admit(make_site(TABLE + f"P1,{value},severe\n"), 16, "pad")
    assert patients(admission) == {"P1": 1}
    assert admission.report.images_without_label == 1


def test_an_ambiguous_name_is_a_problem_and_a_path_is_the_remedy(
    make_site: Make, fill: Callable[..., None]
) -> None:
    fill("a/1.png", "b/1.png", "2.png")
    admission = admit(make_site(TABLE + "P1,1.png,severe\nP2,2.png,none\n"), 16, "pad")
    assert patients(admission) == {"P2": 0}
    with pytest.raises(SiteError, match=r"several files for the same image name, for 1 name\(s\)"):
        require_trainable(admission)
    admission = admit(make_site(TABLE + "P1,b/1.png,severe\nP2,2.png,none\n"), 16, "pad")
    assert patients(admission) == {"P1": 1, "P2": 0}


@pytest.mark.parametrize(
    ("name", "value", "matches"),
    [
        ("1.2.826.10.7", "1.2.826.10.7", True),
        ("1.2.826.10.7", "1.2.826.10", False),
        ("1.2.826.10.7.png", "1.2.826.10.7", True),
        ("1.2.826.10.7.PNG", "1.2.826.10.7", True),
        ("1.2.826.10.7.ima", "1.2.826.10.7", True),
        ("1.2.826.10.7.png", "1.2.826.10", False),
    ],
)
@pytest.mark.parametrize("data", ['image = "file"', ""])
def test_only_the_suffix_of_an_image_is_left_out(
    make_site: Make, write_png: WritePng, tmp_path: Path, name: str, value: str, matches: bool,
    data: str,
) -> None:  # fmt: skip
    write_png(tmp_path / "film.png", 1)
    (tmp_path / "images").mkdir()
    (tmp_path / "film.png").rename(tmp_path / "images" / name)
    admission = admit(make_site(TABLE + f"{value},{value},severe\n", data), 16, "pad")
    assert patients(admission) == ({value: 1} if matches else {})
    assert admission.report.labels_without_image == (not matches)


@pytest.fixture
def mixed(write_dicom: WriteDicom, write_png: WritePng, ramp: Ramp, tmp_path: Path) -> None:
    """DICOM of P1 (two images) and P2, rasters of P3 and P4, a lateral of nobody."""
    for seed, patient in enumerate(["P1", "P1", "P2"]):
        pixels = ramp(seed=seed)
        write_dicom(pixels, 12, PatientID=f" {patient} ", ViewPosition="AP", name=f"images/{seed}")
    write_dicom(ramp(seed=9), 12, PatientID="other", ViewPosition="LL", name="images/9.dcm")
    write_png(tmp_path / "images" / "P3.png", 3)
    write_png(tmp_path / "images" / "P4" / "film.png", 4)


ONE_ROW_EACH = "patient,grade,irds\nP1,severe,3\nP2,severe,1\nP3,none,2\nP4,none,\nP5,none,1\n"


@pytest.mark.usefixtures("mixed")
def test_without_image_column_patients_are_matched(make_site: Make) -> None:
    admission = admit(make_site(ONE_ROW_EACH, 'covariate = "irds"'), 16, "pad")
    require_trainable(admission)
    assert patients(admission) == {"P1": 1, "P2": 1, "P3": 0, "P4": 0}
    of_image = [(r.patient, r.covariate) for r in admission.cohort.radiographs]
    assert of_image == [("P1", 3.0), ("P1", 3.0), ("P2", 1.0), ("P3", 2.0), ("P4", None)]
    report = admission.report
    assert (report.labels_without_image, report.images_without_label) == (1, 1)
    assert report.formats == {"DICOM": 3, "PNG": 2}
    assert report.photometric_interpretations == {"L": 2, "MONOCHROME2": 3}
    assert report.bits == {"12": 3, "8": 2}
    assert fates(admission) == report.images_found == 6


@pytest.mark.usefixtures("mixed")
def test_a_patient_whose_rows_differ_in_covariate_is_counted(make_site: Make) -> None:
    table = ONE_ROW_EACH + "P2,severe,4\nP2,,7\n"
    admission = admit(make_site(table, 'covariate = "irds"'), 16, "pad")
    assert [r.covariate for r in admission.cohort.radiographs if r.patient == "P2"] == [None]
    report = admission.report
    assert (report.contradictory_covariates, report.unreadable_covariates) == (1, 0)


@pytest.mark.usefixtures("mixed")
def test_an_unreadable_file_of_an_unlabelled_patient_does_not_count_against_the_site(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp, tmp_path: Path
) -> None:
    site = make_site(ONE_ROW_EACH, "")
    cine = {"NumberOfFrames": 2, "PatientID": "other"}
    write_dicom(ramp(), 12, name="images/cine.dcm", **cine)
    admission = admit(site, 16, "pad")
    assert admission.report.rejected == (("cine.dcm", "multi-frame image"),)
    assert (admission.report.rejected_share, admission.report.problems) == (0, ())
    write_dicom(ramp(), 12, name="images/cine.dcm", **(cine | {"PatientID": "P1"}))
    assert admit(site, 16, "pad").report.rejected_share == pytest.approx(1 / 6)
    (tmp_path / "images" / "cine.dcm").write_bytes(b"nobody knows whose")
    assert admit(site, 16, "pad").report.rejected_share == pytest.approx(1 / 6)


NUMBERED = "patient,grade\n1,severe\n2,none\n7,severe\n8,none\n"


def test_images_numbered_like_other_patients_are_nobodys(
    make_site: Make, fill: Callable[..., None]
) -> None:
    fill("7/1.png", "7/2.png", "7/3.png", "7/7.png", "8/study/2.png", "1/first.png", "2.png")
    admission = admit(make_site(NUMBERED, ""), 16, "pad")
    report = admission.report
    of_image = [(r.patient, r.label) for r in admission.cohort.radiographs]
    assert of_image == [("1", 1), ("2", 0), ("7", 1), ("7", 1)]
    assert report.ambiguous_files == ("7/1.png", "7/2.png", "8/study/2.png")
    assert report.labels_without_image == 0
    assert fates(admission) == report.images_found == 7
    with pytest.raises(SiteError, match=r"3 image\(s\) whose name and folder are those of diff"):
        require_trainable(admission)


def test_a_folder_above_names_the_patient(make_site: Make, fill: Callable[..., None]) -> None:
    fill("7/a.png", "8/study/b.png", "north/2/c.png", "1.png", "north/9/d.png")
    admission = admit(make_site(NUMBERED, ""), 16, "pad")
    require_trainable(admission)
    assert patients(admission) == {"1": 1, "2": 0, "7": 1, "8": 0}
    assert admission.report.images_without_label == 1


def test_a_damaged_file_is_rejected_however_ambiguous(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("1.png", "2.png", "7.png", "8.png")
    (tmp_path / "images" / "7").mkdir()
    (tmp_path / "images" / "7" / "1.png").write_bytes(b"garbage")
    report = admit(make_site(NUMBERED, ""), 16, "pad").report
    assert report.ambiguous_files == ()
    assert report.rejected_share == pytest.approx(1 / 5)


@pytest.mark.usefixtures("mixed")
def test_reports_and_plans_of_a_patient_do_not_block_a_site(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    site = make_site(ONE_ROW_EACH, "")
    for number in range(9):
        state = {"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage, "PatientID": "P1"}
        nothing = dict.fromkeys(("Rows", "Columns", "PixelData"))
        write_dicom(ramp(), 12, name=f"images/state-{number}.dcm", **state, **nothing)
    admission = admit(site, 16, "pad")
    report = admission.report
    require_trainable(admission)
    assert report.rejected_by_reason == {"DICOM object without an image": 9}
    assert (report.rejected_share, fates(admission)) == (0, report.images_found)
    write_dicom(ramp(), 12, name="images/cut.dcm", PatientID="P1", PixelData=None)
    assert admit(site, 16, "pad").report.rejected_share == pytest.approx(1 / 6)


def test_a_report_that_a_row_names_as_its_image_counts(
    make_site: Make, fill: Callable[..., None], write_dicom: WriteDicom, ramp: Ramp
) -> None:
    fill("1.png")
    state = {"SOPClassUID": GrayscaleSoftcopyPresentationStateStorage, "Rows": None}
    write_dicom(ramp(), 12, name="images/2.dcm", **state)
    report = admit(make_site(TABLE + "P1,1.png,severe\nP2,2.dcm,none\n"), 16, "pad").report
    assert report.rejected_share == 0.5
