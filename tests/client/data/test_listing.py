"""Each file and row by name where its owner asks, and counts alone where not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.cli.admission_table import print_report
from client.data.admission import admit, require_trainable
from client.data.report import AdmissionReport
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
Fill = Callable[..., None]
HEAD = "patient,file,grade\n"
GOOD = "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


def listed(report: AdmissionReport) -> list[tuple[str, str, bool, str]]:
    return [(item.kind, item.name, item.out, item.why) for item in report.listed]


def test_every_file_and_row_that_is_not_used_has_its_reason(
    make_site: Make, fill: Fill, tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "stray.png", "8.png")
    images = tmp_path / "images"
    (images / "broken.png").write_bytes(b"garbage")
    (images / "copy.png").write_bytes((images / "1.png").read_bytes())
    table = (
        f"{HEAD}{GOOD}P1,copy.png,severe\nP5,5.png,mild\nP6,6.png,severe\nP6,gone.png,none\n"
        ",x.png,none\nP7,broken.png,none\nP8,8.png,\nP9,08.png,mild\n"
    )
    report = admit(make_site(table), 16, "pad").report
    assert listed(report) == [
        ("image", "5.png", True, "outcome 'mild' in neither list"),
        ("image", "6.png", True, "its patient has contradictory outcomes"),
        ("image", "8.png", True, "no outcome"),
        ("image", "broken.png", True, "not a DICOM, PNG or JPEG file"),
        ("image", "copy.png", True, "the same image as 1.png"),
        ("image", "stray.png", True, "no row of the table names it"),
        ("row", "line 7, patient 'P5', image '5.png'", True, "outcome 'mild' in neither list"),
        ("row", "line 8, patient 'P6', image '6.png'", True,
         "its patient has contradictory outcomes"),
        ("row", "line 9, patient 'P6', image 'gone.png'", True,
         "no file of this name; its patient has contradictory outcomes"),
        ("row", "line 10, patient '', image 'x.png'", True, "no patient"),
        ("row", "line 12, patient 'P8', image '8.png'", True, "no outcome"),
        ("row", "line 13, patient 'P9', image '08.png'", True,
         "a file has this name but for leading zeros or a final .0: 8.png; "
         "outcome 'mild' in neither list"),
    ]  # fmt: skip
    used = {"1.png", "2.png", "3.png", "4.png"}
    names = {name for kind, name, _, _ in listed(report) if kind == "image"}
    assert len(names | used) == report.images_found == len(names) + len(used)


def test_names_are_printed_where_they_are_asked_for_alone(
    make_site: Make, fill: Fill, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    (tmp_path / "images" / "SECRET\x1b[2J.png").write_bytes(b"garbage")
    table = f"{HEAD}{GOOD}SECRET\u202e,SECRET.png,none\nSECRET,SECRET\x1b[2J.png,none\n"
    report = admit(make_site(table), 16, "pad").report
    print_report(report)
    plain = capsys.readouterr().out
    assert "SECRET" not in plain + json.dumps(report.to_json()) + " ".join(report.problems)
    assert "1 image(s) and 1 row(s) are excluded or doubtful; --list names them" in plain
    print_report(report, listed=True)
    named = capsys.readouterr().out
    assert "excluded   image SECRET\\x1b[2J.png: not a DICOM, PNG or JPEG file" in named
    assert "excluded   row line 6, patient 'SECRET\\u202e', image 'SECRET.png': no file" in named
    assert named.replace("\n", "").isprintable()
    exact = report.to_json(listed=True)["listed"]
    assert exact[0]["name"] == "SECRET\x1b[2J.png"


def test_a_file_without_a_row_names_the_row_that_may_mean_it(make_site: Make, fill: Fill) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "img-05.png", "a/6.png", "b/6.png")
    rows = "P5,img_O5.png,none\nP6,6.png,none\nP7,img07.png,none\n"
    report = admit(make_site(HEAD + GOOD + rows), 16, "pad").report
    # Two rows without an image, one of which means an image without a row: one mistake of both.
    assert (report.labels_without_image, report.images_without_label) == (2, 3)
    assert report.images_meant_by_rows == 1
    warning = "1 image(s) probably meant by rows that spell their names differently"
    assert warning in str(report.warnings)
    six = "no row of the table names it; line 7 may mean it, '6.png'"
    assert listed(report) == [
        ("image", "a/6.png", True, six),
        ("image", "b/6.png", True, six),
        ("image", "img-05.png", True,
         "no row of the table names it; line 6 may mean it, 'img_O5.png'"),
        ("row", "line 6, patient 'P5', image 'img_O5.png'", True,
         "no file of this name, but a similar one that no row names: img-05.png"),
        ("row", "line 7, patient 'P6', image '6.png'", True,
         "several files of this name; give the path relative to the images folder"),
        ("row", "line 8, patient 'P7', image 'img07.png'", True, "no file of this name"),
    ]  # fmt: skip


def test_a_file_whose_row_is_set_aside_or_claimed_twice_names_the_lines(
    make_site: Make, fill: Fill
) -> None:
    fill("1.png", "2.png", "3.png", "4.png", "5.png", "6.png")
    rows = ",5.PNG,none\nP6,6.png,none\nP7,6.png,none\n"
    report = admit(make_site(HEAD + GOOD + rows), 16, "pad").report
    assert [item[1:] for item in listed(report) if item[0] == "image"] == [
        ("5.png", True,
         "no row of the table names it; line 6 may mean it, and is set aside: no patient"),
        ("6.png", True, "same image for several patients; lines 7, 8 of the table"),
    ]  # fmt: skip


def test_a_name_that_only_another_kind_of_file_has(
    make_site: Make, fill: Fill, tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    for name in ("5.dcm.gz", ".6.png", "7.txt"):
        (tmp_path / "images" / name).write_bytes(b"x")
    rows = "P5,5.dcm,none\nP6,.6.png,none\nP7,7.txt,none\nP8,8.txt,none\n"
    report = admit(make_site(HEAD + GOOD + rows), 16, "pad").report
    there = "a file of this name is there, but it is hidden, compressed or no image"
    assert [why for _, _, _, why in listed(report)] == [there, there, there, "no file of this name"]


def test_a_patient_without_an_image_names_the_image_of_a_similar_one(
    make_site: Make, fill: Fill
) -> None:
    fill("P1.png", "P2.png", "P-3/x.png", "0P4.png", "P05.png")
    table = "patient,grade\nP1,severe\nP2,severe\nP_3,none\nP4,none\nP5,none\nP6,none\n"
    report = admit(make_site(table, ""), 16, "pad").report
    similar = "no image of this patient, but one of a similar patient that has no row"
    assert [item for item in listed(report) if item[0] == "row"] == [
        ("row", "line 4, patient 'P_3'", True, f"{similar}: P-3/x.png"),
        ("row", "line 5, patient 'P4'", True, "no image of this patient"),
        ("row", "line 6, patient 'P5'", True, f"{similar}: P05.png"),
        ("row", "line 7, patient 'P6'", True, "no image of this patient"),
    ]
    assert ("image", "P-3/x.png", True, "no row of its patient; line 4 may mean it, 'P_3'") in (
        listed(report)
    )


@pytest.mark.parametrize(("limit", "refused"), [("0.32", True), ("0.34", False)])
def test_labelled_images_that_vanish_count(
    make_site: Make, fill: Fill, limit: str, refused: bool
) -> None:
    """Two of six; rows of an outcome that is not used and of no image are none of them."""
    fill("1.png", "2.png", "3.png", "4.png")
    rows = "P5,gone.png,none\nP6,lost.png,severe\nP7,away.png,mild\nP8,,none\nP5,gone.png,none\n"
    site = make_site(HEAD + GOOD + rows, more=f"[policy]\nmax-rejected = {limit}")
    admission = admit(site, 16, "pad")
    assert admission.report.images_vanished == 2
    assert admission.report.rejected_share == pytest.approx(2 / 6)
    if refused:
        with pytest.raises(SiteError, match=r"file missing, or its row set aside \(2\)"):
            require_trainable(admission)
    else:
        require_trainable(admission)


def test_rows_that_cannot_be_believed_count_as_lost(make_site: Make, fill: Fill) -> None:
    """A comma without quotation marks has moved the outcome of two of six."""
    fill("1.png", "2.png", "3.png", "4.png", "5.png", "6.png")
    rows = "P5,left, lower,5.png,none\nNaN,6.png,severe\n"
    report = admit(make_site(HEAD + GOOD + rows), 16, "pad").report
    assert report.rejected_share == pytest.approx(2 / 6)
    assert "more than max-rejected allows" in report.problems[0]
    assert sum(report.bad_rows.values()) == 2


def test_a_table_of_patients_may_know_more_of_them_than_have_an_image(
    make_site: Make, fill: Fill
) -> None:
    fill("P1.png", "P2.png", "P3.png", "P4.png")
    rows = "".join(f"X{n},none\n" for n in range(50))
    table = "patient,grade\nP1,severe\nP2,severe\nP3,none\nP4,none\n" + rows
    require_trainable(admit(make_site(table, ""), 16, "pad"))


def test_an_outcome_column_that_holds_identifiers_is_not_quoted(
    make_site: Make, fill: Fill
) -> None:
    fill("1.png", "2.png")
    rows = "".join(f"P{n},{n}.png,Meier-{n}\n" for n in range(30))
    report = admit(make_site(HEAD + rows), 16, "pad").report
    assert "Meier" not in " ".join((*report.problems, *report.warnings))
    assert any("30 different values" in text for text in report.warnings)
