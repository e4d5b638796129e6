"""What a header says of body part and view."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from client.imaging.facts import ImageFacts
from client.imaging.subject import (
    described_subject,
    not_stated,
    other_than_frontal_chest,
    part_in,
    view_in,
)


@pytest.mark.parametrize(
    ("text", "view"),
    [
        ("AP", "frontal"), ("PA ERECT", "frontal"), ("AP_SUPINE", "frontal"),
        ("Thorax p.a.", "frontal"), ("postero-anterior", "frontal"), ("LL", "lateral"),
        ("LATERAL", "lateral"), ("Thorax seitlich", "lateral"), ("CHEST LAT", "lateral"),
        ("Thorax, profil", "lateral"), ("RAO", "oblique"), ("schräg", "oblique"),
        ("LEFT LATERAL DECUBITUS", "decubitus"), ("CHEST PA/LAT", None), ("Chest", None),
        ("Platelets", None), ("", None),
    ],
)  # fmt: skip
def test_the_view_that_a_text_names(text: str, view: str | None) -> None:
    assert view_in(text) == view


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("CHEST", "chest"), ("Chest_Peds", "chest"), ("thorax", "chest"), ("Tórax AP", "chest"),
        ("CHESTABDOMEN", "chest"), ("Lungs", "chest"), ("HAND PA", "hand"), ("Schädel", "schaedel"),
        ("ABDOMEN", "abdom"), ("Thoracic spine", "spine"), ("BWS seitl.", "spine"),
        ("Darstellung", None), ("portable", None), ("", None),
    ],
)  # fmt: skip
def test_the_body_part_that_a_text_names(text: str, part: str | None) -> None:
    assert part_in(text) == part


def test_codes_and_descriptions_speak_where_the_elements_are_silent() -> None:
    header = Dataset()
    code = Dataset()
    code.CodeMeaning = "left lateral"
    header.ViewCodeSequence = [code]
    header.SeriesDescription = "Thorax"
    header.StudyDescription = "Hand ap"
    assert described_subject(header) == ("lateral", "chest")
    del header.ViewCodeSequence, header.SeriesDescription
    assert described_subject(header) == (None, "hand"), "a study has images of several views"


def facts(**named: str | None) -> ImageFacts:
    return ImageFacts("DICOM", "MONOCHROME2", 12, 40, 40, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"view": "AP", "modality": "DX", "body_part": "CHEST"}, []),
        ({"view": "AP supine", "modality": "cr", "body_part": "Thorax"}, []),
        ({"view": "LL", "modality": "CT", "body_part": "HAND"},
         ["view LL", "modality CT", "body part HAND"]),
        ({"described_view": "lateral", "described_part": "hand"},
         ["lateral by its description", "hand by its description"]),
        ({"view": "PA", "described_view": "lateral"}, []),
        ({"body_part": "CHEST", "described_part": "hand"}, ["hand by its description"]),
        ({"view": "XX"}, ["view XX"]),
        ({}, []),
    ],
)  # fmt: skip
def test_what_makes_an_image_another(named: dict[str, str], said: list[str]) -> None:
    assert list(other_than_frontal_chest(facts(**named))) == said


def test_what_nothing_says_cannot_be_checked() -> None:
    assert list(not_stated(facts())) == ["view", "body part", "modality"]
    described = facts(described_view="frontal", described_part="chest", modality="DX")
    assert list(not_stated(described)) == []
