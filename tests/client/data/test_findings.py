from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from client.data.admission import admit, require_trainable
from client.imaging.remarks import LUT_SHAPE, NOT_SQUARE
from client.settings import SiteSettings
from shared.errors import SiteError

Make = Callable[..., SiteSettings]
WriteDicom = Callable[..., Path]
Ramp = Callable[..., NDArray[Any]]

TABLE = "patient,file,grade\n"
GOOD = TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,none\nP4,4.png,none\n"


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # small letters
def test_headers_that_deserve_a_look_are_warned_of(
    make_site: Make, write_dicom: WriteDicom, ramp: Ramp
) -> None:
    headers: list[dict[str, Any]] = [
        {"BurnedInAnnotation": "YES", "ViewPosition": "PA"},
        {"ViewPosition": "LL", "PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationIntentType": "FOR PROCESSING"},
        {"Modality": "CT", "BodyPartExamined": "CHEST"},
        {"Modality": "CR", "BodyPartExamined": "thorax"},
        {"Modality": None, "BodyPartExamined": "HAND"},
        {"PixelAspectRatio": [2, 1], "PresentationLUTShape": "INVERSE"},
        {"PixelAspectRatio": [2, 1]},
    ]
    for number, header in enumerate(headers):
        write_dicom(ramp(seed=number), 12, name=f"images/{number}.dcm", **header)
    table = TABLE + "".join(f"P{number},{number},none\n" for number in range(len(headers)))
    admission = admit(make_site(table), 16, "pad")
    report = admission.report
    assert report.warnings == (
        "1 image(s) say that annotation is burned in (names or marks may show).",
        "3 image(s) that are not frontal chest radiographs by their headers; they are used unless "
        "frontal-chest-only = true in [data] of site.toml excludes them: view LL (1), "
        "modality CT (1), body part HAND (1).",
        "1 image(s) for processing, not for presentation; their contrast differs.",
        f"1 image(s) {LUT_SHAPE}.",
        f"2 image(s) {NOT_SQUARE}.",
    )
    assert report.not_checked == (
        "8 image(s) do not say all of what they show, so it was not checked whether they are "
        "frontal chest radiographs; not stated: view (6), body part (5), modality (1). PNG and "
        "JPEG never do.",
    )
    assert report.views == {"LL": 1, "PA": 1, "not stated": 6}
    assert report.burned_in_annotations == {"YES": 1, "not stated": 7}
    assert report.photometric_interpretations == {"MONOCHROME1": 1, "MONOCHROME2": 7}
    assert report.modalities == {"CR": 1, "CT": 1, "DX": 5, "not stated": 1}
    assert report.body_parts == {"CHEST": 1, "HAND": 1, "not stated": 5, "thorax": 1}
    assert report.remarks == {LUT_SHAPE: 1, NOT_SQUARE: 2}
    assert admit(make_site(table), 16, "pad").report.remarks == report.remarks  # from the cache


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
            GOOD.replace("severe", "mild").replace("none", "mild"),
            "Site 'north' has no image with a usable outcome: 1 images, 4 rows, 4 rows without "
            "image, 1 images without row, 0 outcomes missing (outcomes in neither list: mild (4)) "
            "(rows: no file of this name (4); `fedthaw site check --list` names them); check the "
            "columns and outcomes in [data] of site.toml.",
        ),
        (
            ("1.png", "2.png"),
            TABLE + "P1,1.png,severe\nP2,2.png,severe\nP3,3.png,mild\n",
            "Site 'north' has no negative patient; check the negative list in [data] of site.toml "
            "(outcomes in neither list: mild (1)).",
        ),
        (
            ("1.png", "3.png", "4.png"),
            GOOD.replace("P2,2.png,severe\n", ""),
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


def test_all_problems_are_said_together(make_site: Make, fill: Callable[..., None]) -> None:
    fill("1.png", "a/2.png", "b/2.png")
    admission = admit(make_site(GOOD), 16, "pad")
    with pytest.raises(SiteError) as caught:
        require_trainable(admission)
    message = str(caught.value)
    assert message.index("several files") < message.index("1 positive")
    assert "no negative patient" in message


def test_names_that_several_files_have_are_counted_and_listed(
    make_site: Make, fill: Callable[..., None]
) -> None:
    fill(*(f"{folder}/{number}.png" for folder in "ab" for number in range(12)))
    rows = "".join(f"P{number},{number}.png,none\n" for number in range(12))
    report = admit(make_site(TABLE + rows), 16, "pad").report
    problem, _ = report.problems
    assert "for 12 name(s) of its table; give the path" in problem
    assert ".png" not in problem
    named = [item.name for item in report.listed if "several files" in item.why]
    assert named == [f"line {n + 2}, patient 'P{n}', image '{n}.png'" for n in range(12)]
