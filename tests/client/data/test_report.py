from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image

from client.data.admission import admit, require_trainable
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]


WritePng = Callable[[Path, int], Path]


WriteDicom = Callable[..., Path]


Ramp = Callable[..., NDArray[Any]]


TABLE = "patient,file,grade\n"


GOOD = TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


@pytest.fixture
def fill(tmp_path: Path, write_png: WritePng) -> Callable[..., None]:
    """Write differing PNG files of these names into the images folder."""

    def write(*names: str) -> None:
        for seed, name in enumerate(names):
            write_png(tmp_path / "images" / name, seed)

    return write


def test_json_holds_counts_and_no_names(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("SECRET-1.png", "2.png", "3.png", "4.png")
    (tmp_path / "images" / "SECRET-5.png").write_bytes(b"garbage")
    table = GOOD.replace("P1,1.png", "SECRET,SECRET-1.png") + "SECRET,SECRET-5.png,severe\n"
    admission = admit(make_site(table), 16, "pad")
    text = json.dumps(admission.report.to_json())
    assert "SECRET" not in text + repr(admission)
    record = json.loads(text)
    assert record["counts"]["positive_patients"] == 2
    assert record["rejected"] == 1
    assert record["rejected_by_reason"] == {"not a DICOM, PNG or JPEG file": 1}
    assert record["problems"] == list(admission.report.problems)
    assert admission.report.rejected[0][0] == "SECRET-5.png"


def test_headers_that_deserve_a_look_are_warned_of(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    headers = [
        {"BurnedInAnnotation": "YES", "ViewPosition": "PA"},
        {"ViewPosition": "LL", "PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationIntentType": "FOR PROCESSING"},
    ]
    for number, header in enumerate(headers):
        write_dicom(ramp(seed=number), 12, name=f"images/{number}.dcm", **header)
    admission = admit(make_site(TABLE + "P1,0,severe\nP2,1,none\nP3,2,none\n"), 16, "pad")
    report = admission.report
    assert report.warnings == (
        "1 image(s) say that annotation is burned in (names or marks may show).",
        "1 image(s) of another view than AP or PA: LL (1).",
        "1 image(s) for processing, not for presentation; their contrast differs.",
    )
    assert report.views == {"LL": 1, "PA": 1, "not stated": 1}
    assert report.burned_in_annotations == {"YES": 1, "not stated": 2}
    assert report.photometric_interpretations == {"MONOCHROME1": 1, "MONOCHROME2": 2}


def test_the_same_picture_in_another_file_of_another_patient_is_warned_of(
    make_site: Make, fill: Callable[..., None], tmp_path: Path
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    images = tmp_path / "images"
    Image.open(images / "1.png").save(images / "3.png", compress_level=0)
    report = admit(make_site(GOOD), 16, "pad").report
    assert report.images_admitted == 4
    assert report.warnings == (
        "2 image(s) with the pixels of another patient's image in a different file.",
    )


@pytest.mark.parametrize(
    ("names", "table", "problem"),
    [
        (
            (),
            GOOD,
            "Site 'north' has no DICOM, PNG or JPEG image in its images folder; put them there, or "
            "correct images in [data] of site.toml.",
        ),
        (
            ("x.png",),
            GOOD,
            "Site 'north' has no image with a usable outcome: 1 images, 4 rows, 4 rows without "
            "image, 1 images without row, 0 outcomes missing; check the columns and outcomes in "
            "[data] of site.toml.",
        ),
        (
            ("1.png", "2.png"),
            TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,mild\n",
            "Site 'north' has no negative patient; check the negative list in [data] of site.toml "
            "(outcomes in neither list: mild (1)).",
        ),
        (
            ("1.png", "3.png", "4.png"),
            GOOD,
            "Site 'north' has too few patients: 1 positive, and training and validation need at "
            "least 2 of each class; add patients, or leave this site out.",
        ),
    ],
)
def test_what_forbids_training(
    make_site: Make, fill: Callable[..., None], names: tuple[str, ...], table: str, problem: str
) -> None:
    fill(*names)
    admission = admit(make_site(table), 16, "pad")
    assert admission.report.problems == (problem,)
    with pytest.raises(SiteError) as caught:
        require_trainable(admission)
    assert str(caught.value) == problem
    assert "P1" not in caught.value.shareable


@pytest.mark.parametrize(("limit", "refused"), [("0.19", True), ("0.2", False)])
def test_max_rejected_is_a_limit_that_may_be_reached(
    make_site: Make, fill: Callable[..., None], tmp_path: Path, limit: str, refused: bool
) -> None:
    fill("1.png", "2.png", "3.png", "4.png")
    (tmp_path / "images" / "5.png").write_bytes(b"garbage")
    (tmp_path / "images" / "unlabelled.png").write_bytes(b"garbage")
    site = make_site(GOOD + "P5,5.png,none\n", more=f"[policy]\nmax-rejected = {limit}")
    admission = admit(site, 16, "pad")
    assert len(admission.report.rejected) == 2
    assert bool(admission.report.problems) == refused


def test_all_problems_are_said_together(make_site: Make, fill: Callable[..., None]) -> None:
    fill("1.png", "a/2.png", "b/2.png")
    admission = admit(make_site(GOOD), 16, "pad")
    with pytest.raises(SiteError) as caught:
        require_trainable(admission)
    message = str(caught.value)
    assert message.index("several files") < message.index("1 positive")
    assert "no negative patient" in message
